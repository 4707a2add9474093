"""Conditions that hold a run up."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_suspenders
from orchestrator.language.text.suspend import Suspend
from orchestrator.types import (
    LinkChange,
    Metadata,
    NativeType,
    RunStatus,
    StateChanged,
    Told,
    Verb,
)

BEAM = "suspend: {beam: {when: sim.counts < 50, resume: sim.counts > 80, settle: 5}}\n"
FINALLY = "\nfinally: [{set: {pv: sim.fin, value: 1}}]"


def now():
    return asyncio.get_running_loop().time()


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


def counts(it, *steps):
    for at, value in steps:
        later(at, it.sim.post, "sim.counts", value)


async def with_beam(it, value=100.0):
    it.sim.post("sim.counts", value)
    await it.pull.idle()


def test_suspender_interrupts_a_delay_and_goes_on_with_hysteresis_and_settle_time(play):
    async def scenario(it):
        await with_beam(it)
        began = now()
        # 60 is no longer tripped, but not yet resumed; 90 breaks once before it settles.
        counts(it, (2, 40.0), (10, 60.0), (20, 90.0), (22, 70.0), (30, 90.0))
        ended = await it.run(f"{BEAM}steps: [{{delay: 4}}]")
        states = [e.state.value for e in it.events if isinstance(e, StateChanged)]
        return ended.status, now() - began, states

    status, took, states = play(scenario)
    assert status is RunStatus.SUCCESS
    assert took == pytest.approx(35 + 2)
    assert states == ["Checking", "Running", "Suspended", "Running"]


def test_message_says_by_what_and_since_when(play):
    async def scenario(it):
        await with_beam(it, 0.0)
        it.start(f"{BEAM}steps: [{{delay: 4}}]")
        await asyncio.sleep(1)
        return it.values("message")[-1]

    assert play(scenario) == "suspended by beam since 14:25:01: sim.counts < 50"


def test_tripped_at_the_start_nothing_is_put_until_it_clears(play):
    async def scenario(it):
        await with_beam(it, 0.0)
        it.start(f"{BEAM}steps: [{{set: {{pv: sim.x, value: 1}}}}]")
        await asyncio.sleep(100)
        during = it.puts("x"), it.values("state")[-1]
        it.sim.post("sim.counts", 100.0)
        ended = await it.ended()
        return during, ended.status, it.puts("x")

    assert play(scenario) == (([], "Suspended"), RunStatus.SUCCESS, [1.0])


def test_suspender_lets_a_put_finish(play):
    async def scenario(it):
        await with_beam(it)
        it.sim.channels["sim.x"].put_takes = 8.0
        counts(it, (2, 0.0), (50, 100.0))
        it.start(
            f"{BEAM}steps: [{{set: {{pv: sim.x, value: 1}}}}, {{set: {{pv: sim.y, value: 1}}}}]"
        )
        await asyncio.sleep(20)
        during = it.device.table.channel("sim.x").reading.value, it.puts("y")
        ended = await it.ended()
        return during, ended.status

    assert play(scenario) == ((1.0, []), RunStatus.SUCCESS)


def test_lost_channel_of_a_suspender_suspends(play):
    async def scenario(it):
        await with_beam(it)
        later(2, it.sim.disconnect, "sim.counts")
        it.start(f"{BEAM}steps: [{{delay: 4}}]")
        await asyncio.sleep(10)
        during = it.values("state")[-1], it.values("message")[-1]
        it.sim.reconnect("sim.counts", 100.0)
        await asyncio.sleep(20)
        unconfirmed = it.values("state")[-1]
        it.sim.post("sim.counts", 100.0)
        ended = await it.ended()
        return during, unconfirmed, ended.status

    (state, message), unconfirmed, status = play(scenario)
    assert (state, unconfirmed, status) == ("Suspended", "Suspended", RunStatus.SUCCESS)
    assert "disconnected" in message


def test_suspender_of_the_configuration_that_compares_an_enum_with_no_label_of_it_suspends(play):
    """It would never trip: nobody knows that it is safe. In a document the check refuses it."""
    names = Names(frozenset({"sim"}), {"sim.shutter": "SIM:shutter"})
    closed = compile_suspenders({"closed": Suspend(when="sim.shutter == 'Closd'")}, names, str)

    async def scenario(it):
        it.sim.add("sim.shutter", 1, metadata=Metadata(NativeType.ENUM, labels=("Closed", "Open")))
        await it.pull.idle()
        it.start("steps: [{delay: 4}]")
        await asyncio.sleep(10)
        return it.values("state")[-1], it.values("message")[-1]

    state, message = play(scenario, suspenders=closed)
    assert state == "Suspended"
    assert "'Closd' is none of the labels of sim.shutter; they are 0 = Closed, 1 = Open" in message


def test_silence_of_a_channel_suspends_by_its_age(play):
    async def scenario(it):
        await with_beam(it)
        it.start("suspend: {silent: {when: age(sim.counts) > 5}}\nsteps: [{delay: 8}]")
        await asyncio.sleep(7)
        during = it.values("state")[-1]
        it.sim.post("sim.counts", 100.0)
        await asyncio.sleep(1)
        return during, it.values("state")[-1]

    assert play(scenario) == ("Suspended", "Running")


def test_several_at_once_hold_until_the_last_has_cleared(play):
    both = (
        "suspend:\n  beam: {when: sim.counts < 50}\n  shutter: {when: sim.shutter == 0}\n"
        "steps: [{delay: 4}]"
    )

    async def scenario(it):
        await with_beam(it)
        it.sim.post("sim.shutter", 1.0)
        await it.pull.idle()
        counts(it, (1, 0.0), (20, 100.0))
        later(2, it.sim.post, "sim.shutter", 0.0)
        later(30, it.sim.post, "sim.shutter", 1.0)
        began = now()
        ended = await it.run(both)
        return ended.status, now() - began

    assert play(scenario) == (RunStatus.SUCCESS, pytest.approx(33.0))


def test_suspender_does_not_act_in_finally(play):
    async def scenario(it):
        await with_beam(it)
        counts(it, (2, 0.0))
        began = now()
        ended = await it.run(
            BEAM + "steps: [{delay: 1}]\nfinally: [{delay: 3}, {set: {pv: sim.fin, value: 1}}]"
        )
        return ended.status, it.puts("fin"), now() - began

    assert play(scenario) == (RunStatus.SUCCESS, [1.0], pytest.approx(4.0))


@pytest.mark.parametrize(
    ("verb", "status"), [(Verb.STOP, RunStatus.STOPPED), (Verb.ABORT, RunStatus.ABORTED)]
)
def test_suspended_run_can_be_ended_and_its_finalisers_run(play, verb, status):
    async def scenario(it):
        await with_beam(it)
        counts(it, (1, 0.0))
        it.start(f"{BEAM}steps: [{{delay: 4}}]{FINALLY}")
        await asyncio.sleep(10)
        it.ask(verb)
        ended = await it.ended()
        return ended.status, it.puts("fin")

    assert play(scenario) == (status, [1.0])


def test_clearing_while_paused_leaves_it_paused(play):
    async def scenario(it):
        await with_beam(it)
        it.start(f"{BEAM}steps: [{{delay: 4}}]")
        await asyncio.sleep(1)
        it.ask(Verb.PAUSE)
        counts(it, (1, 0.0), (2, 100.0))
        await asyncio.sleep(50)
        during = it.values("state")[-1]
        it.ask(Verb.RESUME)
        return during, (await it.ended()).status

    assert play(scenario) == ("Paused", RunStatus.SUCCESS)


REWIND = (
    "suspend: {beam: {when: sim.counts < 50, rewind: checkpoint}}\n"
    "steps:\n- let: {a: 1}\n- loop: {pv: sim.x, values: [1, 2, 3], as: p}\n  do:\n"
    "  - checkpoint\n  - let: {b: a + p}\n  - sample: [sim.x]\n  - delay: 4\n"
    "  - set: {pv: sim.y, value: $(b)}\n"
)


def test_rewind_goes_on_from_the_last_checkpoint_and_marks_the_repeated_rows(play):
    async def scenario(it):
        await with_beam(it)
        counts(it, (6, 0.0), (20, 100.0))  # in the delay of the second point
        began = now()
        ended = await it.run(REWIND)
        rows = [(loops, r["sim.x"].value) for loops, r in it.store.recorders[0].rows]
        return (
            ended.status,
            it.puts("x"),
            it.puts("y"),
            rows,
            it.store.recorders[0].tries,
            (now() - began),
        )

    status, x, y, rows, tries, took = play(scenario)
    assert status is RunStatus.SUCCESS
    assert x == [1, 2, 3]
    assert y == [2, 3, 4]
    assert rows == [((0,), 1), ((1,), 2), ((1,), 2), ((2,), 3)]
    assert tries == [(), (), (2,), (2,)]
    assert took == pytest.approx(20 + 8)


def test_without_a_checkpoint_it_goes_on_from_the_interrupted_step(play):
    async def scenario(it):
        await with_beam(it)
        counts(it, (2, 0.0), (20, 100.0))
        began = now()
        ended = await it.run(REWIND.replace("  - checkpoint\n", ""))
        return ended.status, it.puts("x"), now() - began

    assert play(scenario) == (RunStatus.SUCCESS, [1, 2, 3], pytest.approx(12 + 18))


def test_a_rewind_is_kept_until_the_last_of_several_has_cleared(play):
    other = "other: {when: sim.gate > 0}, beam:"

    async def scenario(it):
        await with_beam(it)
        counts(it, (6, 0.0), (8, 100.0))
        later(7, it.sim.post, "sim.gate", 1.0)
        later(20, it.sim.post, "sim.gate", 0.0)
        ended = await it.run(REWIND.replace("beam:", other))
        return ended.status, it.store.recorders[0].tries

    assert play(scenario) == (RunStatus.SUCCESS, [(), (), (2,), (2,)])


def test_a_rewind_goes_back_into_the_point_of_a_walk_of_sequence_servers(play):
    async def scenario(it):
        await with_beam(it)
        counts(it, (6, 0.0), (20, 100.0))  # in the delay of the second point
        ended = await it.run(
            "suspend: {beam: {when: sim.counts < 50, rewind: checkpoint}}\nsteps:\n"
            "- trajectories: {servers: {stage: [5, 6, 7], laser: [1, 2]}}\n"
            "- nested: {over: [laser, stage]}\n  do: [checkpoint, {sample: [sim.x]}, {delay: 4}]\n"
        )
        rows = [loops for loops, _ in it.store.recorders[0].rows]
        return ended.status, rows, [item for _, item in it.servers["stage"].moves]

    status, rows, stage = play(scenario)
    assert status is RunStatus.SUCCESS
    assert rows == [(0, 0), (0, 1), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert stage == [5, 6, 6, 7, 5, 6, 7]  # it goes to its point again


@pytest.mark.parametrize("inside", [True, False])
def test_a_rewind_into_a_sub_sequence_does_not_leave_it_one_before_it_does(play, tmp_path, inside):
    """Its finalisers would take away what its first steps have made (a shutter opened)."""
    (tmp_path / "sub.yaml").write_text(
        "parameters: {to: 1.0}\nsteps:\n- set: {pv: sim.x, value: $(to)}\n"
        + "- checkpoint\n" * inside
        + "- sample: [sim.x]\n- delay: 4\nfinally: [{set: {pv: sim.y, value: $(to)}}]"
    )

    async def scenario(it):
        await with_beam(it)
        counts(it, (6, 0.0), (20, 100.0))  # in the delay of the second
        ended = await it.run(
            "suspend: {beam: {when: sim.counts < 50, rewind: checkpoint}}\nsteps:\n"
            "- loop: {values: [1, 2, 3], as: p}\n"
            "  do: [checkpoint, {run: {sequence: sub, args: {to: $(p)}}}]"
        )
        rows = [r["sim.x"].value for _, r in it.store.recorders[0].rows]
        return ended.status, it.puts("x"), rows, it.puts("y")

    status, x, rows, y = play(scenario, directory=tmp_path)
    assert (status, rows) == (RunStatus.SUCCESS, [1, 2, 2, 3])
    assert x == y == ([1, 2, 3] if inside else [1, 2, 2, 3])


REWINDS = "suspend: {beam: {when: sim.counts < 50, rewind: checkpoint}}\nsteps:\n"


def played(play, steps, *beam, before=None, **options):
    """How a document with a rewinding suspender ends: status, puts to x, puts to y."""

    async def scenario(it):
        await with_beam(it)
        counts(it, *beam)
        if before is not None:
            before(it)
        ended = await it.run(REWINDS + steps)
        return ended.status, it.puts("x"), it.puts("y")

    return play(scenario, **options)


SUB = (
    "steps: [{set: {pv: sim.x, value: 5}}, checkpoint, {delay: 1}]\n"
    "finally: [{set: {pv: sim.y, value: 9}}]"
)
DARK = (6, 0.0), (20, 100.0)


def test_checkpoint_of_a_sub_sequence_counts_only_while_that_is_running(play, tmp_path):
    """Its finalisers have run: going back into its middle would find the shutter closed."""
    (tmp_path / "sub.yaml").write_text(SUB)
    around = "- checkpoint\n- set: {pv: sim.x, value: 2}\n- run: sub\n- delay: 10\n"
    status, x, y = played(play, around, *DARK, directory=tmp_path)
    assert (status, x, y) == (RunStatus.SUCCESS, [2, 5, 2, 5], [9, 9])


def test_with_no_checkpoint_but_in_a_sub_sequence_that_was_left_it_goes_on(play, tmp_path):
    (tmp_path / "sub.yaml").write_text(SUB)
    status, x, y = played(play, "- run: sub\n- delay: 10\n", *DARK, directory=tmp_path)
    assert (status, x, y) == (RunStatus.SUCCESS, [5], [9])


def test_rewind_that_the_end_of_a_sub_sequence_overtakes_goes_on(play, tmp_path):
    """Its suspender clears while its last put is in flight: then there is nothing to go back to."""
    (tmp_path / "sub.yaml").write_text(
        "steps: [checkpoint, {set: {pv: sim.x, value: 5}}]\nfinally: [{set: {pv: sim.y, value: 9}}]"
    )

    def slow(it):
        it.sim.channels["sim.x"].put_takes = 5.0

    steps = "- set: {pv: sim.y, value: 1}\n- run: sub\n- set: {pv: sim.y, value: 3}\n"
    beam = (2, 0.0), (3, 100.0)
    status, x, y = played(play, steps, *beam, before=slow, directory=tmp_path)
    assert (status, x, y) == (RunStatus.SUCCESS, [5], [1, 9, 3])


def test_rewind_goes_back_into_a_retried_step(play):
    steps = (
        "- group: [{set: {pv: sim.x, value: 1}}, checkpoint, "
        "{set: {pv: sim.x, value: 2}}, {delay: 10}]\n  on_error: {retry: 1}\n"
    )
    assert played(play, steps, *DARK) == (RunStatus.SUCCESS, [1, 2, 2], [])


def test_checkpoint_of_a_failed_try_does_not_count(play):
    """The next try may not have come so far when the run is to go back."""
    steps = (
        "- checkpoint\n"
        "- group: [{set: {pv: sim.x, value: 1}}, {delay: 2}, checkpoint, "
        "{wait: {pv: sim.det, above: 1, timeout: 3}}]\n  on_error: {retry: 1}\n"
    )

    def detected_late(it):
        later(15, it.sim.post, "sim.det", 2.0)

    # 0 … 5: first try; 5 … 7: the delay of the second, held up from 6 to 20.
    assert played(play, steps, *DARK, before=detected_late) == (RunStatus.SUCCESS, [1, 1, 1], [])


def test_rewind_goes_back_into_an_error_handler(play):
    steps = (
        "- group: [{set: {pv: sim.y, value: 1}}, {wait: {pv: sim.det, above: 1, timeout: 1}}]\n"
        "  on_error: [{set: {pv: sim.x, value: 1}}, checkpoint, {set: {pv: sim.x, value: 2}}, "
        "{delay: 10}]\n- set: {pv: sim.x, value: 3}\n"
    )
    assert played(play, steps, *DARK) == (RunStatus.SUCCESS, [1, 2, 2, 3], [1])


def test_rewind_to_a_checkpoint_in_a_branch_begins_all_branches_again(play, tmp_path):
    """… and what was open in them has been closed before."""
    (tmp_path / "sub.yaml").write_text(SUB.replace("delay: 1", "delay: 10"))
    steps = "- set: {pv: sim.x, value: 1}\n- parallel: [{run: sub}, {delay: 12}]\n"
    status, x, y = played(play, steps, *DARK, directory=tmp_path)
    assert (status, x, y) == (RunStatus.SUCCESS, [1, 5, 5], [9, 9])


def test_steps_done_are_counted_from_the_checkpoint_again(play):
    async def scenario(it):
        await with_beam(it)
        counts(it, *DARK)
        await it.run(REWINDS + "- checkpoint\n- log: a\n- log: b\n- delay: 10\n")
        return it.values("step")[-1], it.values("nsteps")[-1]

    step, steps = play(scenario)
    assert step == steps == 4


@pytest.mark.parametrize("checkpoint", ["checkpoint", "group: [checkpoint]"])
def test_what_was_bound_after_the_checkpoint_is_bound_anew(play, checkpoint):
    """… in the lists around as well: counted on, x would be put 2 and then 3."""
    steps = (
        f"- let: {{a: 1}}\n- {checkpoint}\n- let: {{a: a + 1}}\n"
        "- set: {pv: sim.x, value: $(a)}\n- delay: 10\n"
    )
    assert played(play, steps, *DARK) == (RunStatus.SUCCESS, [2, 2], [])


def test_a_suspender_that_breaks_ends_the_run_by_its_finalisers(play):
    """A fault of ours: the run must not go on unguarded."""

    def code(env):
        if env.channel("sim.counts") < 50:
            raise RuntimeError("broken")
        return False

    condition = Operand("mine", code, channels=frozenset({"sim.counts"}))
    names = Names(frozenset({"sim"}), {"sim.counts": "C"})
    (beam,) = compile_suspenders({"beam": Suspend(when="sim.counts < 50")}, names, str)

    async def scenario(it):
        await with_beam(it)
        counts(it, (2, 0.0))
        began = now()
        ended = await it.run("steps: [{delay: 10}]" + FINALLY)
        return ended, it.puts("fin"), now() - began

    broken = (replace(beam, when=condition),)
    ended, fin, took = play(scenario, suspenders=broken)
    assert (ended.status, fin, took) == (RunStatus.ABORTED, [1.0], pytest.approx(2))
    assert "the suspender beam failed: broken" in ended.message


GUARDED = (
    "suspend: {beam: {when: sim.counts < least}}\nparameters: {least: {default: 50}}\n"
    "steps: [{delay: 3}, {set: {pv: sim.x, value: 1}}]\nfinally: [{set: {pv: sim.y, value: 1}}]"
)


def test_suspender_of_a_sub_sequence_acts_as_long_as_that_is_running(play, tmp_path):
    (tmp_path / "sub.yaml").write_text(GUARDED)

    async def scenario(it):
        await with_beam(it)
        counts(it, (2, 0.0), (20, 100.0), (22, 0.0))
        began = now()
        ended = await it.run("steps: [{run: sub}, {delay: 10}]")
        states = [e.state.value for e in it.events if isinstance(e, StateChanged)]
        return ended.status, now() - began, it.sim.channels["sim.x"].puts[0][0] - began, states

    status, took, put, states = play(scenario, directory=tmp_path)
    assert (status, put, took) == (RunStatus.SUCCESS, pytest.approx(21), pytest.approx(31))
    assert states == ["Checking", "Running", "Suspended", "Running"]


def test_suspenders_of_several_sequences_may_have_one_name(play, tmp_path):
    """The run goes on when none acts, and what a left one held is let go."""
    (tmp_path / "sub.yaml").write_text(GUARDED)
    (tmp_path / "other.yaml").write_text(
        GUARDED.replace("sim.x", "sim.fin").replace("sim.y", "sim.det")
    )

    async def scenario(it):
        await with_beam(it)
        counts(it, (2, 0.0), (4, 60.0), (20, 100.0))
        ended = await it.run(
            f"{BEAM.replace('settle: 5', 'settle: 0')}steps:\n"
            "- parallel: [{run: sub}, {run: {sequence: other, args: {least: 70}}}]\n"
            "  on_error: continue\n- delay: 5\n"
        )
        return ended.status, now() - 1000, it.values("state")

    status, took, states = play(scenario, directory=tmp_path)
    assert (status, took) == (RunStatus.SUCCESS, pytest.approx(26))
    assert states == ["Checking", "Running", "Suspended", "Running", "Idle"]


def test_suspender_of_a_sub_sequence_that_is_left_lets_go(play, tmp_path):
    (tmp_path / "sub.yaml").write_text(
        "suspend: {beam: {when: sim.counts < 50}}\n"
        "steps: [{set: {pv: sim.x, value: 1, timeout: 3}}]"
    )

    async def scenario(it):
        await with_beam(it)
        it.sim.channels["sim.x"].put_takes = 100.0
        counts(it, (2, 0.0))
        began = now()
        ended = await it.run("steps: [{run: sub, on_error: continue}, {delay: 5}]")
        return ended.status, now() - began

    assert play(scenario, directory=tmp_path) == (RunStatus.SUCCESS, pytest.approx(8))


def test_suspender_of_a_sub_sequence_does_not_act_in_finally(play, tmp_path):
    (tmp_path / "sub.yaml").write_text(GUARDED)

    async def scenario(it):
        began = now()
        ended = await it.run("steps: [{delay: 1}]\nfinally: [{run: sub}]")
        return ended.status, now() - began

    assert play(scenario, directory=tmp_path) == (RunStatus.SUCCESS, pytest.approx(4))


def restarted(it):
    """The IOC of sim.counts was restarted, and holds a value that never changes."""
    later(2, it.sim.disconnect, "sim.counts")
    later(10, it.sim.reconnect, "sim.counts", 100.0)


def messages_of(it):
    return [e.text for e in it.events if isinstance(e, Told)]


def test_message_follows_the_link_of_what_suspends_at_once(play):
    async def scenario(it):
        await with_beam(it)
        restarted(it)
        it.start(f"{BEAM}steps: [{{delay: 4}}]")
        await asyncio.sleep(9.9)
        lost = it.values("message")[-1]
        await asyncio.sleep(0.2)
        back = it.values("message")[-1]
        it.sim.disconnect("sim.counts")
        await asyncio.sleep(0.1)
        again = it.values("message")[-1]
        await asyncio.sleep(20)
        return lost, back, again, messages_of(it)

    lost, back, again, told = play(scenario)
    assert lost.endswith("sim.counts: disconnected")
    assert "sim.counts: unconfirmed since the reconnection" in back
    assert back.endswith(" (connected, its value is 100; resume accepts it)")
    assert again == lost
    assert len(told) == 3, "each once"


def test_who_resumes_a_suspended_run_takes_the_unconfirmed_value_and_is_recorded(play):
    async def scenario(it):
        await with_beam(it)
        restarted(it)
        it.start(f"{BEAM}steps: [{{delay: 4}}]")
        await asyncio.sleep(100)
        still = it.values("state")[-1]
        it.ask(Verb.RESUME, by="operator@console")
        await asyncio.sleep(1)
        during = it.values("message")[-1]
        await asyncio.sleep(5)
        after = it.values("state")[-1], it.values("message")[-1]
        it.sim.disconnect("sim.counts")
        it.sim.reconnect("sim.counts", 100.0)
        await asyncio.sleep(100)
        next_restart = it.values("state")[-1], it.values("message")[-1]
        it.ask(Verb.RESUME, by="operator@console")
        ended = await it.ended()
        return still, during, after, next_restart, ended.status

    still, during, after, next_restart, status = play(scenario)
    accepted = "(sim.counts = 100, unconfirmed, was accepted by operator@console)"
    assert still == "Suspended"
    assert during.endswith(f": clear, but not yet for 5 s {accepted}")
    assert after == ("Running", f"no longer suspended by beam {accepted}")
    assert next_restart[0] == "Suspended", "what was taken was that of one connection"
    assert "accepted by" not in next_restart[1]
    assert status is RunStatus.SUCCESS


@pytest.mark.parametrize("value", [None, 20.0])
def test_resume_goes_past_no_lost_channel_and_no_value_that_suspends(play, value):
    async def scenario(it):
        await with_beam(it)
        later(2, it.sim.disconnect, "sim.counts")
        if value is not None:
            later(10, it.sim.reconnect, "sim.counts", value)
        it.start(f"{BEAM}steps: [{{delay: 4}}]")
        await asyncio.sleep(50)
        it.ask(Verb.RESUME, by="operator@console")
        await asyncio.sleep(50)
        return it.values("state")[-1], it.values("message")[-1]

    state, message = play(scenario)
    assert state == "Suspended"
    assert message.startswith("suspended by beam since ")
    assert ("disconnected" if value is None else "sim.counts < 50 (sim.counts = 20") in message


def test_resume_of_a_pause_takes_no_unconfirmed_value(play):
    async def scenario(it):
        await with_beam(it)
        restarted(it)
        it.start(f"{BEAM}steps: [{{delay: 4}}]")
        await asyncio.sleep(50)
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1)
        it.ask(Verb.RESUME, by="operator@console")
        await asyncio.sleep(50)
        return it.values("state")[-1], it.values("message")[-1]

    state, message = play(scenario)
    assert state == "Suspended"
    assert "resume accepts it" in message


def test_accept_restart_goes_on_with_the_first_value(play):
    async def scenario(it):
        await with_beam(it)
        restarted(it)
        beam = BEAM.replace("settle: 5", "settle: 5, accept_restart: true")
        began = now()
        ended = await it.run(f"{beam}steps: [{{delay: 4}}]")
        return ended.status, now() - began

    status, took = play(scenario)
    assert status is RunStatus.SUCCESS
    assert took == pytest.approx(10 + 5 + 2)


@pytest.mark.parametrize(
    ("document", "state"),
    [
        ("suspend: {beam: {when: sim.counts < 50}}\nsteps: [{delay: 5}]", "Suspended"),
        (
            "suspend: {beam: {when: sim.counts < 50, accept_restart: true}}\nsteps: [{delay: 5}]",
            "Suspended",
        ),
        ("steps: [{delay: 2.5}, {wait: {pv: sim.counts, above: 50, timeout: 9}}]", "Running"),
        (
            "steps: [{delay: 2.5}, "
            "{wait: {pv: sim.counts, above: 50, timeout: 9, accept_restart: true}}]",
            "Running",
        ),
    ],
)
def test_what_was_seen_before_a_loss_counts_no_more_when_the_link_is_back(play, document, state):
    """The link is told before the first value, perhaps in another turn of the loop."""

    async def scenario(it):
        await with_beam(it)
        metadata = it.sim.channels["sim.counts"].metadata
        later(1, it.sim.disconnect, "sim.counts")
        later(3, it.pull.offer, LinkChange("sim.counts", True, metadata, reconnected=True))
        it.start(document)
        await asyncio.sleep(5)
        during = it.values("state")[-1], it.values("busy")[-1]
        it.sim.reconnect("sim.counts", 0.0)
        await asyncio.sleep(5)
        return during, it.values("state")[-1]

    assert play(scenario) == ((state, 1), state)
