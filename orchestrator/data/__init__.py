"""What is kept of runs: a stream of header, rows and end, and the files that are made of it."""

from orchestrator.data.documents import DocumentOutputs
from orchestrator.data.journal import Interrupted, Summary, summary_of
from orchestrator.data.lock import hold_store, look_at_store
from orchestrator.data.look_back import LookBack, interrupted_in
from orchestrator.data.records import RunRecords
from orchestrator.data.writer import DataForm, RunStore

__all__ = [
    "DataForm",
    "DocumentOutputs",
    "Interrupted",
    "LookBack",
    "RunRecords",
    "RunStore",
    "Summary",
    "hold_store",
    "interrupted_in",
    "look_at_store",
    "summary_of",
]
