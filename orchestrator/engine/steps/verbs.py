"""The verbs of one run, on evaluated arguments: what documents and Python sequences share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from orchestrator.config import Config
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.held import HeldUp
from orchestrator.engine.control.questions import Questions
from orchestrator.engine.control.step_scope import End, SkipStep
from orchestrator.engine.readings.environment import NOTHING, RunEnvironment, in_words
from orchestrator.engine.readings.followed import Followed, updates_key
from orchestrator.engine.readings.history import History
from orchestrator.engine.readings.latches import Latch
from orchestrator.engine.readings.trust import Trust
from orchestrator.engine.readings.updates import UpdateQueue
from orchestrator.engine.steps.moves import Mover
from orchestrator.engine.steps.samples import Sampler
from orchestrator.engine.steps.server_master import Master, Memory
from orchestrator.engine.steps.waits import Waiter
from orchestrator.errors import (
    ExpressionError,
    OrchestratorError,
    ReadError,
    StepTimeoutError,
)
from orchestrator.language.expressions.expression import Operand
from orchestrator.language.expressions.operand import latch_key
from orchestrator.language.names import Names
from orchestrator.language.values.limits import check_limits
from orchestrator.ports import Channels, Recorder, RunEvents, View
from orchestrator.types import Asked, Metadata, Reading, Severity, Told
from orchestrator.verbs.awaited import NOTHING_MORE, Accept, Condition, How, Next
from orchestrator.verbs.scope import SINCE

log = structlog.get_logger(__name__)

_TRIES = 3
"""How often a channel is read where puts of other branches end while it is."""

_FRESH = 5.0
"""s that a server has to answer where a value must not be older than the last put."""


class Verbs:
    """One run's hands and eyes: `mover.set`, `waiter.wait`, `sampler.sample`, expressions."""

    def __init__(
        self,
        config: Config,
        names: Names,
        view: View,
        channels: Channels,
        control: RunControl,
        recorder: Recorder,
        events: RunEvents,
        memory: Memory,
        wall: Callable[[], datetime],
    ) -> None:
        """Everything that a run needs of the world; made once a run."""
        self._view = view
        self._names = names
        self._channels = channels
        self._control = control
        self._events = events
        self._questions = Questions(control, events, wall)
        self._trust = Trust()
        self._fresh: dict[str, Reading] = {}
        self._puts = 0
        """Those that are done."""
        self._asked: dict[str, int] = {}
        """How many were when each of `_fresh` was asked for."""
        configs = self._configs = config.channels
        self.held = HeldUp(lambda: control.clock.now, self.tell)
        self.mover = Mover(
            channels,
            view,
            control,
            self._trust,
            configs,
            names,
            self.tell,
            self.held,
            self.outdated,
            recorder.journal.met,
        )
        self.history = History(view, lambda: control.clock.now, wall)
        self.followed = Followed(view, self._trust, self._of_updates, self.tell)
        environment = RunEnvironment(view, {}, {}, self._fresh, history=self.history)
        met, newest = recorder.journal.met, environment.reading
        self.waiter = Waiter(view, control, self._trust, newest, self.held, met)
        self.master = Master(channels, view, control, events.offer, self.tell, memory, self.held)
        self.sampler = Sampler(channels, view, control, recorder, events.offer, self.tell)

    @property
    def clock(self) -> float:
        """S on the run's clock, from some beginning."""
        return self._control.clock.now

    @property
    def moment(self) -> int:
        """The present, of the history of channels that are followed."""
        return self.history.count

    def tell(self, text: str, severity: Severity = Severity.NO_ALARM) -> None:
        """Tell the operator."""
        self._events.offer(Told(text, severity, run_id=self._control.run_id))

    def outdated(self) -> None:
        """A put has completed: what was read before is older than it."""
        self._puts += 1

    def environment(
        self, scope: Mapping[str, object], accept: Accept | None = None
    ) -> RunEnvironment:
        """What a condition reads from now on; with `accept`, only values that may satisfy one."""
        trust = None if accept is None else self._trust
        data, fresh, history = self.sampler.samples, self._fresh, self.history
        accepted, since = accept or NOTHING_MORE, history.count
        return RunEnvironment(
            *(self._view, data, scope, fresh, trust, accepted), history=history, since=since
        )

    async def evaluate(self, operand: Operand, scope: Mapping[str, object]) -> object:
        """The value of an expression on a world that is not older than the last completed put.

        Raises:
            NotConnectedError: It reads a disconnected channel.
            ExpressionError: It has no value on what its channels hold.
            OrchestratorError, SkipStep: As `refresh`.
        """
        if operand.constant:
            return operand.evaluate(NOTHING)
        unread: Mapping[str, OrchestratorError] = {}
        if self._puts and operand.channels:
            unread = await self._read_anew(operand.channels - operand.ages, _FRESH)
        data, fresh = self.sampler.samples, self._fresh
        since = scope.get(SINCE, 0)
        environment = RunEnvironment(
            *(self._view, data, scope, fresh),
            unread=unread,
            history=self.history,
            since=since if isinstance(since, int) else 0,
        )
        value = operand.evaluate(environment)
        if operand.latches:
            environment.take_latches()
        return value

    def metadata(self, name: str) -> Metadata | None:
        """What is known of a channel."""
        return self._view.channel(name).metadata

    async def update(
        self, name: str, scope: Mapping[str, object], seconds: float | None, how: How, next_: Next
    ) -> object | None:
        """The value of the next update of a channel; None where that was skipped.

        Raises:
            ReadError: Updates were lost, and that is an error.
            StepTimeoutError: None came within `seconds` s.
            NotConnectedError: It is lost, where that is to fail.
            StopRun: STOP was asked for.
        """
        queue = scope[updates_key(name)]
        assert isinstance(queue, UpdateQueue)  # noqa: S101 - nothing else is bound by such a name
        reading = await self.reading(queue, seconds, how, next_)
        return None if reading is None else in_words(reading, self._view.channel(name).metadata)

    async def reading(
        self, queue: UpdateQueue, seconds: float | None, how: How, next_: Next
    ) -> Reading | None:
        """The next update of those that are kept; as `update`."""
        taken: list[Reading] = []

        def came() -> bool:
            reading = queue.take(next_.accept, drop=next_.drop)
            if reading is not None:
                taken.append(reading)
            return reading is not None

        if not came():
            text, names = f"the next update of {queue.name}", (queue.name,)
            reads = frozenset(names)
            condition = Condition(
                text, names, came, next_.accept, reads=reads, seen=lambda: list(taken)
            )
            await self.waiter.wait(condition, seconds, how)
        return taken[0] if taken else None

    def _of_updates(self) -> RunEnvironment:
        """What a latch is looked at in: the last updates that count, whatever was read beside."""
        trust, history = self._trust, self.history
        return RunEnvironment(self._view, {}, {}, {}, trust, NOTHING_MORE, history=history)

    def derive(
        self, operand: Operand, scope: Mapping[str, object], readings: Mapping[str, Reading]
    ) -> object:
        """The value of an expression on what was just read, else on what is known now.

        Raises:
            NotConnectedError, ExpressionError: As `evaluate`.
        """
        data, fresh = self.sampler.samples, self._fresh
        environment = RunEnvironment(
            *(self._view, data, scope, fresh), read=readings, history=self.history
        )
        return operand.evaluate(environment)

    async def refresh(
        self, names: Iterable[str], timeout: float = _FRESH, *, must: bool = True
    ) -> None:
        """Make sure that what is known of these channels is not older than the last put.

        Args:
            names: The channels.
            timeout: s that their servers have to answer.
            must: Whether one that does not answer is an error; else its updates will tell.

        Raises:
            StepTimeoutError: A server did not answer within `timeout` s.
            ReadError: What it answered is no value, or a second abort has given it up.
            SkipStep: What needs them is skipped: with older values it could do what is wrong.
        """
        error = next(iter((await self._read_anew(names, timeout)).values()), None)
        if isinstance(error, StepTimeoutError) and not must:
            log.debug("no fresh value: updates will tell", error=str(error))
        elif error is not None:
            raise error

    async def _read_anew(
        self, names: Iterable[str], timeout: float
    ) -> Mapping[str, OrchestratorError]:
        """Why some of these could not be read; those that are disconnected tell by themselves."""
        wanted = self._outdated(names)
        if not wanted:
            return {}
        failed: dict[str, OrchestratorError] = {}
        # A finaliser that waits for it would fail, and leave undone what it was to do.
        with self._control.step_scope(moving=True, briefly=True) as scope:
            ends = self._control.clock.now + timeout
            # Another branch may put meanwhile; one that never rests must not hold this one up.
            for _ in range(_TRIES):
                asked = self._puts
                failed = await self._read(self._outdated(names), ends - self._control.clock.now)
                if asked == self._puts:
                    break
        if scope.ended is End.SKIP:
            raise SkipStep
        if scope.ended is End.GIVE_UP:
            raise ReadError(f"{', '.join(wanted)}: not read anew, as it was given up by an abort")
        return failed

    def _outdated(self, names: Iterable[str]) -> list[str]:
        """Those of which all that is known may be older than the last put."""
        return [name for name in sorted(names) if self._asked.get(name, 0) < self._puts]

    async def _read(self, names: Sequence[str], timeout: float) -> dict[str, OrchestratorError]:
        failed: dict[str, OrchestratorError] = {}
        asked = self._puts  # what comes may be as old as the question
        replies = await self._channels.get(names, timeout)
        for name, reply in replies.items():
            if isinstance(reply, Reading):
                if self._asked.get(name, 0) <= asked:
                    self._asked[name], self._fresh[name] = asked, reply
            elif isinstance(reply, OrchestratorError) and self._view.channel(name).connected:
                failed[name] = reply
        return failed

    def check_points(self, name: str, points: Sequence[float]) -> None:
        """Look at the limits of a loop's ends before its first point.

        Raises:
            PutError: One lies outside.
        """
        metadata = self._view.channel(name).metadata
        config = self._configs.get(self._names.record(name))
        if metadata is not None and points:
            metadata = metadata if config is None else config.of_puts(metadata)
            for point in (points[0], points[-1]):
                check_limits(point, metadata, name)

    async def ask(self, question: Asked) -> object | None:
        """Ask the operators; raises as `Questions.ask`."""
        return await self._questions.ask(question)

    def until(
        self, operand: Operand, scope: Mapping[str, object], accept: Accept = NOTHING_MORE
    ) -> Condition:
        """The condition that an expression is true."""
        latches = [scope[latch_key(name)] for name in sorted(operand.latches)]
        own = [latch for latch in latches if isinstance(latch, Latch)]
        channels = operand.channels.union(*(latch.channels for latch in own))
        self.history.follow(operand.changed)
        environment = self.environment(scope, accept)

        def met() -> bool:
            environment.forget_latches()
            value = operand.evaluate(environment)
            if not isinstance(value, bool):
                raise ExpressionError(f"{operand.text} is {value!r}, neither true nor false")
            return value

        names = tuple(sorted(channels | operand.links))
        condition = Condition(operand.text, names, met, accept, operand.timed, channels)
        if not own:
            return condition
        return replace(
            condition,
            took=environment.take_latches,
            seen=lambda: [reading for latch in own for reading in latch.readings],
        )
