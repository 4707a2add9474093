"""What is asked of a run, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.types.recovery import Recovery
from orchestrator.types.values import Alarm, Severity


class Verb(StrEnum):
    """What a client asks of the service."""

    COMMAND = "command"
    START = "start"
    RUN = "run"
    """As START, but answered when the run has begun; what can't be run is refused, and no run."""
    SUBMIT = "submit"
    """A run for the queue."""
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    ABORT = "abort"
    SKIP = "skip"
    ANSWER = "answer"
    """Answers what a step `ask` asks, by its text; nothing else."""
    INDICES = "indices"
    """An index object, to be shown as `Nested_Indices`."""
    PUT = "put"
    """An own PV was put: what it holds now is examined and published before this is answered."""
    AUTOMATION = "automation"
    """Schedules and triggers: `on`, `off`. `begin` is the service's own: when they ran last."""
    SELECT = "select"
    """The sequence that an index of our own runs: what was written to SEQ."""


@dataclass(frozen=True, slots=True)
class Command:
    """A put to one of the service's command PVs, or the same from Python."""

    verb: Verb
    """What is asked."""
    request: int = 0
    """Names it in what comes of it, its `Reply` too; 0 where nobody asks for that."""
    text: str = ""
    """COMMAND: the text written to CMD. START, RUN, SUBMIT: the sequence's name. ABORT: the reason.
    """
    args: Mapping[str, object] | str = ""
    """START, RUN, SUBMIT: the arguments, as JSON text or parsed."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    """START, RUN, SUBMIT: what is to be kept of the run beside its arguments, by name."""
    document: str = ""
    """START, RUN, SUBMIT: a whole document, in place of a name."""
    origin: str = ""
    """The file that `document` was read from, for its error messages."""
    owner: str = ""
    """user@host, as the client claims."""
    refused: str = ""
    """Why it is refused already; it is to be told only."""
    how: str = ""
    """START, RUN, SUBMIT: by what it is asked for, where that is not the PV."""
    recovery: Recovery | None = None
    """START: a run that is to go on, in place of a new one."""
    repeats: str = ""
    """START: the id of the run that is run again."""
    run_id: str = ""
    """PAUSE to ANSWER: the run that is meant; refused where it is not under way. Empty = any."""
    lane: str = ""
    """Of which lane it is asked; empty = the main one."""


class RunState(StrEnum):
    """What the engine does now."""

    IDLE = "Idle"
    CHECKING = "Checking"
    RUNNING = "Running"
    PAUSING = "Pausing"
    PAUSED = "Paused"
    SUSPENDED = "Suspended"
    STOPPING = "Stopping"
    ABORTING = "Aborting"


class RunStatus(StrEnum):
    """How the last run ended."""

    UNDEFINED = "Undefined"
    SUCCESS = "Success"
    FAILED = "Failed"
    ABORTED = "Aborted"
    STOPPED = "Stopped"
    TIMEOUT = "Timeout"
    INTERRUPTED = "Interrupted"
    """Its process was killed."""


STATUS_SEVERITY: Mapping[RunStatus, Severity] = {
    RunStatus.UNDEFINED: Severity.NO_ALARM,
    RunStatus.SUCCESS: Severity.NO_ALARM,
    RunStatus.FAILED: Severity.MAJOR,
    RunStatus.ABORTED: Severity.MINOR,
    RunStatus.STOPPED: Severity.MINOR,
    RunStatus.TIMEOUT: Severity.MAJOR,
    RunStatus.INTERRUPTED: Severity.MAJOR,
}
"""The severity that STATUS carries with each outcome."""


class Cause(StrEnum):
    """What kind of thing ended a run that did not succeed; decides the exit code."""

    NONE = ""
    INPUT = "input"
    """An invalid document or a finding of the check: nothing was written."""
    NOT_CONNECTED = "not connected"
    """A channel was not there within `connect_timeout`, before the run."""
    DURING = "during"
    """Anything that happened once the first step had been entered."""

    @property
    def alarm(self) -> Alarm:
        """The alarm status that STATUS carries with it: how clients of the service tell it."""
        match self:
            case Cause.INPUT:
                return Alarm.SOFT
            case Cause.NOT_CONNECTED:
                return Alarm.LINK
            case _:
                return Alarm.STATE
