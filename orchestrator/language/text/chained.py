"""The steps of a master of sequence servers, as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field, PlainValidator, StrictStr, WithJsonSchema

from orchestrator.language.text.fields import Amount, Scalar
from orchestrator.language.text.findings import Strict, expected
from orchestrator.language.text.leaves import BaseStep
from orchestrator.language.values.operations import described

if TYPE_CHECKING:
    from orchestrator.language.text.steps import Steps

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


_SCALARS = {"type": ["boolean", "number", "string"]}
_ITEM = {"anyOf": [_SCALARS, {"type": "object", "additionalProperties": _SCALARS}]}
_TRAJECTORY = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": _ITEM},
    ],
    "x-kind": "trajectory",
}
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


class TrajectoriesStep(BaseStep):
    """Load sequence servers, all at once."""

    trajectories: Trajectories
    """Written to `CMD` of each, and waited for until each has acknowledged it."""


class Nested(Strict):
    """Which servers are walked, and how."""

    over: Annotated[dict[str, tuple[int, ...] | None], PlainValidator(_over), WithJsonSchema(_OVER)]
    """The servers, the outermost loop first. In a mapping each has `all`, the indices of what is
    loaded, or a list of indices."""
    timeout: Amount = 30
    """s for each point; a server that comes back restarted is loaded again within it."""


class NestedStep(BaseStep):
    """Walk the indices of sequence servers, and run steps at each point."""

    nested: Nested
    """Published as `Nested_Indices`, and waited for until every server has reached it. A server
    that was restarted is loaded again. Disconnected ones are waited for unless `on_disconnect` is
    `fail`."""
    do: Steps | None = None
    """The steps at each point; LOOP_INDEX has a number for each server."""
