"""What is kept of runs: a stream of header, rows and end, and the files that are made of it.

What writes is imported when it is first asked for: who looks at past runs needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.startup.deferred import deferred

if TYPE_CHECKING:
    from orchestrator.data.documents import DocumentOutputs
    from orchestrator.data.journal import Interrupted, Summary, summary_of
    from orchestrator.data.lock import hold_store, look_at_store
    from orchestrator.data.look_back import LookBack, interrupted_in
    from orchestrator.data.records import RunRecords
    from orchestrator.data.retention import Retention
    from orchestrator.data.writer import DataForm, RunStore

__all__ = [
    "DataForm",
    "DocumentOutputs",
    "Interrupted",
    "LookBack",
    "Retention",
    "RunRecords",
    "RunStore",
    "Summary",
    "hold_store",
    "interrupted_in",
    "look_at_store",
    "summary_of",
]

__getattr__ = deferred(
    __name__,
    {
        "DataForm": "writer",
        "DocumentOutputs": "documents",
        "Interrupted": "journal",
        "LookBack": "look_back",
        "Retention": "retention",
        "RunRecords": "records",
        "RunStore": "writer",
        "Summary": "journal",
        "hold_store": "lock",
        "interrupted_in": "look_back",
        "look_at_store": "lock",
        "summary_of": "journal",
    },
)
