"""The step `trajectories`: load sequence servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import Field, PlainValidator, StrictStr, WithJsonSchema

from orchestrator.errors import InputError
from orchestrator.language.expressions.operand import Operand, checked, constant_value
from orchestrator.language.expressions.template import joined
from orchestrator.language.names import ServerChannels
from orchestrator.language.program.compile_context import UNKNOWN, Context, positive
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, a_round_trip
from orchestrator.language.text.field_kinds import Amount, Scalar
from orchestrator.language.text.findings import Strict, expected
from orchestrator.language.text.trajectory import parse_trajectory, trajectory_text
from orchestrator.language.values.operations import Fault, described
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing

Item: TypeAlias = Scalar | dict[str, Scalar]


def _trajectory(value: object) -> object:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise ValueError(expected("a list, or text such as linear(start=0, end=10, step=1)", value))
    for item in value:
        inner = item.values() if isinstance(item, dict) else (item,)
        if not all(isinstance(each, bool | int | float | str) for each in inner):
            raise ValueError(f"an item is a number, a text or arguments, not {described(item)}")
    return value


_SCALARS = {"type": ["boolean", "number", "string"]}
_ITEM = {"anyOf": [_SCALARS, {"type": "object", "additionalProperties": _SCALARS}]}
_TRAJECTORY = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": _ITEM},
    ],
    "x-kind": "trajectory",
}


class Trajectories(Strict):
    """What several sequence servers load."""

    servers: Annotated[
        dict[
            StrictStr,
            Annotated[str | list[Item], PlainValidator(_trajectory), WithJsonSchema(_TRAJECTORY)],
        ],
        Field(min_length=1),
    ]
    """By server: a list of items (numbers, texts, or arguments by name), or text such as
    `linear(start=0, end=10, step=1)`; at most 10,000 items."""
    timeout: Amount = 10
    """s for all of them."""


class TrajectoriesStep(Form, verb="trajectories"):
    """Load sequence servers, all at once."""

    trajectories: Trajectories
    """Written to `CMD` of each, and waited for until each has acknowledged it."""

    def compiled(self, path: Path, context: Context) -> TrajectoriesNode:
        here = (*path, "trajectories")
        loads = []
        for name, given in self.trajectories.servers.items():
            place = (*here, "servers", name)
            server = server_of(name, place, context)
            operand = _text(given, place, context)
            if server is not None:
                loads.append((server, operand))
                context.notes.loaded[server.name] = _length(operand)
        return TrajectoriesNode(
            *context.head(self, path, f"load {', '.join(server.name for server, _ in loads)}"),
            loads=tuple(loads),
            timeout=context.amount((*here, "timeout"), self.trajectories.timeout, positive),
        )


def server_of(name: str, path: Path, context: Context) -> ServerChannels | None:
    """The channels of a server by its name; None, and a finding, where there is none."""
    server = context.attempt(path, lambda: context.names.server(name), None)
    if server is not None:
        context.notes.writes.add(server.cmd)
    return server


def _text(given: object, path: Path, context: Context) -> Operand:
    """The text that loads a trajectory; what is known of it is checked now."""
    if not isinstance(given, list):
        return context.amount(path, given, _loads)
    items = [_item(item, (*path, index), context) for index, item in enumerate(given)]
    if any(item is UNKNOWN for item in items):
        return UNKNOWN
    operand = joined("the trajectory", items, list)
    return context.attempt(path, lambda: checked(operand, _loads), UNKNOWN)


def _loads(value: object) -> str:
    """The text that loads what a document or an expression gives."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, str | list):
        raise Fault(f"a trajectory is a list or a text, not {described(value)}")
    try:
        return trajectory_text(value)
    except InputError as error:
        raise Fault(str(error)) from error


def _item(item: object, path: Path, context: Context) -> Operand:
    if not isinstance(item, dict):
        return context.value(path, item)
    names = list(item)
    values = [context.value((*path, name), value) for name, value in item.items()]
    if any(value is UNKNOWN for value in values):
        return UNKNOWN
    return joined("arguments", values, lambda parts: dict(zip(names, parts, strict=True)))


def _length(operand: Operand) -> int | None:
    if not operand.constant or operand is UNKNOWN:
        return None
    return len(parse_trajectory(str(constant_value(operand))))


@dataclass(frozen=True, slots=True)
class TrajectoriesNode(Node):
    """Load several sequence servers at once."""

    loads: tuple[tuple[ServerChannels, Operand], ...]
    """Each with the text of its trajectory, checked when it is evaluated."""
    timeout: Operand
    """s for all of them, a float > 0."""

    puts = ()
    inside = NO_STEPS
    takes = a_round_trip

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(name for server, _ in self.loads for name in server.told)

    @property
    def writes(self) -> tuple[str, ...]:
        return tuple(server.cmd for server, _ in self.loads)

    @property
    def claims(self) -> tuple[str, ...]:
        return self.writes

    @property
    def evaluates(self) -> tuple[Operand, ...]:
        return tuple(operand for _, operand in self.loads)

    async def run(self, do: Doing) -> None:
        texts = [(server, str(await do.evaluate(operand))) for server, operand in self.loads]
        timeout = await do.number(self.timeout)
        try:
            await do.world.master.load(texts, timeout, hold=do.held)
        finally:
            do.world.outdated()
