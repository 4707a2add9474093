"""The step `race`: run steps at the same time until the first of them has ended."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import Field

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import Form, compile_step
from orchestrator.language.program.nodes import Node, Together, at_once, walk
from orchestrator.language.text.field_kinds import Identifier
from orchestrator.language.text.steps import Limited, Steps
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class RaceStep(Form, Limited, verb="race"):
    """Run steps at the same time until the first of them has ended."""

    race: Steps
    """The branches, as of `parallel`. The first to end decides, by a failure too; the others are
    ended as by a failure of their neighbour: what moves is stopped."""
    as_: Identifier | None = Field(None, alias="as")
    """Names the first to end for the rest of the enclosing list: the text is its step's `name`, or
    without one its label, such as `delay 5`."""

    def compiled(self, path: Path, context: Context) -> RaceNode:
        here = (*path, "race")
        inner = replace(context, in_passes=False)
        branches = [compile_step(s, (*here, i), inner) for i, s in enumerate(self.race)]
        head = context.head(self, path, "race")
        return RaceNode(*head, branches=tuple(branches), variable=self.as_)


@dataclass(frozen=True, slots=True)
class RaceNode(Node):
    """Run steps at the same time; the first to end ends the others."""

    branches: tuple[Node, ...]
    """Each with a scope of its own."""
    variable: str | None
    """Bound to the label of the first (the field `as`)."""

    puts = ()
    reads = ()
    evaluates = ()
    takes = at_once

    @property
    def inside(self) -> Together:
        return Together(self.branches, first=True)

    @property
    def binds(self) -> tuple[tuple[str, Operand | None], ...]:
        """The name of the first."""
        return () if self.variable is None else ((self.variable, None),)

    async def run(self, do: Doing) -> None:
        if any(inner.marks for inner in walk(self.branches)):
            do.course.mark(do.place, do.scope)  # all of it begins again: no way leads into a branch
        first = await do.course.first(self.branches, do.scope, do.place)
        if self.variable is not None:
            do.bind(self.variable, self.branches[first].label)
