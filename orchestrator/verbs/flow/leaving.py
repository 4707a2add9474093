"""The steps `break`, `continue`, `end` and `fail`: leave a loop, a pass, a sequence early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import Field, PlainValidator, WithJsonSchema

from orchestrator.errors import FailedError
from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, at_once
from orchestrator.language.program.parts import Leaves
from orchestrator.language.text.field_kinds import OneValue
from orchestrator.language.values.operations import described
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class LeaveLoop(BaseException):
    """A `break`: what comes next is behind the innermost loop."""


class NextPass(BaseException):
    """A `continue`: what comes next is the next pass of the innermost loop."""


class EndSequence(BaseException):
    """An `end`: the sequence is over, as a success."""


def _alone(value: object) -> str:
    if value != "":
        raise ValueError(f"takes nothing, not {described(value)}: the step is the word alone")
    return ""


Nothing: TypeAlias = Annotated[str, PlainValidator(_alone), WithJsonSchema({"const": ""})]


def _in_loop(word: str, path: Path, context: Context) -> None:
    if not context.in_passes:
        context.find(path, f"{word!r} stands in no loop, or leads out of a branch of a parallel")


class BreakStep(Form, verb="break"):
    """Leave the innermost loop; the step behind it is the next."""

    WORD = "`break`."

    break_: Nothing = Field(alias="break")
    """Stands in the steps of a `loop` or `nested`; it can't lead out of a `parallel`."""

    def compiled(self, path: Path, context: Context) -> BreakNode:
        """See `Form`."""
        _in_loop("break", path, context)
        return BreakNode(*context.head(self, path, "break"))


@dataclass(frozen=True, slots=True)
class BreakNode(Node):
    """Leave the innermost loop."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once
    leaves = Leaves.LOOP

    async def run(self, do: Doing) -> None:  # noqa: ARG002 - as all have it
        """Leave."""
        raise LeaveLoop


class ContinueStep(Form, verb="continue"):
    """Go on with the next pass of the innermost loop."""

    WORD = "`continue`."

    continue_: Nothing = Field(alias="continue")
    """As `break`."""

    def compiled(self, path: Path, context: Context) -> ContinueNode:
        """See `Form`."""
        _in_loop("continue", path, context)
        return ContinueNode(*context.head(self, path, "continue"))


@dataclass(frozen=True, slots=True)
class ContinueNode(Node):
    """Go on with the next pass."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once
    leaves = Leaves.NEXT

    async def run(self, do: Doing) -> None:  # noqa: ARG002 - as all have it
        """Go on."""
        raise NextPass


class EndStep(Form, verb="end"):
    """End the sequence as a success; what one of its branches does is cancelled."""

    WORD = "`end`, without a text."

    end: OneValue
    """Why, told as by `log`. Its finalisers run; a sequence around it, which has run it, goes
    on."""

    def compiled(self, path: Path, context: Context) -> EndNode:
        """See `Form`."""
        if context.finalising:
            context.find(path, "'end' does nothing among finalisers: each of them runs")
        text = None if self.end == "" else context.text((*path, "end"), self.end)
        return EndNode(*context.head(self, path, f"end {template.as_text(self.end)}"), text=text)


@dataclass(frozen=True, slots=True)
class EndNode(Node):
    """End the sequence as a success."""

    text: Operand | None
    """A str."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once
    leaves = Leaves.SEQUENCE

    async def run(self, do: Doing) -> None:
        """Tell why, and end it."""
        if self.text is not None:
            do.world.tell(str(await do.value(self.text)))
        raise EndSequence


class FailStep(Form, verb="fail"):
    """Fail: the error goes the way of any other."""

    fail: OneValue
    """Why; text as in `log`."""

    def compiled(self, path: Path, context: Context) -> FailNode:
        """See `Form`."""
        text = context.text((*path, "fail"), self.fail)
        return FailNode(*context.head(self, path, "fail"), text=text)


@dataclass(frozen=True, slots=True)
class FailNode(Node):
    """Fail."""

    text: Operand
    """A str."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS
    takes = at_once
    leaves = Leaves.FAILING

    async def run(self, do: Doing) -> None:
        """Fail.

        Raises:
            FailedError: Always.
        """
        raise FailedError(str(await do.value(self.text)))
