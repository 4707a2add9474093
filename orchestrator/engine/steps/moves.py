"""The verb `set`: puts, their completions and readbacks, orphans and stop channels."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from orchestrator.config import ChannelConfig, StopChannel
from orchestrator.engine.control.cancelling import end, unbroken, until_done
from orchestrator.engine.control.concurrently import run_all
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.finalising import is_finalising
from orchestrator.engine.control.held import HeldUp
from orchestrator.engine.control.step_scope import End, StepScope
from orchestrator.engine.readings.trust import (
    Trust,
    disconnected,
    is_usable,
    seen,
    shown,
)
from orchestrator.engine.readings.watching import until
from orchestrator.engine.steps.put_alarms import PutAlarms, invalid_text
from orchestrator.errors import (
    NotConnectedError,
    OrchestratorError,
    PutError,
    ReadError,
    StepTimeoutError,
)
from orchestrator.language.names import Names
from orchestrator.language.values.conditions import Relation, default_tolerance, meets
from orchestrator.language.values.conversion import as_channel_value
from orchestrator.language.values.limits import check_limits
from orchestrator.ports import Channels, ChannelView, View
from orchestrator.timers import spelt
from orchestrator.types import START_UNITS, Metadata, Reading, Severity, Value
from orchestrator.verbs.awaited import accepted
from orchestrator.verbs.doing import Move

_AGAIN = 0.05
"""s until a held put looks again, where libca knew of a loss before the view did."""
_LAST_LOOK = 1.0
"""s that the server of a readback has to answer when the time of its step is over."""
_STOP_TIMEOUT = 2.0
"""s that the write to a stop channel may take; it is not waited for by the IOC."""


class Attempt:
    """One `Move` under way; knows how far it came, for error texts and clean-up."""

    def __init__(self, move: Move, view: View, config: ChannelConfig | None) -> None:
        """Nothing is looked at yet: see `prepare`."""
        self.move = move
        self.config = config
        put = self.put = move.put
        self.channel = view.channel(put.pv)
        self.readback = view.channel(put.readback) if put.readback else None
        self.accept = accepted(restart=put.accept_restart, invalid=put.accept_invalid)
        """Of the readback."""
        self.value: Value = 0.0
        self.tolerance = 0.0
        self.before: Reading | None = None
        """The readback's reading when the put was issued."""
        self.outdated: Reading | None = None
        """A reading of the readback that says nothing of the put."""
        self.read: Reading | OrchestratorError | None = None
        """What the readback's server said when it was asked last."""
        self.arrived = False
        """The readback has come."""
        self.prepared = False
        self.issued = False
        self.completed = False
        self.done = False

    def prepare(self) -> None:
        """Look at connection, access, labels and limits; nothing is written yet.

        Raises:
            NotConnectedError: The channel or its readback is disconnected.
            PutError: The value is not one that this channel takes.
        """
        self.value = checked(self.move.value, self.channel, self.config)
        if self.readback is not None:
            self.tolerance = self._tolerance(_connected(self.readback))
        self.prepared = True

    @property
    def channels(self) -> list[ChannelView]:
        """All that have to be connected."""
        return [self.channel] if self.readback is None else [self.channel, self.readback]

    def _tolerance(self, readback: Metadata) -> float:
        if self.move.tolerance is not None:
            return self.move.tolerance
        return default_tolerance(self.move.wanted, readback, self.channel.metadata)

    def is_there(self, trust: Trust) -> bool:
        """Whether the readback is where it should be."""
        assert self.readback is not None  # noqa: S101 - asked only with a readback
        reading = trust.reading(self.readback, self.accept)
        return reading is not self.outdated and self.agrees(reading)

    def agrees(self, reading: Reading | None) -> bool:
        """Whether a reading of the readback is within tolerance of what is wanted."""
        assert self.readback is not None  # noqa: S101 - asked only with a readback
        metadata = self.readback.metadata
        return (
            reading is not None
            and metadata is not None
            and meets(Relation.EQUALS, reading.value, self.move.wanted, metadata, self.tolerance)
        )

    def reads_so(self, trust: Trust) -> bool:
        """Whether the readback, as it was read last, is where it should be."""
        assert self.readback is not None  # noqa: S101 - asked only with a readback
        read, accept = self.read, self.accept
        if not isinstance(read, Reading) or trust.is_unconfirmed(self.readback, accept):
            return False
        return is_usable(self.readback, read, accept) and self.agrees(read)

    def doubt(self, trust: Trust) -> str:
        """Why the readback does not count now; empty where it does, or there is none."""
        return "" if self.readback is None else trust.doubt(self.readback, self.accept)

    def late(self, timeout: float, trust: Trust) -> str:
        """Why it was not done in time: one text for each case of completion × readback."""
        put = f"{self.put.pv}: put of {_text(self.move.value)}"
        lost = [c.name for c in self.channels if not c.connected]
        if lost and not self.done:
            return f"{put} was held: {', '.join(lost)} did not come back within {spelt(timeout)} s"
        if not self.issued:
            return f"{put} could not begin within {spelt(timeout)} s: an earlier put is outstanding"
        if self.put.completion and not self.completed:
            there = f"; {self._where(trust)}" if self.readback else f"; {seen(self.channel)}"
            return f"{put} got no completion within {spelt(timeout)} s{there}"
        if self.readback is None or self.arrived or self.is_there(trust):
            return f"{put} was done, but did not settle within {spelt(timeout)} s"
        how = "completed" if self.put.completion else "was written without completion"
        return f"{put} {how}, but its readback did not come within {spelt(timeout)} s: " + (
            self._where(trust)
        )

    def _where(self, trust: Trust) -> str:
        assert self.readback is not None  # noqa: S101 - asked only with a readback
        band = f" ± {self.tolerance:.4g}" if self.tolerance else ""
        outdated = self.outdated is not None and self.readback.reading is self.outdated
        doubt = "before the put" if outdated else trust.doubt(self.readback, self.accept)
        where = seen(self.readback, doubt)
        return f"{where}, wanted {_text(self.move.wanted)}{band}{self._read_text()}"

    def _read_text(self) -> str:
        assert self.readback is not None  # noqa: S101 - asked only with a readback
        match self.read:
            case Reading() as reading:
                alarm = " (its alarm is INVALID)" if reading.severity is Severity.INVALID else ""
                return f"; read at the end, it was {shown(self.readback, reading)}{alarm}"
            case OrchestratorError() as error:
                return f"; read at the end: {error}"
            case _:
                return ""


class Mover:
    """Carries out `set` for one run."""

    def __init__(
        self,
        channels: Channels,
        view: View,
        control: RunControl,
        trust: Trust,
        configs: Mapping[str, ChannelConfig],
        names: Names,
        tell: Callable[[str, Severity], None],
        held: HeldUp,
        outdated: Callable[[], None],
        met: Callable[[str, Iterable[Reading]], None],
    ) -> None:
        """`tell` gets what an operator should know: orphans, given-up completions.

        `held` is told what waits, to tell what holds it up. `outdated` is called when a put is
        done: what was read before is older than it. `met` is told which readback has come.
        """
        self._met = met
        self._held = held
        self._outdated = outdated
        self._channels = channels
        self._view = view
        self._control = control
        self._trust = trust
        self._configs = configs
        self._names = names
        self._touched: set[str] = set()
        self._clock = asyncio.get_running_loop().time
        self._tell = tell
        self.alarms = PutAlarms(channels, view, tell)

    async def set(self, moves: Sequence[Move], timeout: float, *, hold: bool = False) -> None:
        """Start all moves together, return when all are done.

        With `hold`, a put to a disconnected channel is held here until it is back, and repeated
        where the channel was lost before its completion; all within the one timeout.

        Raises:
            NotConnectedError: A channel is disconnected, or was lost on the way; not with `hold`.
            PutError: A value is refused, by our own check or by the IOC.
            StepTimeoutError: Not all were done within `timeout` s; the text tells which.
        """
        attempts = [self._attempt(move, prepared=not hold) for move in moves]
        for move in moves:
            self._touched.add(move.put.pv)
        try:
            with self._control.step_scope(moving=True, seconds=timeout) as scope:
                if len(attempts) == 1:
                    await self._run(attempts[0], timeout, scope)
                else:
                    works = [(f"set {a.put.pv}", self._run(a, timeout, scope)) for a in attempts]
                    await run_all(works)
        except BaseException:  # told, and passed on
            self._tell_orphans(attempts)
            raise
        if scope.ended is not None:
            self._tell_orphans(attempts)
        if scope.ended is End.TIMEOUT and (late := [a for a in attempts if not a.done]):
            error = StepTimeoutError("; ".join(a.late(timeout, self._trust) for a in late))
            error.pv = late[0].put.pv
            raise error

    def _attempt(self, move: Move, *, prepared: bool) -> Attempt:
        config = self._configs.get(self._names.record(move.put.pv))
        attempt = Attempt(move, self._view, config)
        try:
            if config is not None and not config.write:
                raise PutError(f"{move.put.pv}: the configuration says write = false")
            if prepared:
                attempt.prepare()
        except OrchestratorError as error:
            error.pv = move.put.pv
            raise
        return attempt

    async def _run(self, attempt: Attempt, timeout: float, scope: StepScope) -> None:
        began = self._clock()
        held = not attempt.prepared
        try:
            while not attempt.done:
                try:
                    with self._held.waiting(lambda: self._hindrances(attempt, began)):
                        await self._once(attempt, timeout, scope, held=held)
                except NotConnectedError:
                    if not held or self._control.requests.gives_up:
                        raise
                    await asyncio.sleep(_AGAIN)
        except BaseException as error:
            if isinstance(error, OrchestratorError):
                error.pv = error.pv or attempt.put.pv
            self._look_whether_issued(attempt, began)
            try:
                if scope.reason is End.TIMEOUT:
                    await self._last_look(attempt)
            finally:  # also where an abort ends that look
                if attempt.issued and scope.reason is not End.SKIP and not attempt.done:
                    await self._stop_moving(attempt)
            raise

    def _hindrances(self, attempt: Attempt, began: float) -> list[str]:
        """What holds a move up beside the time that it takes."""
        if not attempt.prepared:
            return disconnected(attempt.channels)
        if not attempt.issued:
            age = self._channels.outstanding(attempt.put.pv)
            earlier = age is not None and age > self._clock() - began
            return [f"{attempt.put.pv}: an earlier put is outstanding"] if earlier else []
        doubt = attempt.doubt(self._trust)
        return [f"its readback {attempt.put.readback}: {doubt}"] if doubt else []

    async def _once(
        self, attempt: Attempt, timeout: float, scope: StepScope, *, held: bool
    ) -> None:
        if held:
            if not self._control.requests.gives_up:
                channels = attempt.channels
                names = [channel.name for channel in channels]
                await until(self._view, names, lambda: all(c.connected for c in channels))
            attempt.prepare()
        await self._put(attempt, timeout, scope)
        if attempt.readback is not None and not self._control.requests.gives_up:
            await self._await_readback(attempt, timeout)
            attempt.arrived = True
            self._tell_arrived(attempt, attempt.readback)
        if attempt.move.settle:
            await self._settle(attempt)
        attempt.done = True

    def _tell_arrived(self, attempt: Attempt, readback: ChannelView) -> None:
        read = attempt.read if attempt.reads_so(self._trust) else readback.reading
        text = f"the readback of {attempt.put.pv} is at {_text(attempt.move.wanted)}"
        self._met(text, [read] if isinstance(read, Reading) else [])

    def _look_whether_issued(self, attempt: Attempt, began: float) -> None:
        """A put that waited for an orphan may or may not have gone out before it was ended."""
        age = self._channels.outstanding(attempt.put.pv)
        if age is not None and age <= self._clock() - began:
            attempt.issued = True

    async def _put(self, attempt: Attempt, timeout: float, scope: StepScope) -> None:
        name, completion = attempt.put.pv, attempt.put.completion
        if self._control.requests.gives_up or (
            is_finalising() and self._channels.outstanding(name) is not None
        ):
            completion = False
        links = attempt.channel.links
        attempt.before = attempt.readback.reading if attempt.readback is not None else None
        own_before = attempt.channel.reading
        # The step's scope ends the put in time; the client's own timeout is only its backstop.
        await self._channels.put(
            name,
            attempt.value,
            completion=completion,
            timeout=timeout + 5.0,
            permit=self._control.permit(name, step=scope),
        )
        attempt.issued = True
        attempt.completed = completion
        self._outdated()
        self._control.clock.touch()
        if completion and attempt.channel.links == links:
            self._trust.confirm(attempt.channel)
        await self._look_at_alarm(attempt, own_before, timeout)

    async def _look_at_alarm(
        self, attempt: Attempt, before: Reading | None, timeout: float
    ) -> None:
        """An OUT link that leads nowhere fails no put: the record's alarm alone tells."""
        accept = attempt.put.leaves_invalid
        if accept is None and attempt.config is not None:
            accept = attempt.config.accept_invalid
        if accept is None:
            self.alarms.watch(attempt.channel, partial(_text, attempt.move.value), before)
        if accept is not False or self._control.requests.gives_up:
            return
        name = attempt.put.pv
        reply = (await self._channels.get([name], timeout + 5.0))[name]
        if isinstance(reply, Exception):
            raise reply
        if reply.severity is Severity.INVALID:
            raise PutError(invalid_text(name, _text(attempt.move.value), reply))

    async def _await_readback(self, attempt: Attempt, timeout: float) -> None:
        readback = attempt.readback
        assert readback is not None  # noqa: S101 - called only with a readback
        is_old, there = readback.reading is attempt.before, attempt.is_there(self._trust)
        if there and not is_old:
            return
        # The completion may have come before the monitors of what the put has caused.
        attempt.outdated = attempt.before if is_old and there else None
        asking: asyncio.Task[object] | None = None
        if attempt.completed or attempt.outdated is not None:
            # Its record may post nothing of what it has now: a deadband, a monitor that is late.
            asking = asyncio.create_task(self._read(attempt, timeout + 5.0), name="read back")

        def arrived() -> bool:
            if not readback.connected:
                text = f"{readback.name}, the readback of {attempt.put.pv}, was lost"
                raise NotConnectedError(text)
            if asking is not None and asking.done():
                asking.result()
            if isinstance(attempt.read, ReadError):
                raise attempt.read
            return attempt.reads_so(self._trust) or attempt.is_there(self._trust)

        try:
            await until(
                self._view, [readback.name], arrived, self._control.clock.touch, also=asking
            )
        finally:
            if asking is not None:
                end(asking)
                await until_done([asking])

    async def _settle(self, attempt: Attempt) -> None:
        """Wait while it settles; what is lost meanwhile is nobody knows where."""
        links = [(channel, channel.links) for channel in attempt.channels]

        def lost() -> list[str]:
            return [c.name for c, before in links if not c.connected or c.links != before]

        with suppress(TimeoutError):
            async with asyncio.timeout(attempt.move.settle):
                await until(self._view, [c.name for c, _ in links], lambda: bool(lost()))
            raise NotConnectedError(f"{lost()[0]} was lost while {attempt.put.pv} settled")

    async def _read(self, attempt: Attempt, timeout: float) -> None:
        """Ask the readback's server; as with the put, the step's scope ends it in time."""
        assert attempt.readback is not None  # noqa: S101 - called only with a readback
        name = attempt.readback.name
        reply = (await self._channels.get([name], timeout, beside=True))[name]
        attempt.read = reply if isinstance(reply, Reading | OrchestratorError) else None

    async def _last_look(self, attempt: Attempt) -> None:
        """Before a put is given up for its readback, read that once more: it may post nothing."""
        waits = attempt.readback is not None and not attempt.arrived and attempt.issued
        if not waits or (attempt.put.completion and not attempt.completed):
            return
        if all(channel.connected for channel in attempt.channels):
            await self._read(attempt, _LAST_LOOK)
            attempt.arrived = attempt.reads_so(self._trust)
            attempt.done = attempt.arrived and not attempt.move.settle

    async def _stop_moving(self, attempt: Attempt) -> None:
        stop = self._stop_of(attempt)
        if stop is not None:
            # Also where its step is ended a second time meanwhile.
            work = self._write_stop(attempt, self._names.resolve(stop.pv), stop.value)
            await unbroken(work, f"stop {attempt.put.pv}")

    def _stop_of(self, attempt: Attempt) -> StopChannel | None:
        """What ends what a put has begun; a run of an orchestrator below ends by its own START."""
        config = attempt.config
        if config is not None and (config.stop is not None or not config.stops):
            return config.stop
        starts = starts_runs(attempt.channel.metadata) and attempt.value != 0
        return StopChannel(attempt.put.pv, 0) if starts else None

    async def _write_stop(self, attempt: Attempt, stop: str, wanted: object) -> None:
        try:
            await self._channels.put(
                stop,
                checked(wanted, self._view.channel(stop), self._configs.get(stop)),
                completion=False,
                timeout=_STOP_TIMEOUT,
                permit=self._control.permit(stop, stops=True),
            )
            by = f"a put of {wanted} to it" if stop == attempt.put.pv else stop
            self._tell(f"{attempt.put.pv} was stopped by {by}", Severity.NO_ALARM)
        except OrchestratorError as error:
            self._tell(f"{attempt.put.pv} could not be stopped: {error}", Severity.MAJOR)

    @property
    def orphans(self) -> list[str]:
        """What the channels that this run has put to still owe, each with its age."""
        texts = (self._orphan(name) for name in sorted(self._touched))
        return [text for text in texts if text]

    def _tell_orphans(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            text = "" if attempt.done else self._orphan(attempt.put.pv)
            if text:
                self._tell(text, Severity.MINOR)

    def _orphan(self, name: str) -> str:
        age = self._channels.outstanding(name)
        return "" if age is None else f"{name} still owes the completion of a put {age:.1f} s ago"


def starts_runs(metadata: Metadata | None) -> bool:
    """Whether a channel is the START of an orchestrator, which tells so by its units."""
    return metadata is not None and metadata.units == START_UNITS


def _connected(channel: ChannelView) -> Metadata:
    if not channel.connected or channel.metadata is None:
        raise NotConnectedError(f"{channel.name} is disconnected")
    return channel.metadata


def checked(value: object, channel: ChannelView, config: ChannelConfig | None) -> Value:
    """The value as the channel takes it.

    Raises:
        NotConnectedError: It is disconnected.
        PutError: It may not be written, or takes no such value.
    """
    metadata = _connected(channel)
    if not metadata.writable:
        raise PutError(f"{channel.name}: the IOC gives no write access")
    converted = as_channel_value(value, metadata, channel.name)
    allowed = metadata if config is None else config.of_puts(metadata)
    check_limits(converted, allowed, channel.name)
    return converted


def _text(value: object) -> str:
    return f"{value:.10g}" if isinstance(value, float) else repr(value)
