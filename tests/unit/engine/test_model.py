"""Random documents under random commands and faults: what always holds.

Documents of all step kinds to depth 4; commands by operators and faults of IOCs at random moments,
on virtual time. 10,000 examples in the long run: HYPOTHESIS_PROFILE=long.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestrator.engine.python.decorators import function, sequence
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import RunEnded, RunStatus, StateChanged, StepStarted, Verb
from tests.doubles import run_virtual
from tests.unit.engine.bench import Bench, bench
from tests.unit.engine.snapshots import check_snapshots

EXAMPLES = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 100
CHANNELS = ("sim.x", "sim.y", "sim.counts", "sim.det")
FAULTY = ("sim.x", "sim.counts", "sim.gate")
"""sim.y and sim.det stay; the finaliser's channel as well."""

channels = st.sampled_from(CHANNELS)
numbers = st.integers(0, 3)
seconds = st.sampled_from([0, 0.5, 1, 3])
timeouts = st.sampled_from([1, 5])

leaves = st.one_of(
    st.builds(
        lambda pv, v, c, rb, t: {
            "set": {"pv": pv, "value": v, "completion": c, "timeout": t}
            | ({"readback": pv} if rb else {})
        },
        channels,
        numbers,
        st.booleans(),
        st.booleans(),
        timeouts,
    ),
    st.builds(lambda v, t: {"set": {"all": [{"pv": c, "value": v} for c in CHANNELS[:2]],
                                    "timeout": t}}, numbers, timeouts),
    st.builds(
        lambda pv, v, t, h, e: {
            "wait": {"pv": pv, "equals": v, "timeout": t, "hold": h, "edge": e}
        },
        channels,
        numbers,
        timeouts,
        st.sampled_from([0, 0.5]),
        st.booleans(),
    ),
    st.builds(lambda v, t: {"wait": {"until": f"sim.x + sim.y > {v}", "timeout": t}}, numbers,
              timeouts),
    st.builds(lambda s: {"delay": s}, seconds),
    st.builds(lambda cs: {"sample": cs}, st.lists(channels, min_size=1, max_size=3, unique=True)),
    st.builds(lambda v: {"let": {"a": v}}, numbers),
    st.just({"log": "at $(sim.y)"}),
    st.just({"ask": "go on?"}),
    st.just("checkpoint"),
    st.builds(
        lambda t: {"trajectories": {"servers": {"stage": [0, 1, 2]}, "timeout": t}}, timeouts
    ),
    st.builds(lambda t: {"nested": {"over": {"stage": [0, 2]}, "timeout": t}}, timeouts),
    st.builds(
        lambda name, v: {"run": {"sequence": name, "args": {"to": v}}},
        st.sampled_from(["sub", "untidy", "hurried", "outer", "plan", "branches"]),
        numbers,
    ),
    st.builds(
        lambda name, s: {"call": {"function": name, "args": {"seconds": s}, "timeout": 2}},
        st.sampled_from(["work", "deaf", "swallows", "gathers"]),
        seconds,
    ),
)  # fmt: skip

on_error = st.one_of(
    st.none(),
    st.just("continue"),
    st.just({"retry": 1, "delay": 0.5}),
    st.just([{"set": {"pv": "sim.det", "value": 1}}]),
    st.just([{"log": "handled"}]),
)


def handled(step: Any, error: Any, lost: str | None) -> Any:
    """A step with its common fields."""
    if isinstance(step, str):
        return step
    extra = ({"on_error": error} if error else {}) | ({"on_disconnect": lost} if lost else {})
    return {**step, **extra}


def lists(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(steps, min_size=1, max_size=3)


def inside(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(lambda n, do: {"loop": {"count": n}, "do": do}, numbers, lists(steps)),
        st.builds(
            lambda pv, s, do: {
                "loop": {"pv": pv, "from": 0, "to": 2, "num": 2, "serpentine": s, "timeout": 5},
                "do": do,
            },
            channels,
            st.booleans(),
            lists(steps),
        ),
        # Each pass brings it nearer to its end, as nothing else writes what it counts in.
        st.builds(
            lambda v, do: {
                "loop": {"while": f"sim.turns < {v}"},
                "do": [*do, {"set": {"pv": "sim.turns", "value": "=sim.turns + 1"}}, {"delay": 1}],
            },
            st.integers(0, 5),
            lists(steps),
        ),
        st.builds(
            lambda t, do: {"nested": {"over": {"laser": [0, 1]}, "timeout": t}, "do": do},
            timeouts,
            lists(steps),
        ),
        st.builds(lambda body: {"group": body}, lists(steps)),
        st.builds(lambda body: {"parallel": body}, lists(steps)),
        # What a branch does behind a step that an end meets: nothing that is found before the run.
        st.builds(
            lambda first, then, s: {"parallel": [{"group": [first, *then]}, {"delay": s}]},
            steps,
            lists(steps),
            seconds,
        ),
        st.builds(
            lambda v, a, b: {"if": f"sim.y > {v}", "then": a, "else": b},
            numbers,
            lists(steps),
            lists(steps),
        ),
    ).flatmap(lambda s: st.builds(handled, st.just(s), on_error, st.none()))


def leaf_steps() -> st.SearchStrategy[Any]:
    lost = st.sampled_from([None, None, "fail", "wait"])
    return st.builds(handled, leaves, on_error, lost)


steps = st.recursive(leaf_steps(), inside, max_leaves=8)
documents = st.builds(
    lambda body, suspend, timeout: {
        **({"suspend": {"beam": suspend}} if suspend else {}),
        **({"timeout": timeout} if timeout else {}),
        "steps": body,
        "finally": [{"set": {"pv": "sim.fin", "value": 1, "timeout": 5}}, {"delay": 1}],
    },
    st.lists(steps, min_size=1, max_size=5),
    st.sampled_from(
        [
            None,
            {"when": "sim.counts == 3"},
            # On what no step writes: a run that rewinds to what tripped it never ends.
            {"when": "sim.gate == 3", "rewind": "checkpoint"},
        ]
    ),
    st.sampled_from([None, 20]),
)

commands = st.sampled_from([Verb.PAUSE, Verb.RESUME, Verb.SKIP, Verb.STOP, Verb.ABORT]).map(
    lambda verb: ("ask", verb)
)
faults = st.one_of(
    st.sampled_from(FAULTY).map(lambda name: ("disconnect", name)),
    st.sampled_from(FAULTY).map(lambda name: ("reconnect", name)),
    st.tuples(st.just("post"), channels, numbers),
    st.just(("post", "sim.gate", 3)),
    st.tuples(st.just("restart"), st.sampled_from(["stage", "laser"]), st.sampled_from([0.5, 8.0])),
    st.tuples(st.just("stuck"), st.sampled_from(["stage", "laser"]), st.booleans()),
    st.tuples(st.just("slow"), channels, st.sampled_from([0.0, 1.0, 30.0])),
)
# Mostly at the very moments at which steps begin and end, and several at once.
moments = st.one_of(st.integers(0, 12), st.integers(0, 24).map(lambda n: n / 2), st.floats(0, 12))
happenings = st.lists(st.tuples(moments, st.one_of(commands, faults, faults)), max_size=8)
# A run that is ended, and before that perhaps held, while it is sure to be under way.
early = st.sampled_from([0, 0.3, 0.5, 1, 1.5, 2, 2.5, 3])
ends = st.lists(
    st.tuples(
        early,
        st.sampled_from([Verb.ABORT, Verb.ABORT, Verb.STOP, Verb.PAUSE]).map(lambda v: ("ask", v)),
    ),
    max_size=4,
)


def parted(waits: list[Any]) -> list[Any]:
    """A branch that stands before its put at 1.5 s; what ends the run reaches it by its parent."""
    return [{"delay": 0.5}, {"parallel": [{"group": waits}, {"delay": 3}]}]


def met(cause: Any, turns: int, verb: Verb) -> tuple[float, Any]:
    """What lets a put go at 1.5 s, and turns of the loop later what forbids it."""
    return (1.5, ("meet", turns, cause, ("ask", verb)))


def held_put(name: str, turns: int, verb: Verb) -> tuple[list[Any], list[Any]]:
    """Steps whose put is held until its channel is back, and what happens."""
    put = {"set": {"pv": name, "value": 1, "timeout": 5}, "on_disconnect": "wait"}
    events = [(0.2, ("disconnect", name)), met(("reconnect", name), turns, verb)]
    return parted([put]), events


def second_put(name: str, turns: int, verb: Verb) -> tuple[list[Any], list[Any]]:
    """Steps whose put waits for the one before, and what happens."""
    late = {"set": {"pv": name, "value": 1, "timeout": 0.4}, "on_error": "continue"}
    put = {"set": {"pv": name, "value": 2, "timeout": 5}}
    # The one before ends by itself, at 1.5 s.
    events = [(0.2, ("slow", name, 1.0)), met(("slow", name, 1.0), turns, verb)]
    return parted([late, put]), events


# The moment at which a put leaves and that at which it is forbidden hardly meet by chance.
meetings = st.one_of(
    st.just(([], [])),
    st.builds(
        lambda make, name, turns, verb: make(name, turns, verb),
        st.sampled_from([held_put, second_put]),
        st.sampled_from(["sim.x", "sim.counts"]),
        st.integers(0, 8),
        st.sampled_from([Verb.ABORT, Verb.ABORT, Verb.STOP]),
    ),
)


@function
async def work(seconds: float) -> None:
    await asyncio.sleep(seconds)


@function
async def deaf(seconds: float) -> None:
    """Makes an error of its cancellation."""
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        raise ValueError("never heard of it") from None


@function
async def swallows(seconds: float) -> None:
    """Makes nothing of its cancellation."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(seconds)


@function
async def gathers(seconds: float) -> None:
    """Fails in a group of tasks, which on Python 3.11 leaves a cancellation too many."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(deaf(seconds))
        tasks.create_task(asyncio.sleep(9))
        await asyncio.sleep(min(seconds, 0.5))
        raise ValueError("enough")


entered: list[str] = []
left: list[str] = []
"""The sequences with a clean-up of their own that were entered, and whose clean-up began."""


@function
async def counts_in(name: str) -> None:
    entered.append(name)


@function
async def counts_out(name: str) -> None:
    left.append(name)


@sequence
async def plan(run: Run, to: float = 1.0) -> None:
    """Moves, and cleans up."""
    entered.append("plan")
    try:
        await run.set("sim.y", to, timeout=3)
        await asyncio.sleep(0.5)  # as users do
        await run.delay(1)
    finally:
        left.append("plan")
        await run.set("sim.text", 1, timeout=5)


@sequence
async def branches(run: Run, to: float = 1.0) -> None:
    """Several things at once, some of which have a clean-up of their own."""
    entered.append("branches")
    try:
        waits = run.wait("sim.counts", equals=to, timeout=2)
        await run.parallel(run.run("untidy"), run.run("plan"), waits)
    finally:
        left.append("branches")
        await run.set("sim.text", 1, timeout=5)


def counted(name: str, steps: str, more: str = "", head: str = "") -> str:
    """A document whose finalisers count; those in `more` come first."""
    call = "{{call: {{function: {}, args: {{name: {}}}}}}}"
    begin, end = call.format("counts_in", name), call.format("counts_out", name)
    return f"{head}parameters: {{to: 1}}\nsteps: [{begin}, {steps}]\nfinally: [{more}{end}]"


TEXT = "{set: {pv: sim.text, value: 1, timeout: 5}}"
MOVES = "{delay: 2}, {set: {pv: sim.y, value: $(to), timeout: 3}}, {sample: [sim.y]}"
FAILS = "{wait: {pv: sim.fin, above: 5, timeout: 1}}, "
SEQUENCES = {
    "sub": counted("sub", MOVES, f"{TEXT}, {{delay: 1}}, "),
    "untidy": counted("untidy", MOVES, f"{FAILS}{TEXT}, "),
    "hurried": counted("hurried", MOVES, FAILS, "timeout: 1\n"),
    "outer": counted("outer", "{run: untidy, on_error: continue}, {set: {pv: sim.x, value: 1}}"),
}
"""Sub-sequences with finalisers of their own, some of which fail."""

REGISTRY = Registry(
    sequences={f.__name__: f for f in (plan, branches)},
    functions={f.__name__: f for f in (work, deaf, swallows, gathers, counts_in, counts_out)},
)


FINALLY = [{"set": {"pv": "sim.fin", "value": 1}}]
MOVES_X = {"set": {"pv": "sim.x", "value": 1}}
BEFORE_A_STEP = [
    # What is met in a pause, and what moves beyond a STOP: the step behind it must not begin.
    (
        [{"wait": {"pv": "sim.counts", "equals": 1, "timeout": 5}}, MOVES_X],
        [(0.5, ("ask", Verb.PAUSE)), (2, ("post", "sim.counts", 1))],
    ),
    (
        [{"set": {"pv": "sim.y", "value": 1}}, MOVES_X],
        [(0, ("slow", "sim.y", 1.0)), (0.5, ("ask", Verb.STOP))],
    ),
]


def at_each_turn(test: Any) -> Any:
    """With every meeting of a put and an abort: those drawn may miss the one turn that counts."""
    document = {"steps": [{"delay": 1}], "finally": FINALLY}
    for make in (held_put, second_put):
        for turns in range(9):
            meeting = make("sim.x", turns, Verb.ABORT)
            test = example(document, [], [], meeting)(test)
    for body, events in BEFORE_A_STEP:
        test = example({"steps": body, "finally": FINALLY}, events, [], ([], []))(test)
    return test


@pytest.mark.timeout(0 if EXAMPLES > 1000 else 300)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@at_each_turn
@given(documents, happenings, ends, meetings)
def test_what_always_holds(
    document: dict[str, Any],
    more: list[Any],
    events: list[Any],
    meeting: tuple[list[Any], list[Any]],
) -> None:
    before, meets = meeting
    document = {**document, "steps": [*before, *document["steps"]]}
    events = [*more, *events, *meets]
    with TemporaryDirectory() as folder:
        for name, text in SEQUENCES.items():
            Path(folder, f"{name}.yaml").write_text(text)
        run_virtual(_play(json.dumps(document), events, Path(folder)))


async def _play(text: str, events: list[Any], folder: Path) -> None:
    entered.clear()
    left.clear()
    async with bench(registry=REGISTRY, directory=folder) as it:
        loop = asyncio.get_running_loop()
        for server in it.servers.values():
            server._put(None, "[5, 6, 7]")
            server.takes = 0.5
        aborts: list[float] = []
        timers = [loop.call_later(at, _happen, it, what, aborts) for at, what in events]
        # Somebody looks after it: what is asked is answered, what is lost comes back.
        timers += [loop.call_later(at, _attend, it) for at in range(100, 20_000, 100)]
        ended = await it.run(text)
        for timer in timers:
            timer.cancel()
        assert isinstance(ended, RunEnded)
        puts = _puts(it)
        await asyncio.sleep(60)
        await it.pull.idle()
        await it.push.idle()
        assert _puts(it) == puts, "the run is over"
        _check(it, ended, len(aborts))
        await _runs_again(it)


def _check(it: Bench, ended: RunEnded, aborts: int) -> None:
    assert "internal error" not in ended.message, ended.message
    assert it.values("busy") == [1, 0]
    assert it.values("start") == [1, 0]
    assert [e for e in it.events if isinstance(e, RunEnded)] == [ended]
    assert it.values("status") == ["Undefined", ended.status.value]
    assert it.values("state")[-1] == "Idle"
    assert it.values("pause")[-1:] in ([], [0])
    began = any(isinstance(e, StepStarted) and e.path[0] == "steps" for e in it.events)
    fin = len(it.puts("fin"))
    if aborts < 3:
        assert fin == int(began), ended
        assert "dropped" not in ended.message, ended.message
    assert fin <= 1
    if "dropped" not in ended.message:
        assert sorted(left) == sorted(entered), ended
    assert not Counter(left) - Counter(entered)
    assert it.late_puts() == {}
    assert it.late_steps == []
    assert it.steps_in_pauses == 0
    states = {e.state.value for e in it.events if isinstance(e, StateChanged)}
    if "Aborting" not in states and "Stopping" not in states:
        assert ended.status in (RunStatus.SUCCESS, RunStatus.FAILED, RunStatus.TIMEOUT)
    for _, readings in it.store.recorders[0].rows:
        assert all(reading is not None for reading in readings.values())
    assert it.values("data_npts")[-1] == len(it.store.recorders[0].rows)
    check_snapshots(it)


def _puts(it: Bench) -> int:
    return sum(len(channel.puts) for channel in it.sim.channels.values())


async def _runs_again(it: Bench) -> None:
    it.events.clear()
    for name in ("x", "y", "counts", "det", "gate"):
        it.sim.reconnect(f"sim.{name}")
    again = await it.run("steps: [{delay: 1}]")
    assert again.status is RunStatus.SUCCESS


def _happen(it: Bench, happening: tuple[Any, ...], aborts: list[float]) -> None:
    act: dict[str, Callable[..., Any]] = {
        "ask": it.ask,
        "disconnect": it.sim.disconnect,
        "reconnect": it.sim.reconnect,
        "post": it.sim.post,
        "restart": lambda name, down: it.servers[name].restart(down),
        "stuck": lambda name, fails: setattr(it.servers[name], "fails", fails),
        "slow": lambda name, takes: setattr(it.sim.channels[name], "put_takes", takes),
    }
    kind, *args = happening
    if kind == "meet":
        turns, first, second = args
        _happen(it, first, aborts)
        _in_turns(turns, partial(_happen, it, second, aborts))
        return
    if args == [Verb.ABORT]:
        aborts.append(0.0)
    act[kind](*args)


def _in_turns(turns: int, act: Callable[[], None]) -> None:
    """Act so many turns of the loop later, without time in between."""
    if turns:
        asyncio.get_running_loop().call_soon(_in_turns, turns - 1, act)
    else:
        act()


def _attend(it: Bench) -> None:
    it.ask(Verb.RESUME)
    for name in FAULTY:
        it.sim.reconnect(name)
    it.sim.post("sim.counts", 0)
    it.sim.post("sim.gate", 0)
