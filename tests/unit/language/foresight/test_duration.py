"""How long a program is expected to take."""

import pytest

from orchestrator.language.foresight.duration import MOST_STEPS, Estimate, estimate
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.program.sequence_library import PythonSignature
from orchestrator.language.text.document import parse
from tests.unit.language.conftest import ALIASES, Shelf

NAMES = Names(frozenset({"stage", "det", "shutter"}), ALIASES)
LIBRARY = Shelf(
    {
        "inner": """
parameters: {to: 4}
steps: [{set: {pv: stage.x, value: $(to)}}]
finally: [{delay: 1}]
"""
    },
    ["fit"],
    {"plan": PythonSignature("plan")},
)


def took(steps: str, rest: str = "") -> Estimate:
    """With stage.x at 0, moving at 2 units per s."""
    program = compile_program(parse(f"steps: {steps}\n{rest}"), {}, NAMES, LIBRARY)
    return estimate(program, {"stage.x": 2.0}, {"stage.x": 0.0})


@pytest.mark.parametrize(("passes", "exact"), [(MOST_STEPS - 1, True), (MOST_STEPS, False)])
def test_so_many_steps_are_gone_through_one_by_one_and_no_more(passes: int, exact: bool) -> None:
    """The loop is a step too; passes beyond count as the mean of those before."""
    found = took(f"[{{loop: {{count: {passes}, as: i}}, do: [{{delay: $(i)}}]}}]")
    assert (found.seconds == passes * (passes - 1) / 2) is exact
    assert found.seconds == pytest.approx(passes**2 / 2, rel=1e-3)


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ("[{delay: 1}, {delay: 0.5}]", 1.5),
        ("[{set: {pv: stage.x, value: -3}}]", 1.5),
        ("[{set: {pv: stage.x, value: 3, settle: 0.25}}, {set: {pv: stage.x, value: 3}}]", 1.75),
        ("[{set: {pv: det.acquire, value: 1}}, {sample: det.counts}, {log: a}, checkpoint]", 0.0),
        ("[{set: {pv: shutter.state, value: Open, settle: 1}}]", 1.0),
        ("[{set: {all: [{pv: stage.x, value: 3}, {pv: det.acquire, value: 1, settle: 4}]}}]", 4.0),
        ("[{loop: {pv: stage.x, from: 0, to: 10, step: 1}, do: [{delay: 1}]}]", 16.0),
        ("[{loop: {pv: stage.x, values: [1, 0, 1]}, do: [checkpoint]}]", 1.5),
        ("[{loop: {count: 3, as: i}, do: [{delay: $(i)}]}]", 3.0),
        ("[{loop: {count: 0}, do: [{delay: 1}]}]", 0.0),
        ("[{parallel: [{delay: 1}, {group: [{delay: 2}, {delay: 1}]}]}]", 3.0),
        ("[{let: {d: 2 * 3}}, {delay: $(d)}]", 6.0),
        ("[{if: stage.x < 1, then: [{delay: 1}], else: [{delay: 9}]}]", 1.0),
        ("[{set: {pv: stage.x, value: '=stage.x + 2'}}, {delay: '=stage.x'}]", 3.0),
        ("[{set: {pv: stage.x, value: 2, readback: stage.x_rbv}}, {delay: '=stage.x_rbv'}]", 3.0),
        ("[{run: inner}, {run: {sequence: inner, args: {to: 0}}}]", 6.0),
        ("[{let: {t: 2}}, {run: {sequence: inner, args: {to: $(t)}}}]", 2.0),
        (
            "[{loop: {while: stage.x < 4}, do: [{set: {pv: stage.x, value: '=stage.x + 1'}}]}]",
            2.0,
        ),
    ],
)
def test_what_is_known_is_added_up(steps: str, seconds: float) -> None:
    assert took(steps).seconds == pytest.approx(seconds)


@pytest.mark.parametrize("held", [float("nan"), float("inf"), float("-inf")])
def test_a_channel_that_holds_no_number_arrives_at_once(held: float) -> None:
    program = compile_program(
        parse("steps: [{set: {pv: stage.x, value: 2}}, {delay: 1}]"), {}, NAMES, LIBRARY
    )
    assert str(estimate(program, {"stage.x": 2.0}, {"stage.x": held})) == "about 1 s"


def test_puts_to_channels_of_unknown_speed_are_counted_if_they_are_awaited() -> None:
    puts = "{set: {pv: det.acquire, value: 1}}, {set: {pv: stage.x, value: 2}}"
    fast = "{set: {pv: det.acquire, value: 1, completion: false}}"
    result = took(f"[{{loop: {{count: 3}}, do: [{puts}, {fast}]}}]")
    assert result == Estimate(1.0, puts=3)
    assert str(result) == "about 1 s, plus 3 puts"


def test_finalisers_take_time_as_well() -> None:
    assert (
        took("[{delay: 1}]", "finally: [{delay: 2}, {set: {pv: stage.x, value: 2}}]").seconds == 4
    )


def test_what_takes_an_unknown_time_is_counted() -> None:
    wait = "{wait: {pv: det.counts, above: 1, hold: 0.5, timeout: 5}}"
    result = took(
        f"[{{loop: {{count: 3}}, do: [{wait}]}}, {{call: fit}}, {{run: plan}}, {{ask: a}}]"
    )
    assert result == Estimate(1.5, waits=3, waiting=15, calls=2, questions=1)
    assert str(result) == "about 1.5 s, plus 3 waits (at most 15 s), 2 calls, 1 question"


def test_where_nothing_is_known_to_take_time_none_is_told() -> None:
    wait = "{wait: {pv: det.counts, above: 1, timeout: 90}}"
    assert str(took(f"[{wait}]")) == "not known: 1 wait (at most 90 s)"
    assert str(took(f"[{wait}, {{wait: {{until: 'det.counts > 1', timeout: none}}}}]")) == (
        "not known: 2 waits"
    )
    assert str(took("[{log: a}]")) == "about 0 s"


@pytest.mark.parametrize(
    ("condition", "seconds"),
    [
        ("equals: 5", 8),
        ("at_least: 5", 8),
        ("at_most: 5", 0),
        ("below: -1", 4),
        ("increase_by: 2", 4),
        ("decrease_by: 3", 6),
    ],
)
def test_a_wait_for_a_channel_of_known_speed_takes_its_way(condition: str, seconds: float) -> None:
    """From 1, at 0.5 a second."""
    program = compile_program(
        parse(f"steps: [{{wait: {{pv: det.counts, {condition}, timeout: 60}}}}]"), {}, NAMES
    )
    assert estimate(program, {"det.counts": 0.5}, {"det.counts": 1.0}) == Estimate(seconds)


def test_a_loop_of_unknown_length_counts_once() -> None:
    assert took("[{loop: {while: det.counts < 3}, do: [{delay: 2}]}]") == Estimate(2.0, loops=1)
    assert took("[{loop: {count: '=det.counts'}, do: [{delay: 2}]}]") == Estimate(2.0, loops=1)
    assert str(Estimate(2.0, loops=2)) == "about 2 s, plus 2 loops of unknown length"


def test_a_loop_that_never_ends_is_told_as_one_of_unknown_length() -> None:
    result = took("[{loop: {while: 'true'}, do: [{delay: 2}]}]")
    assert result.loops == 1


def test_of_a_branch_that_hangs_on_a_channel_the_longer_one_counts() -> None:
    result = took("[{if: det.counts > 1, then: [{delay: 5}, {set: {pv: stage.x, value: 2}}]}]")
    assert result == Estimate(6.0, guesses=1)
    assert str(result) == "about 6 s; depends on what channels hold"
    assert took("[{delay: '=det.counts'}]") == Estimate(0.0, guesses=1)


def test_a_long_loop_is_multiplied_rather_than_gone_through() -> None:
    wait = "{wait: {pv: det.counts, above: 1, timeout: 5}}"
    inner = f"{{loop: {{count: 1000}}, do: [{{delay: 0.01}}, {wait}]}}"
    text = f"[{{loop: {{count: 3000}}, do: [{inner}]}}]"
    result = took(text)
    assert result.seconds == pytest.approx(30_000)
    assert result.waits == pytest.approx(3_000_000, rel=1e-3)


def test_channels_that_are_not_known_to_move_arrive_at_once() -> None:
    program = compile_program(parse("steps: [{set: {pv: stage.x, value: 5}}]"), {}, NAMES)
    assert estimate(program, {}, {"stage.x": 0.0}).seconds == 0
    assert estimate(program, {"stage.x": 1.0}, {}).seconds == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "about 0 s"),
        (90.4, "about 90.4 s"),
        (125.0, "about 2 min 5 s"),
        (9960.0, "about 2 h 46 min"),
    ],
)
def test_times_are_told_as_people_say_them(seconds: float, text: str) -> None:
    assert str(Estimate(seconds)) == text


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [
        ("[{loop: {count: 9, as: i}, do: [{delay: 1}, {if: i == 2, then: [break]}]}]", 3),
        ("[{loop: {count: 4, as: i}, do: [{if: i > 1, then: [continue]}, {delay: 1}]}]", 2),
        ("[{loop: {while: true, as: i}, do: [{delay: 1}, {if: i == 5, then: [break]}]}]", 6),
        ("[{delay: 1}, {end: x}, {delay: 5}]", 1),
        ("[{loop: {count: 3}, do: [{delay: 1}, {end: x}]}, {delay: 5}]", 1),
        ("[{group: [{delay: 2}, {fail: x}], on_error: continue}, {delay: 5}]", 7),
        ("[{parallel: [{delay: 9}, {group: [{delay: 2}, {end: x}]}]}, {delay: 5}]", 2),
    ],
)
def test_what_is_left_early_takes_no_time(steps: str, seconds: float) -> None:
    assert took(steps).seconds == seconds


def test_where_it_is_not_known_whether_a_loop_is_left_all_passes_count() -> None:
    known = took("[{loop: {count: 4}, do: [{delay: 1}, {if: det.counts > 1, then: [break]}]}]")
    assert (known.seconds, known.guesses) == (4, 4)
