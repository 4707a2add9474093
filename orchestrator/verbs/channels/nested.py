"""The step `nested`: walk the indices of sequence servers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from orchestrator.errors import InputError
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.names import ServerChannels
from orchestrator.language.program.compile_context import Context, positive
from orchestrator.language.program.form import Form, compile_list
from orchestrator.language.program.nodes import Node, Timing, Walk
from orchestrator.language.program.parts import NestedLevel, OnDisconnect
from orchestrator.language.text.field_kinds import Amount
from orchestrator.language.text.findings import Strict, expected
from orchestrator.language.text.steps import Steps
from orchestrator.language.values.operations import described
from orchestrator.types import Path, fields
from orchestrator.verbs.channels.trajectories import server_of
from orchestrator.verbs.doing import Doing, Leading
from orchestrator.verbs.flow.leaving import LeaveLoop, NextPass


def _over(value: object) -> dict[str, tuple[int, ...] | None]:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        twice = [name for name in value if value.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} stands twice; a server is walked by one loop")
        return dict.fromkeys(value)
    if isinstance(value, dict) and value:
        return {str(name): _indices(name, indices) for name, indices in value.items()}
    wanted = "names of sequence servers, outermost first, or a mapping of them to their indices"
    raise ValueError(expected(wanted, value))


def _indices(name: object, value: object) -> tuple[int, ...] | None:
    if value == "all":
        return None
    if isinstance(value, list) and value and all(_is_index(index) for index in value):
        return tuple(value)
    raise ValueError(f"{name}: expected all or a list of indices from 0, got {described(value)}")


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_NAMES = {"type": "array", "minItems": 1, "items": {"type": "string"}}
_INDICES = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}
_OVER = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        _NAMES,
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"anyOf": [{"const": "all"}, _INDICES]},
        },
    ],
    "x-kind": "list or mapping",
}


class Nested(Strict):
    """Which servers are walked, and how."""

    over: Annotated[dict[str, tuple[int, ...] | None], PlainValidator(_over), WithJsonSchema(_OVER)]
    """The servers, the outermost loop first. In a mapping each has `all`, the indices of what is
    loaded, or a list of indices."""
    timeout: Amount = 30
    """s for each point; a server that comes back restarted is loaded again within it."""


class NestedStep(Form, verb="nested"):
    """Walk the indices of sequence servers, and run steps at each point."""

    nested: Nested
    """Published as `Nested_Indices`, and waited for until every server has reached it. A server
    that was restarted is loaded again. Disconnected ones are waited for unless `on_disconnect` is
    `fail`."""
    do: Steps | None = None
    """The steps at each point; LOOP_INDEX has a number for each server."""

    def compiled(self, path: Path, context: Context) -> NestedNode:
        here = (*path, "nested")
        levels = []
        for name, indices in self.nested.over.items():
            place = (*here, "over", name)
            server = server_of(name, place, context)
            if server is not None:
                levels.append(_level(server, indices, place, context))
        label = f"nested {', '.join(level.server.name for level in levels)}"
        return NestedNode(
            *context.head(self, path, label),
            levels=tuple(levels),
            timeout=context.amount((*here, "timeout"), self.nested.timeout, positive),
            body=compile_list(
                self.do or (), (*path, "do"), replace(context, in_loop=True, in_passes=True)
            ),
        )


def _level(
    server: ServerChannels, indices: tuple[int, ...] | None, path: Path, context: Context
) -> NestedLevel:
    loaded = context.notes.loaded
    if server.name not in loaded:
        context.warn(path, f"no step before loads {server.name}: what it holds then is walked")
    length = loaded.get(server.name)
    beyond = [i for i in indices or () if length is not None and i >= length]
    if beyond and length is not None:
        context.find(path, f"{server.name} has no index {beyond[0]}: 0 … {length - 1} are loaded")
    return NestedLevel(server, indices, length if indices is None else len(indices))


@dataclass(frozen=True, slots=True)
class NestedNode(Node):
    """Walk the indices of sequence servers, and run a body at each point."""

    levels: tuple[NestedLevel, ...]
    """Outermost first."""
    timeout: Operand
    """s for each point, a float > 0."""
    body: tuple[Node, ...]

    puts = ()
    evaluates = ()
    claims = (fields.NESTED_INDICES.name,)  # there is one

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(name for level in self.levels for name in level.server.told)

    @property
    def names(self) -> frozenset[str]:
        """The commands too: a server that was restarted is loaded again."""
        return frozenset(name for level in self.levels for name in level.server.all)

    @property
    def inside(self) -> Walk:
        return Walk(self.levels, self.body)

    @property
    def points(self) -> int | None:
        """How many it has, where that is known."""
        return self.inside.points

    def takes(self, known: Timing) -> float:
        """How long servers take is not known."""
        return known.count("waits")

    async def run(self, do: Doing) -> None:
        """Walk, from the point on at which it was where the run comes back."""
        begin = None if do.entry is None else [do.entry.loop() for _ in self.levels]
        try:
            for passes, at in points_of(self.levels, do.world.master, begin):
                inner = do.inside(passes)
                # Where the run comes back into the middle of a pass, it goes to its point again.
                await self.move(inner, at)
                with suppress(NextPass):
                    await inner.steps(self.body)
                do.entry = None
        except LeaveLoop:
            return
        finally:
            do.world.master.rest()

    async def move(self, do: Doing, at: Mapping[str, tuple[ServerChannels, int]]) -> None:
        """Bring the servers to one point; also for a walk of a Python sequence."""
        hold = self.on_disconnect is not OnDisconnect.FAIL

        async def go() -> None:
            await do.world.master.move(at, await do.number(self.timeout), hold=hold)

        try:
            await do.course.approach(self, do.place, go)
        finally:
            do.world.outdated()


Point = tuple[tuple[int, ...], dict[str, tuple[ServerChannels, int]]]
"""Numbers of the passes, outermost first, and the index of each server by its name."""


def points_of(
    levels: Sequence[NestedLevel], master: Leading, begin: Sequence[int] | None = None
) -> Iterator[Point]:
    """Every point, the innermost loop fastest; with `begin`, from these passes on.

    Raises:
        InputError: A server has nothing loaded, or not so much.
    """
    indices = [_walked(level, master.length(level.server)) for level in levels]
    for passes in itertools.product(*(range(len(own)) for own in indices)):
        if begin is not None and passes < tuple(begin):
            continue
        at = {
            level.server.name: (level.server, own[number])
            for level, own, number in zip(levels, indices, passes, strict=True)
        }
        yield passes, at


def _walked(level: NestedLevel, length: int) -> Sequence[int]:
    if level.indices is None:
        return range(length)
    beyond = [index for index in level.indices if index >= length]
    if beyond:
        name = level.server.name
        raise InputError(f"{name} has no index {beyond[0]}: 0 … {length - 1} are loaded")
    return level.indices
