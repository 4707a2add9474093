"""What is kept of runs: a stream of header, rows and end, and the files that are made of it."""

from orchestrator.data.documents import DocumentOutputs
from orchestrator.data.lock import hold_store, look_at_store
from orchestrator.data.records import RunRecords
from orchestrator.data.writer import DataForm, RunStore

__all__ = ["DataForm", "DocumentOutputs", "RunRecords", "RunStore", "hold_store", "look_at_store"]
