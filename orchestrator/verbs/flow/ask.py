"""The step `ask`: pause until resumed."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, Timing
from orchestrator.language.text.field_kinds import OneValue
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class AskStep(Form, verb="ask"):
    """Pause with a message until resumed."""

    ask: OneValue
    """What `message` shows; text as in `log`."""

    def compiled(self, path: Path, context: Context) -> AskNode:
        return AskNode(
            *context.head(self, path, f"ask {template.as_text(self.ask)}"),
            text=context.text((*path, "ask"), self.ask),
        )


@dataclass(frozen=True, slots=True)
class AskNode(Node):
    """Pause with a message until resumed."""

    text: Operand
    """A str."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS

    def takes(self, known: Timing) -> float:
        return known.count("questions")

    async def run(self, do: Doing) -> None:
        await do.world.ask(str(await do.value(self.text)))
