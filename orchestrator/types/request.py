"""What is asked for when a run is to be started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.types.recovery import Recovery


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The device asks the engine for a run."""

    request: int
    name: str
    """A name that the library knows; empty where `text` is the document."""
    text: str = ""
    """A whole document."""
    origin: str = ""
    """The file it was read from, for error messages."""
    args: Mapping[str, object] | str = ""
    """Arguments by name, or the JSON text of them."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    """What is to be kept of it beside its arguments, by name."""
    owner: str = ""
    value: bool | float | int | str | None = None
    """What its first parameter is given; None = `args` are all."""
    always_a_run: bool = False
    """START: what can't be run is a run that failed, so that both edges are posted."""
    how: str = ""
    """By what it is started: see `RunHeader.how`."""
    recovery: Recovery | None = None
    """A run that is to go on; `name` is its id then."""
    repeats: str = ""
    """See `RunHeader.repeats`."""
    lane: str = ""
    """Where it is to run; empty = in the main lane."""
    waits: bool = False
    """Where another lane's run has claimed its channels it waits until they are free."""
