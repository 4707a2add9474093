"""Values that are known, or that are found out when they are needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NoReturn, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.errors import ExpressionError, InputError, OrchestratorError
from orchestrator.language.values.operations import Fault, described, plain, truth


class Environment(Protocol):
    """The world that an expression sees; does not change while one is evaluated."""

    def variable(self, name: str) -> object:
        """The value of a loop variable or `let` name."""

    def channel(self, name: str) -> object:
        """A channel's value, an enum as its label; raises where it is disconnected."""

    def check_label(self, name: str, text: str) -> None:
        """Raise Fault where a channel is an enum, and a text none of its labels."""

    def connected(self, name: str) -> bool:
        """Whether a channel is connected."""

    def severity(self, name: str) -> int:
        """A channel's alarm severity, 0 … 3."""

    def age(self, name: str) -> float:
        """Seconds since a channel's last update."""

    def timestamp(self, name: str) -> float:
        """The stamp of a channel's value, by its IOC's clock: s since 1970."""

    def changed(self, name: str) -> bool:
        """Whether a channel's value has changed since what evaluates this began."""

    def latched(self, name: str) -> bool:
        """Whether a latch is set; it is taken by that."""

    def now(self) -> float:
        """The time by our own clock: s since 1970."""

    def elapsed(self) -> float:
        """Seconds since the run began, pauses left out."""

    def index(self, name: str) -> int:
        """An enum's index."""

    def data(self, name: str) -> npt.NDArray[np.float64]:
        """This run's samples of a channel so far, shape (n_points,); empty before the first."""


Code: TypeAlias = Callable[[Environment], object]


@dataclass(frozen=True, slots=True)
class Operand:
    """A value that is known, or that is found out when it is needed."""

    text: str
    """As it stands in the document, for messages."""
    code: Code = field(repr=False, compare=False)
    """Computes it; use `evaluate`."""
    constant: bool = False
    """Whether it is the same in every environment."""
    channels: frozenset[str] = frozenset()
    """Canonical names of the channels whose readings it needs."""
    ages: frozenset[str] = frozenset()
    """Those of `channels` of which it asks only how old their last update is: reading them anew
    would tell nothing, and of a server that does not answer it would wait for that."""
    links: frozenset[str] = frozenset()
    """Canonical names of the channels of which it asks only whether they are connected."""
    data: frozenset[str] = frozenset()
    """Canonical names of the channels whose samples it needs."""
    variables: frozenset[str] = frozenset()
    """The loop variables and `let` names that it needs."""
    timed: bool = False
    """Whether it changes by itself as time goes by: it asks for an age, `now()` or `elapsed()`."""
    compared: frozenset[tuple[str, str]] = frozenset()
    """Canonical names of the channels that it compares with texts, each with such a text: one of
    its labels if it is an enum."""
    parameters: frozenset[str] = frozenset()
    """The names known beforehand that it was made with; its value has theirs in it already."""
    changed: frozenset[str] = frozenset()
    """Canonical names of the channels of which it asks whether they have changed."""
    latches: frozenset[str] = frozenset()
    """The latches that it asks for."""

    @property
    def asks_the_run(self) -> bool:
        """Whether it needs more than the values of names: channels, samples or the time."""
        return bool(self.channels or self.links or self.data or self.timed or self.latches)

    def evaluate(self, env: Environment) -> object:
        """The value: bool, int, float, str, list, or numpy array of shape (n,).

        Raises:
            ExpressionError: It can't be computed from these values; the text names them.
        """
        try:
            for channel, text in self.compared:
                env.check_label(channel, text)
            return plain(self.code(env))
        except Fault as fault:
            raise ExpressionError(self._told(str(fault), env)) from fault
        except ZeroDivisionError as error:
            raise ExpressionError(self._told("division by zero", env)) from error
        except OverflowError as error:
            raise ExpressionError(self._told("the result is too large", env)) from error

    def _told(self, reason: str, env: Environment) -> str:
        values = [f"{name} = {_value(env.variable(name))}" for name in sorted(self.variables)]
        for name in sorted(self.channels):
            # What can't be read would hide the error that is told here.
            with contextlib.suppress(OrchestratorError):
                values.append(f"{name} = {_value(env.channel(name))}")
        shown = f" ({', '.join(values)})" if values else ""
        return f"{shortened(self.text)}: {reason}{shown}"


def constant(value: object, text: str | None = None) -> Operand:
    """An operand that is always `value`."""
    shown = repr(value) if text is None else text
    if isinstance(value, bool | int | float | str):
        return _shared(value, shown)
    return Operand(shown, lambda _env: value, constant=True)


@lru_cache(maxsize=4096, typed=True)
def _shared(value: float | str, text: str) -> Operand:
    """One for all places with the same constant.

    A document of thousands of steps has the same few again and again (timeouts, settle times), and
    each operand by itself would be four more objects for the garbage collector to look through.
    `text` is a part of it, as 0.0 and -0.0 are equal.
    """
    return Operand(text, lambda _env: value, constant=True)


def reading(name: str) -> Operand:
    """What a channel holds, an enum as its label, by its canonical name."""
    return Operand(name, lambda env: env.channel(name), channels=frozenset({name}))


class _NoEnvironment:
    """The environment of constants: they ask it for nothing."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"a constant asked for {name}")


def latch_key(name: str) -> str:
    """The name, which no document can have, by which a latch is bound where it is known."""
    return f"$latch {name}"


NOWHERE: Environment = _NoEnvironment()
"""The environment of constants."""


def constant_value(operand: Operand) -> object:
    """The value of a constant operand.

    Raises:
        ExpressionError: It can't be computed.
    """
    return operand.evaluate(NOWHERE)


def as_condition(operand: Operand) -> Operand:
    """The same operand with a bool as its value.

    Raises:
        InputError: It is a constant that is neither true nor false.
    """
    code = operand.code
    condition = _with_code(operand, lambda env: truth(code(env)))
    return folded(condition) if condition.constant else condition


def _with_code(operand: Operand, code: Code) -> Operand:
    return replace(operand, code=code)


def checked(operand: Operand, check: Callable[[object], object]) -> Operand:
    """The same operand, its value passed through `check`, which may raise Fault.

    Raises:
        InputError: It is a constant that does not pass.
    """
    code = operand.code
    result = _with_code(operand, lambda env: check(plain(code(env))))
    return folded(result) if result.constant else result


def made_with(parameters: frozenset[str], operand: Operand) -> Operand:
    """The operand, which was made with these names."""
    return replace(operand, parameters=parameters) if parameters else operand


def folded(operand: Operand) -> Operand:
    """A constant operand with its value computed once.

    Raises:
        InputError: It can't be computed.
    """
    try:
        value = constant_value(operand)
    except ExpressionError as error:
        raise InputError(str(error)) from error
    return made_with(operand.parameters, constant(value, operand.text))


def shortened(text: str) -> str:
    """An expression as messages show it."""
    text = " ".join(text.split())
    return f"`{text}`" if len(text) <= 80 else f"`{text[:77]}…`"


def _value(value: object) -> str:
    value = plain(value)
    if isinstance(value, np.ndarray | list) or (isinstance(value, str) and len(value) > 60):
        return described(value)
    return repr(value)
