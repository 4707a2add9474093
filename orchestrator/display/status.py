"""The state of a service, from the values of its PVs by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table
from rich.text import Text

from orchestrator.display.progress import duration
from orchestrator.display.queue import queue_text

_STYLES = {
    "Running": "green",
    "Success": "green",
    "Failed": "red",
    "Timeout": "red",
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
    head = f"{facts['prefix']} {_state(facts)}"
    if facts["BUSY"]:
        head += f" {facts['RUN_NAME']} {_number(facts, 'PROGRESS'):.0f} % {facts['STEP_NAME']}"
    return head.rstrip()


def _state(facts: Mapping[str, object]) -> Text:
    state = str(facts["STATE"]) if facts["connected"] else "lost"
    return Text(state, style=_STYLES.get(state, ""))


def _rows(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    if facts["RUN_ID"]:
        yield "run", f"{facts['RUN_NAME']} {facts['RUN_ID']} by {facts['OWNER']}"
        yield from _busy_rows(facts) if facts["BUSY"] else _ended_rows(facts)
        yield "points", f"{facts['DATA:NPTS']}"
    if facts["message"]:
        yield "message", str(facts["message"])
    if text := queue_text(facts["QUEUE"]):
        yield "queue", text
    yield "channels", f"{facts['CHAIN:CONNECTED']} of {facts['CHAIN:COUNT']} connected"
    if missing := str(facts["CHAIN:DISCONNECTED"] or ""):
        yield "missing", missing if len(missing) < _LONG else f"{missing[:_LONG]} …"
    if isinstance(names := facts["SEQUENCES"], list) and names:
        yield "sequences", ", ".join(names)


def _busy_rows(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    steps = f"{facts['STEP']} of {facts['NSTEPS']}" if facts["NSTEPS"] else f"{facts['STEP']}"
    yield "progress", f"{_number(facts, 'PROGRESS'):.0f} %, {steps} steps"
    index = facts["LOOP_INDEX"]
    loops = f" (index {', '.join(map(str, index))})" if isinstance(index, list) and index else ""
    yield "step", f"{facts['STEP_NAME']}{loops}"
    yield "elapsed", duration(_number(facts, "ELAPSED"))
    if facts["REMAINING"] is not None:
        yield "remaining", duration(_number(facts, "REMAINING"))
    yield "hung", f"{duration(_number(facts, 'HUNG_SEC'))} since anything moved"


def _ended_rows(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield "outcome", str(facts["STATUS"])
    yield "took", duration(_number(facts, "ELAPSED"))


def _number(facts: Mapping[str, object], field: str) -> float:
    value = facts[field]
    return float(value) if isinstance(value, int | float) else 0.0
