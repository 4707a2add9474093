"""What the engine tells the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.types.request import RunRequest
from orchestrator.types.runs import Cause, RunState, RunStatus, Verb
from orchestrator.types.values import Path, Severity

Scalar: TypeAlias = bool | int | float | str
"""A single value, as documents have them."""
AnswerKind: TypeAlias = Literal["", "float", "int", "str", "bool"]
"""What kind of value answers a question; empty: none does."""


@dataclass(frozen=True, slots=True)
class _OfLane:
    """What happens in one lane."""

    lane: str = field(default="", kw_only=True)
    """Which; empty in the main lane."""


@dataclass(frozen=True, slots=True)
class _OfRun(_OfLane):
    """What happens to one run."""

    run_id: str = field(default="", kw_only=True)
    """Which; empty while it is only loaded, and for what the service tells by itself."""


@dataclass(frozen=True, slots=True)
class RunStarted(_OfLane):
    """A run exists from here on; exactly one `RunEnded` follows."""

    run_id: str
    name: str
    owner: str
    request: int
    """The request that is answered: at once for COMMAND, at the end for START."""
    steps: int
    """Steps known, 0 = not known."""


@dataclass(frozen=True, slots=True)
class RunRefused(_OfLane):
    """A request that did not become a run."""

    request: int
    reason: str
    cause: Cause = Cause.INPUT


@dataclass(frozen=True, slots=True)
class Accepted(_OfLane):
    """A request about the queue that was carried out."""

    request: int
    text: str
    """What was done."""
    number: int = 0
    """Of the waiting run that was submitted."""


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """A run that waits for its turn."""

    number: int
    """Names it for `remove` and `move`; never used twice by one service."""
    name: str
    args: Mapping[str, object]
    owner: str
    ended: str = ""
    """Of one that did not succeed and waits to be started again: status and message."""
    request: RunRequest | None = field(default=None, compare=False, repr=False)
    """With what it is started; None: by its name and its arguments. Nobody else is told of it."""


@dataclass(frozen=True, slots=True)
class QueueChanged(_OfLane):
    """The runs that wait, the next one first; the one under way is none of them."""

    waiting: tuple[QueuedRun, ...]
    held: bool
    """A run did not succeed: none is started until somebody says so."""
    autostart: bool
    running: QueuedRun | None = None
    """The one under way, or about to be."""


@dataclass(frozen=True, slots=True)
class RunLoading(_OfLane):
    """A run begins by itself, as its turn has come: it is read, and can be stopped and aborted."""

    name: str


@dataclass(frozen=True, slots=True)
class RunRestarting(_OfLane):
    """The sequence of a lane has ended, and is started again by itself."""

    count: int
    """Times since the service started, this one included."""
    wait: float
    """s until then. A stop or abort meanwhile, and it is not."""


@dataclass(frozen=True, slots=True)
class Controlled(_OfRun):
    """Somebody has paused, resumed, stopped, aborted the run, or skipped a step of it."""

    verb: Verb
    by: str = ""
    """user@host, as the client claims; empty for a signal, and for the service itself."""
    reason: str = ""
    """Why, or the name of the signal."""

    @property
    def text(self) -> str:
        """As people read it: `abort asked for by operator@console: smoke`."""
        by = f" by {self.by}" if self.by else ""
        return f"{self.verb} asked for{by}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True, slots=True)
class StateChanged(_OfRun):
    """The engine's state, when a change was requested as well as when it took effect."""

    state: RunState


@dataclass(frozen=True, slots=True)
class StepStarted(_OfRun):
    """A step was entered."""

    path: Path
    """Where it stands."""
    name: str
    """What it does, in a few words."""
    done: int
    """Steps done before it."""
    loops: tuple[int, ...]
    """Indices of the loops around it, outermost first, from 0."""


@dataclass(frozen=True, slots=True)
class RowTaken(_OfRun):
    """A `sample` has a new row. Arrays are prefixes of columns that only grow: never written."""

    columns: Mapping[str, npt.NDArray[np.float64]]
    """By channel, shape (n_points,): each sampled channel's values; NaN for text and arrays."""
    row: tuple[float, ...]
    """The last row, in the order of the `sample`."""
    points: int
    """Rows so far."""


@dataclass(frozen=True, slots=True)
class FileMade(_OfRun):
    """A file has the run's rows, the first one by now."""

    file: str
    """Its path."""


@dataclass(frozen=True, slots=True)
class Told(_OfRun):
    """Something worth telling an operator."""

    text: str
    severity: Severity = Severity.NO_ALARM


@dataclass(frozen=True, slots=True)
class Asked(_OfRun):
    """A step `ask` waits for an answer from now on; exactly one `Answered` follows."""

    text: str
    """What is asked."""
    kind: AnswerKind = ""
    """`float`, `int`, `str`, `bool`; empty: it only waits until the run is resumed."""
    choices: tuple[Scalar, ...] = ()
    """The only answers, where there are any."""
    least: float | None = None
    """The least number that is an answer."""
    most: float | None = None
    """The greatest number that is one."""
    default: Scalar | None = None
    """The answer where none is given; None = there is none."""
    timeout: float | None = None
    """s within which it has to be answered; None = for ever."""
    number: int = 0
    """Names it among those of its run, from 1."""
    since: str = ""
    """The time of day, ISO 8601."""

    @property
    def takes_a_value(self) -> bool:
        """Whether an answer is more than to go on."""
        return self.kind != ""


@dataclass(frozen=True, slots=True)
class Answered(_OfRun):
    """Nobody waits for the answer to a question any more."""

    number: int
    """The question's."""
    text: str
    """The answer; empty where there is none."""
    how: str
    """`answered`; `default`, where nobody did; `ended`, where the step was ended before."""
    by: str = ""
    """Who has answered: user@host, as the client claims."""


@dataclass(frozen=True, slots=True)
class Progressed(_OfRun):
    """The figures that move while a run runs."""

    done: int
    """Steps done."""
    percent: float
    """0 … 100."""
    elapsed: float
    """s since the start, without pauses."""
    remaining: float
    """s to go without pauses, NaN where unknown."""
    hung: float
    """s since anything moved."""


@dataclass(frozen=True, slots=True)
class RunEnded(_OfLane):
    """The last event of a run."""

    run_id: str
    status: RunStatus
    message: str
    request: int
    cause: Cause = Cause.NONE
    data_file: str = ""
    """The file with its samples; empty where it took none."""


@dataclass(frozen=True, slots=True)
class IndicesSet(_OfRun):
    """Where the sequence servers are to be from now on."""

    text: str
    """The index object, as `Nested_Indices` shows it."""


@dataclass(frozen=True, slots=True)
class RunInterrupted(_OfLane):
    """A run of an earlier service, which was killed in it; told when the next one starts."""

    run_id: str
    name: str
    owner: str
    message: str
    """Where it was, what was in flight, what has not been done."""


@dataclass(frozen=True, slots=True)
class Automated(_OfLane):
    """How a schedule or a trigger stands."""

    kind: str
    """`schedule` or `trigger`."""
    name: str
    sequence: str
    next: float
    """When it is due, Unix s; NaN: nobody knows."""
    last: float
    """When it was due or triggered last, Unix s; NaN: never."""
    outcome: str
    """What came of that: `waits`, `runs`, the status of its run, or why there was none."""


RunEvent: TypeAlias = (
    RunStarted
    | RunInterrupted
    | RunRefused
    | Accepted
    | QueueChanged
    | RunLoading
    | RunRestarting
    | Controlled
    | StateChanged
    | StepStarted
    | RowTaken
    | FileMade
    | Told
    | Asked
    | Answered
    | Progressed
    | IndicesSet
    | Automated
    | RunEnded
)


def run_of(item: object) -> str:
    """The id of the run that an event is about; empty where it is about none, or is no event."""
    return str(getattr(item, "run_id", ""))
