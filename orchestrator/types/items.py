"""What goes through the queues: everything that happens, that is published, that is requested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from orchestrator.types.events import QueuedRun, RunEnded, RunEvent, RunRefused
from orchestrator.types.fields import Field
from orchestrator.types.request import RunRequest
from orchestrator.types.runs import Command, Verb
from orchestrator.types.values import LinkChange, Metadata, Reading, Severity, Value

# What the device takes ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """The working loop's pulse, several a second."""

    beat: int
    """Whole seconds that the loop has worked; HEARTBEAT."""
    lag: float
    """s by which the loop was late."""
    period: float = 1.0
    """s since the pulse before."""
    figures: Mapping[Field, float] = field(default_factory=dict)
    """Queue statistics."""


@dataclass(frozen=True, slots=True)
class SequencesListed:
    """The names that can be run, as found in the configured directory."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueueLeft:
    """What waited in the queue of runs when the service before this one ended."""

    waiting: tuple[QueuedRun, ...]
    autostart: bool = True
    lane: str = ""
    """Whose queue it was; empty = the main lane's."""
    lost: tuple[QueuedRun, ...] = ()
    """Those of which it is not known any more what was to be run."""


PullItem: TypeAlias = Reading | LinkChange | Command | RunEvent | Tick | SequencesListed | QueueLeft
"""Everything that happens."""


# What the device decides --------------------------------------------------------------------


@dataclass(slots=True)  # frozen, it would take 2 µs more of each update
class Update:
    """A new value for one PV of the service. Nobody changes one."""

    field: Field
    """Of which: `fields.BUSY`, `fields.MON` …."""
    value: Value
    """As in the table of `Value`; an enum is its label."""
    key: str = ""
    """Which of several: the channel of `mon`, `data`; the IOC of `chain_status`."""
    severity: Severity = Severity.NO_ALARM
    status: int = 0
    """Alarm status code."""
    timestamp: float | None = None
    """Unix seconds; None = now."""
    nanoseconds: int | None = None
    """Of the timestamp, below a second, where they are known exactly."""
    lane: str = ""
    """Of which lane, if each has one; empty = the main one."""


@dataclass(frozen=True, slots=True)
class MirrorOpened:
    """A channel connected: serve its mirror, made or made anew from this metadata."""

    channel: str
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a `Command`; stands in the push queue behind all that must be seen first."""

    request: int
    error: str = ""
    """Why it was refused or failed; empty = done."""
    outcome: RunEnded | RunRefused | None = field(default=None, compare=False)
    """To a START: how its run has ended, or that there was none."""


Published: TypeAlias = Update | MirrorOpened | RunEvent
"""Everything that listeners are told of."""

PushItem: TypeAlias = Published | Reply
"""Everything that the device gives out, but for what it asks of the engine."""


@dataclass(frozen=True, slots=True)
class Control:
    """The device passes a control command to the engine."""

    verb: Verb
    reason: str = ""
    by: str = ""
    """Who asks: user@host, as the client claims."""
    run_id: str = ""
    """The run that was under way when it was asked; empty while one is only loaded."""
    question: int = 0
    """ANSWER: which question of that run; the answer is `reason`."""
    lane: str = ""
    """Of which lane it is asked; empty = the main one."""


@dataclass(frozen=True, slots=True)
class QueueRequest:
    """The device passes a command about the queue of runs to the engine."""

    request: int
    action: Literal["submit", "clear", "remove", "move", "start", "hold", "restore"]
    number: int = 0
    """Of the run that is to be removed or moved."""
    position: int = 1
    """Where it is moved to, 1 = next."""
    run: RunRequest | None = None
    """What is submitted."""
    left: QueueLeft | None = None
    """What is restored."""
    lane: str = ""
    """Whose queue it is; empty = the main lane's."""


@dataclass(frozen=True, slots=True)
class AutomationRequest:
    """The device passes on what is asked of schedules and triggers."""

    action: Literal["begin", "on", "off"]
    last: Mapping[str, float] = field(default_factory=dict)
    """To begin with: when each schedule was due last, Unix s, by name."""
    lane: str = ""
    """It is of all."""


EngineItem: TypeAlias = RunRequest | Control | QueueRequest | AutomationRequest
