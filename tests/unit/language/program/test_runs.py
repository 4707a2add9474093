"""Sequences that run others, call functions, and what is known of both beforehand."""

import pytest

from orchestrator.errors import CheckError
from orchestrator.language.names import Names
from orchestrator.language.program import compiler
from orchestrator.language.program.compiler import compile_program, compile_suspenders
from orchestrator.language.program.nodes import Program, walk
from orchestrator.language.program.sequence_library import NONE, PythonSignature
from orchestrator.language.text.document import Parameter, parse
from orchestrator.language.text.suspend import Suspend
from orchestrator.verbs import CallNode, GroupNode, RunNode, SetNode
from tests.unit.language.conftest import ALIASES, Shelf, World

NAMES = Names(frozenset({"stage", "det", "shutter"}), ALIASES)
MOVE = """
parameters: {to: {type: float, max: 50}, axis: X}
steps:
  - set: {pv: "SIM:STAGE:$(axis)", value: $(to)}
  - set: {pv: shutter.state, value: Open}
finally:
  - sample: stage.x_rbv
"""
LIBRARY = Shelf(
    {
        "move": MOVE,
        "broken": "steps: [{set: {pv: stage.y, value: 1}}]",
        "unreadable": "stps: []",
        "a": "steps: [{run: b}]",
        "b": "steps: [{group: [{run: a}]}]",
        "twice": """
steps:
  - run: {sequence: move, args: {to: 1}}
  - run: {sequence: move, args: {to: 2}}
""",
        "peak": "steps: [{let: {best: 'max(data(det.counts))'}}, {log: $(best)}]",
    },
    functions=["fit", "notify"],
    python={"plan": PythonSignature("plan", {"n": Parameter(type="int", min=1)})},
)


def program(text: str, **arguments: object) -> Program:
    return compile_program(parse(text, "top.yaml"), arguments, NAMES, LIBRARY)


def findings(steps: str) -> list[str]:
    with pytest.raises(CheckError) as caught:
        program(f"steps: {steps}")
    return caught.value.findings


def test_a_sub_sequence_is_compiled_with_its_own_parameters() -> None:
    result = program("steps: [{run: {sequence: move, args: {to: 3}}}]")
    [node] = result.steps
    assert isinstance(node, RunNode)
    assert node.program is not None
    assert (node.sequence, node.label, node.outline) == ("move", "run move", None)
    assert node.program.arguments == {"to": 3.0, "axis": "X"}
    [first, _] = node.program.steps
    assert isinstance(first, SetNode)
    assert first.targets[0].value.evaluate(World()) == 3.0
    assert result.writes == {"stage.x", "shutter.state"}
    assert result.reads == {"stage.x_rbv"}


def test_steps_of_a_sub_sequence_have_the_path_of_the_run_and_the_line_of_their_file() -> None:
    nodes = list(walk(program("steps: [{delay: 1}, {group: [{run: twice}]}]").steps))
    last = nodes[-1]
    text = ("steps", 1, "group", 0, "run", "steps", 1, "run", "finally", 0)
    assert (last.path, last.where) == (text, "move.yaml:7:5")


def test_names_of_the_sequence_around_are_not_known_inside() -> None:
    library = Shelf({"inner": "steps: [{log: $(x)}]"})
    text = "parameters: {x: 1}\nsteps: [{run: inner}]"
    with pytest.raises(CheckError) as caught:
        compile_program(parse(text, "top.yaml"), {}, NAMES, library)
    assert caught.value.findings == [
        "inner.yaml:1:15: steps[0].log: undefined name '$(x)' (run by top.yaml:2:15)"
    ]


def test_with_arguments_known_later_all_channels_are_found_that_they_do_not_name() -> None:
    result = program("steps: [{let: {q: stage.x}}, {run: {sequence: move, args: {to: $(q)}}}]")
    node = result.steps[1]
    assert isinstance(node, RunNode)
    assert node.program is None
    assert node.document is not None
    assert node.outline is not None
    assert node.outline.arguments == {"axis": "X"}
    assert result.writes == {"stage.x", "shutter.state"}


def test_a_channel_that_a_later_argument_names_is_left_out() -> None:
    library = Shelf(
        {
            "any": """
parameters: {axis: {type: str}, n: 1}
steps:
  - set: {all: [{pv: "SIM:$(axis)", value: 1}, {pv: stage.x, value: 2}]}
  - set: {pv: "SIM:$(axis)", value: 1, readback: stage.x_rbv}
  - set: {pv: "='SIM:' + axis", value: 1}
  - wait: {pv: "SIM:$(axis)", above: 1, timeout: 1}
  - sample: ["SIM:$(axis)", det.counts]
  - loop: {pv: "SIM:$(axis)", values: [1]}
    do: [{set: {pv: det.acquire, value: 1}}]
  - {delay: 1, on_error: {retry: $(n)}, name: "at $(axis)"}
  - run: $(axis)
"""
        }
    )
    text = "steps: [{let: {q: stage.x}}, {run: {sequence: any, args: {axis: $(q), n: $(q)}}}]"
    result = compile_program(parse(text), {}, NAMES, library)
    assert result.writes == {"stage.x", "det.acquire"}
    assert result.reads == {"stage.x", "stage.x_rbv", "det.counts"}
    assert sum(isinstance(node, GroupNode) for node in walk(result.steps)) == 2


def test_a_sub_sequence_is_compiled_for_its_place_once_its_arguments_are_known() -> None:
    [_, node] = program(
        "steps: [{let: {q: stage.x}}, {run: {sequence: move, args: {to: $(q)}}}]"
    ).steps
    assert isinstance(node, RunNode)
    assert node.document is not None
    base = (*node.path, "run")
    inner = compile_program(node.document, {"to": 7}, NAMES, LIBRARY, base=base)
    assert node.outline is not None
    assert [n.path for n in walk(inner.steps)] == [n.path for n in walk(node.outline.steps)]
    assert inner.arguments["to"] == 7.0


def test_samples_may_be_taken_by_any_sequence_of_the_run() -> None:
    assert program("steps: [{sample: det.counts}, {run: peak}]").reads == {"det.counts"}
    [line] = findings("[{run: peak}]")
    assert "peak.yaml:1:22: steps[0].let.best: no step samples 'det.counts'" in line
    # What Python samples is not known.
    assert program("steps: [{run: {sequence: plan, args: {n: 1}}}, {run: peak}]").steps


def test_a_document_is_read_once_however_often_it_is_run() -> None:
    library = Shelf({"move": MOVE})
    run = "{run: {sequence: move, args: {to: 1}}}"
    compile_program(parse(f"steps: [{run}, {run}]"), {}, NAMES, library)
    assert library.read == ["move"]


def test_a_sequence_that_runs_itself_is_a_finding_that_shows_the_cycle() -> None:
    [line] = findings("[{run: a}]")
    assert line.startswith("b.yaml:1:24: steps[0].group[0].run: a sequence can't run itself: ")
    assert "a → b → a" in line
    with pytest.raises(CheckError, match=r"a\.yaml → b → a"):
        compile_program(LIBRARY.document("a"), {}, NAMES, LIBRARY)


def test_recursion_with_other_arguments_is_recursion_as_well() -> None:
    library = Shelf({"n": "parameters: {n: 1}\nsteps: [{run: {sequence: n, args: {n: '=n - 1'}}}]"})
    with pytest.raises(CheckError, match="a sequence can't run itself: n → n"):
        compile_program(parse("steps: [{run: n}]"), {}, NAMES, library)


def test_sequences_that_multiply_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "MOST_RUNS", 20)
    documents = {f"s{i}": f"steps: [{{run: s{i + 1}}}, {{run: s{i + 1}}}]" for i in range(9)}
    library = Shelf(documents | {"s9": "steps: [{delay: 1}]"})
    with pytest.raises(CheckError, match="more than 20 sub-sequences"):
        compile_program(parse("steps: [{run: s0}]"), {}, NAMES, library)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("run: moove", "top.yaml:1:15: steps[0].run: there is no sequence 'moove'; did you mean"),
        ("run: move", "parameter 'to' (a number up to 50) must be given"),
        ("run: {sequence: move, args: {too: 1}}", "move: unknown parameter 'too'; did you mean"),
        ("run: {sequence: move, args: {to: 51}}", "parameter 'to' takes a number up to 50, not 51"),
        ("run: {sequence: move, args: {to: far}}", "a number up to 50, not the text 'far'"),
        ("run: {sequence: move, args: {to: $(q)}}", "run.args.to: undefined name '$(q)'"),
        ("run: broken", "broken.yaml:1:20: steps[0].set.pv: unknown channel 'stage.y'"),
        ("run: broken", "(run by top.yaml:1:15)"),
        ("run: unreadable", "unreadable.yaml:1:1: unknown field 'stps'; did you mean 'steps'?"),
        ("run: {sequence: plan, args: {n: 0}}", "plan: parameter 'n' takes a whole number from 1"),
        ("run: {sequence: plan, args: {m: 1}}", "plan: unknown parameter 'm'"),
        ("{group: [{let: {s: 1}}, {run: $(s)}]}", "only parameters may stand in it"),
        ("call: fitt", "steps[0].call: unknown function 'fitt'; did you mean 'fit'?"),
        ("call: zzz", "unknown function 'zzz'; the functions are fit, notify"),
        ("call: {function: fit, args: {x: $(q)}}", "call.args.x: undefined name '$(q)'"),
        ("call: {function: fit, timeout: 0}", "call.timeout: `0`: has to be above 0"),
    ],
)
def test_a_mistake_in_run_or_call_is_told_where_it_is(step: str, told: str) -> None:
    lines = findings(f"[{{{step}}}]" if not step.startswith("{") else f"[{step}]")
    assert any(told in line for line in lines), lines


def test_without_functions_a_call_says_that_there_are_none() -> None:
    with pytest.raises(CheckError, match="unknown function 'fit'; none are registered"):
        compile_program(parse("steps: [{call: fit}]"), {}, NAMES)
    with pytest.raises(CheckError, match="there is no sequence 'x': none are configured"):
        compile_program(parse("steps: [{run: x}]"), {}, NAMES)
    assert NONE.python("x") is None


def test_the_name_of_a_sequence_may_have_parameters_in_it() -> None:
    text = "parameters: {which: move}\nsteps: [{run: {sequence: $(which), args: {to: 1}}}]"
    [node] = program(text).steps
    assert isinstance(node, RunNode)
    assert node.sequence == "move"


def test_a_python_sequence_has_its_arguments_checked_and_no_program() -> None:
    [node] = program("steps: [{run: {sequence: plan, args: {n: 3}}}]").steps
    assert isinstance(node, RunNode)
    assert (node.document, node.program, node.outline) == (None, None, None)
    assert [(name, operand.evaluate(World())) for name, operand in node.args] == [("n", 3)]


def test_the_result_of_a_call_is_a_name_for_the_rest_of_the_list() -> None:
    call, log = program(
        "steps: [{call: {function: fit, args: {x: '=stage.x', n: 3}, as: r}}, {log: $(r)}]"
    ).steps
    assert isinstance(call, CallNode)
    assert (call.function, call.variable, call.timeout) == ("fit", "r", None)
    assert [name for name, _ in call.args] == ["x", "n"]
    assert log.label == "log"
    [line] = findings("[{group: [{call: {function: fit, as: r}}]}, {log: $(r)}]")
    assert "undefined name '$(r)'" in line


def test_warnings_of_a_sub_sequence_say_who_runs_it() -> None:
    library = Shelf({"x": "parameters: {unused: 1}\nsteps: [{delay: 1}]"})
    result = compile_program(parse("steps: [{run: x}]", "top.yaml"), {}, NAMES, library)
    assert result.warnings == (
        "x.yaml:1:22: parameters.unused: this parameter is not used (run by top.yaml:1:15)",
    )


def test_suspenders_of_the_configuration_are_compiled_by_key() -> None:
    [beam] = compile_suspenders({"beam": Suspend(when="stage.x < 50", settle=5)}, NAMES, str)
    assert beam.when.channels == {"stage.x"}
    assert (beam.name, beam.rewind, beam.settle.evaluate(World())) == ("beam", False, 5.0)
    with pytest.raises(CheckError) as caught:
        compile_suspenders(
            {"a": Suspend(when="stage.q > 1"), "b": Suspend(when="stage.x", resume="stage.z")},
            NAMES,
            lambda path: f"o.toml:{len(path)}",
        )
    first, second = caught.value.findings
    assert first.startswith("o.toml:3: suspend.a.when: `stage.q > 1`: unknown channel 'stage.q'")
    assert second.startswith("o.toml:3: suspend.b.resume: `stage.z`: unknown channel 'stage.z'")
