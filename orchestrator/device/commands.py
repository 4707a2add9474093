"""The text that clients write to CMD, parsed; never evaluated."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from orchestrator.errors import InputError
from orchestrator.language.names import suggestion
from orchestrator.language.trajectory import is_trajectory
from orchestrator.types import Verb

_CONTROLS = {
    "pause": Verb.PAUSE,
    "resume": Verb.RESUME,
    "stop": Verb.STOP,
    "abort": Verb.ABORT,
    "skip": Verb.SKIP,
}
_KNOWN = ("run", "submit", *_CONTROLS, "queue", "ping")
_QUEUE = ("clear", "start", "hold", "remove N", "move N POSITION")
Parsed: TypeAlias = "RunText | ControlText | QueueText | TrajectoryText | Ping"


@dataclass(frozen=True, slots=True)
class RunText:
    """`run NAME key=value …`, or a whole document."""

    name: str = ""
    document: str = ""
    args: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControlText:
    """`pause`, `resume`, `stop`, `skip`, `abort [reason]`."""

    verb: Verb
    reason: str = ""


@dataclass(frozen=True, slots=True)
class QueueText:
    """`submit NAME key=value …`, `queue clear`, `queue remove N`, `queue move N POSITION` …."""

    action: Literal["submit", "clear", "remove", "move", "start", "hold"]
    run: RunText = RunText()
    number: int = 0
    position: int = 1


@dataclass(frozen=True, slots=True)
class TrajectoryText:
    """What begins like a trajectory; it need not be one."""


@dataclass(frozen=True, slots=True)
class Ping:
    """`ping`: is anybody there?"""


def parse_command(text: str) -> Parsed:
    """What the text of CMD asks for.

    Raises:
        InputError: It is no command; the text says what would be.
    """
    text = text.strip()
    if is_trajectory(text):
        return TrajectoryText()
    if text.startswith("{") or "\n" in text:
        return RunText(document=text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError(f"CMD {text!r}: {error}; quote as in a shell") from None
    if not words:
        raise InputError(f"CMD is empty; commands are {', '.join(_KNOWN)}")
    return _parse_words(words)


def _parse_words(words: list[str]) -> Parsed:
    verb, *rest = words
    if verb == "run":
        return _parse_run(verb, rest)
    if verb == "submit":
        return QueueText("submit", _parse_run(verb, rest))
    if verb == "queue":
        return _parse_queue(rest)
    if verb == "abort":
        return ControlText(Verb.ABORT, " ".join(rest))
    if verb not in _KNOWN:
        raise InputError(
            f"CMD: unknown command {verb!r}{suggestion(verb, _KNOWN, kind='commands')}"
        )
    if rest:
        raise InputError(f"CMD: {verb} takes no arguments, got {' '.join(rest)!r}")
    return Ping() if verb == "ping" else ControlText(_CONTROLS[verb])


def _parse_queue(words: list[str]) -> QueueText:
    match words:
        case ["clear" | "start" | "hold" as action]:
            return QueueText(action)
        case ["remove", number] if number.isdecimal():
            return QueueText("remove", number=int(number))
        case ["move", number, position] if number.isdecimal() and position.isdecimal():
            return QueueText("move", number=int(number), position=int(position))
    given = " ".join(["queue", *words])
    raise InputError(f"CMD: {given!r} is no command; there are queue {', queue '.join(_QUEUE)}")


def _parse_run(verb: str, words: list[str]) -> RunText:
    if not words or "=" in words[0]:
        raise InputError(f"CMD: {verb} needs the name of a sequence: {verb} NAME [key=value …]")
    name, *pairs = words
    args: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"CMD: {verb} {name}: argument {pair!r} is not of the form key=value")
        if key in args:
            raise InputError(f"CMD: {verb} {name}: argument {key!r} is given twice")
        args[key] = value
    return RunText(name=name, args=args)
