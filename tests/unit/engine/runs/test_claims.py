"""Which run may put to what, where several go on at once."""

from __future__ import annotations

import asyncio
import math
import os
import random
from typing import Any

import pytest

from orchestrator import Run, sequence
from orchestrator.config import LaneConfig
from orchestrator.engine.sequences.registry import Registry
from orchestrator.task_context import run_here
from orchestrator.types import Command, Reply, RunEnded, Told, Verb
from tests.doubles import run_virtual
from tests.unit.engine.bench import Bench, bench

LANES = {name: LaneConfig(name) for name in ("guard", "night")}


@pytest.fixture
def lanes(play, tmp_path):
    """Plays a scenario with three lanes; `text` is a sequence that the queues know."""

    def played(scenario, text="steps: [{delay: 0}]", **options):
        (tmp_path / "known.yaml").write_text(text)
        return play(scenario, directory=tmp_path, lanes=LANES, **options)

    return played


def start(it, lane, text, request=0):
    it.pull.offer(Command(Verb.START, request, document=text, lane=lane))


def replies(it):
    return [item for item in it.published if isinstance(item, Reply)]


def ask(it, verb, text="", lane="", request=0):
    it.pull.offer(Command(verb, request, text, lane=lane))


def ends(it):
    return [(e.lane, e.status.value) for e in it.events if isinstance(e, RunEnded)]


def messages(it):
    return [e.message for e in it.events if isinstance(e, RunEnded)]


HOLDS_X = "name: holds\nsteps: [{delay: 10}, {set: {pv: sim.x, value: 1}}]"


@pytest.mark.parametrize(
    ("wants", "channel"),
    [
        ("steps: [{set: {pv: sim.x, value: 2}}]", "sim.x"),
        ("steps: [{set: {pv: 'SIM:x.VAL', value: 2}}]", "sim.x"),
        ("steps: [log: a]\nfinally: [{set: {pv: sim.x, value: 2}}]", "sim.x"),
        ("restore: [sim.x]\nsteps: [log: a]", "sim.x"),
        ("steps: [{if: 1 > 2, then: [{set: {pv: sim.x, value: 2}}]}]", "sim.x"),
        ("steps: [{log: a, on_error: [{set: {pv: sim.x, value: 2}}]}]", "sim.x"),
        ("steps: [{loop: {pv: sim.x, values: [1]}, do: [log: a]}]", "sim.x"),
        ("steps: [{run: known}]", "sim.x"),
    ],
)
def test_what_another_lanes_run_may_put_to_refuses_a_start_before_anything_is_done(
    lanes, wants, channel
):
    async def scenario(it):
        start(it, "guard", HOLDS_X)
        await asyncio.sleep(1)
        start(it, "", wants, 7)
        await asyncio.sleep(1)
        return it.puts("x"), it, ends(it)

    known = "steps: [{set: {pv: sim.x, value: 2}}]"
    puts, it, ended = lanes(scenario, known)
    assert puts == []
    assert ended == [("", "Failed")]
    run_id = it.store.headers[0].run_id
    why = f"{channel} is claimed by the run holds {run_id} in the lane guard"
    assert messages(it)[0] == why
    [reply] = [r for r in replies(it) if r.request == 7]
    assert reply.error == f"Failed: {why}"


def test_a_stop_channel_belongs_to_the_claim(lanes):
    async def scenario(it):
        start(it, "guard", "name: moves\nsteps: [{delay: 5}, {set: {pv: sim.y, value: 1}}]")
        await asyncio.sleep(1)
        start(it, "night", "steps: [{set: {pv: 'SIM:stop', value: 1}}]")
        await asyncio.sleep(1)
        return messages(it)

    assert lanes(scenario)[0].startswith("sim.stop is claimed by the run moves ")


def test_runs_that_put_to_different_channels_go_on_at_once(lanes):
    async def scenario(it):
        start(it, "guard", HOLDS_X)
        start(it, "", "steps: [{set: {pv: sim.y, value: 1}}, {sample: [sim.x]}]")
        await asyncio.sleep(5)
        return ends(it)

    assert lanes(scenario) == [("", "Success")]


def test_text_for_cmd_is_refused_as_a_command(lanes):
    async def scenario(it):
        start(it, "guard", HOLDS_X)
        await asyncio.sleep(1)
        ask(it, Verb.COMMAND, "run known", request=5)
        await asyncio.sleep(1)
        [reply] = [r for r in replies(it) if r.request == 5]
        return reply.error, ends(it)

    error, ended = lanes(scenario, "steps: [{set: {pv: sim.x, value: 2}}]")
    assert error.startswith("sim.x is claimed by the run holds ")
    assert ended == []


def test_a_queued_run_waits_until_the_channels_are_free_and_says_so(lanes):
    async def scenario(it):
        start(it, "guard", HOLDS_X)
        await asyncio.sleep(1)
        ask(it, Verb.COMMAND, "submit known")
        await asyncio.sleep(5)
        waiting = it.puts("x"), it.values("busy"), it.values("message")[-1]
        await asyncio.sleep(6)
        return waiting, it.puts("x"), ends(it)

    (puts, busy, told), after, ended = lanes(scenario, "steps: [{set: {pv: sim.x, value: 2}}]")
    assert (puts, busy) == ([], [])
    assert told.startswith("known waits: sim.x is claimed by the run holds ")
    assert after == [1, 2]
    assert ended == [("guard", "Success"), ("", "Success")]


@pytest.mark.parametrize(("verb", "status"), [(Verb.ABORT, "Aborted"), (Verb.STOP, "Stopped")])
def test_who_waits_for_channels_can_be_ended_at_once(lanes, verb, status):
    async def scenario(it):
        start(it, "guard", HOLDS_X)
        await asyncio.sleep(1)
        ask(it, Verb.COMMAND, "submit known")
        await asyncio.sleep(1)
        ask(it, verb)
        await asyncio.sleep(0.1)
        return ends(it), it.puts("x")

    text = "steps: [{set: {pv: sim.x, value: 2}}]\nfinally: [{set: {pv: sim.x, value: 3}}]"
    assert lanes(scenario, text) == ([("", status)], [])


def test_a_shared_channel_is_for_all(lanes):
    async def scenario(it):
        start(it, "guard", HOLDS_X)
        start(it, "", "steps: [{set: {pv: sim.x, value: 2}}]")
        await asyncio.sleep(1)
        return ends(it), it.puts("x")

    assert lanes(scenario, rules={"x": {"share": True}}) == ([("", "Success")], [2])


def test_who_sees_the_end_of_a_run_may_start_what_needs_its_channels(lanes):
    async def scenario(it):
        start(it, "guard", "steps: [{set: {pv: sim.x, value: 1}}]", 1)
        while not ends(it):  # noqa: ASYNC110 - at the very moment, of which no event tells
            await asyncio.sleep(0)
        start(it, "", "steps: [{set: {pv: sim.x, value: 2}}]")
        await asyncio.sleep(1)
        return ends(it)

    assert lanes(scenario) == [("guard", "Success"), ("", "Success")]


def test_what_a_run_that_has_ended_still_owes_is_no_other_lanes_until_it_comes(lanes):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = 5
        text = "name: late\nsteps: [{set: {pv: sim.x, value: 1, timeout: 1}}]"
        start(it, "guard", text)
        await asyncio.sleep(2)
        start(it, "", "steps: [{set: {pv: sim.x, value: 2}}]")
        await asyncio.sleep(1)
        early = messages(it)[-1]
        ask(it, Verb.COMMAND, "submit known")
        await asyncio.sleep(8)
        return early, it.puts("x"), ends(it)[-1]

    early, puts, last = lanes(scenario, "steps: [{set: {pv: sim.x, value: 3, timeout: 20}}]")
    assert early.startswith("sim.x is still owed to the run late ")
    assert early.endswith(" in the lane guard, which has ended")
    assert puts == [1, 3]
    assert last == ("", "Success")


@sequence(writes=["sim.x"])
async def declared(run: Run) -> None:
    """Says what it writes."""
    await run.delay(1)
    await run.set("sim.x", 5)


@sequence
async def undeclared(run: Run) -> None:
    """Says nothing, and comes to it in the end."""
    await run.delay(1)
    await run.set("sim.y", 4)
    await run.set("sim.x", 5)


PLANS = Registry({"declared": declared, "undeclared": undeclared})


def test_a_python_sequence_claims_what_it_declares_before_it_begins(lanes):
    async def scenario(it):
        start(it, "guard", HOLDS_X)
        await asyncio.sleep(1)
        ask(it, Verb.START, "declared")
        start(it, "night", "steps: [{run: declared}]")
        await asyncio.sleep(0.5)
        return messages(it)

    first, second = lanes(scenario, registry=PLANS)
    assert first.startswith("sim.x is claimed by the run holds ")
    assert second.startswith("sim.x is claimed by the run holds ")


def test_one_that_declares_nothing_claims_at_the_put_which_fails_where_another_has_it(lanes):
    async def scenario(it):
        start(it, "guard", HOLDS_X)
        await asyncio.sleep(1)
        ask(it, Verb.START, "undeclared")
        await asyncio.sleep(0.5)
        ask(it, Verb.START, "undeclared", "night")
        await asyncio.sleep(2)
        return messages(it), it.puts("y"), it.puts("x")

    told, y, x = lanes(scenario, registry=PLANS)
    assert "sim.x is claimed by the run holds " in told[0]
    assert (y, x) == ([4, 4], [])
    assert len(told) == 2


# Any sequences at once ----------------------------------------------------------------------------

PAIRS = int(os.environ.get("ORCHESTRATOR_CLAIM_PAIRS", "100"))
"""Random pairs of sequences that are played; 10,000 take some minutes."""
TARGETS = ("x", "y", "text", "turns", "counts")


class Overlaps:
    """Looks at each put when it leaves: whose is the one that is outstanding?"""

    def __init__(self, it: Bench) -> None:
        self._it = it
        self._put = it.sim.put
        self._last: dict[str, str] = {}
        self.found: list[str] = []
        it.sim.put = self.put  # type: ignore[method-assign]  # watched on its way

    async def put(self, name: str, value: Any, **how: Any) -> None:
        mine, permit = run_here(), how.pop("permit")
        lanes = {header.run_id: header.lane for header in self._it.store.headers}
        other = self._last.get(name, mine)
        if self._it.sim.outstanding(name) is not None and lanes[other] != lanes[mine]:
            self.found.append(f"{name}: {mine} while {other} has a put outstanding")
        self._last[name] = mine
        await self._put(name, value, permit=permit, **how)


def steps(dice: random.Random, depth: int = 0) -> str:
    """Some steps, in YAML's flow style."""
    return ", ".join(step(dice, depth) for _ in range(dice.randint(1, 3)))


def step(dice: random.Random, depth: int) -> str:
    kind = dice.choice(
        ["set", "set", "set", "delay", "both", "loop", "group"][: 5 + 2 * (not depth)]
    )
    if kind == "delay":
        return f"{{delay: {dice.choice([0, 0.5, 2])}}}"
    if kind == "both":
        one, other = dice.sample(TARGETS, 2)
        puts = ", ".join(f"{{set: {{pv: sim.{pv}, value: 1}}}}" for pv in (one, other))
        return f"{{parallel: [{puts}]}}"
    if kind == "loop":
        pv = dice.choice(TARGETS)
        return f"{{loop: {{pv: sim.{pv}, values: [1, 2], timeout: 3}}, do: [{steps(dice, 1)}]}}"
    if kind == "group":
        return f"{{group: [{steps(dice, 1)}], on_error: continue}}"
    timeout = dice.choice([0.4, 3, 20])
    error = dice.choice(["abort", "continue"])
    put = f"{{pv: sim.{dice.choice(TARGETS)}, value: 1, timeout: {timeout}}}"
    return f"{{set: {put}, on_error: {error}}}"


def document(dice: random.Random) -> str:
    last = f"\nfinally: [{{set: {{pv: sim.{dice.choice(TARGETS)}, value: 0}}}}]"
    return f"steps: [{steps(dice)}]{last if dice.random() < 0.4 else ''}"


async def play_pair(dice: random.Random, it: Bench) -> list[str]:
    """Two sequences, and at times their like, in any lanes, started or queued, perhaps ended."""
    overlaps = Overlaps(it)
    for name in TARGETS:
        it.sim.channels[f"sim.{name}"].put_takes = dice.choice([0, 0.3, 1, 1, 7])
    queued, started = 0, []
    for number in range(2, dice.randint(2, 4) + 2):
        lane = dice.choice(["", "guard", "night"])
        if dice.random() < 0.5:
            ask(it, Verb.COMMAND, f"submit s{number % 2}", lane)
            queued += 1
        else:
            ask(it, Verb.START, f"s{number % 2}", lane, number)
            started.append(number)
        await asyncio.sleep(dice.choice([0, 0, 0.2, 1]))
    if dice.random() < 0.3:
        ask(it, dice.choice([Verb.ABORT, Verb.STOP]), lane=dice.choice(["", "guard", "night"]))
    for lane in ("", "guard", "night"):  # one that failed holds its queue
        ask(it, Verb.COMMAND, "queue clear", lane)
    await asyncio.sleep(300)
    wrong = list(overlaps.found)
    if missing := [n for n in started if n not in {r.request for r in replies(it)}]:
        wrong.append(f"no answer to {missing}")
    for lane in ("", "guard", "night"):
        edges = it.values("busy", lane=lane)
        wrong += [f"lane {lane} is busy for ever"] if edges and edges[-1] else []
    claimed = ("claimed by", "still owed to")
    refused = [h for h, m in by_header(it) if m.startswith("sim.") and any(c in m for c in claimed)]
    wrong += [f"{h.run_id} was queued, and refused" for h in refused if h.how == "queue"]
    return wrong


def by_header(it: Bench) -> list[tuple[Any, str]]:
    ended = {e.run_id: e.message for e in it.events if isinstance(e, RunEnded)}
    return [(header, ended.get(header.run_id, "")) for header in it.store.headers]


def test_any_sequences_at_once_never_put_to_one_channel_and_never_wait_for_ever(tmp_path):
    """The model: whatever is started, queued and ended, by the clock of any put."""
    seen = {"claimed": 0, "waits": 0, "owed": 0}
    for seed in range(PAIRS):
        dice = random.Random(seed)  # noqa: S311 - no secrets here
        for number in (0, 1):
            (tmp_path / f"s{number}.yaml").write_text(document(dice))

        async def main(dice: random.Random = dice) -> list[str]:
            async with bench(directory=tmp_path, lanes=LANES) as it:
                wrong = await play_pair(dice, it)
                told = [e.text for e in it.events if isinstance(e, Told)]
                seen["waits"] += any(" waits: " in text for text in told)
                seen["claimed"] += any("claimed by" in m for m in messages(it))
                seen["owed"] += any("still owed to" in text for text in told + messages(it))
                return wrong

        assert run_virtual(main()) == [], seed
    assert math.prod(seen.values()), f"not all was tried: {seen}"
