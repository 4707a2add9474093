"""Variables of a document: they live as long as it runs, and `let` assigns them."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.types import RunStatus
from tests.unit.language.foresight.test_checks import Level, lines
from tests.unit.language.foresight.test_duration import took
from tests.unit.language.program.test_compiler import findings


def test_let_assigns_what_lives_on_behind_its_list_and_in_the_finalisers(run):
    ended, it = run(
        "variables: {tries: 0}\n"
        "steps: [{loop: {while: tries < 3}, do: [{let: {tries: tries + 1}}]}, "
        "{set: {pv: sim.det, value: $(tries)}}]\n"
        "finally: [{let: {tries: tries * 10}}, {set: {pv: sim.fin, value: $(tries)}}]"
    )
    assert (ended.status, ended.message) == (RunStatus.SUCCESS, "")
    assert (it.puts("det"), it.puts("fin")) == ([3], [30])


def test_first_values_read_channels_parameters_and_those_before(run):
    def placed(it):
        it.sim.post("sim.x", 4.0)

    _, it = run(
        "parameters: {step: 0.5}\nvariables: {start: =sim.x, next: '=start + step', all: [1, 2]}\n"
        "steps: [{set: {pv: sim.x, value: $(next)}}, {set: {pv: sim.det, value: '=all[1]'}}]\n"
        "finally: [{set: {pv: sim.x, value: $(start)}}]",
        before=placed,
    )
    assert (it.puts("x"), it.puts("det")) == ([4.5, 4.0], [2])


def test_a_first_value_that_can_not_be_computed_fails_the_run_before_its_first_step(run):
    ended, it = run(
        "variables: {a: =1 / sim.x}\nsteps: [{set: {pv: sim.det, value: 1}}]\n"
        "finally: [{set: {pv: sim.fin, value: 1}}]"
    )
    assert ended.status is RunStatus.FAILED
    assert ended.message.startswith("test.yaml: variables.a: `1 / sim.x`: division by zero")
    assert (it.puts("det"), it.puts("fin")) == ([], [])


def test_branches_share_them_and_any_as_assigns_them(run):
    _, it = run(
        "variables: {n: 0, won: ''}\n"
        "steps: [{parallel: [{loop: {count: 3}, do: [{delay: 1}, {let: {n: n + 1}}]}, "
        "{loop: {count: 2}, do: [{delay: 1.5}, {let: {n: n + 10}}]}]}, "
        "{group: [{race: [{delay: 1}, {delay: 2}], as: won}]}]\n"
        "finally: [{log: '$(n) $(won)'}]"
    )
    assert it.values("message")[-1] == "23 delay 1"


def test_a_sequence_within_another_has_its_own(play, tmp_path):
    (tmp_path / "inner.yaml").write_text(
        "variables: {n: 100}\nsteps: [{let: {n: n + 1}}, {set: {pv: sim.det, value: $(n)}}]\n"
        "finally: [{set: {pv: sim.fin, value: $(n)}}]"
    )

    async def scenario(it):
        await it.run(
            "variables: {n: 1}\nsteps: [{run: inner}, {run: inner}, {let: {n: n + 1}}, "
            "{set: {pv: sim.y, value: $(n)}}]"
        )
        return it.puts("det"), it.puts("fin"), it.puts("y")

    assert play(scenario, directory=tmp_path) == ([101, 101], [101, 101], [2])


def test_steps_that_handle_an_error_assign_them_too(run):
    _, it = run(
        "variables: {why: ''}\n"
        "steps: [{fail: odd, on_error: [{let: {why: error.text}}]}]\nfinally: [{log: $(why)}]"
    )
    assert "odd" in it.values("message")


def test_after_a_rewind_they_are_as_they_were_at_the_checkpoint(play):
    async def scenario(it):
        loop = asyncio.get_running_loop()
        loop.call_later(5, it.sim.post, "sim.x", 9.0)
        loop.call_later(7, it.sim.post, "sim.x", 0.0)
        ended = await it.run(
            "suspend: {beam: {when: sim.x > 5, rewind: checkpoint}}\n"
            "variables: {n: 0}\n"
            "steps: [{let: {n: n + 1}}, {group: [checkpoint, {let: {n: n + 10}}, {delay: 10}]}]\n"
            "finally: [{set: {pv: sim.fin, value: $(n)}}]"
        )
        return ended.status, it.puts("fin")

    assert play(scenario) == (RunStatus.SUCCESS, [11])


# Beforehand ------------------------------------------------------------------------------------


def test_a_while_on_a_variable_that_its_passes_assign_can_end():
    text = "variables: {n: 0}\nsteps: [{loop: {while: n < 3}, do: [{delay: 1}, STEP]}]"
    assert lines(text.replace("STEP", "{let: {n: n + 1}}"), Level.WARNING) == []
    assert lines(text.replace("STEP", "{let: {n: n + 1}}")) == []
    [line] = lines(text.replace("STEP", "{delay: 2}"))
    assert "no pass can change `n < 3`" in line


def test_the_check_does_not_take_what_is_assigned_for_known():
    """In the second pass it would be beyond the limits of stage.x, in the first not."""
    text = (
        "variables: {n: 1, far: 99}\nsteps: [{loop: {count: 2}, do: [{if: n > 5, then: "
        "[{delay: 1}]}, {set: {pv: stage.x, value: $(n)}}, {let: {n: 2}}]}]"
    )
    assert lines(text) == []
    [line] = lines(f"{text[:-1]}, {{set: {{pv: stage.x, value: $(far)}}}}]")
    assert "99" in line


def test_the_estimate_counts_with_them():
    known = took(
        "[{loop: {while: n < 4}, do: [{delay: 2}, {let: {n: n + 1}}]}]", "variables: {n: 1}"
    )
    assert known.seconds == 6


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("parameters: {n: 1}\nvariables: {n: 2}\n", "'n' is a parameter; a variable needs another"),
        ("variables: {max: 2}\n", "has a meaning of its own"),
        ("variables: {a: '=b', b: 1}\n", "unknown name 'b'"),
        ("suspend: {s: {when: stage.x > n}}\nvariables: {n: 2}\n", "unknown name 'n'"),
    ],
)
def test_mistakes_in_them_are_told(text, wrong):
    told = findings(f"{text}steps: [{{delay: 1}}]")
    assert any(wrong in line for line in told), told
