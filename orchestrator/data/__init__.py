"""What is kept of runs: a stream of header, rows and end, and the files that are made of it."""

from orchestrator.data.journal import Summary, summary_of
from orchestrator.data.lock import hold_store, look_at_store
from orchestrator.data.records import RunRecords
from orchestrator.data.writer import DataForm, RunStore

__all__ = [
    "DataForm",
    "RunRecords",
    "RunStore",
    "Summary",
    "hold_store",
    "look_at_store",
    "summary_of",
]
