"""Compiles the steps of a master of sequence servers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from orchestrator.errors import InputError
from orchestrator.language.expressions.operand import Operand, checked, constant_value
from orchestrator.language.expressions.template import joined
from orchestrator.language.names import ServerChannels
from orchestrator.language.program.compiling import compile_list, compile_verb
from orchestrator.language.program.nodes import Level, NestedNode, TrajectoriesNode
from orchestrator.language.program.scope import UNKNOWN, Context, positive
from orchestrator.language.text import steps as forms
from orchestrator.language.text.trajectory import parse_trajectory, trajectory_text
from orchestrator.language.values.operations import Fault, described
from orchestrator.types import Path


@compile_verb.register
def _(step: forms.TrajectoriesStep, path: Path, context: Context) -> TrajectoriesNode:
    here = (*path, "trajectories")
    loads = []
    for name, given in step.trajectories.servers.items():
        place = (*here, "servers", name)
        server = _server(name, place, context)
        operand = _text(given, place, context)
        if server is not None:
            loads.append((server, operand))
            context.notes.loaded[server.name] = _length(operand)
    return TrajectoriesNode(
        *context.head(step, path, f"load {', '.join(server.name for server, _ in loads)}"),
        loads=tuple(loads),
        timeout=context.amount((*here, "timeout"), step.trajectories.timeout, positive),
    )


@compile_verb.register
def _(step: forms.NestedStep, path: Path, context: Context) -> NestedNode:
    here = (*path, "nested")
    levels = []
    for name, indices in step.nested.over.items():
        place = (*here, "over", name)
        server = _server(name, place, context)
        if server is not None:
            levels.append(_level(server, indices, place, context))
    label = f"nested {', '.join(level.server.name for level in levels)}"
    return NestedNode(
        *context.head(step, path, label),
        levels=tuple(levels),
        timeout=context.amount((*here, "timeout"), step.nested.timeout, positive),
        body=compile_list(step.do or (), (*path, "do"), replace(context, in_loop=True)),
    )


def _server(name: str, path: Path, context: Context) -> ServerChannels | None:
    server = context.attempt(path, lambda: context.names.server(name), None)
    if server is not None:
        context.notes.writes.add(server.cmd)
    return server


def _level(
    server: ServerChannels, indices: tuple[int, ...] | None, path: Path, context: Context
) -> Level:
    loaded = context.notes.loaded
    if server.name not in loaded:
        context.warn(path, f"no step before loads {server.name}: what it holds then is walked")
    length = loaded.get(server.name)
    beyond = [i for i in indices or () if length is not None and i >= length]
    if beyond and length is not None:
        context.find(path, f"{server.name} has no index {beyond[0]}: 0 … {length - 1} are loaded")
    return Level(server, indices, length if indices is None else len(indices))


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
