"""The verbs of a Python sequence, carried out on the service's loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.finalising import is_finalising
from orchestrator.engine.control.step_scope import SkipStep, StopRun
from orchestrator.engine.readings.environment import UnmetError, in_words
from orchestrator.engine.readings.latches import Latch
from orchestrator.engine.readings.updates import UpdateQueue
from orchestrator.engine.steps.interpreter import Interpreter
from orchestrator.engine.steps.samples import Recording
from orchestrator.engine.steps.verbs import Verbs
from orchestrator.engine.user_code.cleanup import Site
from orchestrator.errors import (
    ExpressionError,
    NotConnectedError,
    OrchestratorError,
    StepTimeoutError,
)
from orchestrator.language.expressions.expression import Operand
from orchestrator.language.program.compiler import StepCall
from orchestrator.types import Place, Reading, Value
from orchestrator.verbs import NestedNode
from orchestrator.verbs.awaited import Condition, How, Next, accepted
from orchestrator.verbs.channels.nested import Point, points_of
from orchestrator.verbs.scope import Scope

_T = TypeVar("_T")

NO_VALUES: Mapping[str, object] = {}
_AT_ONCE = 1000
"""Updates that cross to the loop of the sequence together."""
_SOON = 1e-6
"""s by which a clock may be short of what it was set to."""
Connect = Callable[[Sequence[str]], Awaitable[object]]


class Way:
    """A way out of a state of a machine, as its verbs have it."""

    def __init__(
        self,
        condition: Operand | None,
        after: Operand | float | None,
        *,
        restart: bool,
        invalid: bool,
        fails: bool,
    ) -> None:
        """`fails`: a lost channel that the condition reads is an error, and no reason to wait."""
        self.condition = condition
        self.after = after
        self.accept = accepted(restart=restart, invalid=invalid)
        self.fails = fails


@dataclass(frozen=True, slots=True)
class _Entered:
    """A way out of the state that a machine is in: open once both have come."""

    condition: Condition | None
    after: float
    """s since the state was entered."""
    needs: frozenset[str]
    """Channels whose loss is an error."""

    def is_open(self, gone: float) -> bool:
        """Whether it is, so many s after the state was entered."""
        in_time = self.after <= gone + _SOON
        return in_time and (self.condition is None or _holds(self.condition))

    def is_open_later(self, gone: float) -> bool:
        """Whether its time is still to come."""
        return self.after > gone + _SOON

    def took(self) -> None:
        """It is taken."""
        if self.condition is not None:
            self.condition.took()


class PythonSteps:
    """What one Python sequence has done by the service, a method a verb. Its loop is the service's.

    Each raises StopRun where STOP was asked for, RewindRun where a document around goes back.
    """

    def __init__(
        self,
        name: str,
        interpreter: Interpreter,
        verbs: Verbs,
        control: RunControl,
        connect: Connect,
        reach: Connect,
        one_server: Connect,
        tell_state: Callable[[str], None],
    ) -> None:
        """`connect` makes sure of channels; `reach` begins to look for them, and goes on.

        `one_server` refuses those that two servers have, once they are connected.
        `tell_state` is told each state of a machine.
        """
        self._name = name
        self._interpreter = interpreter
        self._verbs = verbs
        self._control = control
        self._connect = connect
        self._reach = reach
        self._one_server = one_server
        self._of_one: set[str] = set()
        """Channels that were found to have one server: looked at once."""
        self._known: set[str] = set()
        """Channels that this sequence has been connected to: from then on each verb says what
        becomes of it when they are lost."""
        self._tell_state = tell_state

    async def step(
        self,
        call: StepCall,
        site: Site,
        place: Place,
        values: Mapping[str, object] = NO_VALUES,
    ) -> Mapping[str, object]:
        """Carry out a step with the values of names in it; those, and what it has bound."""
        node = call.node
        await self.prepare(call)
        scope = Scope(values)
        try:
            await self._interpreter.run_here((node,), scope, place)
        except OrchestratorError as error:
            if error.place.startswith(f"{node.where}: {site.short} "):  # the same line twice
                error.place = f"{node.where}: {node.label}"
            raise
        self._boundary()
        return scope

    async def prepare(self, call: StepCall) -> None:
        """Make sure of the channels of a step that are used for the first time."""
        await self._first_use(call.used, call.links, waits=call.node.waits_for_channels)

    async def value(self, operand: Operand, scope: Mapping[str, object] = NO_VALUES) -> object:
        """The value of an expression; `scope` has the latches."""
        await self._control.gate()
        await self._first_use(operand.channels, operand.links, waits=False)
        value = await _anyway(lambda: self._verbs.evaluate(operand, scope))
        self._boundary()
        return value

    async def recording(self, names: Sequence[str]) -> Recording:
        """Keep each update of these channels from now on."""
        await self._control.gate()
        await self._first_use(frozenset(names), frozenset(), waits=False)
        return self._verbs.sampler.recording(names)

    async def recorded(self, recording: Recording) -> None:
        """Keep no more of them; raises where some were lost."""
        recording.close()
        recording.check()

    async def latch(self, condition: Operand) -> Latch:
        """Watch a condition from now on."""
        await self._control.gate()
        await self._first_use(condition.channels, condition.links, waits=True)
        return self._verbs.followed.latch(condition)

    def unlatch(self, latches: Iterable[Latch]) -> None:
        """Watch these no longer."""
        for latch in latches:
            self._verbs.followed.close_one(latch)

    async def follow(self, name: str) -> UpdateQueue:
        """Keep the updates of a channel from now on."""
        await self._control.gate()
        await self._first_use(frozenset({name}), frozenset(), waits=True)
        return self._verbs.followed.updates(name)

    def unfollow(self, queue: UpdateQueue) -> None:
        """Keep them no longer."""
        self._verbs.followed.close_one(queue)

    async def updates(
        self, queue: UpdateQueue, timeout: float | None, how: How, next_: Next
    ) -> list[tuple[Reading, Value | list[str]]]:
        """The next updates, at least one, and their values in words; none where it was skipped."""
        await self._control.gate()
        metadata = self._verbs.metadata(queue.name)
        found: list[tuple[Reading, Value | list[str]]] = []
        reading = await self._verbs.reading(queue, timeout, how, next_)
        while reading is not None:
            found.append((reading, in_words(reading, metadata)))
            reading = queue.take(next_.accept, drop=next_.drop) if len(found) < _AT_ONCE else None
        self._boundary()
        return found

    async def gate(self) -> None:
        """The beginning of something that is no step by itself."""
        await self._control.gate()

    async def _first_use(self, used: frozenset[str], links: frozenset[str], *, waits: bool) -> None:
        if used <= self._known and links <= self._known and (waits or used <= self._of_one):
            return
        new = used - self._known
        asked = links - self._known - used
        if waits:
            asked, new = asked | new, frozenset()
        if asked:
            await self._reach(sorted(asked))
            self._known |= asked
        if new:
            await self._connect(sorted(new))
            self._known |= new
        if not waits and (doubtful := used - self._of_one):
            await self._one_server(sorted(doubtful))
            self._of_one |= doubtful

    def _boundary(self) -> None:
        """The end of a verb: STOP takes effect here, so that a `finally` that follows is one."""
        if self._control.requests.stopped and not is_finalising():
            raise StopRun

    # Machines -----------------------------------------------------------------------------------

    async def way_out(
        self, state: str, ways: Sequence[Way], scope: Mapping[str, object] = NO_VALUES
    ) -> int | None:
        """Wait in a state of a machine; which of its ways is open. None = it has none.

        `scope` has the latches.
        """
        await self._control.gate()
        self._tell_state(f"{self._name}: state {state}")
        if not ways:
            return None
        began = self._verbs.clock
        entered = [await self._entered(way, scope) for way in ways]
        while True:
            gone = self._verbs.clock - began
            due = min((way.after for way in entered if way.is_open_later(gone)), default=None)
            found = await self._first_open(entered, began, due)
            self._boundary()
            if found is not None:
                entered[found].took()
                return found
            if due is None or self._verbs.clock - began < due - _SOON:  # it was skipped
                by_time = [(way.after, n) for n, way in enumerate(entered) if not way.condition]
                return min(by_time, default=(0.0, None))[1]

    async def _first_open(
        self, entered: Sequence[_Entered], began: float, due: float | None
    ) -> int | None:
        """The first way that is open, once one is; None where the clock has come to `due`."""
        opened: list[int] = []

        def met() -> bool:
            gone = self._verbs.clock - began
            for number, way in enumerate(entered):
                if way.is_open(gone):
                    opened.append(number)
                    return True
            return False

        given = [way.condition for way in entered if way.condition is not None]
        either = Condition(
            " or ".join(condition.text for condition in given),
            tuple({name for condition in given for name in condition.channels}),
            met,
            timed=any(condition.timed for condition in given),
            reads=frozenset().union(*(condition.reads for condition in given)),
        )
        needed = frozenset().union(*(way.needs for way in entered))
        limit = None if due is None else max(due - (self._verbs.clock - began), _SOON)
        await self._verbs.waiter.either(either, limit, How(fails_without=needed))
        return opened[0] if opened else None

    async def _entered(self, way: Way, scope: Mapping[str, object]) -> _Entered:
        """A way out as it is in a state that was entered now."""
        after = way.after
        if isinstance(after, Operand):
            computed = await self.value(after, scope)
            if isinstance(computed, bool) or not isinstance(computed, int | float):
                raise ExpressionError(f"after: {after.text} is {computed!r}, no number of s")
            after = float(computed)
        condition = await self._condition(way, scope)
        needs = way.condition.channels if way.fails and way.condition else frozenset[str]()
        return _Entered(condition, 0.0 if after is None else after, needs)

    async def _condition(self, way: Way, scope: Mapping[str, object]) -> Condition | None:
        operand = way.condition
        if operand is None:
            return None
        await self._first_use(operand.channels, operand.links, waits=not way.fails)
        # Its server does not answer, or is lost just now: updates will tell.
        with suppress(StepTimeoutError, NotConnectedError):
            await _anyway(lambda: self._verbs.refresh(operand.channels - operand.ages))
        return self._verbs.until(operand, scope, way.accept)

    # Sequence servers ---------------------------------------------------------------------------

    async def walk(self, call: StepCall) -> PythonWalk:
        """Begin to walk the indices of sequence servers."""
        node = call.node
        assert isinstance(node, NestedNode)  # noqa: S101 - it is what was compiled
        await self.prepare(call)
        master = self._verbs.master
        return PythonWalk(node, points_of(node.levels, master), master.rest)

    async def move(
        self, walk: PythonWalk, place: Place
    ) -> tuple[tuple[int, ...], dict[str, int]] | None:
        """Bring the servers to the next point: the passes, and their indices; None = no more."""
        following = next(walk.points, None)
        if following is None:
            walk.close()
            return None
        passes, at = following
        here = Place(walk.node.path, (*place.loops, *passes), place.tries)
        try:
            await walk.node.move(self._interpreter.doing(walk.node, Scope({}), here), at)
            self._boundary()
        except BaseException:
            walk.close()
            raise
        return passes, {server: index for server, (_, index) in at.items()}


class PythonWalk:
    """The points of a `nested` that are to come."""

    def __init__(
        self, node: NestedNode, to_come: Iterator[Point], rest: Callable[[], None]
    ) -> None:
        """`rest` ends it for the servers."""
        self.node = node
        self.points = to_come
        self._rest: Callable[[], None] | None = rest

    def close(self) -> None:
        """It is over, at its end or before."""
        rest, self._rest = self._rest, None
        if rest is not None:
            rest()


def _holds(condition: Condition) -> bool:
    try:
        return condition.met()
    except (UnmetError, NotConnectedError):
        return False


async def _anyway(work: Callable[[], Awaitable[_T]]) -> _T:
    """Do again what was skipped: it is no step, and without it the sequence can't go on."""
    while True:
        try:
            return await work()
        except SkipStep:
            continue
