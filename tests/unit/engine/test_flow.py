from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest

from orchestrator.engine.python.decorators import function
from orchestrator.engine.sequences.registry import Registry
from orchestrator.errors import StoreFullError
from orchestrator.types import Cause, Progressed, RunEnded, RunStarted, RunStatus, Told, Verb


def test_loop_visits_its_points_by_index(run):
    _, it = run("steps: [{loop: {pv: sim.x, from: 1, to: 1.3, step: 0.1}, do: [{delay: 0}]}]")
    assert it.puts("x") == pytest.approx([1, 1.1, 1.2, 1.3])


def test_loop_over_values_and_its_variable(run):
    _, it = run(
        "steps:\n- loop: {pv: sim.x, values: [3, 1, 2], as: here}\n"
        "  do: [{set: {pv: sim.y, value: '=here * 10'}}]"
    )
    assert it.puts("x") == [3.0, 1.0, 2.0]
    assert it.puts("y") == [30.0, 10.0, 20.0]


def test_nested_loops_show_their_indices_outermost_first(run):
    _, it = run(
        "steps:\n- loop: {count: 2}\n  do:\n"
        "  - loop: {pv: sim.x, from: 0, to: 2, num: 3}\n    do: [{delay: 1}]"
    )
    shown = [tuple(v) for v in it.values("loop_index")]
    assert (1, 2) in shown
    assert [t for t in dict.fromkeys(shown) if len(t) == 2] == [
        (i, j) for i in range(2) for j in range(3)
    ]


def test_sample_takes_whole_rows_and_publishes_the_columns_then_their_number(run):
    def counting(it):
        it.sim.channels["sim.x"].on_put = lambda _c, v: it.sim.post("sim.counts", v * 100)

    _, it = run(
        "steps:\n- loop: {pv: sim.x, from: 1, to: 3, num: 3}\n  do: [{sample: [sim.counts]}]",
        before=counting,
    )
    assert [r["sim.counts"].value for _, r in it.store.recorders[0].rows] == [100, 200, 300]
    assert [loops for loops, _ in it.store.recorders[0].rows] == [(0,), (1,), (2,)]
    np.testing.assert_allclose(it.values("data", "sim.counts")[-1], [100, 200, 300])
    assert it.values("data_npts") == [0, 1, 2, 3]
    np.testing.assert_allclose(it.values("values")[-1], [300])


SAMPLES = "steps:\n- loop: {count: 2}\n  do: [{sample: [sim.x]}, {delay: 1}]\n- log: done"


async def until_the_disk_is_behind(it):
    """One row is taken; the second waits for 20 s."""
    it.start(SAMPLES)
    await asyncio.sleep(0.5)
    it.store.recorders[0].has_room.clear()
    await asyncio.sleep(20)


def test_sample_waits_while_the_disk_is_behind_and_that_is_told(play):
    async def scenario(it):
        await until_the_disk_is_behind(it)
        (recorder,) = it.store.recorders
        assert len(recorder.rows) == 1
        assert "the disk is too slow" in it.values("message")[-1]
        assert it.values("hung_sec")[-1] > 15
        recorder.has_room.set()
        ended = await it.ended()
        assert (ended.status, len(recorder.rows)) == (RunStatus.SUCCESS, 2)
        assert it.values("message")[-2:] == ["the disk takes rows again", "done"]

    play(scenario)


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        (Verb.ABORT, RunStatus.ABORTED),
        (Verb.STOP, RunStatus.STOPPED),
        (Verb.SKIP, RunStatus.SUCCESS),
    ],
)
def test_a_sample_that_waits_for_the_disk_can_be_ended(play, verb, status):
    async def scenario(it):
        await until_the_disk_is_behind(it)
        it.ask(verb)
        ended = await it.ended()
        assert (ended.status, len(it.store.recorders[0].rows)) == (status, 1)

    play(scenario)


def test_a_second_abort_ends_the_waiting_for_the_disk_of_a_finaliser(play):
    async def scenario(it):
        it.start("steps: [{sample: [sim.x]}, {delay: 1}]\nfinally: [{sample: [sim.x]}]")
        await asyncio.sleep(0.5)
        (recorder,) = it.store.recorders
        recorder.has_room.clear()
        it.ask(Verb.ABORT)
        await asyncio.sleep(20)
        assert (it.values("busy")[-1], len(recorder.rows)) == (1, 1)
        it.ask(Verb.ABORT)
        ended = await it.ended()
        assert (ended.status, len(recorder.rows)) == (RunStatus.ABORTED, 2)
        assert "dropped" not in ended.message

    play(scenario)


def test_a_pause_holds_a_sample_that_has_waited_for_the_disk(play):
    async def scenario(it):
        await until_the_disk_is_behind(it)
        (recorder,) = it.store.recorders
        it.ask(Verb.PAUSE)
        await asyncio.sleep(1)
        recorder.has_room.set()
        await asyncio.sleep(20)
        assert (it.values("state")[-1], len(recorder.rows)) == ("Paused", 1)
        it.ask(Verb.RESUME)
        ended = await it.ended()
        assert (ended.status, len(recorder.rows)) == (RunStatus.SUCCESS, 2)

    play(scenario)


def test_sample_without_an_answer_takes_no_row_and_names_the_channel(run):
    def mute(it):
        it.sim.channels["sim.y"].get_takes = math.inf

    ended, it = run("steps: [{sample: [sim.x, sim.y]}]", before=mute)
    assert ended.status is RunStatus.TIMEOUT
    assert "no row was taken" in ended.message
    assert "sim.y" in ended.message
    assert it.store.recorders[0].rows == []


def test_sample_with_missing_nan_records_the_gap(run):
    def mute(it):
        it.sim.channels["sim.y"].get_takes = math.inf

    ended, it = run("steps: [{sample: {channels: [sim.x, sim.y], missing: nan}}]", before=mute)
    assert ended.status is RunStatus.SUCCESS
    assert it.store.recorders[0].rows[0][1]["sim.y"] is None
    assert math.isnan(it.values("values")[-1][1])


def test_if_reads_the_world_not_older_than_the_last_put(run):
    def silent(it):
        # The put changes another channel of which no monitor comes before the completion.
        def put(_channel, value):
            it.sim.channels["sim.counts"].value = value * 2

        it.sim.channels["sim.x"].on_put = put

    ended, it = run(
        "steps:\n- set: {pv: sim.x, value: 5}\n- if: sim.counts == 10\n"
        "  then: [{set: {pv: sim.fin, value: 1}}]\n  else: [{set: {pv: sim.fin, value: 2}}]",
        before=silent,
    )
    assert ended.status is RunStatus.SUCCESS
    assert it.puts("fin") == [1.0]


@pytest.mark.parametrize(
    "moving",
    [
        "call: move",
        "trajectories: {servers: {stage: [1, 2]}}",
        "nested: {over: stage}\n  do: [{delay: 0}]",
    ],
)
def test_what_a_step_has_moved_by_other_means_than_a_put_is_read_anew_as_well(play, moving):
    """No monitor comes before it is done, as with a put."""

    async def scenario(it):
        def move(_at=None):
            it.sim.channels["sim.counts"].value = 10.0

        stage = it.servers["stage"]
        load, asked = it.sim.channels["stage.CMD"].on_put, stage.asked
        moves["move"] = move
        if moving.startswith("trajectories"):
            it.sim.channels["stage.CMD"].on_put = lambda *put: (move(), load(*put))
        else:
            load(None, "[1, 2]")
            stage.asked = lambda text: (move() if "stage" in text else None, asked(text))
        await it.pull.idle()
        document = f"steps:\n- {moving}\n- let: {{seen: sim.counts}}\n"
        ended = await it.run(document + "- set: {pv: sim.fin, value: $(seen)}\n")
        return ended.status, it.puts("fin")

    moves = {}
    registry = Registry(functions={"move": function(lambda: moves["move"]())})
    assert play(scenario, registry=registry) == (RunStatus.SUCCESS, [10.0])


def test_if_on_a_disconnected_channel_fails_the_run(play):
    async def scenario(it):
        it.start("steps: [{delay: 2}, {if: sim.x > 1, then: [{delay: 1}]}]")
        await asyncio.sleep(1)
        it.sim.disconnect("sim.x")
        return await it.ended()

    ended = play(scenario)
    assert ended.status is RunStatus.FAILED
    assert "sim.x" in ended.message


def test_let_binds_for_the_rest_of_the_list(run):
    _, it = run("steps:\n- let: {a: '1 + 1'}\n- let: {b: a * 10}\n- set: {pv: sim.x, value: $(b)}")
    assert it.puts("x") == [20.0]


def test_parameters_are_given_by_name(run):
    _, it = run(
        "parameters: {goal: {default: 1.0}}\nsteps: [{set: {pv: sim.x, value: $(goal)}}]",
        goal="7.5",
    )
    assert it.puts("x") == [7.5]


def test_unknown_parameter_is_refused_with_the_nearest(run):
    ended, it = run(
        "parameters: {goal: {default: 1.0}}\nsteps: [{set: {pv: sim.x, value: $(goal)}}]", gaol="7"
    )
    assert ended.cause is Cause.INPUT
    assert "goal" in ended.message
    assert it.puts("x") == []


def test_log_goes_to_message(run):
    _, it = run("parameters: {n: 3}\nsteps: [{log: 'point $(n) at $(sim.x)'}]")
    assert any(m.startswith("point 3 at 0") for m in it.values("message"))


def test_every_finaliser_runs_even_if_the_one_before_fails(run):
    def refuse(it):
        it.sim.channels["sim.x"].refuses = "stuck"

    ended, it = run(
        "steps: [{delay: 1}]\n"
        "finally: [{set: {pv: sim.x, value: 0}}, {set: {pv: sim.fin, value: 1}}]",
        before=refuse,
    )
    assert it.puts("fin") == [1.0]
    assert ended.status is RunStatus.FAILED
    assert "stuck" in ended.message


def test_both_errors_are_told_when_body_and_finaliser_fail(run):
    def refuse(it):
        it.sim.channels["sim.x"].refuses = "stuck"

    ended, _ = run(
        "steps: [{wait: {pv: sim.y, above: 1, timeout: 1}}]\n"
        "finally: [{set: {pv: sim.x, value: 0}}]",
        before=refuse,
    )
    assert ended.status is RunStatus.TIMEOUT
    assert "sim.y" in ended.message
    assert "stuck" in ended.message


def test_edges_come_in_the_promised_order(run):
    _, it = run("steps: [{delay: 1}]")
    order = [u.field for u in it.published if hasattr(u, "field")]
    began = [f for f in order if f in ("status", "run_id", "start", "busy")]
    assert began == ["status", "run_id", "start", "busy", "status", "start", "busy"]
    assert order[-2:] == ["start", "busy"]
    assert it.values("busy") == [1, 0]
    assert type(it.published[-1]).__name__ == "Reply"


def test_progress_ends_at_a_hundred_percent_only_with_success(run):
    _, good = run("steps: [{loop: {count: 5}, do: [{delay: 1}]}]")
    assert good.values("progress")[-1] == 100.0
    _, bad = run(
        "steps: [{loop: {count: 5}, do: [{delay: 1}]}, {wait: {pv: sim.x, above: 1, timeout: 1}}]"
    )
    assert bad.values("progress")[-1] < 100.0


def test_trivial_steps_let_other_tasks_run(play):
    async def scenario(it):
        ran = 0

        async def other():
            nonlocal ran
            while True:
                await asyncio.sleep(0)
                ran += 1

        task = asyncio.create_task(other())
        ended = await it.run("steps: [{loop: {count: 20000}, do: [{let: {a: 1}}]}]")
        task.cancel()
        return ended.status, ran

    status, ran = play(scenario)
    assert status is RunStatus.SUCCESS
    assert ran > 50


def test_start_while_busy_fails_at_once_and_changes_nothing(play):
    from orchestrator.types import Command, Reply, Verb

    async def scenario(it):
        it.start("steps: [{delay: 10}]")
        await asyncio.sleep(1)
        it.pull.offer(Command(Verb.START, 2, document="steps: [{delay: 1}]"))
        await asyncio.sleep(1)
        refusals = [r for r in it.published if isinstance(r, Reply)]
        ended = await it.ended()
        return refusals, ended, it.values("busy")

    refusals, ended, busy = play(scenario)
    assert [r.request for r in refusals] == [2]
    assert "is running" in refusals[0].error
    assert ended.status is RunStatus.SUCCESS
    assert busy == [1, 0]


def test_document_that_is_wrong_fails_start_with_both_edges(run):
    ended, it = run("steps: [{sett: {pv: sim.x, value: 1}}]")
    assert isinstance(ended, RunEnded)
    assert ended.cause is Cause.INPUT
    assert "'set'" in ended.message
    assert it.values("busy") == [1, 0]
    assert it.values("status")[-1] == "Failed"


@pytest.mark.parametrize(
    ("channels", "status"),
    [("sim.x", RunStatus.TIMEOUT), ("sim.x, sim.y", RunStatus.FAILED)],
)
def test_sample_is_a_timeout_only_where_all_that_failed_came_too_late(play, channels, status):
    async def scenario(it):
        it.sim.channels["sim.x"].get_takes = 100.0
        asyncio.get_running_loop().call_later(1, it.sim.disconnect, "sim.y")
        sample = f"{{sample: {{channels: [{channels}], timeout: 2}}}}"
        return (await it.run(f"steps: [{{delay: 2}}, {sample}]")).status

    assert play(scenario) is status


def test_steps_of_the_branch_that_is_not_taken_count_as_done(run):
    branches = "then: [{delay: 1}, {delay: 1}, {delay: 1}], else: [{log: no}]"
    _, it = run(f"steps: [{{if: sim.x > 1, {branches}}}, {{log: end}}]")
    known = next(e.steps for e in it.events if isinstance(e, RunStarted))
    assert [e.done for e in it.events if isinstance(e, Progressed)][-1] == known == 5


def test_finalisers_of_a_sub_sequence_are_steps_too(play, tmp_path):
    (tmp_path / "sub.yaml").write_text("steps: [log: a]\nfinally: [{log: b}, {log: c}]")

    async def scenario(it):
        await it.run("steps: [{run: sub}, {log: d}]")
        return it.values("step")[-1], it.values("nsteps")[-1]

    assert play(scenario, directory=tmp_path) == (5, 5)


def test_stop_channel_that_is_not_there_fails_the_run_before_anything_moves(run):
    ended, it = run(
        "steps: [{set: {pv: sim.y, value: 1}}]", lambda it: it.sim.disconnect("sim.stop")
    )
    assert (ended.cause, it.puts("y")) == (Cause.NOT_CONNECTED, [])
    assert "sim.stop" in ended.message


@pytest.mark.parametrize(
    "use",
    ["set: {pv: sim.y, value: $(a)}", "log: at $(a)", "if: a > 1\n  then: [delay: 1]"],
)
def test_a_name_that_a_tolerated_error_left_without_value_is_told_where_it_is_used(run, use):
    text = f"steps:\n- let: {{a: 1 / sim.counts}}\n  on_error: continue\n- {use}\n"
    ended, _ = run(text)
    assert ended.status is RunStatus.FAILED
    assert "steps[1]" in ended.message
    assert "a has no value: the step that gives it one did not end" in ended.message


def test_the_timeout_of_a_held_sample_is_for_the_connection_and_the_row(play):
    async def scenario(it):
        loop = asyncio.get_running_loop()
        it.sim.channels["sim.x"].get_takes = math.inf
        loop.call_later(0.5, it.sim.disconnect, "sim.x")
        loop.call_later(2, it.ask, Verb.PAUSE)
        loop.call_later(12, it.ask, Verb.RESUME)
        loop.call_later(13, it.sim.reconnect, "sim.x")
        sample = "{sample: {channels: [sim.x], timeout: 4}, on_disconnect: wait}"
        ended = await it.run(f"steps: [{{delay: 1}}, {sample}]")
        return ended.status, loop.time() - 1000

    assert play(scenario) == (RunStatus.TIMEOUT, pytest.approx(15))


def posts_nothing(channel):
    """Its monitors are late, or its deadband is wide."""
    channel.on_put = lambda it, value: setattr(it, "value", value)


def test_no_branch_sees_a_value_that_was_asked_for_before_its_own_put(play):
    """The reply to another branch's question comes behind the put, and is older than it."""

    async def scenario(it):
        posts_nothing(it.sim.channels["sim.x"])
        it.sim.channels["sim.x"].reply_takes = 2.0
        other = "{let: {a: sim.x}}, {log: 'other $(a)'}"
        own = "{delay: 1}, {set: {pv: sim.x, value: 5}}, {delay: 2}, {let: {b: sim.x}}"
        branches = f"{{group: [{other}]}}, {{group: [{own}, {{log: 'own $(b)'}}]}}"
        await it.run(f"steps: [{{set: {{pv: sim.y, value: 1}}}}, {{parallel: [{branches}]}}]")
        return [e.text for e in it.events if isinstance(e, Told)]

    assert play(scenario) == ["other 5", "own 5"]


def test_a_put_that_was_done_counts_though_its_step_failed_or_is_not_over(play):
    async def scenario(it):
        posts_nothing(it.sim.channels["sim.x"])
        it.sim.channels["sim.x"].reply_takes = 0.1
        first = "{let: {a: sim.x}}"
        fails = "{set: {pv: sim.x, value: 5, readback: sim.y, timeout: 1}, on_error: continue}"
        settles = "{set: {pv: sim.x, value: 6, settle: 5}}"
        looks = "{group: [{delay: 1}, {let: {b: sim.x}}, {log: 'meanwhile $(b)'}]}"
        await it.run(
            f"steps: [{{set: {{pv: sim.y, value: 1}}}}, {first}, {fails}, {{let: {{a: sim.x}}}}, "
            f"{{log: 'failed $(a)'}}, {{parallel: [{settles}, {looks}]}}]"
        )
        return [e.text for e in it.events if isinstance(e, Told) and "sim" not in e.text]

    assert play(scenario) == ["failed 5", "meanwhile 6"]


@pytest.mark.parametrize("limit", [9, -1])
def test_a_run_whose_rows_are_lost_is_no_success(play, limit):
    async def scenario(it):
        it.store.fault = "3 rows are lost: no space left on the disk"
        step = f"{{wait: {{pv: sim.x, below: {limit}, timeout: 1}}}}"
        return await it.run(f"steps: [{step}]")

    ended = play(scenario)
    assert ended.status is (RunStatus.FAILED if limit == 9 else RunStatus.TIMEOUT)
    assert "3 rows are lost" in ended.message


FULL = "no room on the disk of the store: remove something"


def test_where_nothing_can_be_kept_a_run_waits_and_tells_so_at_once(play):
    async def scenario(it):
        it.start(SAMPLES)
        await asyncio.sleep(0.5)
        (recorder,) = it.store.recorders
        recorder.lack = FULL
        recorder.has_room.clear()
        await asyncio.sleep(0.6)
        waits = f"{FULL}; the run waits until there is room, and nothing is lost"
        assert it.values("message")[-1] == waits
        recorder.lack = ""
        recorder.has_room.set()
        ended = await it.ended()
        assert (ended.status, len(recorder.rows)) == (RunStatus.SUCCESS, 2)

    play(scenario)


def test_or_it_fails_where_that_is_wanted(play):
    async def scenario(it):
        it.start(SAMPLES)
        await asyncio.sleep(0.5)
        (recorder,) = it.store.recorders
        recorder.lack, recorder.refusal = FULL, StoreFullError(FULL)
        ended = await it.ended()
        assert (ended.status, len(recorder.rows)) == (RunStatus.FAILED, 1)
        assert FULL in ended.message

    play(scenario)
