"""The step `parallel`: run steps at the same time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import Form, compile_step
from orchestrator.language.program.nodes import Node, Together, at_once, walk
from orchestrator.language.text.steps import Limited, Steps
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class ParallelStep(Form, Limited, verb="parallel"):
    """Run steps at the same time."""

    parallel: Steps
    """The branches; a `group` is a branch of several steps. The first failure cancels the others
    and is the error told. No two may put to one channel."""

    def compiled(self, path: Path, context: Context) -> ParallelNode:
        here = (*path, "parallel")
        inner = replace(context, in_passes=False)
        branches = [compile_step(s, (*here, i), inner) for i, s in enumerate(self.parallel)]
        return ParallelNode(*context.head(self, path, "parallel"), branches=tuple(branches))


@dataclass(frozen=True, slots=True)
class ParallelNode(Node):
    """Run steps at the same time; the first failure cancels the others."""

    branches: tuple[Node, ...]
    """Each with a scope of its own: a `let` in one is seen by no other."""

    puts = ()
    reads = ()
    evaluates = ()
    takes = at_once

    @property
    def inside(self) -> Together:
        return Together(self.branches)

    async def run(self, do: Doing) -> None:
        if any(inner.marks for inner in walk(self.branches)):
            do.course.mark(do.place, do.scope)  # all of it begins again: no way leads into a branch
        await do.course.together(self.branches, do.scope, do.place)
