"""What a step that is carried out asks of its run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from orchestrator.errors import ExpressionError, NotConnectedError
from orchestrator.language.expressions.operand import Operand, constant_value, reading
from orchestrator.language.names import ServerChannels
from orchestrator.language.program.nodes import Another, Node
from orchestrator.language.program.parts import Put
from orchestrator.language.values.conditions import Relation
from orchestrator.language.values.operations import described
from orchestrator.types import Asked, Place, Reading, Severity, path_text
from orchestrator.verbs.awaited import Accept, Condition, How, Next
from orchestrator.verbs.scope import SINCE, Entry, Scope

T = TypeVar("T")


class Move(NamedTuple):
    """A put whose values are known."""

    put: Put
    value: object
    wanted: object
    """What its readback must come to."""
    tolerance: float | None
    settle: float


class Putting(Protocol):
    """Puts; implemented by `engine.steps.moves`, which says what may be raised."""

    async def set(self, moves: Sequence[Move], timeout: float, *, hold: bool) -> None:
        """Put all of these at once, and return when all have arrived within `timeout` s."""


class Waiting(Protocol):
    """Waits; implemented by `engine.steps.waits`, which says what may be raised."""

    async def wait(
        self,
        condition: Condition,
        timeout: float | None,
        how: How,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Return when a condition has come true, looked at anew first by `refresh`."""

    async def delay(self, seconds: float) -> None:
        """Return after a time on the run's clock."""

    async def connected(self, names: Sequence[str], timeout: float | None) -> None:
        """Return when all these channels are connected."""

    def compare(
        self,
        name: str,
        relation: Relation,
        operand: object,
        tolerance: float | None,
        accept: Accept,
    ) -> Condition:
        """The condition that a channel relates to a value."""


Derive: TypeAlias = Callable[[Mapping[str, Reading]], Mapping[str, object]]
"""Gives further columns of a row by name, made of its readings by channel."""


class Recording(Protocol):
    """Channels of which each update is kept."""

    @property
    def close(self) -> Callable[[], None]:
        """Keep no more."""

    def check(self) -> None:
        """Raise the error that some were lost, if any were."""


class Sampling(Protocol):
    """Takes rows; implemented by `engine.steps.samples`, which says what may be raised."""

    async def sample(
        self,
        names: Sequence[str],
        *,
        fresh: bool,
        timeout: float,
        missing_nan: bool,
        at: Place,
        derive: Derive | None = None,
    ) -> None:
        """Take one row of these channels, with further columns that are made of it."""

    def recording(self, names: Sequence[str]) -> Recording:
        """Keep each update of these channels from now on."""


class Leading(Protocol):
    """Leads sequence servers; implemented by `engine.steps.chained`."""

    async def load(
        self, loads: Sequence[tuple[ServerChannels, str]], timeout: float, *, hold: bool
    ) -> None:
        """Give each its trajectory."""

    async def move(
        self, at: Mapping[str, tuple[ServerChannels, int]], timeout: float, *, hold: bool
    ) -> None:
        """Bring each to an index."""

    def length(self, server: ServerChannels) -> int:
        """How many items one has loaded."""

    def rest(self) -> None:
        """Move none of them any more."""


class RunWorld(Protocol):
    """Channels, operators and values, as one run has them; implemented by `engine.steps.verbs`."""

    @property
    def mover(self) -> Putting:
        """Puts."""

    @property
    def waiter(self) -> Waiting:
        """Waits."""

    @property
    def sampler(self) -> Sampling:
        """Takes rows."""

    @property
    def master(self) -> Leading:
        """Leads sequence servers."""

    @property
    def clock(self) -> float:
        """The run's clock in s: it stands while the run is paused."""

    @property
    def moment(self) -> int:
        """The present, as `changed(…)` counts from it."""

    async def evaluate(self, operand: Operand, scope: Mapping[str, object]) -> object:
        """A value, on channels not older than this run's last completed put."""

    def derive(
        self, operand: Operand, scope: Mapping[str, object], readings: Mapping[str, Reading]
    ) -> object:
        """A value of what was just read, and of other channels as they are known now."""

    async def refresh(self, names: Iterable[str], timeout: float, *, must: bool) -> None:
        """See to it that what is known of these channels is not older than that.

        `must`: a server that does not answer is an error; else its updates will tell.
        """

    def until(self, operand: Operand, scope: Mapping[str, object], accept: Accept) -> Condition:
        """The condition that an expression is true."""

    async def update(
        self, name: str, scope: Mapping[str, object], seconds: float | None, how: How, next_: Next
    ) -> object | None:
        """The value of the next update of a channel; None where that was skipped."""

    def outdated(self) -> None:
        """Something was put: what was read before is older than that."""

    async def ask(self, question: Asked) -> object | None:
        """Ask the operators; the answer, None where there is none."""

    def tell(self, text: str, severity: Severity = Severity.NO_ALARM) -> None:
        """Tell the operator."""


class Course(Protocol):
    """How a run goes on: steps inside a step; implemented by `engine.steps.interpreter`."""

    async def run(
        self, nodes: Sequence[Node], scope: Scope, place: Place, entry: Entry | None = None
    ) -> None:
        """Run a list of steps in order, in a scope of its own."""

    async def together(self, nodes: Sequence[Node], scope: Scope, place: Place) -> None:
        """Run steps at the same time."""

    async def first(self, nodes: Sequence[Node], scope: Scope, place: Place) -> int:
        """Run steps at the same time until one has ended; which that is."""

    async def finalised(
        self, label: str, nodes: Sequence[Node], finalisers: Sequence[Node], do: Doing
    ) -> None:
        """Run the steps inside a step, and whatever comes its finalisers."""

    async def sequence(self, another: Another, do: Doing) -> None:
        """Run another sequence, to the end of its finalisers."""

    async def call(self, name: str, args: Mapping[str, object], timeout: float | None) -> object:
        """Call a registered function."""

    async def gate(self) -> None:
        """Stand here before each pass: while the run is paused, or for ever where it ends."""

    async def approach(self, node: Node, place: Place, move: Callable[[], Awaitable[None]]) -> None:
        """Do what comes before the steps of a pass: it is told and can be skipped as a step."""

    def mark(self, place: Place, scope: Scope) -> None:
        """A rewind may start again from here."""

    def recalled(self, place: Place, name: str) -> tuple[object, ...]:
        """What the step here had found when the run was there before it went on; () = nothing."""

    def bound(self, place: Place, name: str, value: object, scope: Scope) -> None:
        """The step here has bound a name in its list: it is kept, for a run that goes on."""

    def left_out(self, steps: int) -> None:
        """So many steps of those foreseen are not run."""


class Doing:
    """One step under way: where it is, the names that hold there, and what it can have done.

    A step's `run` is given one. For most of them `put`, `value`, `number` and `delay` are enough.
    """

    __slots__ = ("course", "entry", "held", "place", "scope", "world")

    def __init__(
        self,
        world: RunWorld,
        course: Course,
        scope: Scope,
        place: Place,
        entry: Entry | None = None,
        *,
        held: bool = False,
    ) -> None:
        """`entry`: the way back into its middle. `held`: what it needs is waited for if lost."""
        self.world = world
        self.course = course
        self.scope = scope
        self.place = place
        self.entry = entry
        self.held = held

    async def put(self, puts: Iterable[Put], timeout: Operand | float) -> None:
        """Put to all of these at once; return when all have arrived.

        Args:
            puts: With the values that they have now.
            timeout: s for all of them.

        Raises:
            OrchestratorError: As the step `set`.
        """
        moves = [await self._move(put) for put in puts]
        limit = timeout if isinstance(timeout, float) else await self.number(timeout)
        try:
            await self.world.mover.set(moves, limit, hold=self.held)
        finally:
            self.world.outdated()

    async def begin(self, puts: Iterable[Put]) -> None:
        """Remember where those that are relative are counted from, unless that is known already."""
        for put in puts:
            if put.origin is not None and (key := self._origin(put)) not in self.scope:
                await self.find(key, reading(put.origin))

    def _origin(self, put: Put) -> str:
        """The name that holds what a put is counted from, for all tries of this step."""
        return f"$origin {path_text(self.place.path)} {put.pv}"

    async def _counted(self, put: Put, value: object) -> object:
        await self.begin((put,))
        origin = self.scope[self._origin(put)]
        for part in (origin, value):
            if isinstance(part, bool) or not isinstance(part, int | float):
                raise ExpressionError(f"{put.pv}: relative takes numbers, not {described(part)}")
        return origin + value  # type: ignore[operator]  # they were looked at

    async def _move(self, put: Put) -> Move:
        value = await self.world.evaluate(put.value, self.scope)
        if put.origin is not None:
            value = await self._counted(put, value)
        wanted, tolerance = put.readback_value, put.tolerance
        return Move(
            put,
            value,
            value if wanted is None else await self.world.evaluate(wanted, self.scope),
            None if tolerance is None else await self.number(tolerance),
            await self.number(put.settle),
        )

    def bind(self, name: str, value: object) -> None:
        """Bind a name for the rest of the list in which the step stands, or assign a variable."""
        self.scope[name] = value
        self.course.bound(self.place, name, value, self.scope)

    async def find(self, name: str, operand: Operand) -> None:
        """Bind what a step finds when it is entered; where the run goes on, what it found then."""
        found = self.course.recalled(self.place, name)
        self.bind(name, found[0] if found else await self.value(operand))

    async def remembered(self, what: str, value: Callable[[], Awaitable[T]]) -> T:
        """What a step has computed when it was entered, where the run comes back into its midst.

        Args:
            what: Which of its values, one word.
            value: Computes it.
        """
        name = f"${what} {path_text(self.place.path)}"
        if self.entry is not None and name in self.scope:
            return self.scope[name]  # type: ignore[return-value]  # it is what was bound
        found = self.course.recalled(self.place, name)
        computed: T = found[0] if found else await value()  # type: ignore[assignment]  # the same
        self.bind(name, computed)
        return computed

    async def delay(self, seconds: float) -> None:
        """Wait for a time; a pause does not count, a skip ends it."""
        await self.world.waiter.delay(seconds)

    # Values -----------------------------------------------------------------------------------

    async def evaluate(self, operand: Operand) -> object:
        """A value; a channel that it reads has to be connected now."""
        return await self.world.evaluate(operand, self.scope)

    async def value(self, operand: Operand) -> object:
        """A value; with `on_disconnect: wait` its channels are waited for."""
        if self.held and operand.channels:
            # First without: what is disconnected may be on a side that does not decide.
            with suppress(NotConnectedError):
                return await self.world.evaluate(operand, self.scope)
            await self.world.waiter.connected(sorted(operand.channels), None)
        return await self.world.evaluate(operand, self.scope)

    async def truth(self, operand: Operand) -> bool:
        """The value of a condition."""
        value = await self.value(operand)
        if not isinstance(value, bool):
            raise ExpressionError(f"{operand.text} is {value!r}, neither true nor false")
        return value

    async def number(self, operand: Operand) -> float:
        """The value of a field that is a number."""
        if operand.constant:  # nearly all are
            value = constant_value(operand)
        else:
            value = await self.world.evaluate(operand, self.scope)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ExpressionError(f"{operand.text} has to be a number, not {value!r}")
        return float(value)

    async def limit(self, operand: Operand | None) -> float | None:
        """The same of a timeout; None = for ever."""
        return None if operand is None else await self.number(operand)

    # Steps inside -----------------------------------------------------------------------------

    async def steps(self, nodes: Sequence[Node]) -> None:
        """Run the steps inside, in order."""
        if self.entry is not None:
            self.entry.branch()
        await self.course.run(nodes, self.scope, self.place, self.entry)

    def inside(self, passes: tuple[int, ...]) -> Doing:
        """The same step in a pass of its loops, with a scope of its own."""
        entry, place = self.entry, self.place
        if entry is not None and entry.arrived:
            entry = None  # the pass is what it has led to
        scope = self.scope.child() if entry is None else entry.scope(self.scope)
        if entry is None:
            scope[SINCE] = self.world.moment
        at = Place(place.path, (*place.loops, *passes), place.tries)
        return Doing(self.world, self.course, scope, at, entry, held=self.held)
