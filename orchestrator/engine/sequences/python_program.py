"""A sequence written in Python, with the arguments of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.engine.sequences.registry import SequenceFunction
from orchestrator.language.program.nodes import Runnable
from orchestrator.types import Place, SourceText


@dataclass(frozen=True, slots=True)
class PythonProgram(Runnable):
    """The counterpart of `Program`: what it does is known only to itself."""

    function: SequenceFunction = field(kw_only=True)
    is_known = False

    def source(self, library: Any) -> SourceText:
        """Its module, as it was imported."""
        source: SourceText = library.python_source(self.name)
        return source

    async def run(self, runner: Any) -> None:
        """The function, in a room of its own."""
        await runner.python(self, Place())
