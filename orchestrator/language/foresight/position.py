"""Where a run is, so that it can be started again from there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.errors import InputError
from orchestrator.language.foresight.reach import passes_of
from orchestrator.language.program.nodes import Another, Node, Passes, Program, Walk, walk
from orchestrator.types import Path, path_text

_TEXT = re.compile(
    r"(?P<path>[A-Za-z_]\w*(?:\[\d{1,9}\]|\.[A-Za-z_]\w*)*)"
    r"(?:\s*@(?P<loops>\d{1,18}(,\d{1,18})*))?"
)
_PART = re.compile(r"\[(\d{1,9})\]|\.?([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class Position:
    """A step, and in which pass of each loop around it.

    The text form is `steps[2].do[0] @3,1`: the path, then the index of the pass from 0 of each
    loop around the step, outermost first (none: no `@`).
    """

    path: Path
    """Of the step; into a sub-sequence by way of `run`: `steps[1].run.steps[0]`."""
    loops: tuple[int, ...] = ()
    """Passes, outermost loop first; of a loop itself perhaps one more, the pass to begin with."""

    def __str__(self) -> str:
        """The text form."""
        text = path_text(self.path)
        return f"{text} @{','.join(map(str, self.loops))}" if self.loops else text


def parse_position(text: str) -> Position:
    """A position from its text form.

    Raises:
        InputError: It is none.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{text!r} is no position; one is written 'steps[2].do[0] @3,1'")
    parts = _PART.finditer(match["path"])
    path = tuple(int(part[1]) if part[1] else part[2] for part in parts)
    loops = match["loops"]
    return Position(path, tuple(map(int, loops.split(","))) if loops else ())


def resolve(program: Program, position: Position) -> Node:
    """The step at a position.

    Within a sub-sequence whose arguments are known only when the run comes there it is a node of
    its outline: it is there, but what is run must be compiled with them.

    Raises:
        InputError: There is no such step, its loops are others, or one has fewer passes.
    """
    nodes = {node.path: node for node in walk(program.all_steps)}
    node = nodes.get(position.path)
    if node is None:
        raise InputError(f"{position}: {_missing(program, position.path, nodes)}")
    around = [loop for outer in _around(position.path, nodes) for loop in _loops(outer)]
    own = _loops(node)
    most = len(around) + len(own)
    if not len(around) <= len(position.loops) <= most:
        raise InputError(
            f"{position}: {node.label} ({node.where}) is inside {len(around)} loops, "
            f"but the position has {len(position.loops)} passes"
        )
    for (loop, passes), index in zip([*around, *own], position.loops, strict=False):
        if passes is not None and index >= passes:
            which = f"{passes} passes, 0 … {passes - 1}, none is {index}" if passes else "no pass"
            raise InputError(f"{position}: {loop.label} ({loop.where}) has {which}")
    return node


def _around(path: Path, nodes: dict[Path, Node]) -> Iterator[Node]:
    """The nodes of whose body a path is a part, outermost first."""
    for length in range(1, len(path)):
        node = nodes.get(path[:length])
        # A loop's handler of errors is not in a pass of it.
        if node is not None and path[length] != "on_error":
            yield node


def _loops(node: Node) -> list[tuple[Node, int | None]]:
    """The loops that a node is, each with its passes as far as they are known."""
    match node.inside:
        case Passes(points):
            return [(node, passes_of(points))]
        case Walk(levels):
            return [(node, level.known) for level in levels]
        case _:
            return []


def _missing(program: Program, path: Path, nodes: dict[Path, Node]) -> str:
    outer = next((nodes[path[:n]] for n in range(len(path), 0, -1) if path[:n] in nodes), None)
    if outer is not None and isinstance(outer.inside, Another) and outer.inside.known is None:
        return (
            f"{outer.label} ({outer.where}) is a Python sequence, "
            "which can only be started from its beginning"
        )
    inside = f"{path_text(outer.path)} ({outer.label}, {outer.where})" if outer else program.origin
    return f"there is no such step in {inside}; has the document been changed?"
