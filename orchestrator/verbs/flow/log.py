"""The step `log`: tell something."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, at_once
from orchestrator.language.text.field_kinds import OneValue
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class LogStep(Form, verb="log"):
    """Tell something."""

    log: OneValue
    """Text, with `$(name)` of names and of channels; goes to the log and to `message`."""

    def compiled(self, path: Path, context: Context) -> LogNode:
        return LogNode(
            *context.head(self, path, "log"), text=context.text((*path, "log"), self.log)
        )


@dataclass(frozen=True, slots=True)
class LogNode(Node):
    """Tell something."""

    text: Operand
    """A str."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once

    async def run(self, do: Doing) -> None:
        do.world.tell(str(await do.value(self.text)))
