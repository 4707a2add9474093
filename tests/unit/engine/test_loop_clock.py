"""`every` keeps a loop to the clock; `end: always` brings it to its end."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import RunStatus, Verb
from tests.unit.language.foresight.test_checks import Level, lines
from tests.unit.language.foresight.test_duration import took
from tests.unit.language.program.test_compiler import findings


async def timed(it, text):
    began = asyncio.get_running_loop().time()
    ended = await it.run(text)
    return ended, asyncio.get_running_loop().time() - began


def times(it, name):
    puts = [time for time, _, _ in it.sim.channels[f"sim.{name}"].puts]
    return [round(time - puts[0], 3) for time in puts]


def test_passes_begin_by_the_clock_however_long_they_take(play):
    async def scenario(it):
        ended, took = await timed(
            it,
            "steps: [{loop: {count: 5, as: i, every: 2}, do: [{set: {pv: sim.det, value: $(i)}}, "
            "{delay: =i / 4}]}]",
        )
        return ended.status, times(it, "det"), took

    wanted = (RunStatus.SUCCESS, [0, 2, 4, 6, 8], pytest.approx(9, abs=0.01))
    assert play(scenario) == wanted


def test_after_10_000_passes_nothing_has_added_up(play):
    async def scenario(it):
        _, took = await timed(
            it, "steps: [{loop: {count: 10000, every: 0.1}, do: [{delay: 0.03}]}]"
        )
        return took

    assert play(scenario) == pytest.approx(999.93, abs=0.1)


def test_a_pass_that_takes_longer_is_told_and_the_next_ones_catch_up(play):
    async def scenario(it):
        await timed(
            it,
            "steps: [{loop: {count: 6, as: i, every: 1}, do: [{set: {pv: sim.det, value: $(i)}}, "
            "{delay: '=2.5 if i == 1 else 0.2'}]}]",
        )
        return times(it, "det"), [text for text in it.values("message") if "late" in text]

    at, told = play(scenario)
    assert at == pytest.approx([0, 1, 3.5, 3.7, 4, 5], abs=0.01)
    assert told == [
        "a pass took longer than its 1 s: the next is 1.5 s late",
        "2 passes began late, by up to 1.5 s",
    ]


def test_the_clock_stands_still_in_pauses(play):
    async def scenario(it):
        it.start("steps: [{loop: {count: 3, every: 10}, do: [{set: {pv: sim.det, value: 1}}]}]")
        await asyncio.sleep(5)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(100)
        it.ask(Verb.RESUME)
        await it.ended()
        return times(it, "det"), [text for text in it.values("message") if "late" in text]

    assert play(scenario) == ([0, 110, 120], [])


def test_a_while_looks_at_its_condition_when_it_is_time(play):
    async def scenario(it):
        asyncio.get_running_loop().call_later(4.5, it.sim.post, "sim.x", 9.0)
        ended, took = await timed(
            it,
            "steps: [{loop: {while: sim.x < 5, every: 2}, do: [{set: {pv: sim.det, value: 1}}]}]",
        )
        return ended.status, times(it, "det"), took

    assert play(scenario) == (RunStatus.SUCCESS, [0, 2, 4], pytest.approx(6, abs=0.1))


@pytest.mark.parametrize("verb", [Verb.STOP, Verb.ABORT])
def test_stop_and_abort_end_the_time_between(play, verb):
    async def scenario(it):
        asyncio.get_running_loop().call_later(3, it.ask, verb)
        return await timed(it, "steps: [{loop: {count: 3, every: 60}, do: [checkpoint]}]")

    _, took = play(scenario)
    assert took == pytest.approx(3, abs=0.1)


def test_to_is_visited_in_any_case_where_that_is_asked(run):
    _, it = run(
        "steps: [{loop: {pv: sim.x, from: 0, to: 1, step: 0.4, end: always}, do: [{delay: 0}]}, "
        "{loop: {pv: sim.y, from: 1, to: 0, step: -0.5, end: always}, do: [{delay: 0}]}]"
    )
    assert it.puts("x") == pytest.approx([0, 0.4, 0.8, 1])
    assert it.puts("y") == pytest.approx([1, 0.5, 0])


def test_to_is_visited_in_python_too(play):
    async def walking(run):
        for x in run.arange("sim.x", 0, 1, 0.4, end="always"):
            await run.set("sim.x", x)

    async def scenario(it):
        await it.run("steps: [{run: walking}]")
        return it.puts("x")

    registry = Registry({"walking": walking}, {})
    assert play(scenario, registry=registry) == pytest.approx([0, 0.4, 0.8, 1])


# Beforehand ------------------------------------------------------------------------------------


def test_the_check_looks_at_the_end_that_is_visited():
    loop = "{loop: {pv: stage.x, from: 0, to: 1, step: 0.4END}, do: [{delay: 1}]}"
    [line] = lines(f"steps: [{loop.replace('END', '')}]", Level.WARNING)
    assert "'to' 1.0 is not visited" in line or "'to' 1 is not visited" in line
    text = f"steps: [{loop.replace('END', ', end: always')}]"
    assert lines(text, Level.WARNING) == []
    assert lines(text) == []
    beyond = text.replace("to: 1,", "to: 99,").replace("0.4", "100")
    assert any("99" in line for line in lines(beyond))


def test_a_loop_for_ever_that_keeps_to_the_clock_takes_time():
    text = "steps: [{loop: {while: trueEVERY}, do: [checkpoint]}]"
    assert lines(text.replace("EVERY", ", every: 1"), Level.WARNING) == []
    assert lines(text.replace("EVERY", ""), Level.WARNING) != []


def test_the_estimate_knows_the_clock():
    assert took("[{loop: {count: 5, every: 2}, do: [{delay: 1}]}]").seconds == 9
    assert took("[{loop: {count: 5, every: 2}, do: [{delay: 3}]}]").seconds == 15


@pytest.mark.parametrize(
    ("loop", "wrong"),
    [
        ("{pv: stage.x, from: 0, to: 1, num: 3, end: always}", "'end' does nothing without 'step'"),
        ("{pv: stage.x, from: 0, to: 1, step: 1, end: sometimes}", "expected always"),
        ("{count: 3, every: 0}", "has to be above 0"),
    ],
)
def test_mistakes_are_told(loop, wrong):
    told = findings(f"steps: [{{loop: {loop}, do: [checkpoint]}}]")
    assert any(wrong in line for line in told), told
