"""Loops over several channels at once, and over what is known before the run."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.types import RunStatus, Told
from tests.unit.language.program.test_compiler import findings

TOGETHER = "steps: [{loop: {set: {sim.x: [1, 2, 3], sim.y: [4, 5, 6]}}, do: [{sample: [sim.x]}]}]"
EACH = (
    "parameters: {axes: [sim.x, sim.y]}\n"
    "steps: [{loop: {each: $(axes), as: axis}, do: [{set: {pv: $(axis), value: 7}}]}]"
)


def test_several_channels_are_set_point_by_point(run):
    ended, it = run(TOGETHER)
    assert (ended.status, it.puts("x"), it.puts("y")) == (RunStatus.SUCCESS, [1, 2, 3], [4, 5, 6])
    assert it.values("data_npts")[-1] == 3


def test_they_are_set_at_the_same_time(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = it.sim.channels["sim.y"].put_takes = 2.0
        began = asyncio.get_running_loop().time()
        await it.run(TOGETHER)
        return asyncio.get_running_loop().time() - began

    assert play(scenario) == pytest.approx(6, abs=0.1)


def test_lists_that_are_not_as_long_are_told():
    text = "steps: [{loop: {set: {stage.x: [1, 2], det.counts: [4]}}, do: [{delay: 1}]}]"
    told = "the lists are not all as long: 2 of stage.x, 1 of det.counts"
    assert told in "\n".join(findings(text))


def test_lists_may_be_parameters(run):
    text = (
        "parameters: {xs: {type: list, min: 0, max: 5}}\n"
        "steps: [{loop: {set: {sim.x: $(xs), sim.y: '=xs'}}, do: [{delay: 1}]}]"
    )
    ended, it = run(text, xs="1, 2.5,3")
    assert (ended.status, it.puts("x"), it.puts("y")) == (RunStatus.SUCCESS, *[[1, 2.5, 3]] * 2)
    ended, _ = run(text, xs="[1, 6]")
    assert "parameter 'xs' takes a list of values from 0 to 5, not 6" in ended.message
    ended, _ = run(text, xs="[1, [2]]")
    assert "parameter 'xs' takes a list of values from 0 to 5, not the text" in ended.message


def test_each_value_may_name_a_channel(run):
    ended, it = run(EACH)
    assert (ended.status, it.puts("x"), it.puts("y")) == (RunStatus.SUCCESS, [7.0], [7.0])


def test_every_one_is_looked_at_before_the_run(run):
    ended, it = run(EACH, axes=["sim.x", "sim.nowhere"])
    assert ended.status is RunStatus.FAILED
    assert "sim.nowhere" in ended.message
    assert it.puts("x") == []


def test_break_and_continue_are_of_the_loop(run):
    text = (
        "steps: [{loop: {each: [1, 2, 3, 4], as: n}, do: [{if: n == 2, then: [continue]},"
        " {if: n == 4, then: [break]}, {set: {pv: sim.x, value: $(n)}}]},"
        " {set: {pv: sim.y, value: 9}}]"
    )
    ended, it = run(text)
    assert (ended.status, it.puts("x"), it.puts("y")) == (RunStatus.SUCCESS, [1, 3], [9])


@pytest.mark.parametrize("text", [EACH, TOGETHER])
def test_all_its_steps_are_counted(run, text):
    _, it = run(text)
    assert it.values("step")[-1] == it.values("nsteps")[-1]


def test_what_is_not_known_before_the_run_is_refused():
    text = "steps: [{loop: {each: '=[stage.x]', as: a}, do: [{delay: 1}]}]"
    assert "has to be known before the run" in "\n".join(findings(text))


@pytest.mark.parametrize(
    ("loop", "wrong"),
    [
        ("{each: [1]}", "'as', which names it"),
        ("{set: {stage.x: [1]}, tolerance: 1}", "'tolerance' does nothing without 'pv'"),
        ("{each: [1], pv: stage.x}", "'each' sets no 'pv'"),
        ("{each: [1], count: 2}", "runs over one of"),
        ("{set: {}}", "set"),
    ],
)
def test_what_makes_no_sense_is_told(loop, wrong):
    assert wrong in "\n".join(findings(f"steps: [{{loop: {loop}, do: [{{delay: 1}}]}}]"))


def test_a_parameter_may_be_a_channel(run):
    text = "parameters: {axis: {type: channel}}\nsteps: [{set: {pv: $(axis), value: 1}}]"
    ended, it = run(text, axis="sim.y")
    assert (ended.status, it.puts("y")) == (RunStatus.SUCCESS, [1.0])
    ended, _ = run(text, axis="sim.yy")
    assert "sim.yy" in ended.message
    assert "did you mean" in ended.message


# Tables -----------------------------------------------------------------------------------------

ROWS = (
    "parameters: {points: {type: table}}\n"
    "steps: [{loop: {table: points}, do: [{log: 'at $(label)'}, {sample: [sim.x, sim.y]}]}]"
)
POINTS = {"sim.x": [1, None, 3], "sim.y": [4, 5, None], "label": ["a", "b", 7]}


def test_a_row_sets_its_channels_and_leaves_those_with_empty_cells(run):
    ended, it = run(ROWS, points=POINTS)
    assert ended.status is RunStatus.SUCCESS, ended.message
    assert (it.puts("x"), it.puts("y")) == ([1, 3], [4, 5])
    assert it.values("data_npts")[-1] == 3
    assert it.values("step")[-1] == it.values("nsteps")[-1]
    said = [e.text for e in it.events if isinstance(e, Told) and e.text.startswith("at ")]
    assert said == ["at a", "at b", "at 7"]


def test_a_row_is_set_at_the_same_time(play):
    async def scenario(it):
        it.sim.channels["sim.x"].put_takes = it.sim.channels["sim.y"].put_takes = 2.0
        began = asyncio.get_running_loop().time()
        await it.run(ROWS, points={"sim.x": [1, 2], "sim.y": [1, 2], "label": [1, 2]})
        return asyncio.get_running_loop().time() - began

    assert play(scenario) == pytest.approx(4, abs=0.1)


def test_a_column_may_name_channels(run):
    text = (
        "parameters: {points: {type: table}}\n"
        "steps: [{loop: {table: points}, do: [{set: {pv: $(axis), value: $(to)}}]}]"
    )
    ended, it = run(text, points='{"axis": ["sim.x", "sim.y"], "to": [3, 4]}')
    assert (ended.status, it.puts("x"), it.puts("y")) == (RunStatus.SUCCESS, [3], [4])


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ({"sim.nowhere": [1], "label": [1]}, "sim.nowhere"),
        ({"sim.x": [1, 2], "label": ["a", None]}, "points: row 2 has no 'label'"),
        ({"sim.x": [1], "label": [1, 2]}, "1 of sim.x, 2 of label"),
        ({"sim.x": [1] * 1001, "label": [1] * 1001}, "has 1,001 rows, where 1,000 are the most"),
        ("@points.csv", "takes a table"),
        ({"sim.x": [1]}, "label"),
        ({"sim.x": [1, "far"], "label": [1, 2]}, "far"),
    ],
)
def test_all_rows_are_looked_at_before_the_first_is_run(run, points, told):
    ended, it = run(ROWS, points=points)
    assert told in ended.message
    assert it.puts("x") == []


def test_break_and_continue_are_of_the_row(run):
    text = (
        "parameters: {points: {type: table}}\n"
        "steps:\n- loop: {table: points}\n  do:\n"
        "  - {if: n == 1, then: [continue]}\n"
        "  - {if: n == 3, then: [break]}\n"
        "  - {set: {pv: sim.y, value: $(n)}}"
    )
    ended, it = run(text, points={"n": [1, 2, 3, 4]})
    assert (ended.status, it.puts("y")) == (RunStatus.SUCCESS, [2])


def test_a_sequence_hands_a_table_on(play, tmp_path):
    (tmp_path / "inner.yaml").write_text(ROWS)
    text = (
        "parameters: {rows: {type: table}}\n"
        "steps: [{run: {sequence: inner, args: {points: $(rows)}}}]"
    )

    async def scenario(it):
        ended = await it.run(text, rows={"sim.x": [1, 2], "label": [1, 2]})
        return ended, it.puts("x")

    ended, puts = play(scenario, directory=tmp_path)
    assert (ended.status, puts) == (RunStatus.SUCCESS, [1, 2]), ended.message


def test_a_file_beside_the_sequences_is_a_table_and_one_elsewhere_is_not(play, tmp_path):
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/points.csv").write_text("sim.x, label\n1, a\n2, b\n")
    (tmp_path / "secret.csv").write_text("sim.x\n1\n")

    def ran(file):
        async def scenario(it):
            ended = await it.run(f"steps: [{{loop: {{table: {file}}}, do: [{{delay: 0}}]}}]")
            return ended.message, it.puts("x")

        return play(scenario, directory=tmp_path / "beside")

    assert ran("points.csv") == ("", [1, 2])
    assert "is not in the directory" in ran("../secret.csv")[0]
    assert "can't be read: No such file" in ran("none.csv")[0]
