"""Answers to what a step `ask` asks: which are right, and what is said of the others."""

from __future__ import annotations

from orchestrator.errors import InputError
from orchestrator.language.text.arguments import allowed, taken
from orchestrator.language.text.document import Parameter
from orchestrator.types import Asked


def answer_of(question: Asked, text: str) -> object:
    """The value that a text answers a question with; None where that takes none.

    An empty text is the default.

    Raises:
        InputError: It is no answer to it; tells what would be.
    """
    given = text.strip()
    if not question.takes_a_value:
        if given:
            raise InputError(f"{question.text!r} takes no value: answer without one to go on")
        return None
    if not given and question.default is not None:
        return question.default
    return checked_answer(question, given)


def checked_answer(question: Asked, given: object) -> object:
    """A value as a question takes it; raises as `answer_of`."""
    for choice in question.choices:
        if given == choice or given == _spelt(choice):
            return choice
    wrong = InputError(f"{question.text!r} takes {right_answers(question)}, not {given!r}")
    if question.choices or given == "":
        raise wrong
    return taken(f"{question.text!r}", _as_parameter(question), given)


def right_answers(question: Asked) -> str:
    """What a question takes, for people: `one of A, B`, `a number from 1 to 5`; may be empty."""
    return allowed(_as_parameter(question)) if question.takes_a_value else ""


def _spelt(choice: object) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def _as_parameter(question: Asked) -> Parameter:
    return Parameter.model_construct(
        type=question.kind or None,
        min=question.least,
        max=question.most,
        choices=question.choices or None,
    )
