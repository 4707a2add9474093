"""Compiles the steps with steps inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand, constant_value
from orchestrator.language.program.compile_leaves import make_put
from orchestrator.language.program.compiling import compile_list, compile_step, compile_verb
from orchestrator.language.program.nodes import (
    POINT,
    Count,
    GroupNode,
    IfNode,
    Listed,
    LoopNode,
    ParallelNode,
    Points,
    Put,
    Range,
    While,
)
from orchestrator.language.program.scope import UNKNOWN, Context, count, positive, some
from orchestrator.language.text import steps as forms
from orchestrator.language.values.points import range_points
from orchestrator.types import Path


@compile_verb.register
def _(step: forms.LoopStep, path: Path, context: Context) -> LoopNode:
    here = (*path, "loop")
    loop = step.loop
    points = _points(loop, here, context)
    variable = loop.as_ or (POINT if loop.pv is not None else None)
    inner = context if variable is None else context.bound(variable)
    target = _loop_target(loop, here, inner, variable)
    timeout = 10 if loop.timeout is None else loop.timeout
    if loop.serpentine and not context.in_loop:
        context.warn((*here, "serpentine"), "does nothing: there is no loop around this one")
    return LoopNode(
        *context.head(step, path, f"loop {target.pv}" if target else _loop_label(loop)),
        target=target,
        timeout=inner.amount((*here, "timeout"), timeout, positive),
        points=points,
        variable=variable,
        body=compile_list(step.do, (*path, "do"), replace(inner, in_loop=True)),
        serpentine=loop.serpentine,
    )


def _loop_label(loop: forms.Loop) -> str:
    if loop.while_ is None:
        return "loop"
    return f"loop while {str(loop.while_).removeprefix('=')}"


def _loop_target(
    loop: forms.Loop, path: Path, context: Context, variable: str | None
) -> Put | None:
    if loop.pv is None or variable is None:
        return None
    value = Operand(variable, lambda env: env.variable(variable), variables=frozenset({variable}))
    return make_put(loop, path, context, value)


def _points(loop: forms.Loop, path: Path, context: Context) -> Points:
    if loop.while_ is not None:
        make = template.compile_condition
        return While(context.operand((*path, "while"), make, loop.while_))
    if loop.count is not None:
        return Count(context.amount((*path, "count"), loop.count, count))
    if loop.values is not None:
        return Listed(context.amount((*path, "values"), loop.values, some))
    parts = {"from": loop.from_, "to": loop.to, "step": loop.step, "num": loop.num}
    given = {f: context.value((*path, f), v) for f, v in parts.items() if v is not None}
    if all(operand.constant and operand is not UNKNOWN for operand in given.values()):
        _check_range(given, path, context)
    return Range(given["from"], given["to"], given.get("step"), given.get("num"))


def _check_range(given: Mapping[str, Operand], path: Path, context: Context) -> None:
    values = {f: constant_value(operand) for f, operand in given.items()}
    start, stop, step, num = (values.get(f) for f in ("from", "to", "step", "num"))
    points = context.attempt(path, lambda: range_points(start, stop, step, num), None)
    if points is not None and not points.exact_end:
        context.warn(
            path,
            f"'to' {stop} is not visited: no whole number of steps reaches it; "
            f"the last point is {points[-1]:.10g}",
        )


@compile_verb.register
def _(step: forms.GroupStep, path: Path, context: Context) -> GroupNode:
    body = compile_list(step.group, (*path, "group"), context)
    return GroupNode(*context.head(step, path, "group"), body=body)


@compile_verb.register
def _(step: forms.ParallelStep, path: Path, context: Context) -> ParallelNode:
    here = (*path, "parallel")
    branches = [compile_step(s, (*here, i), context) for i, s in enumerate(step.parallel)]
    return ParallelNode(*context.head(step, path, "parallel"), branches=tuple(branches))


@compile_verb.register
def _(step: forms.IfStep, path: Path, context: Context) -> IfNode:
    condition = context.operand((*path, "if"), template.compile_condition, step.if_)
    return IfNode(
        *context.head(step, path, f"if {str(step.if_).removeprefix('=')}"),
        condition=condition,
        then=compile_list(step.then, (*path, "then"), context),
        else_=compile_list(step.else_ or (), (*path, "else"), context),
    )
