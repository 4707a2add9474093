"""Several runs at once: a lane each."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest

from orchestrator.config import LaneConfig
from orchestrator.types import (
    Command,
    Reply,
    RunEnded,
    RunRestarting,
    RunStarted,
    Told,
    Update,
    Verb,
)

FOREVER = "steps: [{loop: {count: 1000}, do: [{delay: 1}, {set: {pv: sim.y, value: 1}}]}]"
FAILS = "steps: [{delay: 0.5}, {wait: {pv: sim.y, above: 1, timeout: 0.5}}]"
MOVES = "parameters: {to: 1.0}\nsteps: [{delay: 2}, {set: {pv: sim.x, value: $(to)}}]"


@pytest.fixture
def lanes(play, tmp_path):
    """Plays a scenario with the lanes guard and night; keywords are those of guard."""
    texts = {"forever": FOREVER, "fails": FAILS, "moves": MOVES, "rests": "steps: [{delay: 100}]"}
    texts["naps"] = "steps: [{delay: 1}]"
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)

    def played(scenario, **guard):
        both = {"guard": LaneConfig("guard", **guard), "night": LaneConfig("night")}
        return play(scenario, directory=tmp_path, lanes=both)

    return played


def ask(it, verb, text="", lane="", request=0):
    it.pull.offer(Command(verb, request, text, lane=lane))


def replies(it):
    return {item.request: item.error for item in it.published if isinstance(item, Reply)}


def ends(it, lane):
    return [e.status.value for e in it.events if isinstance(e, RunEnded) and e.lane == lane]


def test_two_runs_go_on_side_by_side_and_each_lane_shows_its_own(lanes):
    async def scenario(it):
        ask(it, Verb.START, "forever", "guard", 1)
        ask(it, Verb.START, "moves", request=2)
        await asyncio.sleep(3.5)
        puts = it.puts("x"), it.puts("y")
        return it, replies(it), puts, (it.values("busy"), it.values("busy", lane="guard"))

    it, answers, puts, busy = lanes(scenario)
    assert answers == {2: ""}
    assert puts == ([1.0], [1, 1, 1])
    assert busy == ([1, 0], [1])
    assert it.values("run_name", lane="guard") == ["forever"]
    assert it.values("run_name") == ["moves"]
    [main, guard] = sorted(it.store.headers, key=lambda header: header.lane != "main")
    assert (main.lane, guard.lane) == ("main", "guard")
    assert main.run_id != guard.run_id


def test_what_is_asked_of_one_lane_leaves_the_others_alone(lanes):
    async def scenario(it):
        ask(it, Verb.START, "forever", "guard")
        ask(it, Verb.START, "rests", "night")
        ask(it, Verb.START, "moves")
        await asyncio.sleep(0.5)
        ask(it, Verb.ABORT, "smoke", "guard")
        await asyncio.sleep(4)
        return [ends(it, lane) for lane in ("guard", "night", "")]

    assert lanes(scenario) == [["Aborted"], [], ["Success"]]


def test_a_busy_lane_refuses_a_second_start_while_another_one_takes_it(lanes):
    async def scenario(it):
        ask(it, Verb.START, "forever", "guard", 1)
        ask(it, Verb.START, "forever", "guard", 2)
        ask(it, Verb.START, "moves", "night", 3)
        await asyncio.sleep(3)
        return replies(it)

    answers = lanes(scenario)
    assert answers[2] == "a run is being prepared; stop or abort it first"
    assert answers[3] == ""


def test_each_lane_has_a_queue(lanes):
    async def scenario(it):
        for lane, name in (("guard", "moves"), ("guard", "moves"), ("night", "naps")):
            ask(it, Verb.COMMAND, f"submit {name}", lane)
        await asyncio.sleep(2.5)
        early = ends(it, "guard"), ends(it, "night"), it.values("queue_len", lane="guard")[-1]
        await asyncio.sleep(2.5)
        return early, ends(it, "guard")

    assert lanes(scenario) == ((["Success"], ["Success"], 0), ["Success"] * 2)


def test_a_text_for_the_main_lanes_cmd_may_name_another_lane(lanes):
    """What is told of the asking is told where it was asked."""

    async def scenario(it):
        ask(it, Verb.COMMAND, "@guard run forever", request=1)
        await asyncio.sleep(0.5)
        ask(it, Verb.COMMAND, '@guard {"steps": [{"log": "Hello"}]}', request=2)
        ask(it, Verb.COMMAND, "@guard queue hold", request=3)
        await asyncio.sleep(0.5)
        acks = it.values("ack"), it.values("ack", lane="guard")
        told = it.values("message")[-1]
        ask(it, Verb.COMMAND, "@guard abort smoke", request=4)
        await asyncio.sleep(1)
        return it, acks, told

    it, acks, told = lanes(scenario)
    assert replies(it) == {
        1: "",
        2: "forever is running; stop or abort it first",
        3: "",
        4: "",
    }
    assert acks == ([0, 1, 0, 0, 0, 1], [])
    assert told == "no waiting run is started"
    assert ends(it, "guard") == ["Aborted"]
    assert ends(it, "") == []


@pytest.mark.parametrize(
    ("text", "lane", "why"),
    [
        ("@gaurd stop", "", "CMD: unknown lane @gaurd; did you mean 'guard'?"),
        ("@ guard stop", "", "CMD: the name of a lane stands right behind @: @NAME command"),
        ("@guard", "", "CMD is empty; commands are"),
        ("@guard [1, 2]", "", "CMD: trajectories are for the main lane, not for guard"),
        ("[1, 2]", "guard", "CMD: trajectories are for the main lane, not for guard"),
        ("@night stop", "guard", "CMD: this is the lane guard; only the main lane's CMD takes @"),
    ],
)
def test_what_can_t_be_for_a_lane_is_refused_with_the_reason(lanes, text, lane, why):
    async def scenario(it):
        ask(it, Verb.COMMAND, text, lane, 1)
        await asyncio.sleep(0.1)
        return replies(it)[1], it.values("message", lane=lane)[-1], it.values("ack", lane=lane)

    answer, message, acks = lanes(scenario)
    assert answer.startswith(why)
    assert message == answer
    assert acks == [0, 0]


def test_a_lane_starts_its_sequence_with_the_service_and_shows_it(lanes):
    async def scenario(it):
        await asyncio.sleep(3)
        return it

    it = lanes(scenario, sequence="moves", args={"to": 4.0}, autostart=True)
    assert it.puts("x") == [4.0]
    assert it.store.headers[0].how == "autostart"
    assert ends(it, "guard") == ["Success"]
    [lane, _] = json.loads(it.values("lanes")[-1])
    assert lane["name"] == "guard"
    assert (lane["state"], lane["status"], lane["run_name"]) == ("Idle", "Success", "moves")


def test_the_first_thing_a_lane_shows_is_what_its_start_would_run(lanes):
    async def scenario(it):
        return list(it.device.first_decisions())

    first = lanes(scenario, sequence="moves", args={"to": 4.0})
    own = {item.field: item.value for item in first if isinstance(item, Update) and item.lane}
    assert own == {"seq": "moves", "args": '{"to": 4.0}'}


def started(it):
    return [e for e in it.events if isinstance(e, RunStarted)]


def test_one_that_fails_is_started_again_after_growing_pauses_and_that_is_told(lanes):
    async def scenario(it):
        times = []
        clock = asyncio.get_running_loop().time
        seen = 0
        begun = clock()
        while clock() - begun < 200:
            await asyncio.sleep(0.25)
            if len(started(it)) > seen:
                seen = len(started(it))
                times.append(clock())
        return it, [round(b - a) for a, b in pairwise(times)]

    it, apart = lanes(scenario, sequence="fails", autostart=True, restart="on_failure")
    assert apart[:6] == [2, 3, 5, 9, 17, 33]  # each runs for 1 s
    waits = [e.wait for e in it.events if isinstance(e, RunRestarting)]
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert it.values("restarts", lane="guard") == list(range(1, len(waits) + 1))
    told = [e.text for e in it.events if isinstance(e, Told) and "started again" in e.text]
    assert told[1].startswith("Timeout: ")
    assert told[1].endswith("; fails is started again in 2 s (restart 2)")
    assert json.loads(it.values("lanes")[-1])[0]["restarts"] == len(waits)


@pytest.mark.parametrize(
    ("sequence", "restart", "runs"),
    [("fails", "never", 1), ("moves", "on_failure", 1), ("moves", "always", 3)],
)
def test_it_is_started_again_as_configured(lanes, sequence, restart, runs):
    async def scenario(it):
        await asyncio.sleep(8)
        return len(started(it))

    assert lanes(scenario, sequence=sequence, autostart=True, restart=restart) == runs


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.ABORT])
def test_one_that_somebody_ends_stays_ended(lanes, verb):
    async def scenario(it):
        await asyncio.sleep(1.5)
        ask(it, verb, lane="guard")
        await asyncio.sleep(100)
        return len(started(it))

    assert lanes(scenario, sequence="forever", autostart=True, restart="always") == 1


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.ABORT])
def test_the_wait_for_a_restart_can_be_ended_too(lanes, verb):
    async def scenario(it):
        await asyncio.sleep(1.5)
        assert ends(it, "guard") == ["Timeout"]
        ask(it, verb, lane="guard")
        await asyncio.sleep(100)
        return len(started(it)), it.values("message", lane="guard")[-1]

    runs, message = lanes(scenario, sequence="fails", autostart=True, restart="on_failure")
    assert runs == 1
    assert message == f"not started again: {verb} asked for"


def test_a_start_while_it_waits_is_obeyed_and_takes_the_place_of_the_restart(lanes):
    async def scenario(it):
        await asyncio.sleep(1.25)
        ask(it, Verb.START, "fails", "guard", 1)
        await asyncio.sleep(0.9)
        return len(started(it)), it.values("busy", lane="guard")

    assert lanes(scenario, sequence="fails", autostart=True, restart="on_failure") == (
        2,
        [1, 0, 1],
    )


def test_the_end_of_the_service_ends_the_runs_of_all_lanes_with_their_finalisers(lanes):
    document = "steps: [{delay: 100}]\nfinally: [{set: {pv: sim.%s, value: 7}}]"

    async def scenario(it):
        for lane, channel in (("", "x"), ("guard", "y"), ("night", "fin")):
            it.pull.offer(Command(Verb.START, document=document % channel, lane=lane))
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await it.engine.close("the service ends (SIGTERM)")
        took = asyncio.get_running_loop().time() - began
        return took, [it.puts(name) for name in ("x", "y", "fin")], it

    took, puts, it = lanes(scenario)
    assert took < 1
    assert puts == [[7], [7], [7]]
    ended = {e.lane: e.message for e in it.events if isinstance(e, RunEnded)}
    assert ended == dict.fromkeys(("", "guard", "night"), "aborted: the service ends (SIGTERM)")
