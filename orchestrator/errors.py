"""What can go wrong, one class for each kind of remedy. Messages name PV, step or file."""

from __future__ import annotations

import re

_ABOUT_ONE = re.compile(r"(?:\b(?:set|wait for|loop)|[\]:]) (\S+)$")
"""A place that ends with one name: what its step is about, or what the step is called."""


def told_at(place: str, text: str) -> str:
    """A text behind its place, without what it begins with if the place has named that already.

    >>> told_at("a.yaml:3: set stage.x", "stage.x is disconnected")
    'a.yaml:3: set stage.x: disconnected'
    """
    for known in (place, place.partition(": ")[0]):
        text = text.removeprefix(f"{known}: ")
    if about := _ABOUT_ONE.search(place):
        name = about[1]
        text = text.removeprefix(f"{name}: ")
        if text.startswith((f"{name} did not connect", f"{name} is disconnected")):
            text = text.removeprefix(f"{name} ").removeprefix("is ")
    return f"{place}: {text}"


class OrchestratorError(Exception):
    """The base of all errors that a user may see; the text stands on its own."""

    place: str = ""
    """The step in which it happened, once known: file:line:column, path and label."""
    step: str = ""
    """The same without the file: path and label, as `STEP_NAME` has them."""
    pv: str = ""
    """The channel that it is about, by its canonical name; empty where it is about none."""
    kind: str = "other"
    """A word for its class, by which `on_error` may tell errors apart."""

    def placed(self) -> str:
        """The text with its place in front."""
        return told_at(self.place, str(self)) if self.place else str(self)


class InputError(OrchestratorError):
    """A file, argument or command is wrong: correct what it names. Nothing was written."""

    kind = "input"


class CheckError(InputError):
    """The document is well formed but can't run on these IOCs: each finding is a line."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class NotConnectedError(OrchestratorError):
    """A channel isn't there, or was lost: look after its IOC."""

    kind = "disconnect"


class PutError(OrchestratorError):
    """The IOC or its metadata refused a put: write something else, or ask for access."""

    kind = "refused"


class LimitsError(PutError):
    """A value lies beyond the limits of its channel: nothing was written."""

    kind = "limits"


class ClaimedError(PutError):
    """A run holds the channel: wait for its end, or end it. Nothing was written."""

    kind = "busy"


class ReadError(OrchestratorError):
    """A channel that is connected did not deliver a usable value."""

    kind = "read"


class StepTimeoutError(OrchestratorError):
    """A step or run did not end in its time; says what was awaited and last seen."""

    kind = "timeout"


class CallError(OrchestratorError):
    """A registered function raised: look at the function."""

    kind = "call"


class StoreFullError(OrchestratorError):
    """Nothing more can be kept of a run: make room in its store, or let it be written to."""

    kind = "store"


class FailedError(OrchestratorError):
    """A step `fail`: the sequence itself has found that something is wrong."""

    kind = "fail"


class ExpressionError(OrchestratorError):
    """An expression can't be evaluated on what its channels hold now."""

    kind = "expression"
