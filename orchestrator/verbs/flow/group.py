"""The step `group`: run steps in order."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.compiling import compile_list
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import InOrder, Node, at_once
from orchestrator.language.text.steps import Limited, Steps
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class GroupStep(Form, Limited, verb="group"):
    """Run steps in order."""

    group: Steps
    """The steps; `name`, `on_error` and `on_disconnect` are of all of them together."""

    def compiled(self, path: Path, context: Context) -> GroupNode:
        body = compile_list(self.group, (*path, "group"), context)
        return GroupNode(*context.head(self, path, "group"), body=body)


@dataclass(frozen=True, slots=True)
class GroupNode(Node):
    """Run a body once."""

    body: tuple[Node, ...]

    puts = ()
    reads = ()
    evaluates = ()
    takes = at_once

    @property
    def inside(self) -> InOrder:
        return InOrder(self.body)

    async def run(self, do: Doing) -> None:
        await do.steps(self.body)
