"""Every command at every await of a run, enumerated.

An iteration of the loop lies between any two awaits that really suspend. So a command before the
n-th iteration, for each n from the start of a run to its end, meets every moment that there is.

While a step waits, only the reports of progress iterate, every 0.25 s: alike but for their number.
So nothing here takes longer than it needs for one in its midst and one at its very end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config import names_of
from orchestrator.engine import Library
from orchestrator.engine.python.decorators import function, sequence
from orchestrator.engine.python.machine import State, When
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.python_program import PythonProgram
from orchestrator.engine.sequences.registry import Registry
from orchestrator.errors import StepTimeoutError
from orchestrator.language.program.nodes import Program
from orchestrator.types import Cause, RunEnded, RunRequest, RunStatus, Verb
from tests.doubles import VirtualTimeLoop, run_virtual
from tests.unit.engine.bench import Bench, bench, make_config

FINALLY = "\nfinally: [{set: {pv: sim.fin, value: 1}}, {delay: 0.5}]"
DROPPED = "the finalisers were dropped"


@function
async def never_ended(seconds: float) -> None:
    """Makes an error of its cancellation."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        raise ValueError("never heard of it") from None


@sequence
async def plan(run: Run) -> None:
    """Moves, and cleans up."""
    try:
        await run.set("sim.x", 1)
        await run.delay(0.3)
        await run.set("sim.y", 2)
    finally:
        await run.set("sim.text", 1)


@sequence
async def branches(run: Run) -> None:
    """Moves several things at once, and cleans up."""
    try:
        late = run.wait("sim.det", above=5, timeout=0.3)
        await run.parallel(run.set("sim.x", 1), late)
    except StepTimeoutError:
        await run.set("sim.y", 2)
    finally:
        await run.set("sim.text", 2)


@sequence
async def machine(run: Run) -> None:
    """States that move, and clean up as they are left."""

    async def close() -> None:
        await run.set("sim.text", 1)

    waits = State(
        entry=lambda: run.set("sim.x", 1), when=[When("sim.counts > 1", "done")], exit=close
    )
    await run.machine({"waits": waits, "done": State()})


REGISTRY = Registry(
    sequences={f.__name__: f for f in (plan, branches, machine)},
    functions={"never_ended": never_ended},
)


@dataclass(frozen=True)
class Moment:
    """What was so when the command was given."""

    busy: list[int]
    entered: bool
    finalising: bool


@dataclass(frozen=True)
class Seen:
    """What a run showed."""

    ended: RunEnded
    busy: list[int]
    fin: list[float]
    statuses: list[str]
    moment: Moment | None
    iterations: int
    late: dict[str, list[float]]
    """Puts that left though an abort had been accepted, but for stops and finalisers."""
    tidied: list[float]
    """What finalisers of sub-sequences have put."""
    moved: bool
    """Whether something was put that they have to clean up after."""


class LoadedOnce(Library):
    """Keeps the program of each text: to read it takes as long as to run it."""

    def __init__(self) -> None:
        super().__init__(Path(__file__).parent / "documents", names_of(make_config()), REGISTRY)
        self._loaded: dict[str, Program | PythonProgram] = {}

    def load(self, request: RunRequest) -> Program | PythonProgram:
        if request.text not in self._loaded:
            self._loaded[request.text] = super().load(request)
        return self._loaded[request.text]


LIBRARY = LoadedOnce()


def play(steps: str, number: int | None, command: Callable[[Bench], None]) -> Seen:
    """Run the steps; give the command before the iteration `number` of the run."""
    return run_virtual(_play(steps, number, command))


async def _play(steps: str, number: int | None, command: Callable[[Bench], None]) -> Seen:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with bench(library=LIBRARY) as it:
        _behave(it, loop)
        began, moments = loop.iterations, list[Moment]()

        def act() -> None:
            control = it.engine._lanes[""]._control
            busy, fin = it.values("busy"), it.puts("fin")
            finalising = control is not None and control.finalisers.in_finally
            entered = control is not None and not control.requests.checking
            moments.append(Moment(busy, entered, finalising or bool(fin)))
            command(it)

        if number is not None:
            loop.at_iteration(began + number, act)
        head, bracket, rest = steps.partition("[")
        it.start(f"{head}steps: {bracket}{rest}{FINALLY}")
        ended = await it.ended()
        took = loop.iterations - began
        assert isinstance(ended, RunEnded)
        return Seen(
            ended,
            it.values("busy"),
            it.puts("fin"),
            it.values("status"),
            moments[0] if moments else None,
            took,
            it.late_puts(),
            it.puts("text"),
            bool(it.puts("x") or it.puts("y")),
        )


def _behave(it: Bench, loop: VirtualTimeLoop) -> None:
    """Moves take a while, the readback follows, counts come later."""

    def moved(_channel: object, value: object) -> None:
        loop.call_later(1.0, it.sim.post, "sim.x_rbv", value)

    it.sim.channels["sim.x"].on_put = moved
    it.servers["stage"].takes = 0.5
    for name in ("x", "y", "fin", "text"):
        it.sim.channels[f"sim.{name}"].put_takes = 0.5
    loop.call_later(0.4, it.sim.post, "sim.turns", 1.0)
    loop.call_later(1.2, it.sim.post, "sim.turns", 0.0)
    loop.call_later(1.3, it.ask, Verb.RESUME)
    for name in ("x", "counts"):
        it.sim.channels[f"sim.{name}"].get_takes = 0.5
    loop.call_later(1.0, it.sim.post, "sim.counts", 5.0)


def pause_then_resume(it: Bench) -> None:
    """Resume it after everything else that is under way has come to its end."""
    it.ask(Verb.PAUSE)
    asyncio.get_running_loop().call_later(3.0, it.ask, Verb.RESUME)


COMMANDS: dict[str, tuple[Callable[[Bench], None], RunStatus]] = {
    "pause, then resume": (pause_then_resume, RunStatus.SUCCESS),
    "resume": (lambda it: it.ask(Verb.RESUME), RunStatus.SUCCESS),
    "stop": (lambda it: it.ask(Verb.STOP), RunStatus.STOPPED),
    "skip": (lambda it: it.ask(Verb.SKIP), RunStatus.SUCCESS),
    "abort": (lambda it: it.ask(Verb.ABORT), RunStatus.ABORTED),
    "abort twice": (lambda it: [it.ask(Verb.ABORT), it.ask(Verb.ABORT)], RunStatus.ABORTED),
    "abort thrice": (lambda it: [it.ask(Verb.ABORT) for _ in range(3)], RunStatus.ABORTED),
    "pause, then stop": (lambda it: [it.ask(Verb.PAUSE), it.ask(Verb.STOP)], RunStatus.STOPPED),
    "pause, then abort": (lambda it: [it.ask(Verb.PAUSE), it.ask(Verb.ABORT)], RunStatus.ABORTED),
}


EACH = int(os.environ.get("ORCHESTRATOR_MOMENTS_EACH", "2"))
"""A command is given at each moment that is so far from the last one; 1 takes a minute more."""


def check_every_await(kind: str, steps: str, command: str, *, tidies: bool = False) -> None:
    """Give the command before iterations of a run, each of its own, and look at what follows.

    `tidies`: what moves has a clean-up of its own, that has to run as well.
    """
    action, expected = COMMANDS[command]
    quiet = play(steps, None, action)
    assert (quiet.ended.status, quiet.busy, quiet.fin) == (RunStatus.SUCCESS, [1, 0], [1.0]), quiet
    outcomes = set()
    first = 1 + list(COMMANDS).index(command) % EACH  # commands take turns at the moments
    for number in range(first, quiet.iterations + 1, EACH):
        seen = play(steps, number, action)
        where = f"{kind}: {command} before iteration {number}: {seen}"
        assert seen.busy == [1, 0], where
        assert seen.statuses == ["Undefined", seen.ended.status.value], where
        assert seen.ended.status in _possible(seen.moment, expected), where
        _check_finally(seen, command, where)
        if tidies and seen.moved and command != "abort thrice":
            assert len(seen.tidied) == 1, where
        outcomes.add(seen.ended.status)
    assert expected in outcomes, f"{kind}: {command} never reached the run: {outcomes}"


def _possible(moment: Moment | None, expected: RunStatus) -> set[RunStatus]:
    """A command outside the run has no effect; at its very ends it may or may not be in time."""
    if moment is None or moment.busy == [1, 0]:
        return {RunStatus.SUCCESS}
    if moment.busy == [1] and not moment.finalising:
        return {expected}
    return {expected, RunStatus.SUCCESS}


def _check_finally(seen: Seen, command: str, where: str) -> None:
    assert len(seen.fin) <= 1, where
    assert len(seen.tidied) <= 1, where
    assert not seen.late, where
    message, ended = seen.ended.message, seen.ended.status
    assert "internal error" not in message, where
    assert seen.ended.cause is (Cause.NONE if ended is RunStatus.SUCCESS else Cause.DURING), where
    if command != "abort thrice":
        assert "dropped" not in message, where
    elif ended is RunStatus.ABORTED and seen.moment is not None and seen.moment.entered:
        assert seen.fin == [1.0] or DROPPED in message, where
    words = {RunStatus.ABORTED: "aborted", RunStatus.STOPPED: "stopped"}
    assert message.startswith(words.get(ended, "")), where
    moment = seen.moment
    entered = moment is not None and moment.entered and command != "abort thrice"
    if moment is None or seen.ended.status is RunStatus.SUCCESS or entered:
        assert seen.fin == [1.0], where
