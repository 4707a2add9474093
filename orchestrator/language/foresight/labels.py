"""Texts with which the expressions of a step compare enums, and that none of their values can be.

Such a comparison is never true, in silence: it is told before the run and, where a channel is known
only then, when it is evaluated (`Operand.evaluate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.nodes import (
    Comparison,
    Count,
    Listed,
    Node,
    Range,
    Retry,
    Suspender,
    Target,
    While,
)
from orchestrator.language.values.compare import unknown_label
from orchestrator.types import Metadata

_MADE_OF_OPERANDS = Comparison | Count | Listed | Range | Retry | Target | While


def misspelt(of: Node | Suspender, metadata: Callable[[str], Metadata | None]) -> Iterator[str]:
    """What is wrong with the comparisons of a step or suspender, those of steps inside it left out.

    Args:
        of: The step or suspender.
        metadata: What is known of a channel.
    """
    for part in fields(of):
        for operand in _operands(getattr(of, part.name)):
            for channel, text in sorted(operand.compared):
                if wrong := unknown_label(channel, text, metadata(channel)):
                    yield f"`{operand.text}`: {wrong}"


def _operands(value: object) -> Iterator[Operand]:
    match value:
        case Operand():
            yield value
        case tuple():
            for item in value:
                yield from _operands(item)
        case _ if isinstance(value, _MADE_OF_OPERANDS):
            for part in fields(value):
                yield from _operands(getattr(value, part.name))
