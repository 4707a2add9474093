"""What a value is compared by: of steps and of channels alike."""

from __future__ import annotations

from enum import StrEnum


class Relation(StrEnum):
    """What `wait` compares by; named as its fields."""

    EQUALS = "equals"
    NOT = "not"
    ABOVE = "above"
    AT_LEAST = "at_least"
    BELOW = "below"
    AT_MOST = "at_most"
    BETWEEN = "between"
    IN = "in"
    INCREASE_BY = "increase_by"
    """At or above the value when the step began plus the operand."""
    DECREASE_BY = "decrease_by"
    """At or below the value when the step began minus the operand."""
