"""Random documents and random mistakes in them: a program, or messages with their place."""

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import CheckError
from orchestrator.language.foresight.checks import check_program
from orchestrator.language.foresight.duration import estimate
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.program.nodes import Program
from orchestrator.language.text.document import parse
from orchestrator.types import Limits, Metadata, NativeType
from tests.unit.language.conftest import ALIASES, Shelf
from tests.unit.language.text.test_schema import SCHEMA, is_valid

NAMES = Names(frozenset({"stage", "det", "shutter"}), ALIASES)
LIBRARY = Shelf(
    {
        "move": "parameters: {to: 1.0}\nsteps: [{set: {pv: stage.x, value: $(to)}}]",
        "wrong": "steps: [{delay: -1}]",
    },
    ["fit"],
)
CHANNELS = {
    "stage.x": Metadata(NativeType.DOUBLE, control=Limits(-10, 10)),
    "shutter.state": Metadata(NativeType.ENUM, labels=("Open", "Closed")),
    "det.counts": Metadata(NativeType.LONG),
}
PLACE = re.compile(r"(a|move|wrong)\.yaml:[1-9]\d*:[1-9]\d*: \S")

channels = st.sampled_from(["stage.x", "stage.x_rbv", "det.counts", "shutter.state", "A:B"])
numbers = st.integers(-3, 12) | st.sampled_from([0.5, 1e9, -0.1])
amounts = st.integers(1, 4) | st.sampled_from(["$(p)", "=p+1", "=stage.x", "$(i)", 0.5])
values = numbers | st.sampled_from(["Open", "$(p)", "=p*2", "=i+1", "$(i)", "=stage.x", True])
conditions = st.sampled_from(
    ["stage.x > 1", "p > 1", "i > 2", "true", "false", "connected(det.counts)", "i / p < 1"]
)
comparisons = st.one_of(
    st.tuples(st.sampled_from(["equals", "not", "above", "at_least", "below", "at_most"]), values),
    st.tuples(st.sampled_from(["between", "in"]), st.lists(numbers, min_size=2, max_size=2)),
    st.tuples(st.sampled_from(["increase_by", "decrease_by"]), amounts),
)


def mapping(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


targets = mapping(
    {"pv": channels, "value": values},
    completion=st.booleans(),
    settle=amounts,
    timeout=amounts,
)
read_back = mapping(
    {"pv": channels, "value": values, "readback": channels},
    tolerance=amounts,
    readback_value=values,
    accept_invalid=st.booleans(),
)
waits = st.builds(
    lambda pv, comparison, rest: {"pv": pv, comparison[0]: comparison[1], **rest},
    channels,
    comparisons,
    mapping({"timeout": amounts | st.just("none")}, hold=amounts, edge=st.booleans()),
)
points = st.one_of(
    st.fixed_dictionaries({"count": st.integers(1, 3), "as": st.just("i")}),
    st.fixed_dictionaries({"values": st.lists(numbers, min_size=1), "as": st.just("i")}),
    st.fixed_dictionaries({"while": conditions, "as": st.just("i")}),
    st.fixed_dictionaries(
        {"pv": channels, "from": numbers, "to": numbers, "num": st.integers(1, 5)}
    ),
)
arguments = mapping({}, to=values)
leaves = st.one_of(
    st.fixed_dictionaries({"set": targets | read_back}),
    st.fixed_dictionaries({"wait": waits}),
    st.fixed_dictionaries({"delay": amounts}),
    st.fixed_dictionaries({"sample": st.lists(channels, min_size=1, max_size=2, unique=True)}),
    st.fixed_dictionaries({"let": st.fixed_dictionaries({"i": values})}),
    st.fixed_dictionaries({"log": values}),
    st.fixed_dictionaries({"ask": values}),
    st.fixed_dictionaries(
        {"call": st.fixed_dictionaries({"function": st.just("fit"), "as": st.just("i")})}
    ),
    st.fixed_dictionaries({"run": st.sampled_from(["move", "move", "wrong", "none"])}),
    st.fixed_dictionaries(
        {
            "run": st.fixed_dictionaries(
                {"sequence": st.just("move"), "args": mapping({}, to=values)}
            )
        }
    ),
    st.just("checkpoint"),
)


def blocks(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(steps, min_size=1, max_size=3)
    handled = st.sampled_from(["abort", "continue", {"retry": 2}]) | several
    block = st.one_of(
        st.fixed_dictionaries({"loop": points, "do": several}),
        st.fixed_dictionaries({"group": several}),
        st.fixed_dictionaries({"parallel": several}),
        st.fixed_dictionaries({"if": conditions, "then": several, "else": several}),
    )
    return st.builds(
        lambda step, handler: step | {"on_error": handler} if handler else step,
        block,
        st.none() | handled,
    )


steps = st.lists(st.recursive(leaves, blocks, max_leaves=8), min_size=1, max_size=4)
documents = mapping(
    {"steps": steps.map(lambda rest: [{"let": {"i": 1}}, *rest]), "parameters": st.just({"p": 2})},
    finally_=st.lists(st.just({"delay": "=p"}), min_size=1, max_size=2),
    timeout=st.just("=p*60"),
    suspend=st.just({"s": {"when": "stage.x > p", "settle": 1}}),
).map(lambda d: {("finally" if key == "finally_" else key): value for key, value in d.items()})


def compiled(text: str) -> Program | None:
    """The program, or None where findings tell what is wrong, each with its place."""
    findings: list[str] = []
    try:
        return compile_program(parse(text, "a.yaml"), {}, NAMES, LIBRARY)
    except CheckError as error:
        findings = error.findings
    assert findings
    assert all(PLACE.match(line) or line.startswith("a.yaml: ") for line in findings), findings
    return None


@given(documents)
def test_a_document_becomes_a_program_or_findings_with_their_place(document: Any) -> None:
    program = compiled(json.dumps(document))
    if program is None:
        return
    assert all(finding.where.count(":") == 2 for finding in check_program(program, CHANNELS.get))
    assert estimate(program, {"stage.x": 1.0}, {"stage.x": 0.0}).seconds >= 0


@given(documents)
def test_what_is_read_is_valid_by_the_schema(document: Any) -> None:
    parse(json.dumps(document))
    assert is_valid(document, SCHEMA, SCHEMA)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    inside = [(*path, key) for key, _ in items]
    children = [value[p[-1]] for p in inside]
    deeper = [
        place
        for child, at in zip(children, inside, strict=True)
        if isinstance(child, dict | list)
        for place in places(child, at)
    ]
    return inside + deeper


junk = st.sampled_from(
    [
        *(-1, 0, 1e308, 10**30, "", "$(", "$(nix)", "=", "=1/0", "=nix.x", "none", True),
        *([], {}, [[1]], {"a": 1}, "stage.nix", "A{B", "=data('stage.x')[99]", "\x00", "é"),
    ]
)


@given(documents, st.data())
def test_any_mistake_in_a_document_is_told_with_its_place(
    document: Any, data: st.DataObject
) -> None:
    changed = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        paths = places(changed)
        if not paths:
            break
        *path, key = data.draw(st.sampled_from(paths))
        parent = changed
        for part in path:
            parent = parent[part]
        match data.draw(st.sampled_from(["replace", "remove", "rename", "copy"])):
            case "replace":
                parent[key] = copy.deepcopy(data.draw(junk))
            case "remove":
                del parent[key]
            case "rename" if isinstance(parent, dict):
                parent[str(key)[:-1] + "x"] = parent.pop(key)
            case _:
                parent[key] = copy.deepcopy(document)
    program = compiled(json.dumps(changed))
    if program is not None:
        check_program(program, CHANNELS.get)


@given(documents, st.data())
def test_any_slip_of_the_hand_in_the_text_is_told_with_its_place(
    document: Any, data: st.DataObject
) -> None:
    text = json.dumps(document, indent=1)
    at = data.draw(st.integers(0, len(text) - 1))
    slip = data.draw(st.sampled_from(["", "#", ":", "-", "'", '"', "{", "]", "&", "*a", "\t", "!"]))
    compiled(text[:at] + slip + text[at + 1 :])


@pytest.mark.parametrize("depth", [10, 60])
def test_nesting_ends_in_a_message_rather_than_in_the_depth_of_the_stack(depth: int) -> None:
    step: Any = {"delay": 1}
    for _ in range(depth):
        step = {"group": [step]}
    program = compiled(json.dumps({"steps": [step]}))
    assert (program is None) == (depth == 60)
