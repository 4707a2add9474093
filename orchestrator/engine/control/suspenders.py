"""Conditions that hold a run up: with hysteresis and settle time, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import structlog

from orchestrator.engine.control.cancelling import until_done
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.held import HeldUp
from orchestrator.engine.readings.environment import RunEnvironment, UnmetError
from orchestrator.engine.readings.history import History
from orchestrator.engine.readings.trust import UNCONFIRMED, Trust, shown
from orchestrator.engine.readings.watching import until
from orchestrator.errors import OrchestratorError
from orchestrator.language.expressions.expression import Operand
from orchestrator.language.program.nodes import Suspender
from orchestrator.ports import ChannelView, View
from orchestrator.types import Severity
from orchestrator.verbs.awaited import Accept, accepted

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Active:
    """A suspender that holds the run up."""

    suspender: Suspender
    since: str
    why: str
    accepted: str = ""
    """Which unconfirmed values somebody has taken on resuming the run, and who."""

    def __str__(self) -> str:
        return f"{self.suspender.name} since {self.since}: {self.why}{self.accepted}"


class Suspenders:
    """Watches the suspenders of one run, outside its finalisers.

    A condition that reads a disconnected, INVALID or unconfirmed channel suspends, and does not
    let go on: nobody knows that it is safe. Who resumes the run takes its unconfirmed values.
    """

    def __init__(
        self,
        view: View,
        control: RunControl,
        tell: Callable[[str, Severity], None],
        wall: Callable[[], datetime],
        history: History,
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
        self._history = history
        self._trust = Trust()
        """Of what was taken by those who resumed the run; puts of the run confirm nothing here."""
        self._active: dict[int, _Active] = {}
        """Those that suspend by `id`: two sequences of one run may name theirs alike."""
        self._resumed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        control.requests.on_suspended_resume = self._resume
        self._rewind = False

    @asynccontextmanager
    async def watching(self, suspenders: Sequence[Suspender]) -> AsyncIterator[None]:
        """Have these act too, to the end of the block; what is tripped already suspends at once."""
        own = [replace(suspender) for suspender in suspenders]
        for suspender in own:
            if self._is_tripped(suspender):
                self._trip(suspender)
        # No TaskGroup: it would wrap the errors of the steps, which pass through here.
        following = [
            asyncio.create_task(self._follow_or_abort(s), name=f"suspender {s.name}") for s in own
        ]
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
            self._control.requests.release(rewind=False)

    async def _follow_or_abort(self, suspender: Suspender) -> None:
        try:
            await self._follow(suspender)
        except Exception as error:  # the top of a task: the run must not go on unguarded
            log.exception("a suspender failed", name=suspender.name)
            self._control.requests.abort(f"the suspender {suspender.name} failed: {error}")

    async def _follow(self, suspender: Suspender) -> None:
        while True:
            if id(suspender) not in self._active:
                await self._until(suspender, lambda: self._is_tripped(suspender))
                self._trip(suspender)
            why, clock = self._active[id(suspender)].why, asyncio.get_running_loop().time
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
        loop, names = asyncio.get_running_loop(), channels_of(suspender)
        links = self._links(suspender)
        timed = any(operand.timed for operand in _conditions(suspender))

        def look() -> bool:
            nonlocal links
            if links != (links := self._links(suspender)):
                # With what is examined in one go: a reconnection comes just before its value.
                loop.call_soon(self._relinked, suspender)
            return resumed.done() or holds()

        while True:
            resumed = self._resumed
            await until(self._view, names, look, timed=timed, also=resumed)
            if holds():
                return

    def _relinked(self, suspender: Suspender) -> None:
        active = self._active.get(id(suspender))
        if active is not None and not all(connected for connected, _ in self._links(suspender)):
            active.accepted = ""  # that was of the former connection
        self._say_why(suspender, self._why(suspender))

    def _links(self, suspender: Suspender) -> list[tuple[bool, bool]]:
        """Which of its channels are connected, and which have no confirmed value."""
        channels = map(self._view.channel, sorted(channels_of(suspender)))
        accept = _accept(suspender)
        return [(c.connected, self._trust.is_unconfirmed(c, accept)) for c in channels]

    def _resume(self, by: str, only_suspended: bool) -> None:
        """Somebody has resumed the run: if it was not paused, its unconfirmed values are taken."""
        if only_suspended:
            self._take_unconfirmed(by)
        for active in self._active.values():
            active.why = self._why(active.suspender)
        # After what the engine tells of the control: what suspends still must stay in the message.
        asyncio.get_running_loop().call_soon(self._go_on)

    def _take_unconfirmed(self, by: str) -> None:
        for active in self._active.values():
            taken = [
                f"{channel.name} = {shown(channel, channel.reading)}"
                for channel in self._unconfirmed(active.suspender)
                if channel.reading is not None
            ]
            if taken:
                who = f" by {by}" if by else ""
                active.accepted = f" ({', '.join(taken)}, unconfirmed, was accepted{who})"
                log.warning("unconfirmed values were accepted", values=taken, by=by)
        for active in self._active.values():
            for channel in self._unconfirmed(active.suspender):
                self._trust.confirm(channel)

    def _go_on(self) -> None:
        if self._active:
            self._say()
        resumed, self._resumed = self._resumed, asyncio.get_running_loop().create_future()
        resumed.set_result(None)

    def _unconfirmed(self, suspender: Suspender) -> list[ChannelView]:
        accept = _accept(suspender)
        channels = map(self._view.channel, sorted(channels_of(suspender)))
        return [c for c in channels if self._trust.doubt(c, accept) == UNCONFIRMED]

    def _trip(self, suspender: Suspender) -> None:
        since = self._wall().strftime("%H:%M:%S")
        self._active[id(suspender)] = _Active(suspender, since, self._why(suspender))
        self._control.requests.suspend()
        self._say()

    def _say_why(self, suspender: Suspender, why: str) -> None:
        """Tell what suspends now, where that has become something else."""
        active = self._active.get(id(suspender))
        if active is not None and why and why != active.why:
            active.why = why
            self._say()

    def _clear(self, suspender: Suspender) -> None:
        ended = self._active.pop(id(suspender))
        self._rewind = self._rewind or (suspender.rewind and self._can_rewind())
        if self._active:
            self._say()
            return
        rewind, self._rewind = self._rewind, False
        text = f"no longer suspended by {suspender.name}{ended.accepted}"
        self._tell(text, Severity.NO_ALARM)
        self._control.requests.release(rewind=rewind)

    def _say(self) -> None:
        text = "; ".join(map(str, self._active.values()))
        self._tell(f"suspended by {text}", Severity.MINOR)

    def _why(self, suspender: Suspender) -> str:
        when, resume = suspender.when, suspender.resume
        if self._truth(when, suspender) is not False:
            return self._doubt(when, suspender) or when.text
        if resume is not None and self._truth(resume, suspender) is not True:
            return self._doubt(resume, suspender) or f"not yet {resume.text}"
        return f"clear, but not yet for {self._seconds(suspender):g} s"

    def _doubt(self, operand: Operand, suspender: Suspender) -> str:
        """Why its value can't be known; empty where it can."""
        try:
            operand.evaluate(self._environment(suspender))
        except UnmetError as error:
            channels = map(self._view.channel, sorted(operand.channels))
            missing = [text for c in channels if (text := self._missing(c, suspender))]
            return ", ".join(missing) or str(error)
        except OrchestratorError as error:
            return str(error)
        return ""

    def _missing(self, channel: ChannelView, suspender: Suspender) -> str:
        """Why a channel's value does not count, and how to go on; empty where it does."""
        doubt, reading = self._trust.doubt(channel, _accept(suspender)), channel.reading
        if reading is None or doubt != UNCONFIRMED:
            return f"{channel.name}: {doubt}" if doubt else ""
        value = shown(channel, reading)
        return f"{channel.name}: {doubt} (connected, its value is {value}; resume accepts it)"

    def _environment(self, suspender: Suspender) -> RunEnvironment:
        trust, accept = self._trust, _accept(suspender)
        return RunEnvironment(self._view, {}, {}, {}, trust, accept, history=self._history)

    def _is_tripped(self, suspender: Suspender) -> bool:
        return self._truth(suspender.when, suspender) is not False

    def _is_clear(self, suspender: Suspender) -> bool:
        resume = suspender.resume
        cleared = resume is None or self._truth(resume, suspender) is True
        return cleared and self._truth(suspender.when, suspender) is False

    def _truth(self, operand: Operand, suspender: Suspender) -> bool | None:
        """Its value, None where it can't be known."""
        try:
            value = operand.evaluate(self._environment(suspender))
        except OrchestratorError:
            return None
        return value if isinstance(value, bool) else None

    def _seconds(self, suspender: Suspender) -> float:
        value = suspender.settle.evaluate(self._environment(suspender))
        return float(value) if isinstance(value, int | float) else 0.0


def channels_of(suspender: Suspender) -> frozenset[str]:
    """All channels that its conditions read."""
    return frozenset().union(*(o.channels | o.links for o in _conditions(suspender)))


def _conditions(suspender: Suspender) -> list[Operand]:
    return [o for o in (suspender.when, suspender.resume) if o is not None]


def _accept(suspender: Suspender) -> Accept:
    return accepted(restart=suspender.accept_restart, invalid=False)
