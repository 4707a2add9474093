"""What a document or a group puts back at its end: values on entering, and steps that put them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.language.expressions.operand import Operand, reading
from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import compile_step
from orchestrator.language.program.nodes import Node
from orchestrator.language.text.restore import Restored, RestoredTogether, ToRestore
from orchestrator.language.text.steps import VERBS
from orchestrator.types import Path


@dataclass(frozen=True, slots=True)
class Restoring:
    """What is remembered on entering, and the steps that put it back."""

    values: tuple[tuple[str, Operand], ...] = ()
    """Names that no document can have, with what is remembered by them."""
    steps: tuple[Node, ...] = ()
    """In the order in which they run: what stands last is put back first."""


NOTHING_BACK = Restoring()
_RESTORED = "_restored"


def is_restored(name: str) -> bool:
    """Whether a name is one of those by which a value is remembered that is to be put back."""
    return name.startswith(_RESTORED)


def compile_restore(
    given: Sequence[Restored | RestoredTogether], path: Path, context: Context
) -> Restoring:
    """Make steps `set` of what is to be put back."""
    values: list[tuple[str, Operand]] = []
    steps: list[Node] = []
    for index, item in enumerate(given):
        own = item.group if isinstance(item, RestoredTogether) else (item,)
        here = (*path, index)
        names = [_remembered(one, (*here, i), context, values) for i, one in enumerate(own)]
        fields = [one.put(f"$({name})") for one, name in zip(own, names, strict=True) if name]
        if not fields:
            continue  # known later
        timeout = {"timeout": item.timeout}
        put = {"all": fields} if isinstance(item, RestoredTogether) else fields[0]
        shown = ", ".join(one.pv for one in own)
        step = VERBS["set"].model_validate({"set": put | timeout, "name": f"restore {shown}"})
        inner = context.bound(*(name for name in names if name))
        steps.append(compile_step(step, here, inner))
    return Restoring(tuple(values), tuple(reversed(steps)))


def _remembered(
    item: ToRestore, path: Path, context: Context, values: list[tuple[str, Operand]]
) -> str:
    """The name by which a value is remembered; empty where its channel is known only later."""
    channel = context.channel((*path[:-1], "pv"), item.pv)
    if not channel:
        return ""
    name = "_".join([_RESTORED, *map(str, path)])
    context.notes.reads.add(channel)
    values.append((name, reading(channel)))
    return name
