"""Conditions that hold a run up: with hysteresis and settle time, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog

from orchestrator.engine.cancelling import until_done
from orchestrator.engine.control import RunControl
from orchestrator.engine.environment import Environment
from orchestrator.engine.held import HeldUp
from orchestrator.engine.trust import Trust
from orchestrator.engine.watching import until
from orchestrator.errors import OrchestratorError
from orchestrator.language.expression import Operand
from orchestrator.language.nodes import Suspender
from orchestrator.ports import View
from orchestrator.types import Severity

log = structlog.get_logger(__name__)


class Suspenders:
    """Watches the suspenders of one run, outside its finalisers.

    A condition that reads a disconnected, INVALID or unconfirmed channel suspends, and does not
    let go on: nobody knows that it is safe.
    """

    def __init__(
        self,
        view: View,
        control: RunControl,
        tell: Callable[[str, Severity], None],
        wall: Callable[[], datetime],
        can_rewind: Callable[[], bool],
        held: HeldUp,
    ) -> None:
        """`tell` gets by what the run is suspended, and since when on the clock `wall`.

        `can_rewind`: whether there is a checkpoint to go back to. `held` looks whether what
        suspends has become something else.
        """
        self._held = held
        self._can_rewind = can_rewind
        self._view = view
        self._control = control
        self._tell = tell
        self._wall = wall
        self._environment = Environment(view, {}, {}, {}, Trust())
        self._active: dict[int, tuple[str, str]] = {}
        """Which suspend since when, and why, by `id`: two sequences of one run may name theirs
        alike.
        """
        self._rewind = False

    @asynccontextmanager
    async def watching(self, suspenders: Sequence[Suspender]) -> AsyncIterator[None]:
        """Have these act too, to the end of the block; what is tripped already suspends at once."""
        own = [replace(suspender) for suspender in suspenders]
        for suspender in own:
            if self._is_tripped(suspender):
                self._trip(suspender)
        # No TaskGroup: it would wrap the errors of the steps, which pass through here.
        following = [asyncio.create_task(self._guarded(s), name=f"suspender {s.name}") for s in own]
        try:
            yield
        finally:
            for task in following:
                task.cancel()
            try:
                await until_done(following)
            finally:  # also where an end comes meanwhile
                self._let_go(own)

    def _let_go(self, suspenders: Sequence[Suspender]) -> None:
        held = bool(self._active)
        for suspender in suspenders:
            self._active.pop(id(suspender), None)
        if held and not self._active:
            self._rewind = False
            self._control.release(rewind=False)

    async def _guarded(self, suspender: Suspender) -> None:
        try:
            await self._follow(suspender)
        except Exception as error:  # the top of a task: the run must not go on unguarded
            log.exception("a suspender failed", name=suspender.name)
            self._control.abort(f"the suspender {suspender.name} failed: {error}")

    async def _follow(self, suspender: Suspender) -> None:
        while True:
            if id(suspender) not in self._active:
                await self._until(suspender, lambda: self._is_tripped(suspender))
                self._trip(suspender)
            why, clock = self._why(suspender), asyncio.get_running_loop().time
            say = partial(self._say_why, suspender)
            with self._held.following(lambda: [self._why(suspender)], say, clock, why):
                await self._settled(suspender)
            self._clear(suspender)

    async def _settled(self, suspender: Suspender) -> None:
        """Return when it has been clear for its settle time without a break."""
        while True:
            await self._until(suspender, lambda: self._is_clear(suspender))
            try:
                async with asyncio.timeout(self._seconds(suspender)):
                    await self._until(suspender, lambda: not self._is_clear(suspender))
            except TimeoutError:
                return

    async def _until(self, suspender: Suspender, holds: Callable[[], bool]) -> None:
        operands = (suspender.when, suspender.resume)
        timed = any(operand.timed for operand in operands if operand is not None)
        await until(self._view, channels_of(suspender), holds, timed=timed)

    def _trip(self, suspender: Suspender) -> None:
        since = self._wall().strftime("%H:%M:%S")
        self._active[id(suspender)] = f"{suspender.name} since {since}", self._why(suspender)
        self._control.suspend()
        self._say()

    def _say_why(self, suspender: Suspender, why: str) -> None:
        """Tell what suspends now, where that has become something else."""
        active = self._active.get(id(suspender))
        if active is not None and why:
            self._active[id(suspender)] = active[0], why
            self._say()

    def _clear(self, suspender: Suspender) -> None:
        del self._active[id(suspender)]
        self._rewind = self._rewind or (suspender.rewind and self._can_rewind())
        if self._active:
            self._say()
            return
        rewind, self._rewind = self._rewind, False
        self._tell(f"no longer suspended by {suspender.name}", Severity.NO_ALARM)
        self._control.release(rewind=rewind)

    def _say(self) -> None:
        texts = (f"{which}: {why}" for which, why in self._active.values())
        self._tell("suspended by " + "; ".join(texts), Severity.MINOR)

    def _why(self, suspender: Suspender) -> str:
        when, resume = suspender.when, suspender.resume
        if self._truth(when) is not False:
            return self._doubt(when) or when.text
        if resume is not None and self._truth(resume) is not True:
            return self._doubt(resume) or f"not yet {resume.text}"
        return f"clear, but not yet for {self._seconds(suspender):g} s"

    def _doubt(self, operand: Operand) -> str:
        """Why its value can't be known; empty where it can."""
        try:
            operand.evaluate(self._environment)
        except OrchestratorError as error:
            return str(error)
        return ""

    def _is_tripped(self, suspender: Suspender) -> bool:
        return self._truth(suspender.when) is not False

    def _is_clear(self, suspender: Suspender) -> bool:
        resume = suspender.resume
        cleared = resume is None or self._truth(resume) is True
        return cleared and self._truth(suspender.when) is False

    def _truth(self, operand: Operand) -> bool | None:
        """Its value, None where it can't be known."""
        try:
            value = operand.evaluate(self._environment)
        except OrchestratorError:
            return None
        return value if isinstance(value, bool) else None

    def _seconds(self, suspender: Suspender) -> float:
        value = suspender.settle.evaluate(self._environment)
        return float(value) if isinstance(value, int | float) else 0.0


def channels_of(suspender: Suspender) -> frozenset[str]:
    """All channels that its conditions read."""
    operands = (suspender.when, suspender.resume)
    return frozenset().union(*(o.channels | o.links for o in operands if o is not None))
