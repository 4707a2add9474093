"""The verbs `wait` and `delay`: driven by monitors, never by polling."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.held import HeldUp
from orchestrator.engine.control.step_scope import End, RewindRun, SkipStep, StopRun
from orchestrator.engine.readings.environment import UnmetError
from orchestrator.engine.readings.trust import Trust, disconnected, seen
from orchestrator.engine.readings.watching import AGE_PERIOD
from orchestrator.errors import ExpressionError, NotConnectedError, StepTimeoutError
from orchestrator.language.values.conditions import Relation, meets
from orchestrator.ports import ChannelView, View
from orchestrator.types import Reading
from orchestrator.verbs.awaited import NOTHING_MORE, Accept, Condition, How

_NO_EDGE = "it was true with the first value that counted, and only what was false can become true"


_SIMPLY = How()


class Waiter:
    """Carries out `wait` and `delay` for one run."""

    def __init__(
        self,
        view: View,
        control: RunControl,
        trust: Trust,
        newest: Callable[[str], Reading],
        held: HeldUp,
        met: Callable[[str, Iterable[Reading]], None],
    ) -> None:
        """`trust` knows which values count, `newest` which is the newest of a channel.

        `held` is told what waits, to tell what holds it up; `met` what has come true, by which
        readings.
        """
        self._met = met
        self._held = held
        self._newest = newest
        self._view = view
        self._control = control
        self._trust = trust

    async def wait(
        self,
        condition: Condition,
        timeout: float | None,
        how: How,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Return as soon as the condition has come true.

        Args:
            condition: What is waited for.
            timeout: s for all of it, `refresh` included; None = for ever.
            how: How it has to come true.
            refresh: Makes sure that what is known is not too old to be looked at. What updates
                tell meanwhile counts, but for a condition that first needs a value to count from.

        Raises:
            StepTimeoutError: It did not within `timeout` s; tells the last values seen.
            NotConnectedError: A channel is lost, where that is to fail, or has no value to count
                from.
            StopRun: STOP was asked for.
        """
        watch: _Watch | None = None
        with self._control.step_scope(moving=False, seconds=timeout) as scope:
            if condition.begun is not None:
                if refresh is not None:
                    await refresh()
                condition, refresh = condition.begun(), None
            watch = self._watch(condition, how)
            with self._held.waiting(partial(self._doubts, condition)):
                await self._until(watch, condition, refresh)
            condition.took()
            self._met(condition.text, watch.readings)
        if scope.ended is End.TIMEOUT:
            told = [self._seen(name, condition.accept) for name in condition.channels]
            told += [_NO_EDGE] if watch is not None and watch.began_true else []
            raise StepTimeoutError(f"waited {timeout:g} s for {condition.text}: {'; '.join(told)}")
        leave(scope.ended)

    async def either(self, condition: Condition, seconds: float | None, how: How = _SIMPLY) -> bool:
        """Wait for a condition or a time: True where the condition came true.

        Raises:
            NotConnectedError: A channel is lost, where that is to fail.
            StopRun: STOP was asked for.
        """
        with (
            self._control.step_scope(moving=False, seconds=seconds) as scope,
            self._held.waiting(partial(self._doubts, condition), f"the wait for {condition.text}"),
        ):
            await self._until(self._watch(condition, how), condition)
        leave(scope.ended)
        return scope.ended is None

    async def delay(self, seconds: float) -> None:
        """Wait for a time, on the run's clock.

        Raises:
            StopRun: STOP was asked for.
        """
        with self._control.step_scope(moving=False, seconds=seconds) as scope:
            await asyncio.get_running_loop().create_future()
        leave(scope.ended)

    async def connected(self, names: Sequence[str], timeout: float | None) -> None:
        """Wait until all these channels are connected.

        Raises:
            StepTimeoutError: They are not within `timeout` s; names those that are not.
            NotConnectedError: The same, where a second abort gives them up.
            StopRun: STOP was asked for.
            SkipStep: What needs them is skipped.
        """
        channels = [self._view.channel(name) for name in names]
        if all(channel.connected for channel in channels):
            return
        condition = Condition(
            "", tuple(names), lambda: all(c.connected for c in channels), reads=frozenset(names)
        )
        with self._control.step_scope(moving=False, seconds=timeout, given_up=True) as scope:
            if not self._control.requests.gives_up:
                with self._held.waiting(lambda: disconnected(channels)):
                    await self._until(self._watch(condition, How()), condition)
        lost = ", ".join(channel.name for channel in channels if not channel.connected)
        if scope.ended is End.TIMEOUT:
            raise StepTimeoutError(f"waited {timeout:g} s for the connection of {lost}")
        if lost and self._control.requests.gives_up:
            raise NotConnectedError(f"{lost}: disconnected")
        if scope.ended is End.SKIP:
            raise SkipStep
        leave(scope.ended)

    def compare(
        self,
        name: str,
        relation: Relation,
        operand: object,
        tolerance: float | None,
        accept: Accept = NOTHING_MORE,
    ) -> Condition:
        """The condition that a channel relates to a value; `operand` as sequences write it."""
        channel = self._view.channel(name)
        text = f"{name} {relation.value.replace('_', ' ')} {operand!r}"

        def met(wanted: object) -> bool:
            doubt = self._trust.doubt(channel, accept)
            if doubt or channel.metadata is None:
                raise UnmetError(doubt)
            value = self._newest(name).value
            return meets(relation, value, wanted, channel.metadata, tolerance)

        reads = frozenset({name})
        condition = Condition(text, (name,), partial(met, operand), accept, reads=reads)
        if relation not in (Relation.INCREASE_BY, Relation.DECREASE_BY):
            return condition

        def begun() -> Condition:
            to = self._threshold(channel, relation, operand, accept)
            return replace(condition, text=f"{text} (to {to:g})", met=partial(met, to), begun=None)

        return replace(condition, begun=begun)

    def _threshold(
        self, channel: ChannelView, relation: Relation, step: object, accept: Accept
    ) -> float:
        doubt = self._trust.doubt(channel, accept)
        if doubt:
            raise NotConnectedError(f"{channel.name}: nothing to count {relation} from: {doubt}")
        reading = self._newest(channel.name)
        if not isinstance(reading.value, int | float) or not isinstance(step, int | float):
            raise ExpressionError(f"{channel.name}: {relation} needs numbers")
        return reading.value + (step if relation is Relation.INCREASE_BY else -step)

    def _doubts(self, condition: Condition) -> list[str]:
        """Why values that a condition needs do not count now."""
        channels = [self._view.channel(name) for name in sorted(condition.reads)]
        doubts = [(c.name, self._trust.doubt(c, condition.accept)) for c in channels]
        return [f"{name}: {doubt}" for name, doubt in doubts if doubt]

    def _seen(self, name: str, accept: Accept) -> str:
        channel = self._view.channel(name)
        return seen(channel, self._trust.doubt(channel, accept))

    def _watch(self, condition: Condition, how: How) -> _Watch:
        return _Watch(condition, how, [self._view.channel(n) for n in sorted(condition.reads)])

    async def _until(
        self,
        watch: _Watch,
        condition: Condition,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        def look(channel: ChannelView) -> None:
            self._control.clock.touch()
            watch.old.discard(channel.name)
            watch.look()

        unwatch = self._view.watch(condition.channels, look)
        try:
            if refresh is not None:
                watch.old.update(condition.channels)
                await refresh()
                watch.old.clear()
            watch.look()
            await watch.done
        finally:
            unwatch()
            watch.close()


class _Watch:
    """One condition being watched: edges and holding, update by update."""

    def __init__(self, condition: Condition, how: How, channels: Iterable[ChannelView]) -> None:
        self._condition = condition
        self._how = how
        self._channels = list(channels)
        self._loop = asyncio.get_running_loop()
        self._held: asyncio.TimerHandle | None = None
        self._was: bool | None = None
        self.readings: list[Reading] = []
        """Those with which it has come true."""
        self.began_true = False
        """It was true with the first value that counted, which is no edge."""
        self._again: asyncio.TimerHandle | None = None
        self.old: set[str] = set()
        """Channels of which it is not known yet that what they last told is new enough."""
        self.done: asyncio.Future[None] = self._loop.create_future()
        if condition.timed:
            self._look_again()

    def _look_again(self) -> None:
        self._again = self._loop.call_later(AGE_PERIOD, self._look_again)
        self.look()

    def look(self) -> None:
        """An update has come, or the step begins."""
        if self.done.done() or self.old:
            return
        lost = [c.name for c in self._channels if not c.connected]
        if not self._how.fail_when_lost:
            lost = [name for name in lost if name in self._how.fails_without]
        if lost:
            self.done.set_exception(NotConnectedError(f"{', '.join(lost)}: disconnected"))
            return
        try:
            self._take(holds=self._condition.met())
        except (UnmetError, NotConnectedError):
            # It satisfies nothing; but what can't be known makes no edge when it is known again.
            self._break()
        except Exception as error:  # noqa: BLE001 - told by the step that waits
            self.done.set_exception(error)

    def _take(self, *, holds: bool) -> None:
        # Before the first value that counts there is nothing that it could have risen from.
        rises = holds and (not self._how.edge or self._was is False or self._held is not None)
        self.began_true |= holds and self._how.edge and self._was is None
        self._was = holds
        if not rises:
            self._break()
        elif self._how.hold <= 0:
            self._has_held()
        elif self._held is None:
            self._held = self._loop.call_later(self._how.hold, self._has_held)

    def _has_held(self) -> None:
        if not self.done.done():
            if self._condition.seen is not None:
                self.readings = self._condition.seen()
            else:
                self.readings = [c.reading for c in self._channels if c.reading is not None]
            self.done.set_result(None)

    def _break(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None

    def close(self) -> None:
        """Nobody waits any more."""
        self._break()
        if self._again is not None:
            self._again.cancel()
        if self.done.done() and not self.done.cancelled():
            self.done.exception()  # retrieved, also where the step was ended at the same time


def leave(ended: End | None) -> None:
    """Go the way that a step which waits was ended for, if any."""
    if ended is End.STOP:
        raise StopRun
    if ended is End.REWIND:
        raise RewindRun
