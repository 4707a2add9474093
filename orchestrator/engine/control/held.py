"""What holds a wait up: told while it lasts, rather than at the wait's timeout only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias

from orchestrator.task_context import place_here, place_text
from orchestrator.types import Path, Severity

_AFTER = 3.0
"""s for which something is held up before that is told, and between two times that it is."""

Reasons: TypeAlias = Callable[[], list[str]]
"""What holds something up now; empty where it only waits for its value."""


class HeldUp:
    """Watches the waits of one run; whoever reports its progress calls `look` now and then."""

    def __init__(self, clock: Callable[[], float], tell: Callable[[str, Severity], None]) -> None:
        """`clock`: the run's, in s, so that nothing is told while the run is paused."""
        self._clock = clock
        self._tell = tell
        self._watched: dict[HeldWait, None] = {}

    def waiting(self, reasons: Reasons, what: str = "") -> HeldWait:
        """Around a wait; `what` waits, for people: the step of the caller unless given."""
        return HeldWait(self._watched, reasons, self._clock, _Named(self._tell, what, place_here()))

    def following(
        self, reasons: Reasons, say: Callable[[str], None], clock: Callable[[], float], told: str
    ) -> HeldWait:
        """Around what tells of its reasons itself.

        Args:
            reasons: What they are now.
            say: Called with them where they have become others.
            clock: By which they have done so for a while, in s.
            told: Those that have been told already.
        """
        return HeldWait(self._watched, reasons, clock, say, told)

    def look(self) -> None:
        """Tell what has been held up for long enough, and where the reasons are others now."""
        for watched in list(self._watched):
            watched.look()


@dataclass(frozen=True, slots=True)
class _Named:
    """Tells of one wait; its name is made only where there is something to tell."""

    tell: Callable[[str, Severity], None]
    what: str
    here: tuple[Path, str]
    """The step, where `what` is empty."""

    def __call__(self, reasons: str) -> None:
        what = self.what or place_text(*self.here)
        if reasons:
            self.tell(f"{what} is held up: {reasons}", Severity.MINOR)
        else:
            self.tell(f"{what} is no longer held up", Severity.NO_ALARM)


class HeldWait:
    """The scope of one wait."""

    __slots__ = ("_all", "_clock", "_reasons", "_say", "_since", "_told")

    def __init__(
        self,
        all_: dict[HeldWait, None],
        reasons: Reasons,
        clock: Callable[[], float],
        say: Callable[[str], None],
        told: str = "",
    ) -> None:
        """Made by `HeldUp`."""
        self._all = all_
        self._reasons = reasons
        self._clock = clock
        self._say = say
        self._told = told
        self._since = 0.0

    def look(self) -> None:
        """Tell its reasons where they have not been what was told for a while."""
        reasons, now = "; ".join(self._reasons()), self._clock()
        if reasons == self._told:
            self._since = now
        elif now - self._since >= _AFTER:
            self._told, self._since = reasons, now
            self._say(reasons)

    def __enter__(self) -> None:
        self._since = self._clock()
        self._all[self] = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self._all[self]
        if kind is None and self._told:
            self._say("")  # what was told must not stand there as if it were so
