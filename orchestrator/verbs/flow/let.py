"""The step `let`: bind names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, at_once
from orchestrator.language.text.field_kinds import AnyValue, Identifier
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class LetStep(Form, verb="let"):
    """Bind names for the rest of the enclosing list."""

    let: Annotated[dict[Identifier, AnyValue], Field(min_length=1)]
    """Names and expressions, evaluated in this order; never on a world older than this run's last
    completed put."""

    def compiled(self, path: Path, context: Context) -> LetNode:
        bindings = []
        inner = context
        for name, value in self.let.items():
            place = (*path, "let", name)
            bindings.append((name, inner.operand(place, template.compile_bare, value)))
            inner = inner.bound(name)
        return LetNode(
            *context.head(self, path, f"let {', '.join(self.let)}"), bindings=tuple(bindings)
        )


@dataclass(frozen=True, slots=True)
class LetNode(Node):
    """Bind names for the rest of the enclosing list, one after the other."""

    bindings: tuple[tuple[str, Operand], ...]

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once

    @property
    def binds(self) -> tuple[tuple[str, Operand | None], ...]:
        return self.bindings

    async def run(self, do: Doing) -> None:
        for name, operand in self.bindings:
            do.bind(name, await do.value(operand))
