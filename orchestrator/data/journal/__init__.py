"""The journal of a run: all that happens in it, kept before anybody is told of it."""

from orchestrator.data.journal.interrupted import Interrupted
from orchestrator.data.journal.journals import Journals
from orchestrator.data.journal.queue_journal import QueueJournal, lanes_with_queues
from orchestrator.data.journal.reader import Summary, summary_of
from orchestrator.data.journal.run_journal import RunJournal

__all__ = [
    "Interrupted",
    "Journals",
    "QueueJournal",
    "RunJournal",
    "Summary",
    "lanes_with_queues",
    "summary_of",
]
