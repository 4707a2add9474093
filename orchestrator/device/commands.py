"""The text that clients write to CMD, parsed; never evaluated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from orchestrator.errors import InputError
from orchestrator.language.names import suggestion
from orchestrator.language.text.trajectory import is_trajectory
from orchestrator.types import Recovery, Verb

_CONTROLS = {
    "pause": Verb.PAUSE,
    "resume": Verb.RESUME,
    "stop": Verb.STOP,
    "abort": Verb.ABORT,
    "skip": Verb.SKIP,
    "answer": Verb.ANSWER,
}
_KNOWN = ("run", "submit", "recover", "finalise", *_CONTROLS, "queue", "automation", "ping")
_QUEUE = ("clear", "start", "hold", "remove N", "move N POSITION")
_DIGITS = 9
"""Of the numbers that name runs and places in the queue."""
_SHOWN = 80
"""Characters of a command that an error message shows."""
_MOST_PIECES = 4_000
"""Words and the blanks between them; some 1 µs each."""
_PIECE = re.compile(
    r"""(?P<blank>[ \t\r\n]+)|(?P<plain>[^ \t\r\n'"\\]+)|'(?P<single>[^']*)'"""
    r"""|"(?P<double>(?:[^"\\]|\\.)*+)"|\\(?P<escaped>.)""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"""\\(["\\])""")
META = "--meta"
"""Before a `key=value` that is no argument, but is kept of the run."""
_LANE = re.compile(r"@([^\s]+)\s*")
Parsed: TypeAlias = "RunText | ControlText | QueueText | TrajectoryText | AutomationText | Ping"


@dataclass(frozen=True, slots=True)
class RunText:
    """`run NAME key=value …`, or a whole document; `recover RUN …`, `finalise RUN`."""

    name: str = ""
    document: str = ""
    args: dict[str, object] = field(default_factory=dict)
    metadata: dict[str, object] = field(default_factory=dict)
    """What `--meta key=value` says."""
    recovery: Recovery | None = None
    """A run that is to go on, in place of a new one."""


@dataclass(frozen=True, slots=True)
class ControlText:
    """`pause`, `resume`, `stop`, `skip`, `abort [reason]`, `answer [value]`."""

    verb: Verb
    reason: str = ""
    """Or the answer."""


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
class AutomationText:
    """`automation on`, `automation off`: schedules and triggers."""

    action: str


@dataclass(frozen=True, slots=True)
class Ping:
    """`ping`: is anybody there?"""


def lane_named(text: str) -> tuple[str, str]:
    """The lane that a text is for, and what stands behind it: `@guard stop` -> `guard`, `stop`.

    Empty where it names none.

    Raises:
        InputError: Nothing stands behind the @.
    """
    text = text.strip()
    if not text.startswith("@"):
        return "", text
    named = _LANE.match(text)
    if named is None:
        raise InputError("CMD: the name of a lane stands right behind @: @NAME command")
    return named[1], text[named.end() :]


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
    words = list(_words(text))
    if not words:
        raise InputError(f"CMD is empty; commands are {', '.join(_KNOWN)}")
    return _parse_words(words)


def _words(text: str) -> Iterator[str]:
    """Split as a shell does: as `shlex.split`, which takes 30 ms for what CMD holds.

    Raises:
        InputError: A quote is not closed, or nothing follows a backslash.
    """
    at = pieces = 0
    word: list[str] = []
    while at < len(text):
        pieces += 1
        if pieces > _MOST_PIECES:
            raise InputError(f"CMD: more than {_MOST_PIECES // 2:,} words")
        piece = _PIECE.match(text, at)
        if piece is None:
            why = "nothing follows the \\" if text[at] == "\\" else "no closing quotation"
            where = f"CMD, at character {at + 1}, {_short(text[at:])!r}"
            raise InputError(f"{where}: {why}; quote as in a shell")
        at = piece.end()
        if piece.lastgroup != "blank":
            inner = piece[piece.lastgroup or 0]
            word.append(_ESCAPE.sub(r"\1", inner) if piece.lastgroup == "double" else inner)
        elif word:
            yield "".join(word)
            word = []
    if word:
        yield "".join(word)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _parse_words(words: list[str]) -> Parsed:
    verb, *rest = words
    if verb == "run":
        return _parse_run(verb, rest)
    if verb == "submit":
        return QueueText("submit", _parse_run(verb, rest))
    if verb in ("recover", "finalise"):
        recovery = _parse_recovery(verb, rest)
        return RunText(recovery.run_id, recovery=recovery)
    if verb == "automation":
        return _parse_automation(rest)
    if verb == "queue":
        return _parse_queue(rest)
    if verb in ("abort", "answer"):
        return ControlText(_CONTROLS[verb], " ".join(rest))
    if verb not in _KNOWN:
        hint = suggestion(verb[:_SHOWN], _KNOWN, kind="commands", most=20)
        raise InputError(f"CMD: unknown command {_short(verb)!r}{hint}")
    if rest:
        raise InputError(f"CMD: {verb} takes no arguments, got {_short(' '.join(rest))!r}")
    return Ping() if verb == "ping" else ControlText(_CONTROLS[verb])


def _parse_automation(words: list[str]) -> AutomationText:
    match words:
        case ["on" | "off" as action]:
            return AutomationText(action)
    given = _short(" ".join(["automation", *words]))
    raise InputError(f"CMD: {given!r} is no command; there are automation on, automation off")


def _parse_queue(words: list[str]) -> QueueText:
    match words:
        case ["clear" | "start" | "hold" as action]:
            return QueueText(action)
        case ["remove", number] if _is_number(number):
            return QueueText("remove", number=int(number))
        case ["move", number, position] if _is_number(number) and _is_number(position):
            return QueueText("move", number=int(number), position=int(position))
    given = _short(" ".join(["queue", *words]))
    long = f"; numbers have at most {_DIGITS} digits" if any(map(str.isdecimal, words)) else ""
    known = ", queue ".join(_QUEUE)
    raise InputError(f"CMD: {given!r} is no command; there are queue {known}{long}")


def _is_number(word: str) -> bool:
    return word.isdecimal() and len(word) <= _DIGITS


def _parse_recovery(verb: str, words: list[str]) -> Recovery:
    """`RUN [--from PATH [INDEX …]] [--current]`, as on a terminal."""
    run_id, *rest = words or [""]
    finalise = verb == "finalise"
    current = "--current" in rest
    rest = [word for word in rest if word != "--current"]
    match rest:
        case [] if run_id and not (finalise and current):
            return Recovery(run_id, current=current, finalise=finalise)
        case ["--from", start, *indices] if run_id and not finalise:
            if all(map(_is_number, indices)):
                return Recovery(run_id, start, tuple(map(int, indices)), current)
    more = "" if finalise else " [--from PATH [INDEX …]] [--current]"
    given = _short(" ".join([verb, *words]))
    raise InputError(f"CMD: {given!r}: {verb} takes the id of a run: {verb} RUN{more}")


def _parse_run(verb: str, words: list[str]) -> RunText:
    if not words or "=" in words[0]:
        raise InputError(f"CMD: {verb} needs the name of a sequence: {verb} NAME [key=value …]")
    name, *pairs = words
    at = f"CMD: {verb} {_short(name)}"
    args: dict[str, object] = {}
    metadata: dict[str, object] = {}
    rest = iter(pairs)
    for pair in rest:
        into = args
        if pair == META:
            into, pair = metadata, next(rest, META)
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"{at}: argument {_short(pair)!r} is not of the form key=value")
        if key in into:
            raise InputError(f"{at}: argument {_short(key)!r} is given twice")
        into[key] = value
    return RunText(name=name, args=args, metadata=metadata)
