"""Trajectories: what a sequence server goes through by index. Parsed, never evaluated.

trajectory = JSON list of items | linear(start=0, end=10, step=1) | linear(start=0, end=1, num=5)
item       = number | text | object of named arguments
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias, overload

from orchestrator.errors import InputError
from orchestrator.language.names import suggestion
from orchestrator.language.text.json_text import check_depth
from orchestrator.language.values.operations import described
from orchestrator.language.values.points import range_points
from orchestrator.types import fields

MOST_ITEMS = fields.VALUES.most
"""More are refused; `values`, which shows them, is as long."""
MOST_TEXT = fields.CMD.most
"""Bytes of a trajectory's text; `CMD`, which takes it, is as long."""

Scalar: TypeAlias = bool | int | float | str
Item: TypeAlias = int | float | str | Mapping[str, Scalar]
"""A number, a text, or named arguments."""


@dataclass(frozen=True, slots=True)
class Trajectory(Sequence[Item]):
    """What the indices from 0 stand for; `len(trajectory)`, `trajectory[i]`."""

    text: str
    """As it was written: what loads it again."""
    items: Sequence[Item]
    remark: str = ""
    """What whoever wrote it may not expect; to be told."""

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self.items[index]

    def at(self, index: int) -> Item:
        """The item of an index.

        Raises:
            InputError: There is none. A negative index does not count from the end.
        """
        if not 0 <= index < len(self.items):
            raise InputError(f"there is no index {index}: 0 … {len(self.items) - 1} are loaded")
        return self.items[index]

    @property
    def numbers(self) -> list[float]:
        """The items as `values` shows them: NaN for text and arguments."""
        return [float(i) if isinstance(i, int | float) else math.nan for i in self.items]


def is_trajectory(text: str) -> bool:
    """Whether a text that was written to `CMD` is meant as a trajectory."""
    return text.lstrip().startswith("[") or re.match(r"\s*linear\s*\(", text) is not None


def parse_trajectory(text: str) -> Trajectory:
    """The trajectory that a text describes.

    Raises:
        InputError: It is none; tells the place and what would be right.
    """
    size = len(text.encode("utf-8", "replace"))
    if size > MOST_TEXT:
        raise InputError(f"a trajectory of {size:,} bytes; at most {MOST_TEXT:,} are allowed")
    stripped = text.strip()
    if stripped.startswith("["):
        return Trajectory(text, _listed(text))
    if match := re.match(r"\s*linear\s*\(", text):
        return _linear(text, match.end())
    raise InputError(
        f"{_shown(stripped)} is no trajectory: a JSON list such as [0, 1.5, 2], or "
        "linear(start=0, end=10, step=1)"
    )


def trajectory_text(items: Sequence[object] | str) -> str:
    """The text that loads these items, checked.

    Raises:
        InputError: They are no trajectory.
    """
    if isinstance(items, str):
        return parse_trajectory(items).text
    checked = _items(list(items))
    text = json.dumps(checked, ensure_ascii=False, allow_nan=False)
    return parse_trajectory(text).text


# JSON ---------------------------------------------------------------------------------------


def _listed(text: str) -> list[Item]:
    check_depth(text, "the trajectory")
    try:
        parsed = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise InputError(
            f"the trajectory is no JSON list, at character {error.pos + 1}: {error.msg.lower()}"
        ) from None
    except ValueError as error:  # a number of more digits than Python reads
        raise InputError(f"the trajectory can't be read: {error}") from None
    return _items(parsed)


def _no_constant(word: str) -> NoReturn:
    raise InputError(f"{word} can't be an item of a trajectory: numbers have to be finite")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InputError(f"argument {name!r} stands twice in one item of the trajectory")
        found[name] = value
    return found


def _items(items: list[Any]) -> list[Item]:
    if not items:
        raise InputError("the trajectory is empty; give at least one item")
    if len(items) > MOST_ITEMS:
        raise InputError(
            f"the trajectory has {len(items):,} items; at most {MOST_ITEMS:,} are allowed"
        )
    return [_item(value, index) for index, value in enumerate(items)]


def _item(value: Any, index: int) -> Item:
    if isinstance(value, Mapping):
        for name, argument in value.items():
            if not isinstance(name, str) or not name.isidentifier():
                raise InputError(f"item {index} of the trajectory: {name!r} names no argument")
            if type(argument) not in (bool, str):  # most are: 8000 objects in some ms
                _scalar(argument, f"item {index}, argument {name!r}")
        return dict(value)
    return _scalar(value, f"item {index}")


def _scalar(value: Any, place: str) -> int | float | str:
    wanted = "a number, a text" + ("" if "argument" in place else " or an object of arguments")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InputError(f"{place} of the trajectory has to be {wanted}, not {described(value)}")
    if not isinstance(value, str):
        _finite(value, f"{place} of the trajectory")
    return value


def _finite(value: float, place: str) -> None:
    try:
        finite = math.isfinite(value)
    except OverflowError:  # an int beyond every float
        finite = False
    if not finite:
        raise InputError(f"{place} has to be a finite number")


# linear(…) ----------------------------------------------------------------------------------

_FIELDS = ("start", "end", "step", "num")
_ARGUMENT = re.compile(r"\s*(?:([A-Za-z_]\w*)\s*=\s*)?([^\s,()=]+)\s*([,)])", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d++\.?\d*+|\.\d++)(?:[eE][+-]?\d++)?", re.ASCII)


def _linear(text: str, begin: int) -> Trajectory:
    given, named = _arguments(text, begin)
    missing = [field for field in ("start", "end") if field not in given]
    if missing or ("step" in given) == ("num" in given):
        needs = f"{missing[0]!r}" if missing else "one of 'step' and 'num'"
        raise InputError(f"linear needs {needs}, as in linear(start=0, end=10, step=1)")
    points = _range(given)
    if len(points) > MOST_ITEMS:
        raise InputError(f"linear has {len(points):,} points; at most {MOST_ITEMS:,} are allowed")
    if not all(map(math.isfinite, (points[0], points[-1]))):
        raise InputError("linear has to have finite points")
    return Trajectory(text, points, "" if named else _remark(text, points, given["end"]))


def _remark(text: str, points: Sequence[float], end: float) -> str:
    """Sequence servers of the older kind leave the end out, as arange does: not in silence."""
    if points[-1] != end:
        return ""
    return (
        f"{_shown(text.strip())[1:-1]} has {len(points):,} points, {points[0]:g} … {points[-1]:g}: "
        "the end is one of them (with start=, end=, step= by name nothing is said)"
    )


def _range(given: Mapping[str, float | int]) -> Sequence[float]:
    try:
        points = range_points(given["start"], given["end"], given.get("step"), given.get("num"))
        points[0], points[-1]
    except InputError as error:
        raise InputError(f"linear: {error}") from None
    except (OverflowError, ValueError):
        raise InputError("linear has to have finite points") from None
    return points


def _arguments(text: str, begin: int) -> tuple[dict[str, float | int], bool]:
    """What stands between the brackets, named or in the order start, end, step.

    And whether all are named.
    """
    given: dict[str, float | int] = {}
    at, closed, named = begin, False, True
    while not closed:
        match = _ARGUMENT.match(text, at)
        if match is None:
            raise InputError(
                f"linear, at character {at + 1}: expected name=number and ',' or ')', "
                f"got {_shown(text[at:].strip())}"
            )
        name = match[1] or _next_field(given, match.start(2))
        named = named and match[1] is not None
        if name not in _FIELDS:
            hint = suggestion(name, _FIELDS, kind="arguments")
            raise InputError(
                f"linear, at character {match.start(1) + 1}: unknown argument {name!r}{hint}"
            )
        if name in given:
            raise InputError(f"linear, at character {match.start() + 1}: {name!r} is given twice")
        given[name] = _number(match[2], name, match.start(2))
        at, closed = match.end(), match[3] == ")"
    if text[at:].strip():
        raise InputError(
            f"linear, at character {at + 1}: expected the end, got {_shown(text[at:].strip())}"
        )
    return given, named


def _next_field(given: Mapping[str, object], at: int) -> str:
    if len(given) >= 3 or list(given) != list(_FIELDS[: len(given)]):
        raise InputError(
            f"linear, at character {at + 1}: name this argument, as in start=0, end=10, step=1"
        )
    return _FIELDS[len(given)]


def _number(text: str, name: str, at: int) -> float | int:
    place = f"linear, at character {at + 1}: {name!r}"
    if len(text) > 40 or not _NUMBER.fullmatch(text):
        raise InputError(f"{place} has to be a number, not {_shown(text)}")
    number = int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
    _finite(number, place)
    return number


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
