"""The state of a service, from the values of its PVs by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from rich.table import Table
from rich.text import Text

from orchestrator.display.progress import duration
from orchestrator.display.queue import queue_text
from orchestrator.types import Field, RunState, RunStatus, fields

_STYLES = {
    "Running": "green",
    "Success": "green",
    "Failed": "red",
    "Timeout": "red",
    "Interrupted": "red",
    "Aborted": "yellow",
    "Stopped": "yellow",
    "Paused": "yellow",
    "Pausing": "yellow",
    "Suspended": "yellow",
    "held": "yellow",
    "lost": "red",
}


_LONG = 1000
"""Characters of the names of what is not connected; all of them are in `--json`."""


def status_lines(facts: Mapping[str, object]) -> list[str]:
    """Lines for people; the first says it in short."""
    return [_head(facts), *(f"{name}: {value}" for name, value in _rows(facts))]


def status_table(facts: Mapping[str, object]) -> Table:
    """The same for a terminal."""
    table = Table.grid(padding=(0, 2))
    table.add_row(Text(str(facts["prefix"]), style="bold"), _state(facts))
    for name, value in _rows(facts):
        style = _STYLES.get(value.split(" ")[0], "")
        table.add_row(Text(name, style="dim"), Text(value, style=style, overflow="fold"))
    return table


def _head(facts: Mapping[str, object]) -> str:
    of = partial(_value, facts)
    head = f"{facts['prefix']} {_state(facts)}"
    if of(fields.BUSY):
        percent = _number(facts, fields.PROGRESS)
        head += f" {of(fields.RUN_NAME)} {percent:.0f} % {of(fields.STEP_NAME)}"
    return head.rstrip()


def _state(facts: Mapping[str, object]) -> Text:
    state = str(_value(facts, fields.STATE)) if facts["connected"] else "lost"
    return Text(state, style=_STYLES.get(state, ""))


def _rows(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    of = partial(_value, facts)
    if of(fields.RUN_ID):
        yield "run", f"{of(fields.RUN_NAME)} {of(fields.RUN_ID)} by {of(fields.OWNER)}"
        yield from _busy_rows(facts) if of(fields.BUSY) else _ended_rows(facts)
        if of(fields.STATUS) != RunStatus.INTERRUPTED.value:
            yield "points", f"{of(fields.DATA_NPTS)}"
    if of(fields.MESSAGE):
        yield "message", str(of(fields.MESSAGE))
    if text := queue_text(of(fields.QUEUE)):
        yield "queue", text
    for lane in _items(of(fields.LANES)):
        yield f"lane {lane['name']}", _lane(lane)
    yield from _automatic_rows(facts)
    yield "channels", f"{of(fields.CHAIN_CONNECTED)} of {of(fields.CHAIN_COUNT)} connected"
    if missing := str(of(fields.CHAIN_DISCONNECTED) or ""):
        yield "missing", missing if len(missing) < _LONG else f"{missing[:_LONG]} …"
    if isinstance(names := of(fields.SEQUENCES), list) and names:
        yield "sequences", ", ".join(names)


def _lane(lane: Mapping[str, object]) -> str:
    """How a lane is, in a line."""
    state, name, status, restarts, waiting = (
        lane.get(field)
        for field in (
            fields.STATE,
            fields.RUN_NAME,
            fields.STATUS,
            fields.RESTARTS,
            fields.QUEUE_LEN,
        )
    )
    idle = state == RunState.IDLE.value
    words = [f"{state}", f"{name}" if name else "", f"({status})" if idle and name else ""]
    words += [f"restarts: {restarts}"] if restarts else []
    words += [f"waiting: {waiting}"] if waiting else []
    return " ".join(filter(None, words))


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _automatic_rows(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """A row for each schedule and trigger."""
    listed = facts.get(fields.SCHEDULES.name)  # one of an older version has none
    for one in listed if isinstance(listed, list) else ():
        told = [f"next {one['next']}"] if one["next"] else []
        told += [f"last {one['last']}: {one['outcome']}"] if one["last"] else []
        if not one["last"] and one["outcome"]:
            told.append(one["outcome"])
        off = [] if _value(facts, fields.AUTOMATION) else ["switched off"]
        yield f"{one['kind']} {one['name']}", ", ".join([*off, *told]) or "not yet"


def _busy_rows(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    of, number = partial(_value, facts), partial(_number, facts)
    known = f" of {of(fields.NSTEPS)}" if of(fields.NSTEPS) else ""
    yield "progress", f"{number(fields.PROGRESS):.0f} %, {of(fields.STEP)}{known} steps"
    index = of(fields.LOOP_INDEX)
    loops = f" (index {', '.join(map(str, index))})" if isinstance(index, list) and index else ""
    yield "step", f"{of(fields.STEP_NAME)}{loops}"
    yield "elapsed", duration(number(fields.ELAPSED))
    if of(fields.REMAINING) is not None:
        yield "remaining", duration(number(fields.REMAINING))
    yield "hung", f"{duration(number(fields.HUNG_SEC))} since anything moved"


def _ended_rows(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield "outcome", str(_value(facts, fields.STATUS))
    if _value(facts, fields.STATUS) == RunStatus.INTERRUPTED.value:
        return  # the service before this one knew; the journal does
    yield "took", duration(_number(facts, fields.ELAPSED))


def _value(facts: Mapping[str, object], field: Field) -> object:
    return facts[field.name]


def _number(facts: Mapping[str, object], field: Field) -> float:
    value = _value(facts, field)
    return float(value) if isinstance(value, int | float) else 0.0
