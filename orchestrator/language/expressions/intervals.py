"""What an expression can come to where its variables are known only by their least and greatest.

Interval arithmetic on the expression's text: sound (no value lies outside), but not sharp where a
variable stands in it twice (`x - x`).
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.syntax_trees import syntax_tree


@dataclass(frozen=True, slots=True)
class Interval:
    """All numbers from `low` to `high`, both included."""

    low: float
    high: float

    def __str__(self) -> str:
        """As messages show it."""
        return f"{self.low:.10g} … {self.high:.10g}"


def interval_of(text: str, variables: Mapping[str, object]) -> Interval | None:
    """What an expression comes to; None where that can't be said.

    Args:
        text: The expression, as `Operand.text` has it.
        variables: A number or an interval for each of its names.
    """
    try:
        return _interval(syntax_tree(text.strip(), "eval").body, variables)
    except (SyntaxError, ValueError, RecursionError, OverflowError):
        return None


def hull(values: list[object]) -> Interval | None:
    """The least interval with all of them in it; None where one is no number."""
    ends = [_as_interval(value) for value in values]
    known = [end for end in ends if end is not None]
    if not known or len(known) < len(ends):
        return None
    return _checked(min(e.low for e in known), max(e.high for e in known))


def _as_interval(value: object) -> Interval | None:
    if isinstance(value, Interval):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _checked(value, value)


def _checked(*ends: float) -> Interval | None:
    """The interval that holds these, None where one is infinite or NaN."""
    if not all(math.isfinite(end) for end in ends):
        return None
    return Interval(float(min(ends)), float(max(ends)))


def _interval(node: ast.expr, variables: Mapping[str, object]) -> Interval | None:
    match node:
        case ast.Constant(value=value):
            return _as_interval(value)
        case ast.Name(id=name):
            return _as_interval(variables.get(name))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _interval(operand, variables)
            return inner and Interval(-inner.high, -inner.low)
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _interval(left, variables), _interval(right, variables))
        case ast.Call(func=ast.Name(id="abs"), args=[argument]):
            return _absolute(_interval(argument, variables))
        case _:
            return None


def _binary(op: ast.operator, left: Interval | None, right: Interval | None) -> Interval | None:
    if left is None or right is None:
        return None
    pairs = [(a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
    match op:
        case ast.Add():
            return _checked(*(a + b for a, b in pairs))
        case ast.Sub():
            return _checked(*(a - b for a, b in pairs))
        case ast.Mult():
            return _checked(*(a * b for a, b in pairs))
        case ast.Div() if not right.low <= 0 <= right.high:
            return _checked(*(a / b for a, b in pairs))
        case _:
            return None


def _absolute(inner: Interval | None) -> Interval | None:
    if inner is None or not inner.low < 0 < inner.high:
        return inner and _checked(abs(inner.low), abs(inner.high))
    return Interval(0.0, max(-inner.low, inner.high))
