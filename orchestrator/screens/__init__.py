"""Operator screens of a service as it is configured; lists for alarm servers and archivers."""

from orchestrator.screens.files import FORMATS, screens_of

__all__ = ["FORMATS", "screens_of"]
