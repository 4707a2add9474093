"""The step `delay`: wait for a time."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context, not_negative
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, Timing
from orchestrator.language.text.field_kinds import Amount
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class DelayStep(Form, verb="delay"):
    """Wait for a time."""

    delay: Amount
    """s; a pause does not count, a skip ends it."""

    def compiled(self, path: Path, context: Context) -> DelayNode:
        return DelayNode(
            *context.head(self, path, f"delay {self.delay}"),
            seconds=context.amount((*path, "delay"), self.delay, not_negative),
        )


@dataclass(frozen=True, slots=True)
class DelayNode(Node):
    """Wait for a time."""

    seconds: Operand
    """A float ≥ 0."""

    puts = ()
    reads = ()
    inside = NO_STEPS

    @property
    def evaluates(self) -> tuple[Operand, ...]:
        return (self.seconds,)

    def takes(self, known: Timing) -> float:
        return known.number(self.seconds)

    async def run(self, do: Doing) -> None:
        await do.delay(await do.number(self.seconds))
