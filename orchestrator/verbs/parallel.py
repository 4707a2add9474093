"""The step `parallel`: run steps at the same time."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.language.program.compiling import compile_step
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import Node, Together, at_once
from orchestrator.language.program.scope import Context
from orchestrator.language.text.steps import Steps
from orchestrator.types import Path


class ParallelStep(Form, verb="parallel"):
    """Run steps at the same time."""

    parallel: Steps
    """The branches; a `group` is a branch of several steps. The first failure cancels the others
    and is the error told. No two may put to one channel."""

    def compiled(self, path: Path, context: Context) -> ParallelNode:
        """See `Form`."""
        here = (*path, "parallel")
        branches = [compile_step(s, (*here, i), context) for i, s in enumerate(self.parallel)]
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
        """Its branches."""
        return Together(self.branches)
