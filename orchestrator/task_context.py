"""Which run, and which step of it, the calling task works for: for messages and for the log.

Tasks hand it on to those that they start, and `copy_context` to threads.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

from orchestrator.types import Path, path_text

_run: ContextVar[str] = ContextVar("run", default="")
_step: ContextVar[tuple[Path, str]] = ContextVar("step", default=((), ""))

enter_run = _run.set
"""From here on the calling task works for the run of this id."""
enter_step = _step.set
"""From here on the calling task is in this step, path and label; made for every step."""


def run_here() -> str:
    """The id of the run that the calling task works for; empty outside of any."""
    return _run.get()


def step_here() -> str:
    """The step that the calling task is in, as messages name it; empty outside of any."""
    return place_text(*_step.get())


def place_here() -> tuple[Path, str]:
    """Path and label of the step that the calling task is in: for `place_text`, if need be."""
    return _step.get()


def place_text(path: Path, label: str) -> str:
    """A step as messages name it."""
    return f"{path_text(path)} {label}".strip()


def add_place(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Any:
    """Add run and step to a line of the log, where they are known and it does not name others.

    A processor of structlog's. Looked up for each line that is logged: bound beforehand, they would
    cost every step.
    """
    if run := run_here():
        event.setdefault("run", run)
    if step := step_here():
        event.setdefault("step", step)
    return event
