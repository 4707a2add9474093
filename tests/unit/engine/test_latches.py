"""Latches: what became true is remembered until somebody looks, and none is missed."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import RunStatus, Severity, Verb
from tests.unit.language.program.test_compiler import findings

KICKED = 'latches: {kick: "sim.x == 1"}\n'
ROUNDS = KICKED + (
    "variables: {n: 0}\n"
    "steps:\n"
    "  - loop: {count: %d}\n"
    "    do: [{delay: 0.01}, {wait: {latch: kick, timeout: 0.001}}, {let: {n: n + 1}}]\n"
    "  - set: {pv: sim.y, value: $(n)}"
)


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


def kept(it):
    """The channels of ours of which each update is examined."""
    return {name for name in it.device.table.kept if name.startswith("sim.")}


def pulse(it, *values):
    for value in values or (1.0, 0.0):
        it.sim.post("sim.x", value)


def pulses(it, count, every, first):
    """A pulse of 1 ms in each period."""
    for number in range(count):
        later(first + number * every, it.sim.post, "sim.x", 1.0)
        later(first + number * every + 0.001, it.sim.post, "sim.x", 0.0)


def test_none_of_ten_thousand_pulses_is_missed_while_the_body_is_busy(play):
    count = 10_000

    async def scenario(it):
        it.start(ROUNDS % count)
        pulses(it, count, 0.01, 0.003)
        return (await it.ended()).status, it.puts("y")

    assert play(scenario) == (RunStatus.SUCCESS, [float(count)])


def test_a_pulse_whose_ends_come_together_is_not_merged_away(play):
    async def scenario(it):
        it.start(KICKED + "steps: [{delay: 2}, {wait: {latch: kick, timeout: 1}}]")
        later(1, pulse, it)
        ended = await it.ended()
        return ended.status, kept(it)

    assert play(scenario) == (RunStatus.SUCCESS, set())


def test_it_is_taken_by_who_has_waited_and_waits_for_the_next(play):
    async def scenario(it):
        it.start(
            KICKED + "steps: [{wait: {latch: kick, timeout: 5}}, {wait: {latch: kick, timeout: 5}}]"
        )
        later(1, pulse, it)
        began = asyncio.get_running_loop().time()
        ended = await it.ended()
        return ended.status, asyncio.get_running_loop().time() - began, ended.message

    status, took, message = play(scenario)
    assert (status, took) == (RunStatus.TIMEOUT, pytest.approx(6, abs=0.1))
    assert "waited 5 s for latched('kick')" in message


def test_an_expression_takes_it_too(play):
    looked = "{let: {a: \"latched('kick')\"}}, {let: {b: \"latched('kick')\"}}"

    async def scenario(it):
        it.start(f"{KICKED}steps: [{{delay: 2}}, {looked}, {{log: $(a) $(b)}}]")
        later(1, pulse, it)
        await it.ended()
        return it.values("message")[-1]

    assert play(scenario) == "true false"


def test_a_wait_that_is_not_over_takes_nothing(play):
    async def scenario(it):
        it.start(
            KICKED + "steps: [{wait: {until: \"latched('kick') and sim.y > 3\", timeout: 5}},"
            " {set: {pv: sim.x_rbv, value: 1}}]"
        )
        later(1, pulse, it)
        later(2, it.sim.post, "sim.y", 2.0)
        later(3, it.sim.post, "sim.y", 4.0)
        ended = await it.ended()
        return ended.status, ended.message

    assert play(scenario) == (RunStatus.SUCCESS, "")


def test_what_is_true_already_has_not_become_so(play):
    async def scenario(it):
        it.sim.post("sim.x", 1.0)
        await it.pull.idle()
        it.start(KICKED + "steps: [{wait: {latch: kick, timeout: 5}}]")
        later(1, it.sim.post, "sim.x", 1.0)
        return (await it.ended()).status

    assert play(scenario) is RunStatus.TIMEOUT


def test_an_ioc_that_comes_back_with_it_true_sets_none_until_it_is_confirmed(play):
    async def scenario(it):
        it.start(KICKED + "steps: [{wait: {latch: kick, timeout: 50}}]")
        later(1, it.sim.disconnect, "sim.x")
        later(2, it.sim.reconnect, "sim.x", 1.0)
        later(9, it.sim.post, "sim.x", 1.0)
        began = asyncio.get_running_loop().time()
        await it.ended()
        return asyncio.get_running_loop().time() - began

    assert play(scenario) == pytest.approx(9, abs=0.1)


def test_invalid_sets_none(play):
    async def scenario(it):
        it.start(KICKED + "steps: [{wait: {latch: kick, timeout: 5}}]")
        later(1, it.sim.post, "sim.x", 1.0, Severity.INVALID)
        return (await it.ended()).status

    assert play(scenario) is RunStatus.TIMEOUT


def test_those_of_a_sub_sequence_are_its_own(play, tmp_path):
    (tmp_path / "sub.yaml").write_text(
        'latches: {kick: "sim.y == 1"}\nsteps: [{wait: {latch: kick, timeout: 5}}]'
    )

    async def scenario(it):
        it.start(KICKED + "steps: [{run: sub}, {run: sub}, {wait: {latch: kick, timeout: 1}}]")
        later(1, pulse, it)
        later(2, it.sim.post, "sim.y", 1.0)
        later(2.5, it.sim.post, "sim.y", 0.0)
        later(3, it.sim.post, "sim.y", 1.0)
        return (await it.ended()).status, kept(it)

    assert play(scenario, directory=tmp_path) == (RunStatus.SUCCESS, set())


def test_it_is_there_in_finally_and_ends_by_stop(play):
    async def scenario(it):
        it.start(
            KICKED + "steps: [{wait: {latch: kick, timeout: none}}]\n"
            "finally: [{wait: {latch: kick, timeout: 10}}, {set: {pv: sim.fin, value: 1}}]"
        )
        later(1, it.ask, Verb.STOP)
        later(3, pulse, it)
        ended = await it.ended()
        return ended.status, it.puts("fin")

    assert play(scenario) == (RunStatus.STOPPED, [1.0])


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        (KICKED + "steps: [{wait: {latch: kik, timeout: 1}}]", "there is no latch 'kik'; did you"),
        (KICKED + "steps: [{let: {a: latched(kick)}}]", "latched takes the name of a latch in quo"),
        ('latches: {a: "1 > 2"}\nsteps: [{delay: 1}]', "names no channel"),
        (
            'latches: {a: "age(det.counts) > 2"}\nsteps: [{delay: 1}]',
            "is decided by updates of channels",
        ),
        (KICKED + "steps: [{wait: {latch: kick, hold: 1, timeout: 1}}]", "do nothing with 'latch'"),
        (KICKED + "steps: [{wait: {latch: kick, pv: sim.x, timeout: 1}}]", "'latch' stands alone"),
        ("steps: [{let: {a: \"latched('kick')\"}}]", "there is no latch 'kick'"),
    ],
)
def test_what_is_wrong_with_it_is_told_before_the_run(document, wrong):
    assert wrong in "\n".join(findings(document))


def python(play, sequence, *at):
    async def scenario(it):
        it.start("steps: [{run: own}]")
        for seconds, *action in at:
            later(seconds, *action)
        ended = await it.ended()
        return ended.status, ended.message, kept(it)

    return play(scenario, registry=Registry({"own": sequence}, {}))


def test_in_python(play):
    seen = []

    async def own(run):
        await run.latch("kick", "sim.x == 1")
        await run.delay(2)
        await run.until("latched('kick')", timeout=1)
        seen.append(await run.value("latched('kick')"))

    async def scenario(it):
        it.start("steps: [{run: own}]")
        later(1, pulse, it)
        return (await it.ended()).status, kept(it)

    assert play(scenario, registry=Registry({"own": own}, {})) == (RunStatus.SUCCESS, set())
    assert seen == [False]


def test_updates_are_taken_one_by_one_in_order(play):
    text = (
        "variables: {n: 0, last: 0, wrong: 0}\nsteps:\n"
        "  - loop: {count: %d}\n"
        "    do: [{wait: {next: sim.x, as: code, timeout: 5}},"
        " {let: {wrong: wrong + (0 if code == last + 1 else 1), last: code}}]\n"
        "  - log: $(last) $(wrong)"
    )

    async def scenario(it):
        async def post():
            for number in range(1, 2_001):
                it.sim.post("sim.x", float(number))
                if number % 300 == 0:
                    await asyncio.sleep(0.1)

        it.start(text % 2_000)
        await asyncio.sleep(1)
        posting = asyncio.ensure_future(post())
        ended = await it.ended()
        await posting
        return ended.status, it.values("message")[-1], kept(it)

    assert play(scenario) == (RunStatus.SUCCESS, "2000 0", set())


def test_those_that_come_before_the_wait_are_kept_from_the_beginning(play):
    async def scenario(it):
        it.start(
            "steps: [{delay: 2}, {wait: {next: sim.x, as: a, timeout: 1}},"
            " {wait: {next: sim.x, as: b, timeout: 1}}, {log: $(a) $(b)}]"
        )
        later(1, pulse, it, 3.0, 4.0)
        await it.ended()
        return it.values("message")[-1]

    assert play(scenario) == "3 4"


def flood(it, count):
    for number in range(count):
        it.sim.post("sim.x", float(number))


def test_too_many_are_an_error_that_counts_them(play):
    async def scenario(it):
        it.start("steps: [{delay: 2}, {wait: {next: sim.x, timeout: 1}}]")
        later(1, flood, it, 100_003)
        return await it.ended()

    ended = play(scenario)
    assert ended.status is RunStatus.FAILED
    assert "sim.x: its updates come faster than they are taken: 100,000 waited" in ended.message
    assert "and 3 more were lost" in ended.message


def test_or_the_oldest_go_which_is_told(play):
    async def scenario(it):
        it.start(
            "steps: [{delay: 2}, {wait: {next: sim.x, as: a, timeout: 1, overflow: drop}},"
            " {set: {pv: sim.y, value: $(a)}}]"
        )
        later(1, flood, it, 100_003)
        ended = await it.ended()
        return ended.status, it.puts("y"), it.values("message")

    status, puts, messages = play(scenario)
    assert (status, puts) == (RunStatus.SUCCESS, [3.0])
    assert any("3 updates were dropped" in text for text in messages)


def test_none_in_time_is_a_timeout_and_a_reconnection_is_no_update(play):
    async def scenario(it):
        it.start("steps: [{wait: {next: sim.x, timeout: 5}}]")
        later(1, it.sim.disconnect, "sim.x")
        later(2, it.sim.reconnect, "sim.x", 1.0)
        return await it.ended()

    ended = play(scenario)
    assert ended.status is RunStatus.TIMEOUT
    assert "waited 5 s for the next update of sim.x" in ended.message


@pytest.mark.parametrize(
    ("wait", "wrong"),
    [
        ("{pv: sim.x, above: 1, as: a, timeout: 1}", "'as' does nothing without 'next'"),
        ("{next: sim.x, edge: true, timeout: 1}", "'hold' and 'edge' do nothing with 'next'"),
        ("{next: sim.x, until: 'true', timeout: 1}", "takes one of until and next"),
        ("{next: sim.x, overflow: drp, timeout: 1}", "did you mean 'drop'?"),
    ],
)
def test_what_makes_no_sense_in_a_next_is_told(wait, wrong):
    assert wrong in "\n".join(findings(f"steps: [{{wait: {wait}}}]"))


def test_updates_in_python_come_in_order(play):
    seen = []

    async def own(run):
        async for update in run.updates("sim.x", timeout=5):
            seen.append(update.value)
            if update.value == 500:
                break

    async def scenario(it):
        it.start("steps: [{run: own}]")
        await asyncio.sleep(1)
        for number in range(1, 501):
            it.sim.post("sim.x", float(number))
        return (await it.ended()).status

    assert play(scenario, registry=Registry({"own": own}, {})) is RunStatus.SUCCESS
    assert seen == [float(number) for number in range(1, 501)]
