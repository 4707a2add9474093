"""The exit codes."""

from __future__ import annotations

from enum import IntEnum

from orchestrator.errors import InputError, NotConnectedError
from orchestrator.types import Cause, RunEnded, RunRefused, RunStatus


class Code(IntEnum):
    """What a command ends with."""

    SUCCESS = 0
    FAILED = 1
    """Failed or Timeout, a disconnect during the run included; a failed get, put, info."""
    INPUT = 2
    """Usage, an invalid file, a finding of the check before the run."""
    ENDED = 3
    """Aborted, Stopped, Ctrl-C."""
    NOT_CONNECTED = 4
    """A channel, or the service with `--server`, was not there before the run."""


class NotThereError(NotConnectedError):
    """Nothing could begin, because a channel or the service isn't connected."""


_BY_CAUSE = {Cause.INPUT: Code.INPUT, Cause.NOT_CONNECTED: Code.NOT_CONNECTED}
_BY_STATUS = {
    RunStatus.SUCCESS: Code.SUCCESS,
    RunStatus.ABORTED: Code.ENDED,
    RunStatus.STOPPED: Code.ENDED,
}


def code_of_run(end: RunEnded | RunRefused) -> Code:
    """The exit code of a run."""
    if isinstance(end, RunEnded) and end.status in _BY_STATUS:
        return _BY_STATUS[end.status]
    return _BY_CAUSE.get(end.cause, Code.FAILED)


def code_of_recovery(end: RunEnded | RunRefused) -> Code:
    """The same; where only finalisers ran, and all well, the run's own outcome is no failure."""
    if isinstance(end, RunEnded) and end.cause is Cause.NONE:
        return Code.SUCCESS
    return code_of_run(end)


def code_of_error(error: BaseException) -> Code:
    """The exit code of a command that an error ended."""
    if isinstance(error, NotThereError):
        return Code.NOT_CONNECTED
    return Code.INPUT if isinstance(error, InputError) else Code.FAILED
