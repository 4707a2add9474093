"""A sequence written in Python, with the arguments of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.engine.sequences.registry import SequenceFunction
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.nodes import Node, Suspender


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
