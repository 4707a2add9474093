import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import CheckError, InputError
from orchestrator.language.text.document import Document, parse
from orchestrator.language.text.schema import json_schema
from orchestrator.language.text.tree import read, scalar
from orchestrator.verbs.channels.set_ import SetAll, SetOne
from orchestrator.verbs.flow.loop import Loop

ALIGN = """\
name: align
description: Step the slit through the beam and go to the peak.
parameters:
  start: {default: -1.0, units: mm}
  stop:  {default: 1.0, units: mm}
  points: {default: 21, type: int, min: 2}
steps:
  - set: {pv: shutter.state, value: Open, readback: shutter.state_rbv, timeout: 5}
  - loop: {pv: stage.x, from: $(start), to: $(stop), num: $(points), readback: stage.x_rbv,
           tolerance: 0.005, timeout: 30}
    do:
      - set: {pv: det.acquire, value: 1}
      - sample: [det.counts, stage.x_rbv]
  - let: {best: "peak(data('stage.x_rbv'), data('det.counts'))"}
  - if: "max(data('det.counts')) < 100"
    then: [{log: "No beam between $(start) and $(stop)"}]
    else: [{set: {pv: stage.x, value: $(best), readback: stage.x_rbv, tolerance: 0.005}}]
finally:
  - set: {pv: shutter.state, value: Closed}
"""


def findings(text: str) -> list[str]:
    with pytest.raises(CheckError) as caught:
        parse(text, "align.yaml")
    return caught.value.findings


def step(text: str) -> Document:
    return parse(f"steps:\n  - {text}\n")


def test_the_document_of_the_interface_is_read() -> None:
    document = parse(ALIGN, "align.yaml")
    assert document.name == "align"
    assert list(document.parameters) == ["start", "stop", "points"]
    assert document.parameters["points"].min == 2
    assert len(document.steps) == 4
    assert len(document.finally_) == 1
    loop = document.steps[1].loop  # type: ignore[union-attr]  # it is the loop
    assert isinstance(loop, Loop)
    assert (loop.from_, loop.num, loop.tolerance) == ("$(start)", "$(points)", 0.005)


def test_every_value_knows_its_line_and_column() -> None:
    document = parse(ALIGN, "align.yaml")
    assert document.where(("steps", 0)) == "align.yaml:8:5"
    assert document.where(("steps", 1, "do", 1, "sample", 0)) == "align.yaml:13:18"
    assert document.where(("steps", 1, "loop", "nothing", "here")) == "align.yaml:9:11"
    assert document.positions[("name",)] == (1, 7)
    assert parse("steps: [{delay: 1}]").where(()) == "document:1:1"


def test_json_is_read_as_well() -> None:
    document = parse('{"steps": [\n\t{"log": "\\ud83d\\ude00 \\u00b5"},\n\t{"delay": 1e-3}]}')
    assert document.steps[0].log == "😀 µ"  # type: ignore[union-attr]  # it is a log step
    assert document.steps[1].delay == 0.001  # type: ignore[union-attr]  # it is a delay


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("On", "On"),
        ("yes", "yes"),
        ("12:30:00", "12:30:00"),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("-1.", -1.0),
        ("1_000", "1_000"),
        ("TRUE", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("2001-01-01", "2001-01-01"),
        ("-.INF", float("-inf")),
        ("+1", 1),
        ("0b1", "0b1"),
        ("1.5.2", "1.5.2"),
        ("NULL", None),
        ("~", None),
    ],
)
def test_plain_values_are_those_of_the_core_schema(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_quotes_are_proposed_only_where_text_is_expected() -> None:
    [told] = findings("steps:\n  - set: {pv: a:b, value: 1, completion: 5}\n")
    assert told.endswith("expected true or false, got the number 5")


def test_quotes_make_text_of_anything() -> None:
    assert read("a: '1'\nb: \"true\"\nc: '~'\nd: |-\n  5\n", "f").value == {
        "a": "1",
        "b": "true",
        "c": "~",
        "d": "5",
    }


def test_an_alias_repeats_what_it_names() -> None:
    tree = read("a: &a {k: &b [1, 2], l: *b}\nb: *a\nc: *b\n", "f")
    assert tree.value == {
        "a": {"k": [1, 2], "l": [1, 2]},
        "b": {"k": [1, 2], "l": [1, 2]},
        "c": [1, 2],
    }


def test_set_takes_one_channel_or_several() -> None:
    one = step("set: {pv: a:b, value: 1}").steps[0].set  # type: ignore[union-attr]  # a set step
    assert isinstance(one, SetOne)
    assert (one.completion, one.readback, one.settle, one.timeout) == (True, None, 0, 10)
    several = step("set: {all: [{pv: a:b, value: [1, 2]}], timeout: 3}").steps[0].set  # type: ignore[union-attr]  # a set step
    assert isinstance(several, SetAll)
    assert several.all[0].value == (1, 2)


def test_sample_takes_one_name_a_list_or_fields() -> None:
    for text in (
        "a:b",
        "[a:b]",
        "{channels: [a:b], missing: nan}",
        "{channels: [a:b], missing: .nan}",
    ):
        step(f"sample: {text}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # YAML itself
        ("steps:\n\t- delay: 1\n", "2:1: a tab can't be used to indent; use spaces"),
        ("name: 'align\nsteps: []\n", "1:7: this quote is never closed"),
        ("steps: [{delay: 1}\n", "1:8: this '[' is never closed"),
        ("name: a: b\n", "1:8: a second ':' in this line"),
        ("name: @a\n", "1:7: text that begins with @ needs quotes"),
        ("name: *a\n", "1:7: name: nothing is anchored as '&a'"),
        ("name: !a b\n", "1:7: name: tags are not used here"),
        ("steps: [1,,2]\n", "1:11: a value is missing before this"),
        ("steps:\n  - delay: 1\n - delay: 2\n", "3:2: this does not fit the lines above"),
        ("name: a\n---\nname: b\n", "2:1: a second document begins here"),
        ("%YAML 1.1\n---\nname: a\n", "2:1: sequences are YAML 1.2"),
        ("name: \x01\n", "1:7: unprintable character '\\x01'"),
        ("", "1:1: the document is empty"),
        ("# nothing\n", "1:1: the document is empty"),
        ("[" * 1000, "nested more than 50 levels"),
        ("5\n", "1:1: a document is a mapping with 'steps:', not the number 5"),
        # names that YAML takes apart
        (
            "steps:\n  - set: {pv: XF:31ID{Mtr:1}Pos, value: 1}\n",
            '2:22: a name with { or } needs quotes: "XF:31ID{Mtr:1}Pos"',
        ),
        (
            "steps:\n  - set: {pv: A:B,C, value: 1}\n",
            "2:19: steps[0].set.C: has no value; give one or leave it out; text with a comma in it "
            'needs quotes: "A:B,C"',
        ),
        (
            "steps:\n  - set: {pv: A:B, value: =max(1, 2)}\n",
            'text with a comma in it needs quotes: "=max(1, 2)"',
        ),
        (
            "steps:\n  - sample: #A:BC",
            "give one or leave it out; '#' begins a comment, so that a name with it needs quotes: "
            '"#A:BC"',
        ),
        (
            "steps:\n  - set:\n      pv: #A:B\n      value: 1\n",
            "3:7: steps[0].set.pv: has no value; give one or leave it out; '#' begins a comment",
        ),
        ("steps:\n  - set: {pv: A #B, value: 1}\n", "2:10: this '{' is never closed; '#' after a"),
        ("steps:\n  - set: {pv: {A:B}, value: 1}\n", "has no value"),
        # values
        ("name: a\nname: b\n", "2:1: 'name' stands here twice, first in line 1"),
        ("steps:\n", "1:1: steps: has no value"),
        ("steps:\n  - delay: ~\n", "2:5: steps[0].delay: has no value"),
        ("steps:\n  -\n", "steps[0]: has no value"),
        ("steps: []\n", "1:8: steps: is empty"),
        ("steps: {delay: 1}\n", "1:8: steps: expected a list, got a mapping"),
        ("name: 5\n", "1:7: name: expected text, got the number 5; put it into quotes"),
        ("name: {a}\n", "has no value"),
        (f"name: {'9' * 50}\n", "is beyond 64 bits"),
        # fields
        ("stesp: []\n", "1:1: unknown field 'stesp'; did you mean 'steps'?"),
        ("steps:\n  - loop: {times: 5}\n", "unknown field 'times'; did you mean 'count'?"),
        ("steps:\n  - times: 5\n", "unknown"),
        ("[server]\nport = 5\n", "2:1: what stands before this is no 'key: value': is this YAML?"),
        ("timeot: 5\n", "1:1: unknown field 'timeot'; did you mean 'timeout'?"),
        ("timeout: never\n", "1:10: timeout: expected a number, $(name) or =expression, got the"),
        ("supend: {}\n", "1:1: unknown field 'supend'; did you mean 'suspend'?"),
        ("suspend: {beam: {wen: a}}\n", "suspend.beam: unknown field 'wen'; did you mean 'when'?"),
        ("suspend: {beam: {resume: a}}\n", "suspend.beam: needs 'when'"),
        ("suspend: {beam: {when: a, settle: x}}\n", "suspend.beam.settle: expected a number"),
        (
            "suspend: {beam: {when: a, rewind: checkpont}}\n",
            "suspend.beam.rewind: expected checkpoint, got the text 'checkpont'; did you mean",
        ),
        ("suspend: {' ': {when: a}}\n", "is no name for a suspender"),
        ("suspend: a.b > 1\n", "suspend: expected a mapping, got the text"),
        ("name: a\n", "1:1: needs 'steps'"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(text: str, told: str) -> None:
    assert any(told in line for line in findings(text)), findings(text)
    assert all(line.startswith("align.yaml:") for line in findings(text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "set: {pv: a:b, valu: 3}",
            "2:20: steps[0].set: unknown field 'valu'; did you mean 'value'?",
        ),
        ("set: {pv: a:b}", "2:10: steps[0].set: needs 'value'"),
        ("set: {pv: 5, value: 1}", "steps[0].set.pv: expected text, got the number 5"),
        (
            "set: {pv: a:b, value: {c: 1}}",
            "steps[0].set.value: expected a single value, got a mapping",
        ),
        ("set: {pv: a:b, value: [[1]]}", "a list here holds single values, not a list of 1"),
        ("set: {pv: a:b, value: 1, completion: yes}", "expected true or false, got the text 'yes'"),
        ("set: {pv: a:b, value: 1, timeout: 5s}", "expected a number, $(name) or =expression"),
        ("set: {pv: a:b, value: 1, timeout: .inf}", "expected a finite number"),
        ("set: {pv: a:b, value: 1, tolerance: 1}", "'tolerance' does nothing without 'readback'"),
        ("set: {pv: a:b, value: 1, hold: 1}", "unknown field 'hold'"),
        ("set: {all: []}", "steps[0].set.all: is empty"),
        ("set: {all: [{pv: a:b, value: 1, timeout: 1}]}", "set.all[0]: unknown field 'timeout'"),
        (
            "set: [1]",
            "steps[0].set: expected a mapping such as {pv: stage.x, value: 1}, got a list of 1",
        ),
        ("wait: {pv: a:b, equals: 1}", "steps[0].wait: needs 'timeout'"),
        ("wait: {pv: a:b, timeout: none}", "needs one of equals, not, above"),
        (
            "wait: {pv: a:b, above: 1, below: 2, timeout: 1}",
            "takes one comparison, not above and below; 'between: [1, 2]' has both",
        ),
        ("wait: {pv: a:b, at_most: 2, at_least: x, timeout: 1}", "'between: [x, 2]' has both"),
        (
            "wait: {pv: a:b, above: 1, equals: 2, timeout: 1}",
            "takes one comparison, not equals and above",
        ),
        (
            "loop: {pv: a:b, from: 0, to: 1, step: 0.1, num: 3}\n    do: [{delay: 1}]",
            "takes 'step' or 'num', not both",
        ),
        (
            "loop: {pv: a:b, start: 0, to: 1, num: 3}\n    do: [{delay: 1}]",
            "unknown field 'start'; did you mean 'from'?",
        ),
        (
            "loop: {pv: a:b, from: 0, stop: 1, num: 3}\n    do: [{delay: 1}]",
            "unknown field 'stop'; did you mean 'to'?",
        ),
        (
            "loop: {pv: a:b, from: 0, to: 1, n: 3}\n    do: [{delay: 1}]",
            "unknown field 'n'; did you mean 'num'?",
        ),
        ("set: {pv: a:b, position: 1}", "unknown field 'position'; did you mean 'value'?"),
        ("wait: {equals: 1, timeout: 1}", "needs 'pv' with a comparison, or 'until'"),
        ("wait: {until: 'a:b', pv: a:b, timeout: 1}", "'until' stands alone"),
        ("wait: {pv: a:b, above: 1, tolerance: 1, timeout: 1}", "'tolerance' does nothing with"),
        ("wait: {pv: a:b, between: [1], timeout: 1}", "takes two values, not 1"),
        ("wait: {pv: a:b, between: [1, 2, 3], timeout: 1}", "takes two values, not 3"),
        ("wait: {pv: a:b, in: 3, timeout: 1}", "wait.in: expected a list"),
        ("wait: {pv: a:b, in: [], timeout: 1}", "wait.in: is empty; give at least one value"),
        ("wait: {pv: a:b, increase_buy: 3, timeout: 1}", "did you mean 'increase_by'?"),
        ("wait: {pv: a:b, increase_by: much, timeout: 1}", "expected a number, $(name) or ="),
        ("wait: {pv: a:b, above: 1, hold: [1], timeout: 1}", "wait.hold: expected a number"),
        ("wait: {pv: a:b, above: 1, edge: rising, timeout: 1}", "expected true or false, got the"),
        ("wait: {pv: a:b, above: 1, acept_invalid: true, timeout: 1}", "'accept_invalid'?"),
        ("wait: {until: 'a', edg: true, timeout: 1}", "unknown field 'edg'; did you mean 'edge'?"),
        (
            "set: {pv: a:b, value: 1, accept_restart: true}",
            "'accept_restart' does nothing without 'readback'",
        ),
        ("wait: {pv: a:b, equals: 1, timeout: never}", "(or none, to wait for ever)"),
        ("sample: []", "steps[0].sample: is empty"),
        (
            "sample: [1, a:b]",
            "2:14: steps[0].sample[0]: expected a channel or {name: expression}, got the number 1",
        ),
        ("sample: {channels: [a:b], missing: zero}", "expected 'nan', got the text 'zero'"),
        ("let: {}", "steps[0].let: is empty"),
        ("let: {max: 1}", "2:11: steps[0].let: 'max' has a meaning of its own"),
        ("loop: {count: 3}", "2:5: steps[0]: needs 'do'"),
        ("{loop: {from: 1, to: 2}, do: [{delay: 1}]}", "needs one of 'step' and 'num'"),
        ("{loop: {from: 1, num: 2}, do: [{delay: 1}]}", "needs both 'from' and 'to'"),
        ("{loop: {values: [1], count: 2}, do: [{delay: 1}]}", "runs over one of"),
        ("{loop: {values: [1]}, do: [{delay: 1}]}", "needs 'pv', which is set to each value"),
        ("{loop: {pv: a:b, count: 1}, do: [{delay: 1}]}", "'count' sets no 'pv'"),
        ("{loop: {count: 1, settle: 1}, do: [{delay: 1}]}", "'settle' does nothing without 'pv'"),
        ("{loop: {count: 1}, do: []}", "steps[0].do: is empty"),
        ("{loop: {whlie: 'true'}, do: [{delay: 1}]}", "did you mean 'while'?"),
        ("{loop: {while: 'true', count: 1}, do: [{delay: 1}]}", "runs over one of"),
        ("{loop: {while: 'true', pv: a:b}, do: [{delay: 1}]}", "'while' sets no 'pv'"),
        ("{loop: {while: a, serpentine: true}, do: [{delay: 1}]}", "'serpentine' does nothing"),
        ("{loop: {count: 1, serpentin: true}, do: [{delay: 1}]}", "did you mean 'serpentine'?"),
        ("{loop: {count: 1, accept_invalid: true}, do: [{delay: 1}]}", "does nothing without 'pv'"),
        ("group: {delay: 1}", "steps[0].group: expected a list, got a mapping"),
        ("{delay: 1, on_eror: continue}", "unknown field 'on_eror'; did you mean 'on_error'?"),
        ("{delay: 1, on_error: contine}", "the text 'contine'; did you mean 'continue'?"),
        ("{delay: 1, on_error: 3}", "expected abort, continue, {retry: N, delay: s} or a list of"),
        ("{delay: 1, on_error: {retr: 3}}", "steps[0].on_error: unknown field 'retr'; did you"),
        ("{delay: 1, on_error: {delay: 3}}", "steps[0].on_error: needs 'retry'"),
        ("{delay: 1, on_error: {retry: often}}", "steps[0].on_error.retry: expected a number"),
        ("{delay: 1, on_error: []}", "steps[0].on_error: is empty"),
        ("{delay: 1, on_error: [{dely: 1}]}", "steps[0].on_error[0]: unknown step 'dely'; did you"),
        ("{delay: 1, on_disconnect: wiat}", "expected fail, wait, got the text 'wiat'; did you"),
        ("{on_error: continue}", "steps[0]: has no verb"),
        ("log: {a: 1}", "steps[0].log: expected a single value"),
        ("{if: a, then: [{delay: 1}], els: []}", "unknown field 'els'; did you mean 'else'?"),
        ("{set: {pv: a:b, value: 1}, delay: 1}", "has several verbs, set and delay"),
        (
            "{set: {pv: a:b, value: 1}, timeout: 5}",
            "it belongs into the braces of 'set'",
        ),
        ("set: {pv: a:b, value: 1, on_error: continue}", "it belongs beside 'set', not into it"),
        ("loop: {count: 3, do: [{delay: 1}]}", "'do'; it belongs beside 'loop', not into it"),
        ("wait: stage.x > 3", "a mapping such as {pv: stage.x, above: 1, timeout: 10} or {until"),
        ("wait: {pv: a:b, above: 1}", "needs 'timeout' (s, or none to wait for ever)"),
        ("sleep: 3", "unknown step 'sleep'; did you mean 'delay'?"),
        ("while: a < 3", "unknown step 'while'; did you mean 'loop: {while: …}'?"),
        ("frobnicate: 3", "the verbs are ask, break, call, checkpoint, continue, delay, end, fail"),
        ("sett: {}", "2:5: steps[0]: unknown step 'sett'; did you mean 'set'?"),
        ("paralel: [{delay: 1}]", "unknown step 'paralel'; did you mean 'parallel'?"),
        ("parallel: {delay: 1}", "steps[0].parallel: expected a list, got a mapping"),
        ("parallel: []", "steps[0].parallel: is empty"),
        ("call: {functon: f}", "steps[0].call: unknown field 'functon'; did you mean 'function'?"),
        ("call: {args: {a: 1}}", "steps[0].call: needs 'function'"),
        ("call: {function: f, args: [1]}", "steps[0].call.args: expected a mapping, got a list"),
        ("call: {function: f, args: {a b: 1}}", "'a b' is no argument"),
        ("call: {function: f, args: {a: {b: 1}}}", "call.args.a: expected a single value, got a"),
        ("call: {function: f, as: max}", "'max' has a meaning of its own"),
        ("call: {function: f, timeout: long}", "(or none, to wait for ever)"),
        ("call: 5", "steps[0].call: expected a mapping, got the number 5"),
        ("run: {sequenc: a}", "steps[0].run: unknown field 'sequenc'; did you mean 'sequence'?"),
        ("run: {sequence: 5}", "steps[0].run.sequence: expected a name, got the number 5"),
        ("run: ''", "steps[0].run.sequence: expected a name, got an empty text"),
        ("run: {sequence: a, arg: {b: 1}}", "steps[0].run: unknown field 'arg'; did you mean"),
        ("checkpoint:", "a checkpoint without a name is written '- checkpoint'"),
        ("checkpoint: 5", "steps[0].checkpoint: expected text, got the number 5"),
        ("chekpoint", "did you mean 'checkpoint'?"),
        ("ask: [1]", "steps[0].ask: expected a single value or a mapping, got a list"),
        ("name: x", "steps[0]: has no verb"),
        ("delay", "a step is a mapping such as 'delay: 1', not the text 'delay'; did you mean"),
        ("nothing at all", "a step is a mapping such as 'delay: 1', not the text 'nothing at all'"),
        ("[delay, 1]", "not a list of 2"),
    ],
)
def test_a_step_that_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    lines = findings(f"steps:\n  - {text}\n")
    assert any(told in line for line in lines), lines


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "needs a 'default' or a 'type'"),
        ("{default: a, min: 1}", "'min' and 'max' are for numbers"),
        ("{default: 1, min: 3, max: 2}", "'min' 3 is above 'max' 2"),
        ("{default: [[1]]}", "a list here holds single values, not a list of 1"),
        (
            "{type: double}",
            "expected 'float', 'int', 'str', 'bool', 'list', 'channel' or 'table', got",
        ),
        ("{default: 1, unit: mm}", "did you mean 'units'?"),
    ],
)
def test_a_parameter_that_is_wrong_is_told(text: str, told: str) -> None:
    lines = findings(f"parameters:\n  a: {text}\nsteps: [{{delay: 1}}]\n")
    assert any(told in line for line in lines), lines


def test_steps_cannot_be_left_out_and_finalisers_can() -> None:
    assert findings("steps: []\n")[0].endswith("steps: is empty; give at least one")
    told = findings("steps: [{delay: 1}]\nfinally: []\n")[0]
    assert told.endswith("finally: is empty; give at least one, or leave it out")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines() -> None:
    lines = findings(
        "nam: x\nsteps:\n  - set: {pv: a:b, valu: 1}\n  - delay: 1\n    delay: 2\n  - foo: 1\n"
    )
    assert [line.split(":")[1] for line in lines] == ["1", "3", "3", "5", "6"]


def test_what_only_follows_from_a_missing_value_is_not_told() -> None:
    assert len(findings("steps:\n  - set: {pv: a:b, value: }\n")) == 1


def test_a_bomb_of_aliases_is_refused() -> None:
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 12)]
    text = "\n".join(["l0: &l0 [x]", *levels])
    assert "repeats by * included" in findings(text)[0]


def test_a_document_may_have_100_000_values() -> None:
    """The document, its list, and what stands in that."""
    text = f"a: [{','.join(['x'] * 99_998)}]"
    assert len(read(text, "f").value["a"]) == 99_998
    [told] = findings(f"a: [{','.join(['x'] * 99_999)}]")
    assert "more than 100,000 values" in told


@given(st.text(alphabet="abc:-[]{}'\"#&*!|>%@ \n\t,?01.$()=", max_size=60))
def test_any_text_is_a_document_or_told_as_an_error_of_ours(text: str) -> None:
    told = "document:"
    try:
        parse(text)
    except InputError as error:
        told = str(error)
    assert told.startswith("document:")


def test_models_describe_themselves_as_a_json_schema() -> None:
    schema = json_schema()
    assert {"SetStep", "LoopStep", "Parameter"} <= set(schema["$defs"])
    assert schema["required"] == ["steps"]


@pytest.mark.parametrize("verb", ["set", "wait", "loop"])
def test_a_step_whose_fields_are_not_indented_is_told_once(verb: str) -> None:
    with pytest.raises(CheckError) as caught:
        parse(f"steps:\n  - {verb}:\n    pv: a:b\n    value: 1\n", "a.yaml")
    assert caught.value.findings == [
        f"a.yaml:2:5: steps[0].{verb}: has no value; give one or leave it out; "
        "what belongs to it stands further to the right than it"
    ]
