"""The verbs as Python sequences call them: same names, arguments, semantics and errors."""

from __future__ import annotations

import asyncio
import inspect
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
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from orchestrator.engine.branches import run_all
from orchestrator.engine.control import RewindRun, RunControl, SkipStep, StopRun
from orchestrator.engine.interpreter import Interpreter
from orchestrator.engine.machine import Machine, State
from orchestrator.engine.nesting import points
from orchestrator.engine.scope import Scope
from orchestrator.engine.seldom import seldom
from orchestrator.engine.verbs import Verbs
from orchestrator.engine.waits import Condition
from orchestrator.language.document import document_of
from orchestrator.language.expression import compile_expression
from orchestrator.language.library import SequenceLibrary
from orchestrator.language.names import Names, ServerChannels
from orchestrator.language.nodes import NestedNode, Program
from orchestrator.language.points import Points, range_points
from orchestrator.language.program import compile_program
from orchestrator.types import Place

_OURS = str(Path(__file__).parents[1])
"""Whose frames are not the user's code."""

_T = TypeVar("_T")
_Servers: TypeAlias = Mapping[str, tuple[ServerChannels, int]]
_Points: TypeAlias = Generator[_Servers, None, None]

_loops: ContextVar[tuple[int, ...]] = ContextVar("loops", default=())
"""The passes that the calling branch is in, outermost first; each task has its own."""


class Run:
    """One run of a Python sequence.

    Each verb is the step of that name: its arguments are the step's fields and raise the same
    errors, it can be paused, stopped, skipped and aborted at the same moments. STOP and ABORT
    leave the sequence by exceptions that are none of `Exception`; what it awaits in `finally`
    blocks after that runs as finalisers do.
    """

    def __init__(
        self,
        name: str,
        interpreter: Interpreter,
        verbs: Verbs,
        control: RunControl,
        names: Names,
        library: SequenceLibrary,
        connect: Callable[[Sequence[str]], Awaitable[None]],
        place: Place,
    ) -> None:
        """Made by the engine, in the task that is to run the sequence.

        `connect` makes sure of channels before their use; `place` is where it is run from: its
        loops are around those of the sequence.
        """
        self._name = name
        self._interpreter = interpreter
        self._verbs = verbs
        self._control = control
        self._names = names
        self._library = library
        self._connect = connect
        self._tries = place.tries
        _loops.set(place.loops)

    # Steps --------------------------------------------------------------------------------------

    async def set(
        self, pv: str, value: object, *, timeout: float = 10.0, name: str = "", **fields: Any
    ) -> None:
        """Put a value; `fields` are those of the step `set`: readback, tolerance and so on."""
        await self._do({"set": {"pv": pv, "value": value, "timeout": timeout, **fields}}, name)

    async def set_all(
        self, values: Mapping[str, object], *, timeout: float = 10.0, name: str = "", **fields: Any
    ) -> None:
        """Put several values, started together and awaited together; `fields` hold for each."""
        each = [{"pv": pv, "value": value, **fields} for pv, value in values.items()]
        await self._do({"set": {"all": each, "timeout": timeout}}, name)

    async def wait(self, pv: str, *, timeout: float | None, name: str = "", **fields: Any) -> None:
        """Wait for a channel: `equals`, `above` … and the other fields of the step `wait`.

        `not` is a word of Python's: write `not_`.
        """
        given = {key.rstrip("_"): value for key, value in fields.items()}
        limit = "none" if timeout is None else timeout
        await self._do({"wait": {"pv": pv, "timeout": limit, **given}}, name)

    async def until(
        self, expression: str, *, timeout: float | None, name: str = "", **fields: Any
    ) -> None:
        """Wait until an expression of the language is true."""
        limit = "none" if timeout is None else timeout
        await self._do({"wait": {"until": expression, "timeout": limit, **fields}}, name)

    async def delay(self, seconds: float, *, name: str = "") -> None:
        """Wait for a time."""
        await self._do({"delay": seconds}, name)

    async def sample(
        self,
        *channels: str,
        fresh: bool = True,
        timeout: float = 5.0,
        missing: Literal["nan"] | None = None,
        name: str = "",
    ) -> None:
        """Take one row of these channels."""
        fields: dict[str, object] = {
            "channels": list(channels),
            "fresh": fresh,
            "timeout": timeout,
        }
        if missing is not None:
            fields["missing"] = missing
        await self._do({"sample": fields}, name)

    async def log(self, text: str) -> None:
        """Tell the operator. The text is taken as it is."""
        await self._do({"log": _literal(text)})

    async def ask(self, text: str) -> None:
        """Pause with a message until resumed."""
        await self._do({"ask": _literal(text)})

    async def checkpoint(self, name: str = "") -> None:
        """Mark this place as the step does; Python sequences never rewind."""
        await self._do({"checkpoint": name} if name else "checkpoint")

    async def call(self, function: str, *, timeout: float | None = None, **args: object) -> object:
        """Call a registered function and give what it returns."""
        fields: dict[str, object] = {"function": function, "args": args, "as": "result"}
        if timeout is not None:
            fields["timeout"] = timeout
        return (await self._do({"call": fields})).get("result")

    async def trajectories(
        self,
        servers: Mapping[str, str | Sequence[object]],
        *,
        timeout: float = 10.0,
        name: str = "",
    ) -> None:
        """Load sequence servers, all at once, each with a trajectory."""
        fields = {"servers": dict(servers), "timeout": timeout}
        await self._do({"trajectories": fields}, name)

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
        step: dict[str, object] = {"nested": {"over": given, "timeout": timeout}, **fields}
        return _Walk(partial(self._nested, step, name), self._move_servers)

    async def _nested(self, step: Mapping[str, object], name: str) -> tuple[NestedNode, _Points]:
        program = await self._program(step, name)
        (node,) = program.steps
        assert isinstance(node, NestedNode)  # noqa: S101 - it is what was compiled
        return node, self._over_servers(node)

    def _over_servers(self, node: NestedNode) -> _Points:
        master = self._verbs.master
        try:
            yield from _looping(points(node.levels, master))
        finally:
            master.rest()

    async def _move_servers(self, node: NestedNode, at: _Servers) -> None:
        with self._leaving():
            place = Place(node.path, _loops.get(), self._tries)
            await self._interpreter.move_servers(node, at, Scope({}), place)

    async def run(self, sequence: str, **args: object) -> None:
        """Run another sequence within this run, a document or a Python one."""
        await self._do({"run": {"sequence": sequence, "args": args}})

    async def parallel(self, *branches: Coroutine[Any, Any, None]) -> None:
        """Run verbs at the same time: `await run.parallel(run.set(…), run.set(…))`.

        The first failure cancels the others, and is the error raised.
        """
        await self._control.gate()
        await run_all([(f"branch {i}", branch) for i, branch in enumerate(branches)])

    async def machine(self, states: Mapping[str, State], start: str = "") -> str:
        """Run a state machine from `start`, the first state unless given; gives the last state.

        STOP and ABORT leave it through the `exit` of the state that it is in.

        Raises:
            InputError: A state is named that there is not.
        """
        waiter, leaving = self._verbs.waiter, self._leaving
        with seldom(self._verbs.tell) as tell:
            machine = Machine(
                states, waiter, self._condition, lambda s: tell(f"{self._name}: state {s}"), leaving
            )
            return await machine.run(start or next(iter(states)))

    async def _condition(self, expression: str) -> Condition:
        operand = compile_expression(expression, self._names, ())
        await self._connect(sorted(operand.channels | operand.links))
        await _anyway(lambda: self._verbs.refresh(operand.channels))
        return self._verbs.until(operand, {})

    # Values -------------------------------------------------------------------------------------

    async def value(self, expression: str) -> Any:
        """The value of a channel, or of any expression of the language.

        Never older than this run's last completed put. An enum is its label.

        Raises:
            NotConnectedError: It reads a disconnected channel.
            ExpressionError: It has no value on what its channels hold.
        """
        operand = compile_expression(expression, self._names, ())
        await self._connect(sorted(operand.channels | operand.links))
        return await _anyway(lambda: self._verbs.evaluate(operand, {}))

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

    def arange(self, pv: str, start: float, stop: float, step: float) -> Iterator[float]:
        """Points from `start` by `step`; `stop` only if a whole number of steps reaches it."""
        return self._over(pv, range_points(start, stop, step))

    def _over(self, pv: str, points: Points) -> Iterator[float]:
        self._verbs.check_points(self._names.resolve(pv), points)
        return _looping(((index,), point) for index, point in enumerate(points))

    # How a verb is carried out ------------------------------------------------------------------

    async def _do(self, step: Mapping[str, object] | str, name: str = "") -> Mapping[str, object]:
        program = await self._program(step, name)
        with self._leaving():
            scope = Scope({})
            place = Place(loops=_loops.get(), tries=self._tries)
            return await self._interpreter.run_here(program.steps, scope, place)

    async def _program(self, step: Mapping[str, object] | str, name: str) -> Program:
        """A step, with its channels connected."""
        if name and isinstance(step, dict):
            step["name"] = name
        origin = _calling_line() or f"{self._name} (Python)"
        document = document_of({"steps": [_plain(step)]}, origin)
        program = compile_program(document, {}, self._names, self._library)
        with self._leaving():
            await self._connect(sorted(program.reads | program.writes))
        return program

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        try:
            yield
        except (StopRun, RewindRun, asyncio.CancelledError) as way_out:
            self._control.unwinding(way_out)  # from here on the sequence cleans up
            raise


class _Walk(AsyncIterator[dict[str, int]]):
    """The points of a `nested`, each with its servers there.

    No asynchronous generator: left by `break`, it would end only later, in a task of its own, and
    what is sampled until then would carry its indices.
    """

    def __init__(
        self,
        begin: Callable[[], Awaitable[tuple[NestedNode, _Points]]],
        move: Callable[[NestedNode, _Servers], Awaitable[None]],
    ) -> None:
        self._begin = begin
        self._move = move
        self._walk: tuple[NestedNode, _Points] | None = None

    async def __anext__(self) -> dict[str, int]:
        if self._walk is None:
            self._walk = await self._begin()
        node, to_come = self._walk
        at = next(to_come, None)
        if at is None:
            raise StopAsyncIteration
        try:
            await self._move(node, at)
        except BaseException:
            to_come.close()  # here and now, whoever keeps the error
            raise
        return {server: index for server, (_, index) in at.items()}


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


async def _anyway(work: Callable[[], Awaitable[_T]]) -> _T:
    """Do again what was skipped: it is no step, and without it the sequence can't go on."""
    while True:
        try:
            return await work()
        except SkipStep:
            continue


def _literal(text: str) -> str:
    """A text in which nothing stands for a value."""
    escaped = text.replace("$(", "$$(")
    return f"={escaped}" if escaped.startswith("=") else escaped


def _plain(value: Any) -> Any:
    """Numpy's numbers and arrays as Python's."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _calling_line() -> str:
    """Where the user's code awaits a verb, `plans.py:12`; empty in a task of its own (parallel)."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename == asyncio.events.__file__:
        return ""
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
