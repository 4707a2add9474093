"""A sequence written in Python, with the arguments of one run."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.engine.registry import SequenceFunction
from orchestrator.errors import CallError, OrchestratorError
from orchestrator.language.nodes import Node, Suspender
from orchestrator.language.operand import Operand

if TYPE_CHECKING:
    from orchestrator.engine.python import Run


@dataclass(frozen=True, slots=True)
class PythonProgram:
    """The counterpart of `Program`: what it does is known only to itself."""

    name: str
    description: str
    arguments: Mapping[str, object]
    function: SequenceFunction
    steps: tuple[Node, ...] = ()
    finally_: tuple[Node, ...] = ()
    suspend: tuple[Suspender, ...] = ()
    timeout: Operand | None = None
    reads: frozenset[str] = frozenset()
    """As of a `Program`; here not known before it runs."""
    writes: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()

    async def run(self, run: Run) -> None:
        """Run it.

        Raises:
            OrchestratorError: What a verb raised and the sequence let pass.
            CallError: It raised something else.
        """
        try:
            await self.function(run, **self.arguments)
        except OrchestratorError:
            raise
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename}:{place.lineno}"
            raise CallError(
                f"{self.name} raised {type(error).__name__} at {where}: {error}"
            ) from error
