"""The steps of a master of sequence servers, as far as they are known before a run."""

import pytest

from orchestrator.errors import CheckError
from orchestrator.language.foresight.checks import check_program
from orchestrator.language.foresight.counting import count_steps
from orchestrator.language.foresight.duration import estimate
from orchestrator.language.names import Names, ServerChannels
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.program.nodes import Program
from orchestrator.language.text.document import parse
from orchestrator.verbs import NestedNode

PVS = ("CMD", "ACK", "message", "values", "INDEX")
SERVERS = {n: ServerChannels(n, *(f"{n}.{pv}" for pv in PVS)) for n in ("stage", "laser")}
ALIASES = {name: f"PV:{name}" for server in SERVERS.values() for name in server.all}
NAMES = Names(frozenset(SERVERS), ALIASES, SERVERS)

LOAD = "{trajectories: {servers: {stage: [0, 1, 2], laser: 'linear(0, 4, 1)'}}}"


def program(*steps: str) -> Program:
    return compile_program(parse(f"steps: [{', '.join(steps)}]", "a.yaml"), {}, NAMES)


def test_points_steps_and_duration_follow_from_the_trajectories() -> None:
    result = program(LOAD, "{nested: {over: [laser, stage]}, do: [{delay: 2}]}")
    node = result.steps[1]
    assert isinstance(node, NestedNode)
    assert node.points == 15
    assert count_steps(result.steps) == 1 + 1 + 15 * 2
    told = estimate(result, {}, {})
    assert (told.seconds, told.waits) == (30.0, 15)
    assert check_program(result) == []
    assert result.writes == {"stage.CMD", "laser.CMD"}
    assert {"stage.ACK", "laser.INDEX"} <= result.reads


def test_what_is_not_known_before_the_run_is_not_guessed() -> None:
    result = program("{nested: {over: [stage]}, do: [{delay: 2}]}")
    assert count_steps(result.steps) is None
    assert estimate(result, {}, {}).loops == 1
    [warning] = check_program(result)
    assert "no step before loads stage" in warning.text


def test_without_any_server_the_configuration_is_named() -> None:
    document = parse("steps: [{nested: {over: stage}}]", "a.yaml")
    with pytest.raises(CheckError, match=r"no chained IOC .* has a 'sequence_server'"):
        compile_program(document, {}, Names())


def test_items_that_can_not_be_computed_in_some_pass_are_found() -> None:
    load = "{trajectories: {servers: {stage: ['=1 / (i - 2)']}}}"
    [finding] = check_program(program(f"{{loop: {{values: [1, 2], as: i}}, do: [{load}]}}"))
    assert "division by zero" in finding.line()
    assert "(with i = 2)" in finding.line()


def test_index_beyond_what_a_step_before_loads_is_found() -> None:
    with pytest.raises(CheckError, match="stage has no index 3: 0 … 2 are loaded"):
        program(LOAD, "{nested: {over: {stage: [3]}}}")


def test_two_walks_at_the_same_time_are_found() -> None:
    walk = "{nested: {over: [stage]}}"
    [finding] = check_program(program(LOAD, f"{{parallel: [{walk}, {walk}]}}"))
    assert "Nested_Indices is put by two branches" in finding.line()
