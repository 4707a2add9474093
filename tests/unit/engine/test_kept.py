"""What a run keeps beside sampled rows: metadata, baseline, recorded updates; computed columns."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.types import RunStatus, Severity
from tests.unit.language.program.test_compiler import findings


def rows_of(it):
    return [{n: r and r.value for n, r in row.items()} for _, row in it.store.recorders[-1].rows]


def test_metadata_of_the_configuration_the_document_and_who_starts_it_are_kept(play):
    text = (
        "parameters: {sample: gold}\n"
        "metadata: {sample: $(sample), note: 'of $(sample)', thick: '=2 * 3', of: document}\n"
        "steps: [{delay: 1}]"
    )

    async def scenario(it):
        await it.run(text, metadata={"of": "caller", "more": 1})
        return it.store.headers[0].metadata

    assert play(scenario, metadata={"beamline": "BL7", "of": "configuration"}) == {
        "beamline": "BL7", "sample": "gold", "note": "of gold", "thick": 6, "of": "caller",
        "more": 1,
    }  # fmt: skip


def test_metadata_that_is_not_known_before_the_run_is_refused():
    text = "metadata: {x: =stage.x}\nsteps: [{delay: 1}]"
    (line,) = findings(text)
    assert line.startswith("a.yaml:1:15: metadata.x: has to be known before the run starts")


def test_the_baseline_is_read_at_the_beginning_and_at_the_end_however_that_comes(run):
    text = (
        "baseline: [sim.x, sim.y]\nsteps: [{set: {pv: sim.x, value: 4}}, {fail: bad}]\n"
        "finally: [{set: {pv: sim.y, value: 5}}]"
    )
    ended, it = run(text)
    assert ended.status is RunStatus.FAILED
    baselines = it.store.recorders[0].baselines
    assert [(when, {n: r.value for n, r in row.items()}) for when, row in baselines] == [
        ("start", {"sim.x": 0.0, "sim.y": 0.0}),
        ("end", {"sim.x": 4.0, "sim.y": 5.0}),
    ]
    assert set(it.store.headers[0].baseline) == {"sim.x", "sim.y"}


def test_a_channel_of_the_baseline_that_is_lost_leaves_an_empty_place_and_is_told(play):
    async def scenario(it):
        it.start("baseline: [sim.x]\nsteps: [{delay: 2}]")
        await asyncio.sleep(1)
        it.sim.disconnect("sim.x")
        await it.ended()
        return it.store.recorders[0].baselines[-1], it.values("message")

    (when, readings), told = play(scenario)
    assert (when, readings) == ("end", {"sim.x": None})
    assert "baseline at the end: sim.x did not answer" in told


def test_a_row_has_columns_that_are_computed_of_it_and_of_other_channels(run):
    def placed(it):
        it.sim.post("sim.x", 6.0, Severity.MINOR)
        it.sim.post("sim.y", 3.0)

    ended, it = run(
        "steps: [{sample: [sim.x, {ratio: sim.x / sim.y, high: sim.x > 5}]}, "
        "{let: {all: data('ratio')}}, {set: {pv: sim.det, value: '=all[0] * 10'}}]",
        before=placed,
    )
    assert (ended.status, ended.message) == (RunStatus.SUCCESS, "")
    assert rows_of(it) == [{"sim.x": 6.0, "ratio": 2.0, "high": 1}]
    assert it.store.recorders[0].rows[0][1]["ratio"].severity is Severity.MINOR
    assert it.puts("det") == [20.0]


def test_what_is_computed_is_computed_of_the_very_row(play):
    """An update that comes between the reply and the row is none of the row's."""

    async def scenario(it):
        await it.run("steps: [{sample: {channels: [sim.x, {same: sim.x}], fresh: true}}]")
        return rows_of(it)

    assert play(scenario) == [{"sim.x": 0.0, "same": 0.0}]


@pytest.mark.parametrize(
    ("missing", "status"), [("", RunStatus.FAILED), (", missing: nan", RunStatus.FAILED)]
)
def test_a_column_that_can_not_be_computed_fails_the_step(run, missing, status):
    ended, it = run(f"steps: [{{sample: {{channels: [sim.x, {{bad: 1 / sim.x}}]{missing}}}}}]")
    assert ended.status is status
    assert "division by zero" in ended.message
    assert it.store.recorders[0].rows == []


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        ("[{a: stage.x}]", "names no channel"),
        ("[stage.x, {a: stage.nowhere}]", "stage.nowhere"),
        ("[stage.x, {'a b': stage.x}]", "'a b'"),
        ("[stage.x, {a: stage.x}, {a: stage.x}]", "a stands twice in one sample"),
        ("[stage.x, {a: 5}]", "expected an expression"),
    ],
)
def test_a_column_that_is_wrong_is_found_before_the_run(sample, why):
    assert any(why in line for line in findings(f"steps: [{{sample: {sample}}}]"))


def test_each_update_of_recorded_channels_is_kept_while_the_steps_run(play):
    async def scenario(it):
        it.start("steps: [{delay: 1}, {record: {channels: [sim.x], do: [{delay: 2}]}}, {delay: 1}]")
        for value in range(8):
            await asyncio.sleep(0.5)
            it.sim.post("sim.x", float(value))
            it.sim.post("sim.y", float(value))
        await it.ended()
        return it.store.recorders[0].updates, it.store.headers[0].recorded

    updates, known = play(scenario)
    assert updates[0] == ("sim.x", 1.0) or updates[0] == ("sim.x", 0.0), "what it held"
    values = [value for name, value in updates]
    assert values == list(range(int(values[0]), int(values[0]) + len(values)))
    assert len(values) == 5
    assert set(known) == {"sim.x"}


def test_recording_ends_with_its_steps_however_they_end_and_its_body_can_be_skipped(run):
    ended, it = run("steps: [{record: {channels: [sim.x], do: [{fail: bad}]}}]")
    assert ended.status is RunStatus.FAILED
    assert it.store.recorders[0].updates == [("sim.x", 0.0)]


def test_updates_that_the_disk_is_too_slow_for_fail_the_step(play):
    async def scenario(it):
        it.start("steps: [{record: {channels: [sim.x], do: [{delay: 3}]}}]")
        await asyncio.sleep(1)
        it.store.recorders[0].has_room.clear()
        it.sim.post("sim.x", 1.0)
        await asyncio.sleep(0.5)
        it.store.recorders[0].has_room.set()
        return await it.ended()

    ended = play(scenario)
    assert ended.status is RunStatus.FAILED
    assert "1 updates were not kept: the disk is too slow for them" in ended.message


def test_a_rewind_comes_back_into_a_recording(play):
    """The way back leads through `record.do`."""

    async def scenario(it):
        it.sim.post("sim.y", 0.0)
        it.start(
            "suspend: {beam: {when: sim.y > 1, rewind: checkpoint}}\n"
            "steps: [{record: {channels: [sim.x], do: [{set: {pv: sim.det, value: 1}}, checkpoint, "
            "{set: {pv: sim.det, value: 2}}, {delay: 5}]}}]"
        )
        await asyncio.sleep(2)
        it.sim.post("sim.y", 2.0)
        await asyncio.sleep(2)
        it.sim.post("sim.y", 0.0)
        ended = await it.ended()
        return ended.status, it.puts("det")

    assert play(scenario) == (RunStatus.SUCCESS, [1, 2, 2])
