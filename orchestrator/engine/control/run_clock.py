"""The clock of one run, which stands still while the run is held and nothing moves."""

from __future__ import annotations

import asyncio

from orchestrator.engine.control.step_scope import OpenScopes, StepScope
from orchestrator.timers import DeadlineTimer


class RunClock:
    """Tells the time of a run, and ends the scopes whose time is up."""

    def __init__(self, scopes: OpenScopes) -> None:
        self._scopes = scopes
        self._deadlines = DeadlineTimer(self._expire)
        self._loop_time = asyncio.get_running_loop().time
        self._still_since = 0.0
        self._still_total = 0.0
        self.is_still = False
        """Whether it stands still: for all, or for all but the finalisers."""
        self._for_all = False
        self.moved = self._loop_time()
        """When something of the run moved last, by the loop's clock."""

    @property
    def now(self) -> float:
        """S, from some beginning."""
        return self._loop_time() - self.stood_still

    @property
    def stood_still(self) -> float:
        """Seconds for which it has stood still so far."""
        if not self.is_still:
            return self._still_total
        return self._still_total + self._loop_time() - self._still_since

    def touch(self) -> None:
        """Something moved: the run is not hung."""
        self.moved = self._loop_time()

    def hold(self, still: bool, *, for_all: bool) -> None:
        """Stand still or go on; not `for_all`: the scopes of finalisers go on in any case."""
        now = self._loop_time()
        if self.is_still != still:
            self.is_still = still
            if still:
                self._still_since = now
            else:
                self._still_total += now - self._still_since
        self._for_all = for_all
        for scope in self._scopes:
            self._set(scope, now)

    def begin(self, scope: StepScope) -> None:
        """A scope is entered."""
        self._set(scope, self._loop_time())

    def close(self) -> None:
        """No scope is ended any more."""
        self._deadlines.close()

    def _set(self, scope: StepScope, now: float) -> None:
        if self.is_still and (self._for_all or not scope.finalising):
            scope.freeze(now)
        else:
            scope.thaw(now)
            if scope.deadline is not None:
                self._deadlines.ring_by(scope.deadline)

    def _expire(self, now: float) -> float | None:
        """End what has no time left; the next deadline."""
        scopes = list(self._scopes)
        for scope in scopes:
            scope.expire(now)
        return min((scope.deadline for scope in scopes if scope.deadline is not None), default=None)
