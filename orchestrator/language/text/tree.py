"""Text -> plain mappings, lists and scalars, with the line and column of every node.

YAML 1.2 with its core schema, of which JSON is a part. Built from the parser's events, so that
depth, aliases and duplicate keys are looked at before anything is made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from orchestrator.errors import CheckError
from orchestrator.types import Path, path_text

Position: TypeAlias = tuple[int, int]
"""Line and column, both from 1."""

LONGEST = 1_000_000
"""Characters of a document."""
DEEPEST = 50
"""Levels of nesting."""
MOST_NODES = 100_000
"""Nodes, those that aliases repeat counted each time."""

_BRACED_NAME = re.compile(r"(?<![^\s,\[\]{}\"'])[^\s,\[\]{}\"']*+\{[^\s,{}]*+\}?[^\s,{}\"']*+")
"""A name with a brace in it, such as XF:31ID{Mtr:1}; looked for at the beginning of words only, as
a long word would be gone through from each of its letters."""


@dataclass(frozen=True, slots=True)
class TextFinding:
    """Something wrong at one place."""

    position: Position
    path: Path
    text: str

    def line(self, origin: str) -> str:
        """As people and editors read it: `align.yaml:7:5: steps[2].set: …`."""
        place = f"{path_text(self.path)}: " if self.path else ""
        return f"{origin}:{self.position[0]}:{self.position[1]}: {place}{self.text}"


@dataclass(slots=True)
class Tree:
    """A parsed text."""

    value: object = None
    """Mappings, lists, str, int, float, bool; entries without a value are left out."""
    positions: dict[Path, Position] = field(default_factory=dict)
    """Where each value begins."""
    keys: dict[Path, Position] = field(default_factory=dict)
    """Where each mapping's keys stand, by the path of their values."""
    findings: list[TextFinding] = field(default_factory=list)
    """What is wrong but does not keep the rest from being read."""


def read(text: str, origin: str) -> Tree:
    """Parse a text.

    Raises:
        CheckError: It can't be parsed; says where and what would be right.
    """
    if len(text) > LONGEST:
        raise CheckError([f"{origin}:1:1: longer than {LONGEST:,} characters"])
    try:
        return _Builder(text).build()
    except _StopReading as stop:
        raise CheckError([stop.finding.line(origin)]) from stop
    except MarkedYAMLError as error:
        position, reason = _explain(error, text)
        raise CheckError([TextFinding(position, (), reason).line(origin)]) from error
    except (YAMLError, ValueError) as error:
        raise CheckError([_unreadable(text, origin, error)]) from error


def _unreadable(text: str, origin: str, error: Exception) -> str:
    for number, line in enumerate(text.split("\n"), 1):
        for column, character in enumerate(line, 1):
            if not character.isprintable() and character not in "\t\r\x85\ufeff\u2028\u2029":
                where = TextFinding((number, column), (), f"unprintable character {character!r}")
                return where.line(origin)
    return f"{origin}:1:1: not readable: {error}"


class _StopReading(Exception):  # noqa: N818 - ends the building; becomes a CheckError
    def __init__(self, position: Position, path: Path, text: str) -> None:
        self.finding = TextFinding(position, path, text)


_MISSING = object()
_NULL = re.compile(r"(|~|null|Null|NULL)")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_BOOLS = dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(
    ("false", "False", "FALSE"), False
)


def scalar(text: str) -> object:
    """A plain scalar by the core schema (YAML 1.2.2, section 10.3.2); None where it is null.

    Raises:
        ValueError: A number that is too large.
    """
    if _NULL.fullmatch(text):
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
        if pattern.fullmatch(text):
            return _whole(text, base)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"the number {text[:40]} is too large")
        return number
    if match := _INFINITY.fullmatch(text):
        return float(f"{match[1]}inf")
    return float("nan") if text in (".nan", ".NaN", ".NAN") else text


def _whole(text: str, base: int) -> int:
    if len(text) <= 40 and (number := int(text, base)).bit_length() <= 63:
        return number
    raise ValueError(f"the number {text[:40]} is beyond 64 bits")


class _Builder:
    """Makes the tree of one document."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tree = Tree()
        self._anchors: dict[str, list[Any]] = {}
        self._recording: list[list[Any]] = []
        self._replaying = 0
        self._nodes = 0

    def build(self) -> Tree:
        events = self._events()
        first = next(events, None)
        if first is None or _is_empty(first):
            raise _StopReading(
                (1, 1), (), "the document is empty; it is a mapping with 'steps:' at least"
            )
        self._tree.value = self._node(first, events, ())
        for _ in events:
            pass  # a second document, or what is no YAML behind the first, is told from here
        return self._tree

    def _events(self) -> Iterator[Any]:
        """The events of nodes, of the one document that there may be."""
        documents = 0
        for event in YAML(typ="safe", pure=True).parse(self._text):
            if isinstance(event, DocumentStartEvent):
                documents += 1
                self._check_document(event, documents)
            elif isinstance(event, NodeEvent | MappingEndEvent | SequenceEndEvent):
                for recorded in self._recording:
                    recorded.append(event)
                yield event

    def _check_document(self, event: Any, documents: int) -> None:
        if documents > 1:
            raise _StopReading(
                _position(event), (), "a second document begins here; a file has one"
            )
        if event.version is not None and tuple(event.version) != (1, 2):
            raise _StopReading(
                _position(event), (), "sequences are YAML 1.2; leave the %YAML line out"
            )

    def _node(self, event: Any, events: Iterator[Any], path: Path) -> object:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise _StopReading(
                _position(event), (), f"more than {MOST_NODES:,} values, repeats by * included"
            )
        if len(path) > DEEPEST:
            raise _StopReading(_position(event), (), f"nested more than {DEEPEST} levels deep")
        self._tree.positions[path] = _position(event)
        if isinstance(event, AliasEvent):
            return self._repeat(event, path)
        self._check_tag(event, path)
        if event.anchor is None or self._replaying:
            return self._content(event, events, path)
        self._recording.append([event])
        value = self._content(event, events, path)
        self._anchors[event.anchor] = self._recording.pop()
        return value

    def _repeat(self, event: Any, path: Path) -> object:
        recorded = self._anchors.get(event.anchor)
        if recorded is None:
            raise _StopReading(
                _position(event),
                path,
                f"nothing is anchored as '&{event.anchor}' above; text that begins with * "
                "needs quotes",
            )
        repeated = iter(recorded)
        self._replaying += 1
        # Its positions are those of the anchored text: that is where a mistake is to be mended.
        value = self._content(next(repeated), repeated, path)
        self._replaying -= 1
        return value

    def _check_tag(self, event: Any, path: Path) -> None:
        if event.tag is not None:
            text = "tags are not used here; text that begins with ! needs quotes"
            raise _StopReading(_position(event), path, text)

    def _content(self, event: Any, events: Iterator[Any], path: Path) -> object:
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, events, path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(events, path)
        return self._scalar(event, path)

    def _scalar(self, event: Any, path: Path) -> object:
        if not _is_plain(event):
            return _joined_surrogates(event.value)
        try:
            value = scalar(event.value)
        except ValueError as error:
            self._find(_position(event), path, str(error))
            return _MISSING
        return _MISSING if value is None else value

    def _sequence(self, events: Iterator[Any], path: Path) -> list[object]:
        items: list[object] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            here = (*path, len(items))
            value = self._node(event, events, here)
            if value is _MISSING:
                self._find_empty(event, here, "")
            items.append(value)
        return items

    def _mapping(self, start: Any, events: Iterator[Any], path: Path) -> dict[str, object]:
        entries: dict[str, object] = {}
        before = None
        empty = ""
        while not isinstance(key_event := next(events), MappingEndEvent):
            key = self._key(key_event, path)
            here = (*path, key)
            if empty and not start.flow_style:
                self._hint_at_indentation((*path, empty))
            empty = ""
            duplicate = here in self._tree.keys and key in entries
            if duplicate:
                line = self._tree.keys[here][0]
                text = f"{key!r} stands here twice, first in line {line}"
                self._find(_position(key_event), path, text)
            else:
                self._tree.keys[here] = _position(key_event)
            event = next(events)
            value = self._node(event, events, here)
            if value is _MISSING:
                hint = self._comma(start, before, key_event) or self._comment(key_event)
                if key == "checkpoint" and not hint:
                    hint = "; a checkpoint without a name is written '- checkpoint'"
                self._find_empty(key_event, here, hint)
                empty = "" if hint else key
            if not duplicate:
                entries[key] = value
            before = event
        return {key: value for key, value in entries.items() if value is not _MISSING}

    def _key(self, event: Any, path: Path) -> str:
        if not isinstance(event, ScalarEvent):
            raise _StopReading(
                _position(event), path, "a key has to be a plain word; a name with { needs quotes"
            )
        return str(event.value)

    def _comma(self, mapping: Any, before: Any, key_event: Any) -> str:
        """`{pv: A:B,C}` is pv = 'A:B' and an empty C."""
        if not (mapping.flow_style and isinstance(before, ScalarEvent) and _is_plain(before)):
            return ""
        between = self._text[before.end_mark.index : key_event.start_mark.index]
        is_split_call = before.value.count("(") > before.value.count(")")
        if between != "," and not is_split_call:
            return ""
        whole = f"{before.value}{between}{key_event.value}"
        return f'; text with a comma in it needs quotes: "{whole}"'

    def _comment(self, key_event: Any) -> str:
        end = self._text.find("\n", key_event.end_mark.index)
        rest = self._text[key_event.end_mark.index : end if end >= 0 else None]
        match = re.match(r":\s+(#\S+)", rest)
        if not match:
            return ""
        return f"; '#' begins a comment, so that a name with it needs quotes: \"{match[1]}\""

    def _find_empty(self, event: Any, path: Path, hint: str) -> None:
        if not any(f.path == path for f in self._tree.findings):
            self._find(_position(event), path, f"has no value; give one or leave it out{hint}")

    def _hint_at_indentation(self, path: Path) -> None:
        """A key without a value is followed by one as far to the left, which may belong to it."""
        found = self._tree.findings[-1]
        if found.path == path:
            text = f"{found.text}; what belongs to it stands further to the right than it"
            self._tree.findings[-1] = replace(found, text=text)

    def _find(self, position: Position, path: Path, text: str) -> None:
        self._tree.findings.append(TextFinding(position, path, text))


def _position(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _is_plain(event: Any) -> bool:
    """Whether a scalar stands without quotes, so that it may be something else than text."""
    return bool(event.implicit[0])


def _is_empty(event: Any) -> bool:
    return isinstance(event, ScalarEvent) and _is_plain(event) and event.value == ""


def _joined_surrogates(text: str) -> str:
    """JSON writes characters beyond U+FFFF as two escapes, which YAML leaves apart."""
    if not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _explain(error: MarkedYAMLError, text: str) -> tuple[tuple[int, int], str]:
    """Where a text stops being YAML (line and column from 1), and what would be right.

    The place is where the mistake is: of a quote or bracket that is never closed, where it opens.
    """
    problem = str(error.problem or error)
    here, opening = _place(error.problem_mark), _place(error.context_mark)
    line = _line(text, here)
    if "quoted scalar" in str(error.context) and "unexpected" in problem:
        return opening, "this quote is never closed"
    if name := _braced(text, here, opening):
        return here, f'a name with {{ or }} needs quotes: "{name}"'
    if "<stream end>" in problem and "expected ','" in problem:
        bracket = _line(text, opening)[opening[1] - 1 : opening[1]]
        return opening, f"this '{bracket}' is never closed{_begins_comment(_line(text, opening))}"
    if "expected ','" in problem:
        return here, f"a ',' or the closing bracket is missing before this{_begins_comment(line)}"
    return here, _reason(problem, line[here[1] - 1 :])


def _reason(problem: str, rest: str) -> str:
    if r"'\t'" in problem or rest.startswith("\t"):
        return "a tab can't be used to indent; use spaces"
    if "mapping values are not allowed" in problem:
        return "a second ':' in this line; a key needs its own line, text with ': ' quotes"
    if match := re.search(r"character '(.)' that cannot start", problem):
        return f"text that begins with {match[1]} needs quotes"
    if "could not find expected ':'" in problem:
        return "a ':' is missing before this, after a key; or the line is indented too little"
    if "expected the node content" in problem:
        return "a value is missing before this"
    if "<block end>" in problem or "did not find expected" in problem:
        return "this does not fit the lines above: look at the indentation and at missing '-'"
    if "undefined alias" in problem:
        return "text that begins with * needs quotes"
    if "unknown escape character" in problem:
        return "an unknown escape with \\; in single quotes a \\ is only itself"
    if "block sequence" in problem or "sequence entries are not allowed" in problem:
        return "a list can't begin here; put its first '-' on a line of its own"
    if "<document start>" in problem:
        return "what stands before this is no 'key: value': is this YAML?"
    return f"not YAML: {problem}"


def _place(mark: object) -> tuple[int, int]:
    return getattr(mark, "line", 0) + 1, getattr(mark, "column", 0) + 1


def _line(text: str, place: tuple[int, int]) -> str:
    lines = text.splitlines()
    return lines[place[0] - 1] if place[0] <= len(lines) else ""


def _braced(text: str, here: tuple[int, int], opening: tuple[int, int]) -> str | None:
    """The unquoted name with a brace at the place of the error, or between it and its bracket."""
    for place in (here, opening):
        for match in _BRACED_NAME.finditer(_line(text, place)):
            name = match[0]
            if ":" in name.split("{")[0] and match.start() < here[1] <= match.end() + 2:
                return name
    return None


def _begins_comment(line: str) -> str:
    match = re.search(r"\s#\S*", line)
    return "; '#' after a blank begins a comment, text with it needs quotes" if match else ""
