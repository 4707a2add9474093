"""`Nested_Indices`: where a master wants its sequence servers to be. Parsed, never evaluated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.errors import InputError

MOST_SERVERS = 1_000
LARGEST = 2**31 - 1
"""Of `seq` and of an index: `INDEX` shows both as 32-bit integers."""
SEQ = "seq"
"""The key of the counter; no server can have this name."""
NO_INDEX = (-1, -1)
"""What `INDEX` shows before an index was reached with the trajectory loaded."""
NO_SEQ = -1
"""What `INDEX` shows in the place of `seq` where the master gives none (the older form)."""

_PAIR = re.compile(r"""\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*:\s*([^\s,{}"']+)\s*([,}])""")


@dataclass(frozen=True, slots=True)
class Indices:
    """One index object."""

    seq: int | None
    """The counter; None in the older form."""
    servers: Mapping[str, int]
    """Server name -> index."""

    @property
    def text(self) -> str:
        """As it is published."""
        seq = {} if self.seq is None else {SEQ: self.seq}
        return json.dumps(seq | dict(self.servers), ensure_ascii=False)


def parse_indices(text: str) -> Indices:
    """An index object: JSON, or the older form without `seq`, quoted as Python prints a dict.

    Raises:
        InputError: It is none; tells the place and what would be right.
    """
    text = text.strip()
    pairs = _json_pairs(text) if '"' in text else None
    found: dict[str, int] = {}
    for name, value in _older_pairs(text) if pairs is None else pairs:
        if name in found:
            raise InputError(f"Nested_Indices: {name!r} stands twice")
        found[name] = _whole(value, name)
    seq = found.pop(SEQ, None)
    if len(found) > MOST_SERVERS:
        raise InputError(f"Nested_Indices names more than {MOST_SERVERS:,} servers")
    if seq is not None and seq < 0:
        raise InputError(f"Nested_Indices: 'seq' can't be negative, as {seq} is")
    return Indices(seq, found)


class _Pairs(list[tuple[str, object]]):
    """The pairs of a JSON object, a key that stands twice included."""


class _Number(str):
    """A number of JSON as it is written."""

    __slots__ = ()


def _json_pairs(text: str) -> list[tuple[str, str]] | None:
    """Names and what they have, as it is written; None where it is no JSON object."""
    try:
        parsed = json.loads(
            text,
            object_pairs_hook=_Pairs,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_Number,
        )
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, _Pairs):
        return None
    return [(k, str(v) if isinstance(v, _Number) else repr(v)) for k, v in parsed]


def _older_pairs(text: str) -> Iterator[tuple[str, str]]:
    if not text.startswith("{"):
        raise _wrong(text, 0, "expected '{'")
    at, closed = 1, False
    if re.fullmatch(r"\{\s*\}", text):
        return
    while not closed:
        match = _PAIR.match(text, at)
        if match is None:
            raise _wrong(text, at, "expected 'server': index, and ',' or '}'")
        yield match[1] if match[1] is not None else match[2], match[3]
        at, closed = match.end(), match[4] == "}"
    if text[at:]:
        raise _wrong(text, at, "expected the end")


def _whole(text: str, name: str) -> int:
    if not re.fullmatch(r"-?\d+", text, re.ASCII):
        raise InputError(f"Nested_Indices: {name!r} has to be a whole number, not {text[:40]}")
    if len(text) > 11 or abs(int(text)) > LARGEST:
        raise InputError(f"Nested_Indices: {name!r} has to be at most {LARGEST:,}")
    return int(text)


def _wrong(text: str, at: int, why: str) -> InputError:
    rest = text[at:].strip()
    shown = rest if len(rest) <= 40 else f"{rest[:39]}…"
    return InputError(
        f'Nested_Indices, at character {at + 1}: {why}, got {shown!r}; wanted is {{"seq": 17, '
        '"stage": 3}'
    )
