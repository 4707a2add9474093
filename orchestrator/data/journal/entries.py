"""The lines of a journal: an object of JSON each, ASCII. What they mean stands in the docs.

Those of each step are put together by hand: `json` takes longer than all else that is done for
them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from time import time
from typing import Any

import numpy as np

from orchestrator.data.journal.exact import exact_text
from orchestrator.data.sinks import stamp
from orchestrator.types import (
    Abandoned,
    Limits,
    Metadata,
    Named,
    Path,
    Place,
    QueueChanged,
    Reading,
    RunEnded,
    RunEvent,
    RunHeader,
    Value,
    path_text,
)
from orchestrator.types.event_json import event_facts

FORMAT = 1
"""Raised when an older version could not read what is written."""

SHORT = 64
"""Elements of an array that are written; of a longer one the first of them."""

LONGEST = 1 << 17
"""Bytes of a line; a longer one is written in parts, so that each finds room."""

_PART = 1 << 16
"""Characters of a line that a part of it has: with all of them escaped it is none that is longer.
"""

_PLACES = 10_000
"""Steps whose place is remembered as text."""


def _begun(event: str) -> str:
    return f'{{"t":{time():.6f},"event":"{event}"'


def _line(text: str) -> bytes:
    return f"{text}}}\n".encode("ascii")


def _numbers(numbers: tuple[int, ...]) -> str:
    if not numbers:
        return "[]"
    return f"[{numbers[0]}]" if len(numbers) == 1 else f"[{','.join(map(str, numbers))}]"


# Of each step: a call more in each of these would be a tenth of what it takes -----------------


def step_entered(step: int, at: Place, label: str) -> bytes:
    """A step is entered, or tried again."""
    loops, tries = _numbers(at.loops), _numbers(at.tries)
    return (
        f'{{"t":{time():.6f},"event":"step_entered","step":{step},{_place(at.path, label)},'
        f'"loops":{loops},"tries":{tries}}}\n'
    ).encode()


@lru_cache(_PLACES)
def _place(path: Path, label: str) -> str:
    return f'"path":{quoted(path_text(path))},"name":{quoted(label)}'


def step_left(step: int, how: str, why: str) -> bytes:
    """A step is left; `how` is `done` or what ended it early."""
    reason = f',"why":{quoted(why)}' if why else ""
    text = f'{{"t":{time():.6f},"event":"step_left","step":{step},"how":"{how}"{reason}}}\n'
    return text.encode()


def put_leaves(put: int, step: int, pv: str, value: Value, *, completion: bool) -> bytes:
    """A put is about to leave."""
    waits = "true" if completion else "false"
    return (
        f'{{"t":{time():.6f},"event":"put_leaves","put":{put},"step":{step},"pv":{_name(pv)},'
        f'"value":{value_text(value)},"completion":{waits}}}\n'
    ).encode()


@lru_cache(_PLACES)
def _name(pv: str) -> str:
    return quoted(pv)


def put_ended(put: int, how: str, why: str) -> bytes:
    """Nothing more is awaited of a put."""
    reason = f',"why":{quoted(why)}' if why else ""
    text = f'{{"t":{time():.6f},"event":"put_ended","put":{put},"how":"{how}"{reason}}}\n'
    return text.encode()


def condition_met(step: int, condition: str, by: Iterable[Reading]) -> bytes:
    """What a step waited for has come true, by these readings."""
    seen = ",".join(f"{_name(reading.channel)}:{_reading(reading)}" for reading in by)
    return _line(
        f'{_begun("condition_met")},"step":{step},"condition":{quoted(condition)},"by":{{{seen}}}'
    )


def baseline(when: str, readings: Mapping[str, Reading | None]) -> bytes:
    """What channels hold at the start or the end of a run."""
    head = f'{_begun("baseline")},"when":{quoted(when)}'
    return _line(f'{head},"channels":{{{_cells(readings)}}}')


def _cells(readings: Mapping[str, Reading | None]) -> str:
    return ",".join(
        f"{_name(name)}:{'null' if reading is None else _reading(reading)}"
        for name, reading in readings.items()
    )


def row(point: int, at: Place, readings: Mapping[str, Reading | None]) -> bytes:
    """A row of the data."""
    cells = _cells(readings)
    return _line(
        f'{_begun("row")},"point":{point},"path":{quoted(path_text(at.path))},'
        f'"loops":{_numbers(at.loops)},"tries":{_numbers(at.tries)},"channels":{{{cells}}}'
    )


def _reading(reading: Reading) -> str:
    alarm = ""
    if reading.severity:
        alarm = f',"severity":{reading.severity:d},"status":{reading.status:d}'
    return f'{{"value":{value_text(reading.value)},"time":{stamp(reading)}{alarm}}}'


def name_bound(at: Place, name: str, value: object, *, variable: bool) -> bytes:
    """A step has bound a name in its list, or given a variable of its document a value."""
    kind = ',"variable":true' if variable else ""
    return _line(
        f'{_begun("bound")},{_at(at)},"name":{quoted(name)}{kind},"value":{exact_text(value)}'
    )


def passes_counted(bound: int) -> bytes:
    """So many values more were bound by steps that take no time; the newest of them follow."""
    return _line(f'{_begun("passes")},"bound":{bound}')


def checkpoint_passed(
    at: Place, name: str = "", state: Mapping[str, object] | None = None
) -> bytes:
    """A checkpoint is passed; by a Python sequence with what it wants to have there."""
    own = "" if state is None else f',"name":{quoted(name)},"state":{exact_text(state)}'
    return _line(f"{_begun('checkpoint')},{_at(at)}{own}")


def rewound_to(path: Path, loops: tuple[int, ...]) -> bytes:
    """The run goes on from a checkpoint that it has passed before."""
    return _line(f"{_begun('rewound')},{_at(Place(path, loops))}")


def _at(at: Place) -> str:
    loops, tries = _numbers(at.loops), _numbers(at.tries)
    return f'"path":{quoted(path_text(at.path))},"loops":{loops},"tries":{tries}'


# Of a run -------------------------------------------------------------------------------------


def run_begun(header: RunHeader, process: Mapping[str, object]) -> bytes:
    """What is known of a run at its start, and of the process that runs it."""
    facts = {
        "format": FORMAT,
        "run_id": header.run_id,
        "name": header.name,
        "lane": header.lane,
        "owner": header.owner,
        "how": header.how,
        **({"repeats": header.repeats} if header.repeats else {}),
        "started": header.started and header.started.isoformat(timespec="milliseconds"),
        **process,
        "versions": header.versions,
        "arguments": header.arguments,
        "metadata": header.metadata,
        "sources": [asdict(source) for source in header.sources],
        "channels": _channels(header.channels),
    }
    return _facts("run", facts)


def attempt_begun(
    header: RunHeader,
    process: Mapping[str, object],
    number: int,
    abandoned: Abandoned,
) -> bytes:
    """A run goes on that had ended: who asked for it, by what, and from where."""
    position = abandoned.position
    facts = {
        "attempt": number,
        "owner": header.owner,
        "how": header.how,
        "started": header.started and header.started.isoformat(timespec="milliseconds"),
        **process,
        "versions": header.versions,
        "sources": [asdict(source) for source in header.sources],
        "after": abandoned.at,
        "rows": abandoned.rows,
        "superseded": abandoned.superseded,
        "data": {name: len(values) for name, values in abandoned.data.items()},
        "left": abandoned.left,
    }
    if abandoned.recovered is not None:
        facts["checkpoint"] = abandoned.recovered.checkpoint
        told = "".join(f",{quoted(name)}:{value_text(value)}" for name, value in facts.items())
        state = exact_text(abandoned.recovered.state)
        return _line(f'{_begun("attempt")}{told},"state":{state}')
    if position is None:
        return _facts("attempt", facts)
    facts |= {"path": path_text(position.path), "loops": position.loops}
    told = "".join(f",{quoted(name)}:{value_text(value)}" for name, value in facts.items())
    names, variables = _names(position.names), _names(position.variables)
    return _line(f'{_begun("attempt")}{told},"names":{names},"variables":{variables}')


def _names(named: Named) -> str:
    lists = (
        f"[{quoted(path_text(path))},{_numbers(loops)},{exact_text(names)}]"
        for (path, loops), names in named.items()
    )
    return f"[{','.join(lists)}]"


def finalisers_ended(failed: Sequence[str]) -> bytes:
    """Finalisers that were asked for by themselves have run; why some have failed."""
    return _facts("finalised", {"failed": failed})


def channels_known(channels: Mapping[str, Metadata]) -> bytes:
    """What is known of channels, at first and where it has changed."""
    return _facts("channels", {"channels": _channels(channels)})


def _channels(channels: Mapping[str, Metadata | None]) -> dict[str, object]:
    return {name: found and _metadata(found) for name, found in channels.items()}


def _metadata(of: Metadata) -> dict[str, object]:
    facts: dict[str, object] = {"type": of.native.name, "count": of.count}
    facts |= {"units": of.units, "precision": of.precision, "labels": of.labels, "host": of.host}
    limits = {name: getattr(of, name) for name in ("display", "control", "warning", "alarm")}
    return facts | {name: _limits(pair) for name, pair in limits.items() if pair.are_set}


def _limits(pair: Limits) -> tuple[float, float]:
    return pair.low, pair.high


def names_bound(values: Mapping[str, object]) -> bytes:
    """What the names of the document were bound to in the end."""
    return _facts("values", {"values": values})


def run_event(event: RunEvent) -> bytes:
    """What the engine told of the run."""
    facts = event_facts(event)
    return _facts(str(facts.pop("event")), facts)


def queue_changed(queue: QueueChanged, requests: Mapping[int, str]) -> bytes:
    """What waits now; `requests`: JSON of those that are not told yet, by the number of the run."""
    facts = event_facts(queue)
    told = "".join(f",{quoted(name)}:{value_text(value)}" for name, value in facts.items())
    new = ",".join(f'"{number}":{text}' for number, text in requests.items())
    told = told.removeprefix(f',"event":"{facts["event"]}"')
    return _line(f'{_begun(str(facts["event"]))}{told},"requests":{{{new}}}')


def run_ended(event: RunEnded, points: int) -> bytes:
    """How the run ended, and how many rows it has taken."""
    facts = event_facts(event)
    return _facts(str(facts.pop("event")), facts | {"points": points})


def samples_kept(told: Mapping[str, object]) -> bytes:
    """The samples of rows that are not kept; `keep`: how many of each channel come before them."""
    return _facts("samples", told)


def snapshot(
    recovery: Mapping[str, object], under_way: Mapping[str, object], visited: Sequence[object]
) -> bytes:
    """What followed from all lines so far, of which some are not kept, for a run that goes on."""
    facts = {"recovery": recovery, "under_way": under_way, "visited": visited}
    return _facts("snapshot", facts)


def left_out(lines: int) -> bytes:
    """So many lines are missing here."""
    return _line(f'{_begun("left_out")},"lines":{lines}')


def parts(line: bytes) -> Iterator[bytes]:
    """A part of a line that is too long for one."""
    text = line.decode("ascii").rstrip("\n")
    pieces = [text[start : start + _PART] for start in range(0, len(text), _PART)]
    for number, piece in enumerate(pieces, 1):
        yield _line(f'{_begun("part")},"part":{number},"of":{len(pieces)},"text":{quoted(piece)}')


def _facts(event: str, facts: Mapping[str, object]) -> bytes:
    told = "".join(f",{quoted(name)}:{value_text(value)}" for name, value in facts.items())
    return _line(f"{_begun(event)}{told}")


def value_text(value: object) -> str:
    """A value as JSON: null for what is no number, a text for what is no JSON."""
    kind = type(value)
    if kind is float:
        return repr(value) if math.isfinite(value) else "null"  # type: ignore[arg-type]  # a float
    if kind is int:
        return str(value)
    if kind is str:
        return quoted(value)  # type: ignore[arg-type]  # a text
    return json.dumps(_plain(value), separators=(",", ":"))


def _plain(value: Any) -> Any:
    """The value as `json` takes it."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case np.ndarray():
            return _array(value)
        case np.generic():
            return _plain(value.item())
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
    return str(value)


def _array(value: np.ndarray[Any, Any]) -> Any:
    if value.size <= SHORT:
        return _plain(value.tolist())
    first = _plain(value.ravel()[:SHORT].tolist())
    return {"type": value.dtype.str, "shape": list(value.shape), "first": first}
