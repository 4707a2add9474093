"""The step `checkpoint`: where a rewind starts again."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import StrictStr

from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, at_once
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class CheckpointStep(Form, verb="checkpoint"):
    """Mark a place to which a suspender can rewind while its sub-sequence runs."""

    WORD = "`checkpoint`, without a name."

    checkpoint: StrictStr
    """Its name; a checkpoint without one is just `- checkpoint`."""

    def compiled(self, path: Path, context: Context) -> CheckpointNode:
        name = context.fixed((*path, "checkpoint"), self.checkpoint) or ""
        return CheckpointNode(*context.head(self, path, f"checkpoint {name}".rstrip()), name=name)


@dataclass(frozen=True, slots=True)
class CheckpointNode(Node):
    """Where a rewind starts again."""

    name: str
    """Empty where it has none."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once
    marks = True

    async def run(self, do: Doing) -> None:
        do.course.mark(do.place, do.scope)
