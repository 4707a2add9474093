"""The step `ask`: ask the operators, and take their answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand, constant_value
from orchestrator.language.program.compile_context import UNKNOWN, Context, some
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, Timing
from orchestrator.language.text.answers import checked_answer
from orchestrator.language.text.field_kinds import Amount, Identifier, OneValue, OrValue, Several
from orchestrator.language.text.findings import Strict, expected
from orchestrator.language.values.operations import Fault, described
from orchestrator.types import Asked, Path
from orchestrator.types.events import AnswerKind, Scalar
from orchestrator.verbs.doing import Doing


class Ask(Strict):
    """A question."""

    text: OneValue
    """What is asked; text as in `log`."""
    choices: Several | None = None
    """The only answers."""
    type: Literal["float", "int", "str", "bool"] | None = None
    """What kind of value answers it, where that is none of `choices`."""
    min: Amount | None = None
    """The least number that is an answer."""
    max: Amount | None = None
    """The greatest number that is one."""
    as_: Identifier | None = Field(None, alias="as")
    """Names the answer for the rest of the enclosing list."""
    timeout: Amount | None = None
    """s within which it has to be answered; by default it waits for ever."""
    default: OneValue | None = None
    """The answer where there is none in time, and to an empty one; without it that is a failure."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        if isinstance(data, list | tuple):
            raise ValueError(expected("a single value or a mapping", data))
        return data if isinstance(data, dict | Ask) else {"text": data}

    @model_validator(mode="after")
    def _one_kind(self) -> Ask:
        if self.choices is not None and self.type is not None:
            raise ValueError("takes 'choices' or 'type', not both: a choice has its own type")
        if self.choices is None and self.type is None:
            for field in ("min", "max", "timeout", "default", "as_"):
                if getattr(self, field) is not None:
                    name = field.rstrip("_")
                    raise ValueError(f"{name!r} does nothing without 'choices' or 'type'")
        elif self.as_ is None:
            raise ValueError("needs 'as', which names the answer")
        bounds = self.min is not None or self.max is not None
        if bounds and self.type not in ("float", "int"):
            raise ValueError("'min' and 'max' are for the types float and int")
        return self


class AskStep(Form, verb="ask"):
    """Ask the operators."""

    ask: Annotated[Ask, OrValue()]
    """Without `choices` and `type` the run is paused until it is resumed. With them the step waits
    for the answer, the first of which counts; other branches go on. See `QUESTION`, `ANSWER`."""

    def compiled(self, path: Path, context: Context) -> AskNode:
        ask, here = self.ask, (*path, "ask")
        plain = not ask.model_fields_set - {"text"}
        of_text = here if plain else (*here, "text")
        bounds = {
            name: None if value is None else context.amount((*here, name), value, _number)
            for name, value in (("min", ask.min), ("max", ask.max))
        }
        choices = ask.choices
        node = AskNode(
            *context.head(self, path, f"ask {template.as_text(ask.text)}"),
            text=context.text(of_text, ask.text),
            kind=ask.type or "",
            choices=None if choices is None else context.amount((*here, "choices"), choices, some),
            least=bounds["min"],
            most=bounds["max"],
            default=None if ask.default is None else context.value((*here, "default"), ask.default),
            timeout=context.timeout((*here, "timeout"), ask.timeout),
            variable=ask.as_,
        )
        _check_default(node, here, context)
        return node


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Fault(f"has to be a number, not {described(value)}")
    return value


def _check_default(node: AskNode, path: Path, context: Context) -> None:
    """A default that is no answer is told before the run, where all is known by then."""
    given = node.evaluates
    if node.default is not None and UNKNOWN not in given and all(o.constant for o in given):
        values = {operand: constant_value(operand) for operand in given}
        context.attempt((*path, "default"), lambda: node.asked("it", values), None)


@dataclass(frozen=True, slots=True)
class AskNode(Node):
    """Ask the operators."""

    text: Operand
    """A str."""
    kind: AnswerKind
    """The type of the answer; empty where there are choices, or where it takes no value."""
    choices: Operand | None
    """A list."""
    least: Operand | None
    """A number."""
    most: Operand | None
    """A number."""
    default: Operand | None
    """The answer where there is none."""
    timeout: Operand | None
    """s, a float > 0; None = for ever."""
    variable: str | None
    """Bound to the answer."""

    puts = ()
    reads = ()
    inside = NO_STEPS

    @property
    def evaluates(self) -> tuple[Operand, ...]:
        parts = (self.choices, self.least, self.most, self.default)
        return tuple(part for part in parts if part is not None)

    @property
    def binds(self) -> tuple[tuple[str, Operand | None], ...]:
        return () if self.variable is None else ((self.variable, None),)

    def takes(self, known: Timing) -> float:
        return known.count("questions")

    def asked(
        self, text: str, values: Mapping[Operand, object], timeout: float | None = None
    ) -> Asked:
        """The question with the values that its operands have.

        Raises:
            InputError: Its default is no answer to it.
        """
        choices, least, most, default = (
            None if operand is None else values[operand]
            for operand in (self.choices, self.least, self.most, self.default)
        )
        options = tuple(choices) if isinstance(choices, list | np.ndarray) else ()
        kind = self.kind or (_kind_of(options) if options else "")
        bounds = _bound(least), _bound(most)
        question = Asked(text, kind, options, *bounds, timeout=timeout)
        if default is None:
            return question
        answer = checked_answer(question, default)
        assert isinstance(answer, Scalar)  # noqa: S101 - no question takes anything else
        return replace(question, default=answer)

    async def run(self, do: Doing) -> None:
        values = {operand: await do.evaluate(operand) for operand in self.evaluates}
        text = str(await do.value(self.text))
        answer = await do.world.ask(self.asked(text, values, await do.limit(self.timeout)))
        if self.variable is not None and answer is not None:
            do.bind(self.variable, answer)


def _bound(value: object) -> float | None:
    return value if isinstance(value, int | float) else None


def _kind_of(choices: tuple[object, ...]) -> AnswerKind:
    """The type that all of these have, `str` of several."""
    if all(isinstance(choice, bool) for choice in choices):
        return "bool"
    if any(isinstance(choice, bool | str) for choice in choices):
        return "str"
    return "int" if all(isinstance(choice, int) for choice in choices) else "float"
