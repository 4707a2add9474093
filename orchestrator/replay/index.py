"""What a recording holds, gathered in a first reading: its runs, and what was asked in each."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from orchestrator.config import Config
from orchestrator.replay.codec import Json, RecordingError, decode
from orchestrator.replay.file import FORMAT, RecordingReader

T = TypeVar("T")

ASKED = ("put", "get", "look", "connect", "doubled", "call", "room", "close", "job")
"""Kinds of questions that are answered later."""
LOOKED = ("owed", "full", "lack")
"""Kinds of questions that are answered at once."""


@dataclass(slots=True, eq=False)
class Asked:
    """A question of the recorded engine."""

    kind: str
    about: Mapping[str, Json]
    at: float
    """When, by the recorded loop's clock."""
    answered: float | None = None
    given_up: bool = False


@dataclass(slots=True)
class RunRecord:
    """How one run went."""

    name: str
    run_id: str = field(default="", compare=False)
    status: str = ""
    """Empty: its end is not known."""
    message: str = ""
    rows: int = 0


@dataclass(slots=True)
class Index:
    """A recording, but for what arrived in it."""

    config: Config = field(default_factory=Config)
    version: str = ""
    wall: float = 0.0
    """When it began, Unix s."""
    offset: float = 0.0
    """Seconds by which local time was ahead of UTC."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the Python modules."""
    names: set[str] = field(default_factory=set)
    """The documents that were read."""
    runs: list[RunRecord] = field(default_factory=list)
    asked: dict[int, Asked] = field(default_factory=dict)
    by_key: dict[Hashable, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    """Numbers of the questions, by run and subject, in order."""
    seen: dict[Hashable, deque[Json]] = field(default_factory=lambda: defaultdict(deque))
    """Answers given at once, by run and subject, in order."""
    gaps: int = 0
    """Lines that are missing."""
    torn: bool = False
    ended: bool = False
    """The service wrote its end."""
    turns: int = 0


def key_of(run: int, kind: str, about: Mapping[str, Json]) -> Hashable:
    """What questions must have in common for one to be given the other's answer."""
    if kind == "job":
        return kind
    subject = about.get("pv") or about.get("pvs") or about.get("function") or ""
    args = json.dumps(about.get("args"), sort_keys=True) if kind == "call" else ""
    return run, kind, json.dumps(subject), args


def index_of(reader: RecordingReader) -> Index:
    """Read a recording once.

    Raises:
        RecordingError: It is none, or one that this version can't read.
    """
    index = Index()
    lines = iter(reader)
    header = next(lines, {}).get("recording")
    if not isinstance(header, dict):
        raise RecordingError(f"{reader.path}: this is no recording of orchestrator serve --record")
    _take_header(index, header, reader)
    for number, line in enumerate(lines, 2):
        try:
            _take(index, line)
        except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
            text = f"this is no line of a recording: {type(error).__name__}: {error}"
            raise RecordingError(f"{reader.path}:{number}: {text}") from error
    index.torn = reader.torn
    return index


def _take_header(index: Index, header: Mapping[str, Json], reader: RecordingReader) -> None:
    made_by = f"version {header.get('version')}"
    if header.get("format") != FORMAT:
        raise RecordingError(
            f"{reader.path}: its format is {header.get('format')} ({made_by}); "
            f"this version reads format {FORMAT}"
        )
    try:
        index.config = _of_kind(decode(header["config"]), Config)
        index.version = str(header.get("version"))
        index.wall = float(header.get("w", 0.0))
        index.offset = float(header.get("offset", 0.0))
        index.modules = _of_kind(header.get("modules", {}), dict)
    except (RecordingError, KeyError, TypeError, ValueError) as error:
        raise RecordingError(f"{reader.path} was recorded by {made_by}: {error}") from error


def _of_kind(value: object, kind: type[T]) -> T:
    if isinstance(value, kind):
        return value
    raise TypeError(f"expected a {kind.__name__}, got {value!r:.40}")


def _take(index: Index, line: Mapping[str, Json]) -> None:
    if "source" in line:
        if "text" in line["source"]:
            index.names.add(line["source"]["name"])
    elif "gap" in line:
        index.gaps += line["gap"]
    elif "end" in line:
        index.ended = True
    elif "t" in line:
        index.turns += 1
        for crossed in line.get("in", ()):
            if "answer" in crossed and crossed["answer"] in index.asked:
                index.asked[crossed["answer"]].answered = line["t"]
        for out in line.get("out", ()):
            _take_out(index, line["t"], out)


def _take_out(index: Index, at: float, out: Mapping[str, Any]) -> None:
    take_outcome(index.runs, out)
    kind = next(iter(out))
    about = out[kind]
    if kind == "given_up":
        index.asked[about].given_up = True
    elif kind in ASKED:
        index.asked[about["id"]] = Asked(kind, about, at)
        index.by_key[key_of(len(index.runs), kind, about)].append(about["id"])
    elif kind in LOOKED:
        index.seen[key_of(len(index.runs), kind, about)].append(about["answer"])


def take_outcome(runs: list[RunRecord], out: Mapping[str, Json]) -> None:
    """Keep account of the runs: `out` is a line of what went out."""
    if "row" in out and runs:
        runs[-1].rows += 1
    event = out.get("event") or {}
    if "!RunStarted" in event:
        started = event["!RunStarted"]
        runs.append(RunRecord(started["name"], started["run_id"]))
    elif "!RunEnded" in event and runs:
        ended = event["!RunEnded"]
        runs[-1].status = ended["status"]["!RunStatus"]
        runs[-1].message = ended["message"]
