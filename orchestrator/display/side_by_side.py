"""Two runs side by side, as people read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from rich.text import Text

from orchestrator.data.past.comparison import Compared

_TITLES = {
    "run": "",
    "argument": "Arguments",
    "step": "Steps",
    "data": "Data",
    "value": "Values at the end",
}
_NAME = 24
"""Characters of the names, at most; a longer one stands on a line of its own."""
_LEAST = 16


def comparison_lines(compared: Sequence[Compared], width: int) -> Iterator[Text]:
    """A line an item, what differs is marked by ≠; alike steps are counted only."""
    room = max((width - _NAME - 4) // 2, _LEAST)
    for kind, title in _TITLES.items():
        items = [item for item in compared if item.kind == kind]
        shown = [item for item in items if kind in ("run", "argument") or item.differs]
        if not items:
            continue
        if title:
            alike = len(items) - len(shown)
            yield Text("")
            yield Text(title + (f" ({alike} more are alike)" if alike else ""), "bold")
        for item in shown:
            yield from _lines(item, room)


def _lines(item: Compared, room: int) -> Iterator[Text]:
    style = "yellow" if item.differs else ""
    sign = "≠" if item.differs else " "
    name = item.name
    if len(name) > _NAME:
        yield Text(f"{sign} {name}", style)
        name, sign = "", " "
    cells = [_cell(value, room) for value in (item.first, item.second)]
    for number in range(max(map(len, cells))):
        one, other = (cell[number] if number < len(cell) else "" for cell in cells)
        line = f"{sign} {name.ljust(_NAME)} {one.ljust(room)} {other}".rstrip()
        yield Text(line, style)
        name, sign = "", " "


def _cell(value: object, room: int) -> list[str]:
    """A value in lines of so many characters."""
    if value is None:
        return ["–"]
    if isinstance(value, Mapping):
        text = ", ".join(f"{name} {found}" for name, found in value.items())
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return [text[at : at + room] for at in range(0, len(text), room)] or [""]
