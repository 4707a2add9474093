"""From what aioca and libca raise to our errors."""

from __future__ import annotations

import getpass
import os
import socket

from aioca import CANothing
from epicscorelibs.ca import cadef

from orchestrator.errors import NotConnectedError, OrchestratorError, PutError, ReadError

_NO_READ_ACCESS = 368  # ECA_NORDACCESS of caerr.h
_NO_WRITE_ACCESS = 376  # ECA_NOWTACCESS

FAULTS = (CANothing, cadef.CAException, cadef.Disconnected)
"""What aioca's coroutines raise when Channel Access fails."""


def label_of(name: str, pv: str) -> str:
    """How messages name a channel: its alias and its PV."""
    return pv if name == pv else f"{name} ({pv})"


def not_connected(label: str) -> NotConnectedError:
    """The error for a channel that isn't there when it is needed."""
    return NotConnectedError(f"{label} is not connected")


def read_fault(label: str, fault: Exception) -> OrchestratorError:
    """Our error for one that a get ended with."""
    status = _status(fault)
    if status == cadef.ECA_DISCONN:
        return NotConnectedError(f"{label} was disconnected before its value came")
    if status == _NO_READ_ACCESS:
        return ReadError(f"{label}: the server lets us not read it")
    return ReadError(f"{label} could not be read: {_text(fault, status)}")


def put_fault(label: str, wanted: str, fault: Exception) -> OrchestratorError:
    """Our error for one that a put ended with."""
    status = _status(fault)
    if status == cadef.ECA_DISCONN:
        return NotConnectedError(f"{label} was disconnected before the put of {wanted} completed")
    if status == _NO_WRITE_ACCESS:
        return no_write_access(label, wanted)
    return PutError(f"{label}: the put of {wanted} failed: {_text(fault, status)}")


def no_write_access(label: str, wanted: str) -> PutError:
    """The error for a channel that the server lets us not write."""
    us = f"{_user()}@{socket.gethostname()}"
    return PutError(
        f"{label}: no write access, {wanted} was to be written; the server knows us as {us} "
        "and would have to allow that one"
    )


def _user() -> str:
    """As libca tells it (osiGetUserName)."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        return str(os.getuid())


def _status(fault: Exception) -> int:
    if isinstance(fault, CANothing):
        return int(fault.errorcode)
    if isinstance(fault, cadef.CAException):
        return int(fault.status)
    return int(cadef.ECA_DISCONN) if isinstance(fault, cadef.Disconnected) else 0


def _text(fault: Exception, status: int) -> str:
    return str(cadef.ca_message(status)) if status else f"{type(fault).__name__}: {fault}"
