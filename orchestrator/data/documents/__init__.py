"""The documents of bluesky: what its callbacks, its tools and its databases take of a run."""

from orchestrator.data.documents.outputs import DocumentOutputs
from orchestrator.data.documents.sink import DocumentsSink

__all__ = ["DocumentOutputs", "DocumentsSink"]
