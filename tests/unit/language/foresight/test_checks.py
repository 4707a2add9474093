"""What is found before a run: values of loops and expressions, waits in vain, dead steps."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.language.expressions.intervals import Interval, interval_of
from orchestrator.language.foresight import reach
from orchestrator.language.foresight.checks import check_program
from orchestrator.language.foresight.verdicts import Finding, Level
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.program.sequence_library import PythonSignature
from orchestrator.language.text.document import parse
from orchestrator.types import Limits, Metadata, NativeType
from tests.unit.language.conftest import ALIASES, Shelf

NAMES = Names(frozenset({"stage", "det", "shutter"}), ALIASES)
CHANNELS = {
    "stage.x": Metadata(NativeType.DOUBLE, units="mm", control=Limits(-10, 10), precision=3),
    "stage.x_rbv": Metadata(NativeType.DOUBLE, precision=3),
    "det.counts": Metadata(NativeType.LONG),
    "shutter.state": Metadata(NativeType.ENUM, labels=("Open", "Closed")),
    "shutter.state_rbv": Metadata(NativeType.ENUM, labels=("Open", "Closed", "Moving")),
    "A:TEXT": Metadata(NativeType.STRING),
    "A:PAIR": Metadata(NativeType.LONG, count=2),
}
LIBRARY = Shelf(
    {
        "move": """parameters: {to: {type: float, max: 50}}
steps: [{set: {pv: stage.x, value: $(to)}}]""",
        "forever": "steps: [{wait: {until: 'false', timeout: none}}]",
        "row": "steps: [{sample: [stage.x]}]",
        "watched": "steps: [{loop: {while: len(data('stage.x')) < 5}, do: [{delay: 1}]}]",
    },
    functions=("count",),
    python={"python": PythonSignature("python", {}, "")},
)


def check(text: str, **arguments: object) -> list[Finding]:
    document = parse(text if "steps:" in text else f"steps:\n  - {text}\n", "a.yaml")
    return check_program(compile_program(document, arguments, NAMES, LIBRARY), CHANNELS.get)


def lines(text: str, level: Level = Level.ERROR) -> list[str]:
    return [finding.line() for finding in check(text) if finding.level is level]


@pytest.mark.parametrize(
    "text",
    [
        "wait: {until: shutter.state == 'Opne', timeout: 5}",
        "wait: {until: \"'Opne' != shutter.state\", timeout: 5}",
        "wait: {until: \"stage.x > 1 or pv('SIM:SH:STATE') == 'Opne'\", timeout: 5}",
        "wait: {until: \"shutter.state in ['Open', 'Opne']\", timeout: 5}",
        "wait: {until: \"shutter.state not in ['Opne']\", timeout: 5}",
        "{if: shutter.state == wanted, then: [{log: a}]}",
        "{loop: {while: shutter.state == 'Opne'}, do: [{delay: 1}]}",
        "let: {open: shutter.state == 'Opne'}",
        "set: {pv: stage.x, value: =1 + (shutter.state == 'Opne')}",
        "{loop: {values: ['=shutter.state == wanted'], as: i}, do: [{log: $(i)}]}",
        "{group: [{wait: {until: shutter.state == 'Opne', timeout: 5}}]}",
    ],
)
def test_comparison_of_an_enum_with_what_is_none_of_its_labels_is_found(text: str) -> None:
    document = f"parameters: {{wanted: Opne}}\nsteps:\n  - {text}\n"
    [line] = lines(document)
    assert "the text 'Opne' is none of the labels of shutter.state" in line
    assert "0 = Open, 1 = Closed" in line


def test_comparison_in_a_suspender_with_what_is_no_label_is_found() -> None:
    [line] = lines("suspend: {beam: {when: shutter.state == 'Opne'}}\nsteps: [{delay: 1}]")
    assert line.startswith("a.yaml:1:17: suspend.beam: `shutter.state == 'Opne'`: the text 'Opne'")


@pytest.mark.parametrize(
    "until",
    [
        "shutter.state == 'Open'",
        "shutter.state in ['Open', 'Closed']",
        "pv('A:TEXT') == 'whatever'",
        "pv('B:UNKNOWN') == 'whatever'",
        "shutter.state + 'ed' == 'Opened'",
        "shutter.state in 'Open or Closed'",
        "shutter.state < 'P'",
    ],
)
def test_comparison_that_may_be_true_is_not_found(until: str) -> None:
    assert lines(f'wait: {{until: "{until}", timeout: 5}}') == []


def test_a_finding_has_its_place_step_and_level() -> None:
    [finding] = check("steps: [{delay: 1}, {set: {pv: stage.x, value: 11}}]")
    assert (finding.level, finding.where, finding.path) == (
        Level.ERROR,
        "a.yaml:1:21",
        ("steps", 1),
    )
    assert finding.line() == (
        "a.yaml:1:21: steps[1] set stage.x: 11 mm is outside its limits, -10 … 10 mm"
    )


@pytest.mark.parametrize(
    "text",
    [
        "set: {pv: stage.x, value: 10}",
        "set: {pv: stage.x, value: =stage.x + 100}",
        "set: {pv: shutter.state, value: Closed, readback: shutter.state_rbv}",
        "set: {pv: 'B:UNKNOWN', value: 1e300, readback: 'C:UNKNOWN'}",
        "{loop: {pv: stage.x, from: -10, to: 10, step: 0.1}, do: [checkpoint]}",
        "{loop: {values: [1, 20], as: i}, "
        "do: [{if: i < 10, then: [{set: {pv: stage.x, value: $(i)}}]}]}",
        "wait: {pv: det.counts, equals: 3, timeout: 5, hold: 4}",
        "wait: {pv: det.counts, equals: 3.0, timeout: 5}",
        "wait: {pv: det.counts, equals: 1.5, tolerance: 0.5, timeout: 5}",
        "wait: {pv: shutter.state, in: [Open, 1], timeout: none}",
        "wait: {pv: shutter.state, at_least: Closed, timeout: 1}",
        "wait: {pv: stage.x, between: [2, 2], timeout: 1}",
        "wait: {pv: stage.x, increase_by: 1, timeout: 1}",
        "wait: {pv: 'A:PAIR', equals: 1.5, timeout: 1}",
        "wait: {until: det.counts > 3, timeout: none}",
        "{loop: {while: det.counts < 3}, do: [{delay: 1}]}",
        "{loop: {while: 'true'}, do: [{delay: 1}]}",
        "parallel: [{set: {pv: stage.x, value: 1}}, {set: {pv: det.acquire, value: 1}}]",
        "run: {sequence: move, args: {to: 3}}",
    ],
)
def test_what_is_right_has_no_findings(text: str) -> None:
    assert check(text) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("set: {pv: shutter.state, value: Opne}", "'Opne' is none of its labels; they are 0 = "),
        ("set: {pv: shutter.state, value: 2}", "2 is no index of it"),
        ("set: {pv: det.counts, value: 1.5}", "det.counts: takes whole numbers, not 1.5"),
        ("set: {pv: 'A:TEXT', value: 5}", "A:TEXT: takes text, not the number 5"),
        (
            "{loop: {pv: stage.x, from: 0, to: 12, step: 1}, do: [checkpoint]}",
            "stage.x: 11 mm is outside its limits, -10 … 10 mm; so do 1 more of its 13 values",
        ),
        (
            "{loop: {values: [1, 6], as: i}, do: [{set: {pv: stage.x, value: '=i*2'}}]}",
            "stage.x: 12 mm is outside its limits, -10 … 10 mm (with i = 6)",
        ),
        (
            "{loop: {count: 3, as: i}, "
            "do: [{let: {y: '=i*10'}}, {set: {pv: stage.x, value: $(y)}}]}",
            "stage.x: 20 mm is outside its limits, -10 … 10 mm (with y = 20)",
        ),
        (
            "{loop: {values: [1, 0], as: i}, do: [{let: {y: 1/i}}]}",
            "division by zero (i = 0) (with i = 0)",
        ),
        ("{loop: {values: [1, -1], as: i}, do: [{delay: $(i)}]}", "can't be negative"),
        (
            "{set: {pv: stage.x, value: 1}, on_error: [{set: {pv: stage.x, value: 11}}]}",
            "steps[0].on_error[0] set stage.x: 11 mm is outside",
        ),
        ("set: {pv: stage.x, value: 1, readback: 'A:TEXT'}", "it holds text, which never equals"),
        (
            "set: {pv: shutter.state, value: 0, readback: stage.x_rbv, readback_value: Open}",
            "stage.x_rbv: it holds a number, which never equals the text 'Open'",
        ),
        (
            "set: {pv: stage.x, value: 1.5, readback: det.counts}",
            "det.counts: it holds whole numbers from -2147483648 to 2147483647, none of which is",
        ),
        ("set: {pv: 'B:X', value: .nan, readback: 'B:R'}", "B:R: nothing equals NaN"),
        (
            "{loop: {values: [1, 20, 70], as: z}, do: [{run: {sequence: move, args: {to: $(z)}}}]}",
            "move.yaml:2:9: steps[0].do[0].run.steps[0] set stage.x: 20 mm is outside",
        ),
        (
            "{loop: {values: [1, 70], as: z}, do: [{run: {sequence: move, args: {to: $(z)}}}]}",
            "run move: move: parameter 'to' takes a number up to 50, not 70.0",
        ),
    ],
)
def test_a_value_that_a_channel_would_not_take_or_show_is_an_error(text: str, told: str) -> None:
    assert any(told in line for line in lines(text)), lines(text)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("pv: stage.x, between: [2, 1]", "no value lies between 2 and 1; the lesser comes first"),
        ("pv: shutter.state, between: [Closed, Open]", "no value lies between 'Closed' and 'Open'"),
        ("pv: shutter.state, above: 5", "5 is no index of it"),
        ("pv: shutter.state, above: Closed", "it holds 0 … 1, nothing above 'Closed'"),
        ("pv: shutter.state, below: Open", "it holds 0 … 1, nothing below 'Open'"),
        ("pv: shutter.state, equals: Shut", "'Shut' is none of its labels"),
        ("pv: shutter.state, not: Shut", "'Shut' is none of its labels"),
        ("pv: shutter.state, in: [Open, Shut]", "'Shut' is none of its labels"),
        ("pv: shutter.state, increase_by: 1", "it holds no number that could grow or fall"),
        ("pv: det.counts, equals: 1.5", "none of which is 1.5"),
        ("pv: det.counts, equals: 3e9", "none of which is 3000000000.0"),
        ("pv: det.counts, equals: many", "which never equals the text 'many'"),
        ("pv: det.counts, in: [1.5, 2.5]", "none of which is 1.5"),
        ("pv: det.counts, above: 3e9", "nothing above 3000000000.0"),
        ("pv: det.counts, between: [3e9, 4e9]", "nothing between"),
        ("pv: stage.x, equals: .nan", "nothing equals NaN"),
        ("pv: stage.x, not: .nan", "NaN compares with nothing"),
        ("pv: stage.x, above: .inf", "no number is above inf"),
        ("pv: stage.x, below: .nan", "nothing is above or below NaN"),
        ("pv: 'A:TEXT', above: 1", "it holds text, which is neither above nor below anything"),
        ("pv: 'A:TEXT', equals: 1", "it holds text, which never equals the number 1"),
        ("until: 1 > 2", "it is false and nothing in it changes while it waits"),
    ],
)
def test_a_wait_that_nothing_can_end_is_an_error(condition: str, told: str) -> None:
    text = f"steps: [{{wait: {{{condition}, timeout: none}}}}, {{delay: 1}}]"
    [line] = lines(text)
    assert "waits in vain: " in line
    assert told in line
    [dead] = lines(text, Level.WARNING)
    assert "steps[1] delay 1: is never reached: steps[0] (wait" in dead


def test_a_wait_in_vain_with_a_timeout_ends_so_that_the_rest_is_reached() -> None:
    text = "steps: [{wait: {until: 'false', timeout: 5}, on_error: continue}, {delay: 1}]"
    assert len(check(text)) == 1


def test_a_condition_that_holds_for_longer_than_the_timeout_is_an_error() -> None:
    [line] = lines("wait: {pv: stage.x, above: 1, hold: 5, timeout: 5}")
    assert line.endswith("can't hold for 5.0 s within a timeout of 5.0 s")


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("[{loop: {while: 'true'}, do: [{delay: 1}]}, {delay: 1}]", "steps[1] delay 1"),
        ("[{group: [{loop: {while: 'true'}, do: [{delay: 1}]}]}, {delay: 1}]", "steps[1] delay 1"),
        ("[{parallel: [{delay: 1}, {run: forever}]}, {delay: 1}]", "steps[1] delay 1"),
        ("[{run: forever}, {delay: 1}]", "steps[1] delay 1"),
        ("[{if: stage.x > 1, then: [{run: forever}], else: [{run: forever}]}, {delay: 1}]", "[1]"),
        ("[{loop: {while: 'false'}, do: [{log: a}]}]", "steps[0].do[0] log"),
        ("[{loop: {count: 0}, do: [{log: a}]}]", "steps[0].do[0] log"),
        ("[{if: 'true', then: [{log: a}], else: [{log: b}]}]", "steps[0].else[0] log"),
        ("[{if: 1 > 2, then: [{log: a}]}]", "steps[0].then[0] log"),
        (
            "[{loop: {values: [1, 2], as: i}, do: [{if: i > 2, then: [{log: a}]}]}]",
            "steps[0].do[0].then[0] log",
        ),
    ],
)
def test_a_step_that_is_never_reached_is_a_warning(steps: str, told: str) -> None:
    dead = [line for line in lines(f"steps: {steps}", Level.WARNING) if "never reached" in line]
    assert len(dead) == 1
    assert told in dead[0]


@pytest.mark.parametrize(
    "steps",
    [
        "[{if: flag, then: [{log: a}], else: [{log: b}]}]",
        "[{loop: {count: '=n'}, do: [{log: a}]}]",
        "[{loop: {values: '=[n]', as: i}, do: [{if: i > 0, then: [{log: $(flag)}]}]}]",
        "[{if: stage.x > 1, then: [{run: forever}]}, {log: '$(n) $(flag)'}]",
    ],
)
def test_a_step_that_other_arguments_would_reach_is_no_finding(steps: str) -> None:
    found = check(f"parameters: {{n: 0, flag: true}}\nsteps: {steps}")
    assert [f for f in found if "never reached" in f.text] == []


def test_a_loop_that_never_ends_and_never_waits_is_a_warning() -> None:
    [line] = lines("{loop: {while: 'true'}, do: [{log: a}]}", Level.WARNING)
    assert "runs for ever, and nothing in it takes time" in line


def test_a_loop_around_one_that_moves_something_takes_time() -> None:
    moves = "{loop: {pv: stage.x, values: [1, 2]}, do: [{log: a}]}"
    assert lines(f"{{loop: {{while: 'true'}}, do: [{moves}]}}", Level.WARNING) == []


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (
            "[{let: {n: 0}}, {loop: {while: n < 5}, do: [{delay: 1}, {let: {n: n + 1}}]}]",
            "steps[1] loop while n < 5: no pass can change `n < 5`: what its body binds as n ends "
            "with each pass; once begun, it never ends, and it is true (with n = 0)",
        ),
        (
            "[{let: {go: 'true'}}, {loop: {while: go}, do: [{group: [{let: {go: 'false'}}]}]}]",
            "what its body binds as go",
        ),
        (
            "[{let: {n: 0}}, {loop: {while: n < 5}, do: [{call: {function: count, as: n}}]}]",
            "what its body binds as n",
        ),
        ("[{let: {n: 0}}, {loop: {while: n < 5, as: n}, do: [{delay: 1}]}]", "binds as n"),
        ("[{loop: {while: points > 3}, do: [{delay: 1}]}]", "no pass can change `points > 3`;"),
        ("[{loop: {while: 1 < 2}, do: [{delay: 1}]}]", "once begun, it never ends"),
        (
            "[{loop: {values: [1, 2], as: i}, do: [{loop: {while: i < 2}, do: [{delay: 1}]}]}]",
            "and it is true (with i = 1)",
        ),
        (
            "[{group: [{delay: 1}], on_error: [{loop: {while: points > 3}, do: [{delay: 1}]}]}]",
            "never ends",
        ),
        ("[{parallel: [{delay: 1}, {loop: {while: points > 3}, do: [{delay: 1}]}]}]", "never ends"),
    ],
)
def test_a_while_that_no_pass_can_change_is_an_error(steps: str, told: str) -> None:
    [line] = lines(f"parameters: {{points: 9}}\nsteps: {steps}")
    assert told in line


@pytest.mark.parametrize(
    "steps",
    [
        "[{let: {n: stage.x}}, {loop: {while: n < 5}, do: [{delay: 1}]}]",
        "[{loop: {while: len(data('det.counts')) < 5}, do: [{sample: [stage.x]}]},"
        " {sample: [det.counts]}]",
        "[{call: {function: count, as: n}}, {loop: {while: n < 5}, do: [{delay: 1}]}]",
    ],
)
def test_a_while_that_no_pass_can_change_and_that_may_have_none_is_a_warning(steps: str) -> None:
    assert lines(f"steps: {steps}") == []
    [line] = lines(f"steps: {steps}", Level.WARNING)
    assert "no pass can change" in line


@pytest.mark.parametrize(
    "loop",
    [
        "{loop: {while: stage.x < n}, do: [{delay: 1}]}",
        "{loop: {while: connected(stage.x)}, do: [{delay: 1}]}",
        "{loop: {while: age(stage.x) < n}, do: [{delay: 1}]}",
        "{loop: {while: severity(stage.x) < n}, do: [{delay: 1}]}",
        "{loop: {while: len(data('stage.x')) < n}, do: [{sample: [stage.x]}]}",
        "{loop: {while: len(data('stage.x')) < n}, do: [{if: stage.x > 1, then: [{run: row}]}]}",
        "{loop: {while: len(data('stage.x')) < n}, do: [{run: python}]}",
        "{parallel: [{loop: {while: len(data('stage.x')) < n}, do: [{delay: 1}]}, {run: row}]}",
        "{parallel: [{run: watched}, {group: [{sample: [stage.x]}]}]}",
        "{loop: {while: 'true'}, do: [{delay: 1}]}",
        "{loop: {while: forever}, do: [{delay: 1}]}",
        "{loop: {while: $(forever)}, do: [{delay: 1}]}",
        "{loop: {while: not once}, do: [{delay: 1}]}",
        "{loop: {while: 'false'}, do: [{delay: 1}]}",
    ],
)
def test_a_while_that_a_pass_others_or_time_may_change_is_none(loop: str) -> None:
    text = (
        "parameters: {forever: {type: bool, default: true}, once: {type: bool, default: false}}\n"
        f"steps: [{{let: {{n: 5}}}}, {{sample: [stage.x]}}, {loop}]"
    )
    assert not [finding for finding in check(text) if "no pass can change" in finding.text]


@pytest.mark.parametrize(
    "branches",
    [
        "[{set: {pv: stage.x, value: 1}}, {set: {pv: 'SIM:STAGE:X', value: 2}}]",
        "[{group: [{loop: {pv: stage.x, values: [1]}, do: [checkpoint]}]}, "
        "{set: {pv: stage.x, value: 2}}]",
        "[{run: {sequence: move, args: {to: 1}}}, {run: {sequence: move, args: {to: 2}}}]",
        "[{delay: 1, on_error: [{set: {pv: stage.x, value: 1}}]}, {set: {pv: stage.x, value: 2}}]",
    ],
)
def test_two_branches_that_put_to_one_channel_are_an_error(branches: str) -> None:
    [line] = lines(f"parallel: {branches}")
    assert (
        "stage.x is put by two branches at the same time, here and by steps[0].parallel[0]" in line
    )


def test_one_branch_may_put_to_a_channel_twice() -> None:
    puts = "{set: {pv: stage.x, value: 1}}, {set: {pv: stage.x, value: 2}}"
    assert check(f"parallel: [{{group: [{puts}]}}]") == []


def test_going_back_to_a_checkpoint_needs_one() -> None:
    text = "steps: [{delay: 1}%s]\nsuspend: {b: {when: stage.x > 1, rewind: checkpoint}}"
    [line] = lines(text % "", Level.WARNING)
    assert line == "a.yaml:2:14: suspend.b.rewind: there is no checkpoint to go back to"
    assert check(text % ", {group: [checkpoint]}") == []


REWINDS = "suspend: {b: {when: stage.x > 1, rewind: checkpoint}}"
REWINDING = f"steps: [{{delay: 1}}]\n{REWINDS}"


@pytest.mark.parametrize(
    ("text", "inner", "warned"),
    [
        # A mark of a list around is in force in all that this runs, one inside while it is run.
        ("steps: [checkpoint, {run: inner}]", REWINDING, False),
        ("steps: [{loop: {count: 2}, do: [{run: inner}, checkpoint]}]", REWINDING, False),
        (f"steps: [{{run: inner}}]\n{REWINDS}", "steps: [checkpoint, {delay: 1}]", False),
        ("steps: [{run: inner}]", REWINDING, True),
        # No way leads back into finalisers.
        ("steps: [{run: inner}]\nfinally: [checkpoint]", REWINDING, True),
        (f"{REWINDING}\nfinally: [checkpoint]", "steps: [{delay: 1}]", True),
    ],
)
def test_the_checkpoint_to_go_back_to_may_stand_in_another_sequence(
    text: str, inner: str, warned: bool
) -> None:
    library = Shelf({"inner": inner})
    found = check_program(compile_program(parse(text), {}, NAMES, library))
    assert ["no checkpoint to go back to" in finding.text for finding in found] == [True] * warned


def test_warnings_of_the_compiler_are_findings_too() -> None:
    [finding] = check("{loop: {pv: stage.x, from: 0, to: 1, step: 0.3}, do: [checkpoint]}")
    assert (finding.level, finding.where) == (Level.WARNING, "a.yaml:2:12")
    assert "'to' 1 is not visited" in finding.line()


def test_without_metadata_only_what_holds_for_any_channel_is_found() -> None:
    wait = "{wait: {pv: stage.x, between: [2, 1], timeout: 1}}"
    text = f"steps: [{{set: {{pv: stage.x, value: 99}}}}, {wait}]"
    [finding] = check_program(compile_program(parse(text), {}, NAMES))
    assert "no value lies between" in finding.text


def test_values_beyond_what_is_looked_at_one_by_one_are_judged_by_their_range() -> None:
    put = "{set: {pv: stage.x, value: '=i/2'}}"
    many = f"steps: [{{loop: {{from: 0, to: %s, num: 100000, as: i}}, do: [{put}]}}]"
    assert check(many % 20) == []
    [finding] = check(many % 21)
    assert finding.level is Level.WARNING
    assert "stage.x: 0 … 10.5 mm goes beyond its limits, -10 … 10 (with i = 0 … 21)" in finding.text


def test_what_goes_beyond_the_work_allowed_is_taken_as_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = """
steps:
  - loop: {values: [3, 2, 1, 0], as: i}
    do: [{let: {a: 1/(i+1)}}, {let: {b: 1/i}}, {set: {pv: stage.x, value: 99}}]
"""
    assert len(lines(text)) == 2
    monkeypatch.setattr(reach, "MOST_WORK", 12)
    [line] = lines(text)
    assert "stage.x: 99 mm is outside" in line


def test_a_huge_program_is_checked_in_bounded_time() -> None:
    inner = ", ".join(f"{{let: {{y{n}: '=i*{n}/7'}}}}" for n in range(500))
    text = f"steps: [{{loop: {{from: 0, to: 1, num: 4000, as: i}}, do: [{inner}]}}]"
    program = compile_program(parse(text), {}, NAMES)
    began = time.process_time()
    assert check_program(program) == []
    # Two million values, each in a state of 500 names, would take minutes.
    assert time.process_time() - began < 20


numbers = st.integers(-4, 4)


@given(
    st.lists(numbers, min_size=1, max_size=4), st.lists(numbers, min_size=1, max_size=4), numbers
)
def test_an_error_is_told_exactly_if_some_pass_would_fail(
    outer: list[int], inner: list[int], bound: int
) -> None:
    text = f"""
steps:
  - loop: {{values: {outer}, as: i}}
    do:
      - let: {{k: i * 2}}
      - loop: {{values: {inner}, as: j}}
        do:
          - if: i + j > {bound}
            then: [{{set: {{pv: stage.x, value: "=k * j"}}}}]
"""
    values = [2 * i * j for i, j in itertools.product(outer, inner) if i + j > bound]
    assert bool(lines(text)) == any(abs(value) > 10 for value in values)
    dead = [line for line in lines(text, Level.WARNING) if "never reached" in line]
    assert bool(dead) == (not values)


ends = st.integers(-20, 20)
EXPRESSIONS = (
    "x + y",
    "x - y",
    "x * y",
    "-x * (y + 3)",
    "abs(x) - y",
    "x / (abs(y) + 1)",
    "abs(x - y)",
)


@given(ends, ends, ends, ends, st.sampled_from(EXPRESSIONS), st.floats(0, 1), st.floats(0, 1))
def test_no_value_lies_outside_its_interval(
    a: int, b: int, c: int, d: int, text: str, s: float, t: float
) -> None:
    first, second = Interval(min(a, b), max(a, b)), Interval(min(c, d), max(c, d))
    result = interval_of(text, {"x": first, "y": second})
    assert result is not None
    x = first.low + s * (first.high - first.low)
    y = second.low + t * (second.high - second.low)
    value = eval(text, {"x": x, "y": y, "abs": abs})  # noqa: S307 - of the list above
    assert result.low - 1e-9 <= value <= result.high + 1e-9


@pytest.mark.parametrize("text", ["1 / x", "max(x, 2)", "x[0]", "x >", "y", "1e308 * x * x", "'a'"])
def test_what_has_no_interval_is_not_guessed(text: str) -> None:
    assert interval_of(text, {"x": Interval(-1e10, 1)}) is None


GAIN = Metadata(NativeType.ENUM, labels=("1", "2", "5", "10"))
NUMBERS = CHANNELS | {
    "A:GAIN": GAIN,
    "A:FLOAT": Metadata(NativeType.FLOAT, control=Limits(-0.7, 0.7)),
    "A:CHAR": Metadata(NativeType.CHAR),
    "A:DOUBLE": Metadata(NativeType.DOUBLE),
}


def check_numbers(step: str) -> list[tuple[Level, str]]:
    document = parse(f"steps:\n  - {step}\n", "a.yaml")
    found = check_program(compile_program(document, {}, NAMES, LIBRARY), NUMBERS.get)
    return [(finding.level, finding.text) for finding in found]


@pytest.mark.parametrize(
    "step",
    [
        "set: {pv: 'A:GAIN', value: 2}",
        "set: {pv: 'B:X', value: 1, readback: 'A:GAIN', readback_value: 2}",
        "wait: {pv: 'A:GAIN', equals: 2, timeout: 1}",
        "wait: {pv: 'A:GAIN', in: [10, 2], timeout: 1}",
        "{loop: {pv: 'A:GAIN', values: [10, 2]}, do: [checkpoint]}",
        "{loop: {values: [10, 2], as: i}, do: [{set: {pv: 'A:GAIN', value: $(i)}}]}",
    ],
)
def test_a_number_that_is_an_index_and_a_label_is_warned_of_once(step: str) -> None:
    [(level, text)] = check_numbers(step)
    assert level is Level.WARNING
    assert "A:GAIN: 2 is taken as the label '2', which has the index 1" in text


@pytest.mark.parametrize("value", ["10", "'2'", "'5'"])
def test_a_label_in_quotes_or_no_index_is_not_warned_of(value: str) -> None:
    assert check_numbers(f"set: {{pv: 'A:GAIN', value: {value}}}") == []


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("set: {pv: 'A:DOUBLE', value: 9007199254740993}", "A:DOUBLE: a DOUBLE can't hold the"),
        ("set: {pv: 'A:FLOAT', value: 1e39}", "A:FLOAT: a FLOAT holds nothing so large as"),
        ("set: {pv: 'A:FLOAT', value: 0.70000005}", "is outside its limits"),
        ("set: {pv: 'A:CHAR', value: -1}", "A:CHAR: a CHAR holds 0 … 255, not -1"),
        ("wait: {pv: 'A:FLOAT', equals: 1e39, timeout: 1}", "it holds nothing so large as"),
        ("wait: {pv: 'A:CHAR', equals: -1, timeout: 1}", "none of which is -1"),
        ("wait: {pv: 'A:CHAR', below: 0, timeout: 1}", "it holds 0 … 255, nothing below 0"),
        ("wait: {pv: det.counts, equals: 2.9999999999, timeout: 5}", "none of which is 2.99"),
        ("set: {pv: 'B:X', value: 1.5, readback: det.counts}", "none of which is 1.5"),
        (
            "{loop: {pv: 'A:DOUBLE', from: 9007199254740990, to: 9007199254740996, step: 1}, "
            "do: [checkpoint]}",
            "a DOUBLE can't hold the number 9007199254740993 exactly",
        ),
    ],
)
def test_a_number_that_a_channel_can_not_hold_is_an_error(step: str, told: str) -> None:
    found = check_numbers(step)
    assert any(level is Level.ERROR and told in text for level, text in found), found


@pytest.mark.parametrize("value", ["0.7", "-0.7", "0.69999999"])
def test_a_float_may_be_put_to_its_limit(value: str) -> None:
    assert check_numbers(f"set: {{pv: 'A:FLOAT', value: {value}}}") == []
    loop = f"{{loop: {{pv: 'A:FLOAT', from: 0, to: {value}, num: 9000}}, do: [checkpoint]}}"
    assert check_numbers(loop) == []


@pytest.mark.parametrize(
    ("step", "within"),
    [
        ("set: {pv: 'A:DOUBLE', value: 5000000000, readback: 'A:DOUBLE'}", 5),
        ("wait: {pv: 'A:DOUBLE', equals: 5000000000, timeout: 1}", 5),
        ("wait: {pv: 'A:DOUBLE', in: [1, 5000000000], timeout: 1}", 5),
        ("wait: {pv: 'A:FLOAT', not: 2000000, timeout: 1}", 2),
    ],
)
def test_a_whole_number_that_others_pass_for_is_warned_of(step: str, within: int) -> None:
    """An int64 record is a DOUBLE over Channel Access."""
    [(level, text)] = check_numbers(step)
    assert level is Level.WARNING
    assert f"000 is met within ± {within}, by other whole numbers too" in text


@pytest.mark.parametrize(
    "step",
    [
        "set: {pv: 'A:DOUBLE', value: 5000000000, readback: 'A:DOUBLE', tolerance: 0}",
        "set: {pv: 'A:DOUBLE', value: 5000000000}",
        "set: {pv: 'A:DOUBLE', value: 5e9, readback: 'A:DOUBLE'}",
        "set: {pv: 'A:DOUBLE', value: 900000000, readback: 'A:DOUBLE'}",
        "set: {pv: det.counts, value: 2000000000, readback: 'A:DOUBLE'}",
        "set: {pv: det.counts, value: 2000000000, readback: det.counts}",
        "wait: {pv: 'A:DOUBLE', above: 5000000000, timeout: 1}",
        "wait: {pv: 'A:DOUBLE', equals: 5000000000, tolerance: 10, timeout: 1}",
    ],
)
def test_a_whole_number_that_no_other_passes_for_is_not(step: str) -> None:
    assert check_numbers(step) == []


def test_waiting_for_a_whole_number_of_which_there_is_only_a_neighbour_is_warned_of() -> None:
    wait = "wait: {pv: 'A:DOUBLE', equals: 9007199254740993, tolerance: 0, timeout: 1}"
    [(level, text)] = check_numbers(wait)
    assert level is Level.WARNING
    assert "a DOUBLE can't hold the number 9007199254740993 exactly" in text


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ("[{loop: {count: 2, as: i}, do: [{set: {pv: stage.x, value: i}}]}]", "i"),
        ("[{let: {best: 1}}, {set: {pv: stage.x, value: best}}]", "best"),
    ],
)
def test_a_name_that_is_written_as_text_is_told_with_how_it_is_meant(steps: str, name: str) -> None:
    program = compile_program(parse(f"steps: {steps}"), {}, NAMES)
    told = f"is the text {name!r}; what has that name is written $({name})"
    assert any(told in finding.text for finding in check_program(program))


@pytest.mark.parametrize(
    ("steps", "dead"),
    [
        ("[{end: x}, {delay: 1}]", "steps[1] delay 1: is never reached: steps[0] (end x) leads"),
        ("[{fail: x}, {delay: 1}]", "steps[1] delay 1: is never reached: steps[0] (fail) leads"),
        ("[{group: [{fail: x}]}, {delay: 1}]", "steps[0] (group) leads elsewhere"),
        (
            "[{loop: {count: 2}, do: [break, {delay: 1}]}]",
            "is never reached: steps[0].do[0] (break) leads elsewhere",
        ),
        (
            "[{loop: {count: 2}, do: [{if: stage.x > 1, then: [break], else: [continue]}, "
            "{delay: 1}]}]",
            "(if stage.x > 1) leads elsewhere",
        ),
        ("[{loop: {while: true}, do: [{delay: 1}]}, {delay: 1}]", "never ends"),
    ],
)
def test_what_comes_after_a_step_that_leads_away_is_never_reached(steps: str, dead: str) -> None:
    [line] = lines(f"steps: {steps}", Level.WARNING)
    assert dead in line


@pytest.mark.parametrize(
    "steps",
    [
        "[{loop: {while: true}, do: [{if: stage.x > 1, then: [break]}, {delay: 1}]}, {delay: 1}]",
        "[{loop: {while: true}, do: [{group: [{fail: x}], on_error: [break]}]}, {delay: 1}]",
        "[{loop: {count: 3}, do: [{delay: 1}, continue]}, {delay: 1}]",
        "[{fail: x, on_error: continue}, {delay: 1}]",
    ],
)
def test_what_can_be_reached_is_not_told_to_be_dead(steps: str) -> None:
    assert lines(f"steps: {steps}", Level.WARNING) == []


def test_values_behind_a_way_out_are_not_looked_at() -> None:
    """The limits of stage.x are not broken: with more than 5 the loop is left before."""
    step = "{loop: {values: [1, 2, 99], as: i}, do: [{if: i > 5, then: [break]}, PUT]}"
    put = "{set: {pv: stage.x, value: $(i)}}"
    assert lines(f"steps: [{step.replace('PUT', put)}]") == []
    assert lines(f"steps: [{step.replace('[break]', '[checkpoint]').replace('PUT', put)}]") != []
