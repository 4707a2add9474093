"""The step `call`: call a function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.names import suggestion
from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.compiler import arguments
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, Timing
from orchestrator.language.text.field_kinds import (
    AnyValue,
    Argument,
    Identifier,
    OrText,
    Reference,
    WaitTimeout,
)
from orchestrator.language.text.findings import Strict
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing


class Call(Strict):
    """A registered function and what it is given."""

    function: Reference
    """Its name, as it is registered."""
    args: dict[Argument, AnyValue] = Field(default_factory=dict)
    """By the names of its parameters."""
    timeout: WaitTimeout | None = None
    """s; by default as long as it takes."""
    as_: Identifier | None = Field(None, alias="as")
    """Names the result for the rest of the enclosing list."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        return {"function": data} if isinstance(data, str) else data


class CallStep(Form, verb="call"):
    """Call a Python function that is registered in code or by the configuration."""

    call: Annotated[Call, OrText("The function's name.")]
    """A blocking function runs in a thread."""

    def compiled(self, path: Path, context: Context) -> CallNode:
        here = (*path, "call")
        call = self.call
        functions = context.shared.library.functions()
        if call.function not in functions:
            hint = suggestion(call.function, functions, kind="functions")
            nothing = "" if functions else "; none are registered"
            left_out = context.shared.library.left_out()
            context.find(here, f"unknown function {call.function!r}{hint}{nothing}{left_out}")
        return CallNode(
            *context.head(self, path, f"call {call.function}"),
            function=call.function,
            args=arguments(call.args, here, context),
            timeout=context.timeout((*here, "timeout"), call.timeout),
            variable=call.as_,
        )


@dataclass(frozen=True, slots=True)
class CallNode(Node):
    """Call a registered Python function."""

    function: str
    args: tuple[tuple[str, Operand], ...]
    """By the names of its parameters."""
    timeout: Operand | None
    """s, a float > 0; None = for ever."""
    variable: str | None
    """Bound to the result for the rest of the list (the field `as`)."""

    puts = ()
    reads = ()
    evaluates = ()
    inside = NO_STEPS

    @property
    def binds(self) -> tuple[tuple[str, Operand | None], ...]:
        return () if self.variable is None else ((self.variable, None),)

    @property
    def calls(self) -> tuple[str, ...]:
        return (self.function,)

    def takes(self, known: Timing) -> float:
        return known.count("calls")

    async def run(self, do: Doing) -> None:
        args = {name: await do.evaluate(operand) for name, operand in self.args}
        timeout = await do.limit(self.timeout)
        try:
            result = await do.course.call(self.function, args, timeout)
        finally:
            do.world.outdated()
        if self.variable is not None:
            do.bind(self.variable, result)
