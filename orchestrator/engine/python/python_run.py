"""The verbs as Python sequences call them: same names, arguments, semantics and errors."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import suppress
from contextvars import ContextVar, Token
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from orchestrator.engine.control.concurrently import first_of, run_all
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.finalising import cleaning_up
from orchestrator.engine.control.step_scope import RewindRun, StopRun
from orchestrator.engine.python.machine import Machine, State, When
from orchestrator.engine.python.python_steps import PythonSteps, PythonWalk, Way
from orchestrator.engine.python.verb_calls import VerbCalls, plain
from orchestrator.engine.readings.latches import Latch
from orchestrator.engine.readings.updates import UpdateQueue
from orchestrator.engine.steps.verbs import Verbs
from orchestrator.engine.user_code.cleanup import Site, call_site
from orchestrator.engine.user_code.user_code import UserCode, as_error
from orchestrator.errors import CallError, InputError
from orchestrator.language.expressions.functions import check_name
from orchestrator.language.expressions.operand import latch_key
from orchestrator.language.names import Names, suggestion
from orchestrator.language.values.points import Points, range_points
from orchestrator.types import Place, Reading, Severity
from orchestrator.verbs import own_verbs
from orchestrator.verbs.awaited import How, Next, accepted

_T = TypeVar("_T")
_Reached: TypeAlias = tuple[tuple[int, ...], dict[str, int]]
"""Passes, and the index of each server by its name."""

_COMMON = ("on_disconnect",)
"""Fields of every step, which stand beside its verb."""

_loops: ContextVar[tuple[int, ...]] = ContextVar("loops", default=())
"""The passes that the calling branch is in, outermost first; each task has its own."""


class Verb(Coroutine[Any, Any, _T]):
    """A verb that was called, to be awaited once: as a coroutine, but it knows where that was."""

    __slots__ = ("_begin", "_inner", "_site", "_what", "forget")

    def __init__(
        self,
        what: str,
        begin: Callable[[Site], Coroutine[Any, Any, _T]],
        forget: Callable[[str], None],
    ) -> None:
        """`what` is the verb's name; `forget` is told where one was called that nobody awaits."""
        self._what = what
        self._site = call_site()
        self._begin: Callable[[Site], Coroutine[Any, Any, _T]] | None = begin
        self._inner: Coroutine[Any, Any, _T] | None = None
        self.forget = forget

    def _coroutine(self) -> Coroutine[Any, Any, _T]:
        if self._inner is None:
            if self._begin is None:
                raise RuntimeError(f"run.{self._what} can be awaited once only")
            self._inner, self._begin = self._begin(self._site), None
        return self._inner

    def __await__(self) -> Generator[Any, Any, _T]:
        """As a coroutine's."""
        return self._coroutine().__await__()

    def send(self, value: Any) -> Any:
        """As a coroutine's."""
        return self._coroutine().send(value)

    def throw(self, *error: Any) -> Any:
        """As a coroutine's."""
        return self._coroutine().throw(*error)

    def close(self) -> None:
        """As a coroutine's."""
        self._begin = None
        if self._inner is not None:
            self._inner.close()

    def __del__(self) -> None:
        if self._begin is not None:
            self.forget(f"{self._site.where}: run.{self._what} was called without await")


class Run:
    """One run of a Python sequence.

    Each verb is the step of that name: its arguments are the step's fields and raise the same
    errors, it can be paused, stopped, skipped and aborted at the same moments. STOP and ABORT
    leave the sequence by exceptions that are none of `Exception`. Verbs that are called in a
    `finally`, and in an `except` once STOP or ABORT has come, are finalisers.

    The sequence runs on an event loop of its own, in a thread of its own. Its verbs may be awaited
    by tasks of that loop only, and only until it ends.

    >>> from orchestrator import Run, sequence
    >>> @sequence
    ... async def brightest(run: Run, points: int = 5) -> None:
    ...     for x in run.linspace("stage.x", -0.2, 0.2, points):
    ...         await run.set("stage.x", x, readback="stage.x_rbv", tolerance=0.01, timeout=30)
    ...         await run.set("det.acquire", 1)
    ...         await run.sample("stage.x_rbv", "det.counts")
    ...     best = run.data("stage.x_rbv")[run.data("det.counts").argmax()]
    ...     await run.log(f"brightest at {best:.2f} mm")
    """

    def __init__(
        self,
        name: str,
        steps: PythonSteps,
        verbs: Verbs,
        control: RunControl,
        names: Names,
        calls: VerbCalls,
        code: UserCode,
        place: Place,
    ) -> None:
        """Made by the engine. `place` is where the sequence is run from."""
        self._name = name
        self._steps = steps
        self._verbs = verbs
        self._control = control
        self._names = names
        self._calls = calls
        self._code = code
        self._place = place
        self._forgotten: list[str] = []

    async def carry_out(self, function: Callable[..., Awaitable[None]], **args: object) -> None:
        """Called by the engine on the loop of the sequence: run it to its end."""
        _loops.set(self._place.loops)
        await function(self, **args)
        self._check_forgotten()

    # Steps --------------------------------------------------------------------------------------

    def set(
        self, pv: str, value: object, *, timeout: float = 10.0, name: str = "", **fields: Any
    ) -> Verb[None]:
        """Put a value; `fields` are those of the step `set`: readback, tolerance and so on."""
        if isinstance(value, np.generic):  # the points of numpy's linspace, mostly
            value = plain(value)
        return self._plain("set", {"pv": pv, "value": value, "timeout": timeout, **fields}, name)

    def set_all(
        self, values: Mapping[str, object], *, timeout: float = 10.0, name: str = "", **fields: Any
    ) -> Verb[None]:
        """Put several values, started together and awaited together; `fields` hold for each."""
        common = {key: fields.pop(key) for key in _COMMON if key in fields}
        each = [{"pv": pv, "value": value, **fields} for pv, value in values.items()]
        given = {"all": each, "timeout": timeout, **common}
        return self._plain("set", given, name, what="set_all")

    def wait(self, pv: str, *, timeout: float | None, name: str = "", **fields: Any) -> Verb[None]:
        """Wait for a channel: `equals`, `above` … and the other fields of the step `wait`.

        `not` is a word of Python's: write `not_`.
        """
        given = {key.rstrip("_"): value for key, value in fields.items()}
        limit = "none" if timeout is None else timeout
        return self._plain("wait", {"pv": pv, "timeout": limit, **given}, name)

    def until(
        self, expression: str, *, timeout: float | None, name: str = "", **fields: Any
    ) -> Verb[None]:
        """Wait until an expression of the language is true."""
        limit = "none" if timeout is None else timeout
        given = {"until": expression, "timeout": limit, **fields}
        return self._plain("wait", given, name, what="until")

    def delay(self, seconds: float, *, name: str = "") -> Verb[None]:
        """Wait for a time."""
        return self._plain("delay", seconds, name)

    def sample(
        self,
        *channels: str | Mapping[str, str],
        fresh: bool = True,
        timeout: float = 5.0,
        missing: Literal["nan"] | None = None,
        on_disconnect: Literal["fail", "wait"] | None = None,
        name: str = "",
    ) -> Verb[None]:
        """Take one row of these channels; `{"norm": "det.counts / ring.current"}` is computed."""
        fields: dict[str, object] = {
            "channels": [c if isinstance(c, str) else dict(c) for c in channels],
            "fresh": fresh,
            "timeout": timeout,
        }
        if missing is not None:
            fields["missing"] = missing
        if on_disconnect is not None:
            fields["on_disconnect"] = on_disconnect
        return self._plain("sample", fields, name)

    def log(self, text: str) -> Verb[None]:
        """Tell the operator. The text is taken as it is."""
        return self._plain("log", _literal(text))

    def ask(self, text: str, **fields: Any) -> Verb[Any]:
        """Ask the operators; gives the answer: `run.ask("Which?", choices=["A", "B"])`.

        `fields` are those of the step `ask`: choices, or type with min and max; timeout, default.
        Without any of them it pauses until resumed, and gives None, as where it was skipped.
        """
        if not fields:
            return self._plain("ask", _literal(text))
        given = {"text": _literal(text), "as": "result", **_literals(fields)}
        return self._verb("ask", self._begins(self._call, "ask", given))

    def checkpoint(self, name: str = "") -> Verb[None]:
        """Mark this place as the step does; Python sequences never rewind."""
        return self._plain("checkpoint", name)

    def call(self, function: str, *, timeout: float | None = None, **args: object) -> Verb[object]:
        """Call a registered function and give what it returns."""
        fields: dict[str, object] = {"function": function, "args": args, "as": "result"}
        if timeout is not None:
            fields["timeout"] = timeout
        return self._verb("call", self._begins(self._call, "call", fields))

    def trajectories(
        self,
        servers: Mapping[str, str | Sequence[object]],
        *,
        timeout: float = 10.0,
        name: str = "",
        **fields: Any,
    ) -> Verb[None]:
        """Load sequence servers, all at once, each with a trajectory."""
        given = {"servers": dict(servers), "timeout": timeout, **fields}
        return self._plain("trajectories", given, name)

    def nested(
        self,
        over: str | Sequence[str] | Mapping[str, Literal["all"] | Sequence[int]],
        *,
        timeout: float = 30.0,
        name: str = "",
        **fields: Any,
    ) -> AsyncIterator[dict[str, int]]:
        """Walk the indices of sequence servers: `async for at in run.nested(["laser", "stage"])`.

        Gives the index of each server by its name, once all of them are there.
        """
        given = list(over) if isinstance(over, tuple) else over
        step = {"over": given, "timeout": timeout, **fields}
        return _Points(
            partial(self._verb, "nested"),
            self._begins(self._walk, "nested", step, name),
            self._move,
            lambda walk: self._code.room.to_home(walk.close),
        )

    async def _walk(self, verb: str, fields: object, name: str, site: Site) -> PythonWalk:
        call, _ = self._calls.step(site, verb, fields, name)
        return await self._cross(site, partial(self._steps.walk, call))

    async def _move(self, site: Site, walk: PythonWalk, around: tuple[int, ...]) -> _Reached | None:
        at = Place(self._place.path, around, self._place.tries)
        return await self._cross(site, partial(self._steps.move, walk, at))

    def run(self, sequence: str, **args: object) -> Verb[None]:
        """Run another sequence within this run, a document or a Python one."""
        return self._plain("run", {"sequence": sequence, "args": args})

    def parallel(self, *branches: Coroutine[Any, Any, object]) -> Verb[None]:
        """Run verbs at the same time: `await run.parallel(run.set(…), run.set(…))`.

        The first failure cancels the others, and is the error raised.
        """
        return self._verb("parallel", partial(self._parallel, branches))

    def race(self, *branches: Coroutine[Any, Any, object]) -> Verb[int]:
        """Run verbs at the same time until the first has ended; gives its index, from 0.

        `first = await run.race(run.wait("ring.current", below=50, timeout=None), run.delay(60))`.
        The others are ended. If the first has failed, that is the error raised.
        """
        return self._verb("race", partial(self._race, branches))

    def record(self, channels: Sequence[str], *branches: Coroutine[Any, Any, object]) -> Verb[None]:
        """Keep every update of channels while verbs run: `await run.record(["x"], run.set(…))`.

        Several verbs run at the same time, as in `parallel`.
        """
        return self._verb("record", partial(self._record, channels, branches))

    def latch(self, name: str, condition: str) -> Verb[None]:
        """Remember from now on when a condition on channels becomes true, however shortly.

        `run.until("latched('kick')", timeout=5)` and `run.value("latched('kick')")` take it. What
        is true already has not become so. It is there until the sequence ends.
        """
        return self._verb("latch", partial(self._latch, name, condition))

    def updates(
        self,
        channel: str,
        *,
        timeout: float | None = None,
        overflow: Literal["error", "drop"] = "error",
        on_disconnect: Literal["fail", "wait"] = "wait",
        accept_restart: bool = False,
        accept_invalid: bool = False,
    ) -> AsyncIterator[Update]:
        """Each update of a channel, in order: `async for reading in run.updates("io.code")`.

        They are kept from the first one that is asked for on, up to 100,000.

        Args:
            channel: Its alias, or its full PV name.
            timeout: s for each of them; None = for ever.
            overflow: What becomes of more: `error`, or `drop` the oldest, which is told.
            on_disconnect: Whether a lost channel is an error.
            accept_restart: Whether the first value after a reconnection is one.
            accept_invalid: Whether those in INVALID alarm are.

        Raises:
            StepTimeoutError: None came in time.
            ReadError: Some were lost.
        """
        how = How(fail_when_lost=on_disconnect == "fail")
        accept = accepted(restart=accept_restart, invalid=accept_invalid)
        next_ = Next(accept, drop=overflow == "drop")
        name = self._names.resolve(channel)
        return _Updates(
            partial(self._verb, "updates"),
            lambda site: self._cross(site, partial(self._steps.follow, name)),
            lambda site, queue: self._cross(
                site, partial(self._steps.updates, queue, timeout, how, next_)
            ),
            lambda queue: self._code.room.to_home(partial(self._steps.unfollow, queue)),
        )

    def machine(
        self,
        states: Mapping[str, State],
        start: str = "",
        *,
        latches: Mapping[str, str] = MappingProxyType({}),
    ) -> Verb[str]:
        """Run a state machine from `start`, the first state unless given; gives the last state.

        `latches` are conditions by name, as `run.latch` takes them, that live as long as it.

        STOP and ABORT leave it through the `exit` of the state that it is in. It lives through the
        loss of channels: a condition that reads one is not met until it is back.

        Raises:
            InputError: A state is named that there is not.
        """
        return self._verb("machine", partial(self._machine, states, start, latches))

    def __getattr__(self, verb: str) -> Callable[..., Verb[None]]:
        """A verb of the user's own: `run.ramp(pv="stage.x", to=5)`, by the fields of its step."""
        if verb not in own_verbs():
            raise AttributeError(f"a run has no {verb!r}{suggestion(verb, VERBS | own_verbs())}")
        return partial(self._own, verb)

    def _own(self, verb: str, *value: object, name: str = "", **fields: Any) -> Verb[None]:
        given = {key.rstrip("_"): field for key, field in fields.items()}
        return self._plain(verb, value[0] if value else given, name)

    # Values -------------------------------------------------------------------------------------

    def value(self, expression: str) -> Verb[Any]:
        """The value of a channel, or of any expression of the language.

        Never older than this run's last completed put. An enum is its label.

        Raises:
            NotConnectedError: It reads a disconnected channel.
            ExpressionError: It has no value on what its channels hold.
        """
        return self._verb("value", partial(self._value, expression))

    def data(self, channel: str) -> npt.NDArray[np.float64]:
        """This run's samples of a channel so far, shape (n_points,)."""
        samples = self._verbs.sampler.samples
        return samples.get(self._names.resolve(channel), np.zeros(0))

    # Loops --------------------------------------------------------------------------------------

    def linspace(self, pv: str, start: float, stop: float, num: int) -> Iterator[float]:
        """`num` evenly spaced points for `pv`, both ends included, to loop over.

        Raises:
            PutError: A point is beyond the channel's limits; before the first is given out.
            InputError: `num` is no whole number from 1.
        """
        return self._over(pv, range_points(start, stop, num=num))

    def arange(
        self,
        pv: str,
        start: float,
        stop: float,
        step: float,
        *,
        end: Literal["always"] | None = None,
    ) -> Iterator[float]:
        """Points from `start` by `step`; `stop` only if a whole number of steps reaches it.

        With `end="always"` it is visited in any case.
        """
        return self._over(pv, range_points(start, stop, step, to_the_end=end is not None))

    def _over(self, pv: str, points: Points) -> Iterator[float]:
        self._verbs.check_points(self._names.resolve(pv), points)
        return _looping(((index,), point) for index, point in enumerate(points))

    # How a verb is carried out ------------------------------------------------------------------

    def _verb(self, what: str, begin: Callable[[Site], Coroutine[Any, Any, _T]]) -> Verb[_T]:
        return Verb(what, begin, self._forgotten.append)

    def _plain(self, verb: str, fields: object, name: str = "", *, what: str = "") -> Verb[None]:
        """A verb that gives nothing; `what`: what it is called in Python, if not as the step."""
        return self._verb(what or verb, self._begins(self._do, verb, fields, name))

    def _begins(
        self,
        begin: Callable[[str, object, str, Site], Coroutine[Any, Any, _T]],
        verb: str,
        fields: object,
        name: str = "",
    ) -> Callable[[Site], Coroutine[Any, Any, _T]]:
        """How a verb begins that is a step of documents; `python_check` notes the step here."""
        return partial(begin, verb, fields, name)

    def _at(self) -> Place:
        return Place(self._place.path, _loops.get(), self._place.tries)

    async def _do(self, verb: str, fields: object, name: str, site: Site) -> None:
        call, values = self._calls.step(site, verb, fields, name)
        known = {**values, **self._calls.latches}
        await self._cross(site, partial(self._steps.step, call, site, self._at(), known))

    async def _call(self, verb: str, fields: object, name: str, site: Site) -> object:
        call, values = self._calls.step(site, verb, fields, name)
        bound = await self._cross(site, partial(self._steps.step, call, site, self._at(), values))
        return bound.get("result")

    async def _value(self, expression: str, site: Site) -> Any:
        operand = self._calls.expression(expression)
        latches = dict(self._calls.latches)
        return await self._cross(site, partial(self._steps.value, operand, latches))

    async def _parallel(self, branches: Sequence[Coroutine[Any, Any, object]], site: Site) -> None:
        await self._together(branches, site, run_all)

    async def _race(self, branches: Sequence[Coroutine[Any, Any, object]], site: Site) -> int:
        if not branches:
            raise InputError("run.race takes at least one verb")
        return await self._together(branches, site, first_of)

    async def _record(
        self,
        channels: Sequence[str],
        branches: Sequence[Coroutine[Any, Any, object]],
        site: Site,
    ) -> None:
        names = [self._names.resolve(channel) for channel in channels]
        recording = await self._cross(site, partial(self._steps.recording, names))
        try:
            await self._together(branches, site, run_all)
        finally:
            self._code.room.to_home(recording.close)
        await self._cross(site, partial(self._steps.recorded, recording))

    async def _together(
        self,
        branches: Sequence[Coroutine[Any, Any, object]],
        site: Site,
        run: Callable[[Sequence[tuple[str, Coroutine[Any, Any, None]]]], Awaitable[_T]],
    ) -> _T:
        try:
            await self._cross(site, self._steps.gate)
            with self._cleaning(site):  # in the branches too: they don't know where they come from
                return await run([(f"branch {i}", self._branch(b)) for i, b in enumerate(branches)])
        finally:
            for branch in branches:
                branch.close()  # one that did not begin is not forgotten

    async def _branch(self, branch: Coroutine[Any, Any, object]) -> None:
        try:
            await branch
        except (SystemExit, KeyboardInterrupt) as error:  # which would end the loop
            raise as_error(self._name, error) from error

    async def _machine(
        self, states: Mapping[str, State], start: str, latches: Mapping[str, str], site: Site
    ) -> str:
        machine = Machine(states, partial(self._way_out, site), cleaning_up)
        try:
            for name, condition in latches.items():
                await self._latch(name, condition, site)
            with self._cleaning(site):
                return await machine.run(start or next(iter(states)))
        finally:
            own = [self._calls.latches.pop(latch_key(name), None) for name in latches]
            given = [latch for latch in own if isinstance(latch, Latch)]
            self._code.room.to_home(partial(self._steps.unlatch, given))

    async def _latch(self, name: str, condition: str, site: Site) -> None:
        check_name(name)
        if latch_key(name) in self._calls.latches:
            raise InputError(f"{site.where}: there is a latch {name!r} already")
        operand = self._calls.expression(condition)
        if not operand.channels or operand.latches or operand.timed or operand.changed:
            wrong = "a condition on channels alone, without age(), changed(), now(), elapsed()"
            raise InputError(f"{site.where}: the latch {name!r} takes {wrong}, not {condition!r}")
        latch = await self._cross(site, partial(self._steps.latch, operand))
        self._calls.latches[latch_key(name)] = latch

    async def _way_out(self, site: Site, name: str, state: State) -> When | None:
        ways = [
            Way(
                self._calls.expression(when.condition) if when.condition else None,
                self._calls.expression(when.after) if isinstance(when.after, str) else when.after,
                restart=when.accept_restart,
                invalid=when.accept_invalid,
                fails=when.on_disconnect == "fail",
            )
            for when in state.when
        ]
        latches = dict(self._calls.latches)
        number = await self._cross(site, partial(self._steps.way_out, name, ways, latches))
        return None if number is None else state.when[number]

    def _cleaning(self, site: Site) -> Any:
        """Around what is a finaliser if the verb called there is one."""
        return cleaning_up(self._code.cleans(site))

    async def _cross(self, site: Site, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Have something done by the service, as a finaliser if the caller cleans up."""
        if self._code.over:
            raise CallError(f"{site.where}: a verb of {self._name} was called after its end")
        self._check_forgotten()
        code = self._code
        cleans = code.cleans(site)
        with cleaning_up(cleans):
            try:
                return await code.room.call(work, cleans=cleans)
            except (StopRun, RewindRun) as way_out:
                code.leaving_by(type(way_out))
                raise
            except asyncio.CancelledError:
                if code.room.is_leaving:
                    code.leaving_by(asyncio.CancelledError)
                raise

    def _check_forgotten(self) -> None:
        """Tell of a verb that was called, but not awaited: it did nothing."""
        if self._forgotten and self._code.left is None:  # else it may not have come to that
            raise CallError(f"{self._forgotten[0]}: it did nothing")


VERBS = frozenset(
    name
    for name, method in vars(Run).items()
    if not name.startswith("_")
    and str(getattr(method, "__annotations__", {}).get("return")).startswith("Verb[")
)
"""The methods of a `Run` that have to be awaited."""


class _Points(AsyncIterator[dict[str, int]]):
    """The points of a `nested`, each with its servers there.

    No asynchronous generator: left by `break`, it would end only later, in a task of its own, and
    what is sampled until then would carry its indices.
    """

    def __init__(
        self,
        verb: Callable[
            [Callable[[Site], Coroutine[Any, Any, dict[str, int]]]], Verb[dict[str, int]]
        ],
        begin: Callable[[Site], Coroutine[Any, Any, PythonWalk]],
        move: Callable[[Site, PythonWalk, tuple[int, ...]], Coroutine[Any, Any, _Reached | None]],
        end: Callable[[PythonWalk], None],
    ) -> None:
        """`move` is given the passes around, and gives the next point; `end` may come anywhen."""
        self._verb = verb
        self._begin = begin
        self._move = move
        self._end = end
        self._around = _loops.get()
        self._token: Token[tuple[int, ...]] | None = None
        self._walk: PythonWalk | None = None

    def __anext__(self) -> Verb[dict[str, int]]:
        return self._verb(self._next)

    async def _next(self, site: Site) -> dict[str, int]:
        if self._walk is None:
            self._walk = await self._begin(site)
        following = None
        try:
            following = await self._move(site, self._walk, self._around)
        finally:
            if following is None:
                self._close()
        if following is None:
            raise StopAsyncIteration
        passes, indices = following
        token = _loops.set((*self._around, *passes))
        self._token = self._token or token
        return indices

    def _close(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            with suppress(ValueError):  # it was left behind, and is cleared away by another task
                _loops.reset(token)

    def __del__(self) -> None:
        self._close()
        if self._walk is not None:
            self._end(self._walk)


class Update(NamedTuple):
    """One update of a channel."""

    value: Any
    """As expressions see it: an enum is its label."""
    timestamp: float
    """The IOC's, Unix s."""
    severity: Severity
    """Of its alarm."""


class _Updates(AsyncIterator[Update]):
    """The updates of a channel, one after the other; they cross to the loop in batches."""

    def __init__(
        self,
        verb: Callable[[Callable[[Site], Coroutine[Any, Any, Update]]], Verb[Update]],
        begin: Callable[[Site], Coroutine[Any, Any, UpdateQueue]],
        more: Callable[[Site, UpdateQueue], Coroutine[Any, Any, Sequence[tuple[Reading, Any]]]],
        end: Callable[[UpdateQueue], None],
    ) -> None:
        """`more` gives the next ones, none where that was skipped; `end` may come anywhen."""
        self._verb = verb
        self._begin = begin
        self._more = more
        self._end = end
        self._queue: UpdateQueue | None = None
        self._here: deque[tuple[Reading, Any]] = deque()

    def __anext__(self) -> Verb[Update]:
        return self._verb(self._next)

    async def _next(self, site: Site) -> Update:
        if self._queue is None:
            self._queue = await self._begin(site)
        while not self._here:
            self._here.extend(await self._more(site, self._queue))
        reading, value = self._here.popleft()
        return Update(value, reading.timestamp, reading.severity)

    def __del__(self) -> None:
        if self._queue is not None:
            self._end(self._queue)


def _looping(passes: Iterable[tuple[tuple[int, ...], _T]]) -> Iterator[_T]:
    """Give each point while the calling branch is in the passes that come with it."""
    around = _loops.get()
    token = _loops.set(around)
    try:
        for own, point in passes:
            _loops.set((*around, *own))
            yield point
    finally:
        with suppress(ValueError):  # it was left behind, and is cleared away by another task
            _loops.reset(token)


def _literals(fields: Mapping[str, Any]) -> dict[str, object]:
    """Fields in whose texts nothing stands for a value."""
    return {
        name: [_literal(v) if isinstance(v, str) else v for v in given]
        if isinstance(given, list | tuple)
        else _literal(given)
        if isinstance(given, str) and name == "default"
        else given
        for name, given in fields.items()
    }


def _literal(text: str) -> str:
    """A text in which nothing stands for a value."""
    escaped = text.replace("$(", "$$(")
    return f"={escaped}" if escaped.startswith("=") else escaped
