"""The points of a `nested`, as a document and a Python sequence walk them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from orchestrator.engine.steps.chained import Master
from orchestrator.errors import InputError
from orchestrator.language.names import ServerChannels
from orchestrator.language.program.nodes import Level

Point = tuple[tuple[int, ...], dict[str, tuple[ServerChannels, int]]]
"""Numbers of the passes, outermost first, and the index of each server by its name."""


def points(
    levels: Sequence[Level], master: Master, begin: Sequence[int] | None = None
) -> Iterator[Point]:
    """Every point, the innermost loop fastest; with `begin`, from these passes on.

    Raises:
        InputError: A server has nothing loaded, or not so much.
    """
    indices = [_indices(level, master.length(level.server)) for level in levels]
    for passes in itertools.product(*(range(len(own)) for own in indices)):
        if begin is not None and passes < tuple(begin):
            continue
        at = {
            level.server.name: (level.server, own[number])
            for level, own, number in zip(levels, indices, passes, strict=True)
        }
        yield passes, at


def _indices(level: Level, length: int) -> Sequence[int]:
    if level.indices is None:
        return range(length)
    beyond = [index for index in level.indices if index >= length]
    if beyond:
        name = level.server.name
        raise InputError(f"{name} has no index {beyond[0]}: 0 … {length - 1} are loaded")
    return level.indices
