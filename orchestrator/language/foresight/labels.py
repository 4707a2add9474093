"""Texts with which the expressions of a step compare enums, and that none of their values can be.

Such a comparison is never true, in silence: it is told before the run and, where a channel is known
only then, when it is evaluated (`Operand.evaluate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator.language.program.nodes import Node, Suspender, operands_in
from orchestrator.language.values.compare import unknown_label
from orchestrator.types import Metadata


def misspelt(of: Node | Suspender, metadata: Callable[[str], Metadata | None]) -> Iterator[str]:
    """What is wrong with the comparisons of a step or suspender, those of steps inside it left out.

    Args:
        of: The step or suspender.
        metadata: What is known of a channel.
    """
    for operand in operands_in(of):
        for channel, text in sorted(operand.compared):
            if wrong := unknown_label(channel, text, metadata(channel)):
                yield f"`{operand.text}`: {wrong}"
