"""The step `record`: keep each update of channels while steps run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StrictStr

from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import Form, compile_list
from orchestrator.language.program.nodes import InOrder, Node, at_once
from orchestrator.language.text.findings import Strict
from orchestrator.language.text.steps import Steps
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class Record(Strict):
    """What is recorded, and during what."""

    channels: Annotated[tuple[StrictStr, ...], Field(min_length=1)]
    """Of each of these every update is kept, and first what it holds when the step begins."""
    do: Steps
    """The steps meanwhile."""


class RecordStep(Form, verb="record"):
    """Keep every update of channels while steps run, as time series beside the rows."""

    record: Record
    """Updates that come faster than the service looks at them are merged, unless their channels
    are marked `keep_all = true` in the configuration."""

    def compiled(self, path: Path, context: Context) -> RecordNode:
        here = (*path, "record")
        named = enumerate(self.record.channels)
        found = [context.channel((*here, "channels", i), text) for i, text in named]
        if None in found:
            context.notes.open_ended = True
        channels = tuple(dict.fromkeys(name for name in found if name))
        body = compile_list(self.record.do, (*here, "do"), context)
        return RecordNode(*context.head(self, path, "record"), channels=channels, body=body)


@dataclass(frozen=True, slots=True)
class RecordNode(Node):
    """Run a body once, and record meanwhile."""

    channels: tuple[str, ...]
    """Canonical names, each once."""
    body: tuple[Node, ...]

    puts = ()
    evaluates = ()
    takes = at_once

    @property
    def reads(self) -> tuple[str, ...]:
        return self.channels

    @property
    def records(self) -> tuple[str, ...]:
        return self.channels

    @property
    def inside(self) -> InOrder:
        return InOrder(self.body)

    async def run(self, do: Doing) -> None:
        if do.entry is not None:
            do.entry.branch()  # `record`, in front of `do`
        recording = do.world.sampler.recording(self.channels)
        try:
            await do.steps(self.body)
        finally:
            recording.close()
        recording.check()
