"""The step `set`: put one value or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Discriminator, Field, Tag

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context, positive
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, Timing
from orchestrator.language.program.parts import Put
from orchestrator.language.text.field_kinds import Amount
from orchestrator.language.text.findings import Strict
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing
from orchestrator.verbs.puts import Target, make_put


class SetOne(Target):
    """A single put."""

    timeout: Amount = 10
    """s for all of it."""


class SetAll(Strict):
    """Several puts, started together and awaited together."""

    all: Annotated[tuple[Target, ...], Field(min_length=1)]
    """The puts, each to another channel."""
    timeout: Amount = 10
    """s for all of them."""


def _one_or_all(value: object) -> str:
    several = isinstance(value, SetAll) or (isinstance(value, dict) and "all" in value)
    return "<all>" if several else "<one>"


class SetStep(Form, verb="set"):
    """Put values to channels."""

    VARIES = frozenset({"value"})

    set: Annotated[
        Annotated[SetOne, Tag("<one>")] | Annotated[SetAll, Tag("<all>")],
        Discriminator(_one_or_all),
    ]
    """Put, and wait for the put-callback and for the readback where there is one, within one
    timeout. Limits and write access are looked at first."""

    def compiled(self, path: Path, context: Context) -> SetNode:
        here = (*path, "set")
        if isinstance(self.set, SetAll):
            given = [_target(t, (*here, "all", i), context) for i, t in enumerate(self.set.all)]
            _check_distinct(given, (*here, "all"), context)
        else:
            given = [_target(self.set, here, context)]
        targets = tuple(target for target in given if target is not None)
        return SetNode(
            *context.head(self, path, f"set {', '.join(target.pv for target in targets)}"),
            targets=targets,
            timeout=context.amount((*here, "timeout"), self.set.timeout, positive),
        )


def _target(target: Target, path: Path, context: Context) -> Put | None:
    return make_put(target, path, context, context.value((*path, "value"), target.value))


def _check_distinct(targets: list[Put | None], path: Path, context: Context) -> None:
    seen: set[str] = set()
    for i, target in enumerate(targets):
        if target is not None and target.record in seen:
            context.find((*path, i, "pv"), f"{target.pv} is set twice in one step")
        seen |= {target.record} if target is not None else set()


@dataclass(frozen=True, slots=True)
class SetNode(Node):
    """Put one value or several at the same time."""

    targets: tuple[Put, ...]
    timeout: Operand
    """s for all of them, a float > 0."""

    reads = ()
    evaluates = ()
    inside = NO_STEPS

    @property
    def puts(self) -> tuple[Put, ...]:
        return self.targets

    def takes(self, known: Timing) -> float:
        return known.puts(self.targets)

    async def run(self, do: Doing) -> None:
        await do.put(self.targets, self.timeout)
