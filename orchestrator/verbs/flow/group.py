"""The step `group`: run steps in order."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import Form, compile_list
from orchestrator.language.program.nodes import InOrder, Node, at_once
from orchestrator.language.program.restoring import NOTHING_BACK, Restoring, compile_restore
from orchestrator.language.text.restore import Restore
from orchestrator.language.text.steps import Limited, Steps
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class GroupStep(Form, Limited, verb="group"):
    """Run steps in order."""

    group: Steps
    """The steps; `name`, `on_error` and `on_disconnect` are of all of them together."""
    restore: Restore | None = None
    """Channels of which what they hold when the group is entered is put back at its end, however
    that comes; as of the document."""

    def compiled(self, path: Path, context: Context) -> GroupNode:
        body = compile_list(self.group, (*path, "group"), context)
        restoring = compile_restore(self.restore or (), (*path, "restore"), context)
        return GroupNode(*context.head(self, path, "group"), body=body, restoring=restoring)


@dataclass(frozen=True, slots=True)
class GroupNode(Node):
    """Run a body once."""

    body: tuple[Node, ...]
    restoring: Restoring = NOTHING_BACK

    puts = ()
    reads = ()
    evaluates = ()
    takes = at_once

    @property
    def inside(self) -> InOrder:
        return InOrder(self.body, self.restoring.steps)

    @property
    def takes_time(self) -> bool:
        """Whether the journal tells when it is left: what is put back then is owed until that."""
        return bool(self.restoring.steps)

    async def run(self, do: Doing) -> None:
        if not self.restoring.steps:
            await do.steps(self.body)
            return
        for name, operand in self.restoring.values:
            if name not in do.scope:  # else it is another try, or a way back into it
                await do.find(name, operand)
        await do.course.finalised(self.label, self.body, self.restoring.steps, do)
