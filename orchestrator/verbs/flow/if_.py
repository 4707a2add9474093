"""The step `if`: run one list of steps or another."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.foresight.counting import count_steps
from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import Form, compile_list
from orchestrator.language.program.nodes import Either, Node, at_once
from orchestrator.language.text.field_kinds import OneValue
from orchestrator.language.text.steps import Limited, Steps
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class IfStep(Form, Limited, verb="if"):
    """Run one list of steps or another."""

    if_: OneValue = Field(alias="if")
    """An expression; reading a disconnected channel is an error."""
    then: Steps
    """Where it is true."""
    else_: Steps | None = Field(None, alias="else")
    """Where it is false."""

    def compiled(self, path: Path, context: Context) -> IfNode:
        condition = context.operand((*path, "if"), template.compile_condition, self.if_)
        return IfNode(
            *context.head(self, path, f"if {str(self.if_).removeprefix('=')}"),
            condition=condition,
            then=compile_list(self.then, (*path, "then"), context),
            else_=compile_list(self.else_ or (), (*path, "else"), context),
        )


@dataclass(frozen=True, slots=True)
class IfNode(Node):
    """Run one body or another."""

    condition: Operand
    """A bool."""
    then: tuple[Node, ...]
    else_: tuple[Node, ...]

    puts = ()
    reads = ()
    takes = at_once

    @property
    def evaluates(self) -> tuple[Operand, ...]:
        return (self.condition,)

    @property
    def inside(self) -> Either:
        return Either(self.condition, self.then, self.else_)

    async def run(self, do: Doing) -> None:
        """Run those that the condition says; or, coming back, those that it said then."""
        if do.entry is not None:
            value = do.entry.branch() == "then"
        else:
            value = await do.truth(self.condition)
        taken, left = (self.then, self.else_) if value else (self.else_, self.then)
        await do.course.run(taken, do.scope, do.place, do.entry)
        do.course.left_out(max((count_steps(left) or 0) - (count_steps(taken) or 0), 0))
