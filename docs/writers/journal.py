"""The form of a run's journal, by what writes it: each line is one that was made just now."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from orchestrator.data.journal import entries
from orchestrator.data.journal.index import TABLE, VERSION
from orchestrator.data.journal.run_journal import KEPT
from orchestrator.types import (
    Abandoned,
    Answered,
    Asked,
    Controlled,
    IndicesSet,
    Limits,
    Metadata,
    NativeType,
    Place,
    Position,
    Reading,
    RunEnded,
    RunHeader,
    RunState,
    RunStatus,
    Severity,
    SourceText,
    StateChanged,
    Told,
    Verb,
)
from orchestrator.types.event_json import event_kind
from writers.markdown import attribute_words, code, part, table, words_of

_RUN = "20261130T160423.423Z-k3"
_AT = Place(("steps", 0, "do", 1), (3,), (2,))
_READ = Reading("stage.x", 1.5, 1796054663.25, Severity.MINOR, 4)
_CHANNEL = Metadata(NativeType.DOUBLE, units="mm", display=Limits(-10.0, 10.0))
_HEADER = RunHeader(
    _RUN,
    "scan",
    owner="me@console",
    how="START",
    sources=(SourceText("scan", "steps: […]", "/beamline/scan.yaml"),),
    arguments={"points": 5},
    metadata={"sample": "gold"},
    versions={"orchestrator": "0.1.0"},
    channels={"stage.x": _CHANNEL, "det.counts": None},
)

_ABANDONED = Abandoned(
    Position(_AT.path, _AT.loops, {(("steps",), ()): {"best": 1.5}}), (1, 99), {}, 7, 9, 7
)

_LINES: tuple[tuple[Callable[..., Any], bytes], ...] = (
    (entries.run_begun, entries.run_begun(_HEADER, {"pid": 4711, "host": "console"})),
    (entries.step_entered, entries.step_entered(7, _AT, "set stage.x")),
    (
        entries.put_leaves,
        entries.put_leaves(9, 7, "stage.x", 1.5, completion=True),
    ),
    (entries.put_ended, entries.put_ended(9, "completed", "")),
    (entries.condition_met, entries.condition_met(7, "stage.x > 1", [_READ])),
    (entries.step_left, entries.step_left(7, "failed", "stage.x: no answer within 5 s")),
    (entries.channels_known, entries.channels_known({"stage.x": _CHANNEL})),
    (entries.row, entries.row(0, _AT, {"stage.x": _READ, "det.counts": None})),
    (entries.baseline, entries.baseline("start", {"stage.x": _READ})),
    (entries.names_bound, entries.names_bound({"points": 5, "best": 1.5})),
    (entries.name_bound, entries.name_bound(_AT, "best", 1.5, variable=False)),
    (entries.passes_counted, entries.passes_counted(1412)),
    (entries.checkpoint_passed, entries.checkpoint_passed(_AT)),
    (entries.rewound_to, entries.rewound_to(_AT.path, _AT.loops)),
    (
        entries.attempt_begun,
        entries.attempt_begun(_HEADER, {"pid": 4711, "host": "console"}, 2, _ABANDONED),
    ),
    (entries.finalisers_ended, entries.finalisers_ended([])),
    (
        entries.samples_kept,
        entries.samples_kept({"keep": {"det.counts": 1412}, "data": {"det.counts": []}}),
    ),
    (entries.snapshot, entries.snapshot({}, {}, [["steps[0].do[1]", [3], "set stage.x", 1412]])),
    (entries.left_out, entries.left_out(12)),
    (entries.parts, next(entries.parts(b'{"t":1796054663.3,"event":"row", \xe2\x80\xa6'[:33]))),
)
_EVENTS = {
    Answered: Answered(1, "B", "answered", "me@console", run_id=_RUN),
    Asked: Asked(
        "Which sample?",
        "str",
        ("A", "B"),
        number=1,
        since="2026-11-30T17:04:23.423+01:00",
        run_id=_RUN,
    ),
    Controlled: Controlled(Verb.PAUSE, "me@console", run_id=_RUN),
    IndicesSet: IndicesSet("{}", run_id=_RUN),
    StateChanged: StateChanged(RunState.RUNNING, run_id=_RUN),
    Told: Told("opening the shutter", run_id=_RUN),
    RunEnded: RunEnded(_RUN, RunStatus.SUCCESS, "", 0, data_file="/data/scan.csv"),
}

_COLUMNS: Mapping[str, str] = {
    "folder": "Of the run, in `runs`; its id, or that with a number where two had the same.",
    "run_id": "",
    "name": "Of the sequence.",
    "lane": "Which of the runs that go on side by side it is.",
    "owner": "user@host, as the client claims.",
    "how": "By what it was started.",
    "started": "Local time with its offset to UTC, ISO 8601.",
    "ended": "Unix s; null where it has not, or was interrupted.",
    "status": "`Success`, `Failed`, …; `Interrupted`: its process was killed; null: under way.",
    "cause": "What made it fail, by kind.",
    "message": "As it was shown at the end.",
    "data_file": "The file with its samples; empty where there is none.",
    "points": "Rows that it has taken; where it has not ended, when it was looked at.",
}


def journal() -> Iterator[str]:
    """The page."""
    yield from part("journal")
    yield from ("", "## Lines", "")
    yield from table(("event", "", "a line"), _lines())
    yield from part("journal-values")
    yield from ("", "## The index", "", f"`index.db`, SQLite, `PRAGMA user_version` {VERSION}.")
    yield "Its table `runs` has a row a run, and is made anew from the folders where it is missing,"
    yield "damaged or of another version (`orchestrator history --rebuild` does so at any time)."
    yield from (
        "The table `looked` says up to which change the folders are known, and when all of them "
        "were compared.",
        "",
    )
    yield from table(("column", ""), _columns())


def _lines() -> Iterator[tuple[str, str, str]]:
    for maker, line in _LINES:
        yield _line(line, words_of(maker))
    for kind in KEPT:
        words = " ".join(words_of(kind).split())
        told = attribute_words(kind)
        names = (field.name for field in fields(kind) if field.name in told)
        meanings = "; ".join(f"`{name}`: {told[name].rstrip('.')}" for name in names)
        event = _EVENTS[kind]
        ended = isinstance(event, RunEnded)
        line = entries.run_ended(event, 5) if ended else entries.run_event(event)
        assert json.loads(line)["event"] == event_kind(kind)  # noqa: S101 - what the table says
        yield _line(line, f"{words} {meanings}")


def _line(line: bytes, words: str) -> tuple[str, str, str]:
    facts = json.loads(line)
    facts["t"] = 1796054663.3
    return code(facts["event"]), words, code(json.dumps(facts, ensure_ascii=False))


def _columns() -> Iterator[tuple[str, str]]:
    (made,) = (text for text in TABLE if text.startswith("CREATE TABLE runs"))
    for line in made.splitlines()[1:-1]:
        name, kind = line.strip().rstrip(",").split(maxsplit=1)
        yield code(name), f"{_COLUMNS[name]} {kind}".strip()
