"""What a step waits for, and which values it accepts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from orchestrator.types import Reading


@dataclass(frozen=True, slots=True)
class Accept:
    """What a step accepts beyond confirmed values without an INVALID alarm."""

    restart: bool = False
    """The first value after a reconnection."""
    invalid: bool = False
    """A value whose alarm is INVALID."""


NOTHING_MORE = Accept()


@cache
def accepted(*, restart: bool, invalid: bool) -> Accept:
    """What a step accepts; there are but four."""
    return Accept(restart, invalid)


def _nothing() -> None:
    """There is nothing to take."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a `wait` waits for."""

    text: str
    """As people read it, for error texts."""
    channels: tuple[str, ...]
    """The channels of which an update may change it."""
    met: Callable[[], bool]
    """Whether it holds on the world as it is now; raises UnmetError where a value does not count.
    """
    accept: Accept = NOTHING_MORE
    timed: bool = False
    """It changes by itself as time goes by: it asks for the `age` of a channel."""
    reads: frozenset[str] = frozenset()
    """Those of the channels whose readings it needs; of the others it asks only whether they are
    connected.
    """
    took: Callable[[], None] = _nothing
    """Called by who has waited until it came true: takes the latches that it has looked at."""
    seen: Callable[[], list[Reading]] | None = None
    """The readings by which it came true, where these are not its channels' last."""
    begun: Callable[[], Condition] | None = None
    """Where it counts from a value: what it is from now on, counted from the value now.

    Raises:
        NotConnectedError: There is no value to count from.
    """


@dataclass(frozen=True, slots=True)
class How:
    """How a condition has to come true."""

    hold: float = 0.0
    """s for which it has to hold without a break."""
    edge: bool = False
    """It has to become true after the step began."""
    fail_when_lost: bool = False
    """A disconnected channel whose reading is needed is an error rather than a reason to wait."""
    fails_without: frozenset[str] = frozenset()
    """The same of these channels alone."""


@dataclass(frozen=True, slots=True)
class Next:
    """Which updates are taken one by one."""

    accept: Accept = NOTHING_MORE
    drop: bool = False
    """Whether those that were lost are told only, rather than an error."""
