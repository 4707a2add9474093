"""Every verb, ours and the one of the page on steps of one's own, is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from orchestrator.config import names_of
from orchestrator.engine.runs.preflight import Preflight
from orchestrator.engine.sequences.registry import Registry
from orchestrator.language.foresight.checks import check_program
from orchestrator.language.foresight.duration import estimate
from orchestrator.language.foresight.verdicts import Finding
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.program.form import Form, undocumented
from orchestrator.language.program.nodes import Program
from orchestrator.language.program.sequence_library import PythonSignature
from orchestrator.language.text.document import Document, parse
from orchestrator.language.text.schema import json_schema, step_reference
from orchestrator.language.text.steps import VERBS
from orchestrator.types import Limits, Metadata, NativeType, RunEnded, RunStatus, Verb
from tests.doubles import run_virtual
from tests.own_step import configured, step_of_the_page
from tests.unit.engine.bench import Bench, bench, make_config

LOAD = "{trajectories: {servers: {stage: [0, 1], laser: [5, 6]}}}"


@dataclass(frozen=True)
class Sample:
    """A verb in use."""

    step: str
    """One that runs; what it puts, it puts to sim.x."""
    takes: str
    """How long that takes, as the estimate says."""
    python: Callable[[Any], Awaitable[object]] | None = None
    """The same in Python; None where Python has a statement for it."""
    beyond: str = ""
    """The same with a put beyond limits of ±5; empty of one that puts nothing."""
    before: str = ""
    """What it needs done."""
    claims: str = ""
    """What two branches can't use at the same time, if not the channel that it puts to."""


async def walked(run: Any) -> None:
    await run.trajectories({"stage": [0, 1], "laser": [5, 6]})
    async for _ in run.nested(["laser", "stage"]):
        pass


SAMPLES = {
    "set": Sample(
        "{set: {pv: sim.x, value: 2}}",
        "not known: 1 put",
        lambda run: run.set("sim.x", 2),
        "{set: {pv: sim.x, value: 6}}",
    ),
    "wait": Sample(
        "{wait: {pv: sim.x, below: 1, timeout: 5}}",
        "not known: 1 wait (at most 5 s)",
        lambda run: run.wait("sim.x", below=1, timeout=5),
    ),
    "delay": Sample("{delay: 2}", "about 2 s", lambda run: run.delay(2)),
    "sample": Sample("{sample: [sim.x]}", "about 0 s", lambda run: run.sample("sim.x")),
    "record": Sample(
        "{record: {channels: [sim.x], do: [{delay: 3}]}}",
        "about 3 s",
        lambda run: run.record(["sim.x"], run.delay(3)),
    ),
    "let": Sample("{let: {a: 1}}", "about 0 s"),
    "loop": Sample(
        "{loop: {pv: sim.x, values: [1, 2]}, do: [{delay: 3}]}",
        "about 6 s, plus 2 puts",
        beyond="{loop: {pv: sim.x, values: [1, 6]}, do: [{delay: 3}]}",
    ),
    "parallel": Sample(
        "{parallel: [{delay: 1}, {delay: 4}]}",
        "about 4 s",
        lambda run: run.parallel(run.delay(1), run.delay(4)),
    ),
    "race": Sample(
        "{race: [{delay: 1}, {delay: 4}]}",
        "about 1 s",
        lambda run: run.race(run.delay(1), run.delay(4)),
    ),
    "group": Sample("{group: [{delay: 1}, {delay: 4}]}", "about 5 s"),
    "if": Sample("{if: 'true', then: [{delay: 4}]}", "about 4 s"),
    "break": Sample("{loop: {count: 2}, do: [{delay: 1}, break]}", "about 1 s"),
    "continue": Sample("{loop: {count: 2}, do: [{delay: 1}, continue]}", "about 2 s"),
    "end": Sample("{end: enough}", "about 0 s"),
    "fail": Sample("{if: 'false', then: [{fail: bad}], else: [{delay: 1}]}", "about 1 s"),
    "call": Sample("{call: nothing}", "not known: 1 call", lambda run: run.call("nothing")),
    "run": Sample("{run: inner}", "not known: 1 call", lambda run: run.run("inner")),
    "trajectories": Sample(
        LOAD,
        "about 0 s",
        lambda run: run.trajectories({"stage": [0, 1], "laser": [5, 6]}),
        claims="stage.CMD",
    ),
    "nested": Sample(
        "{nested: {over: [laser, stage]}}",
        "not known: 4 waits (at most 0 s)",
        walked,
        before=LOAD,
        claims="Nested_Indices",
    ),
    "log": Sample("{log: hello}", "about 0 s", lambda run: run.log("hello")),
    "checkpoint": Sample("checkpoint", "about 0 s", lambda run: run.checkpoint()),
    "ask": Sample("{ask: ready?}", "not known: 1 question", lambda run: run.ask("ready?")),
    "ramp": Sample(
        "{ramp: {pv: sim.x, to: 4, rate: 2}}",
        "about 2 s",
        lambda run: run.ramp(pv="sim.x", to=4, rate=2),
        "{ramp: {pv: sim.x, to: 6, rate: 2}}",
    ),
}


@pytest.fixture(scope="module", autouse=True)
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The verb of the page, named by a configuration."""
    with configured(tmp_path_factory.mktemp("own"), lab_steps=step_of_the_page()):
        yield


class Library:
    """Knows one function and one Python sequence."""

    def document(self, name: str) -> Document:
        raise AssertionError(name)

    def functions(self) -> set[str]:
        return {"nothing"}

    def python(self, name: str) -> PythonSignature | None:
        return PythonSignature(name) if name == "inner" else None

    def left_out(self) -> str:
        return ""


async def inner(run: Any) -> None:
    pass


async def nothing() -> None:
    pass


def program(*steps: str) -> Program:
    document = parse(f"steps: [{', '.join(filter(None, steps))}]", "a.yaml")
    return compile_program(document, {}, names_of(make_config()), Library())


def played(scenario: Callable[[Bench], Awaitable[Any]], **sequences: Any) -> Any:
    registry = Registry({"inner": inner, **sequences}, {"nothing": nothing})

    async def main() -> Any:
        async with bench(registry=registry) as it:
            return await scenario(it)

    return run_virtual(main())


async def answered(it: Bench) -> RunEnded:
    """Its end; what it asks is answered."""
    asyncio.get_running_loop().call_later(1, it.ask, Verb.RESUME)
    ended = await it.ended()
    assert isinstance(ended, RunEnded)
    return ended


def test_every_verb_has_a_sample_here() -> None:
    assert list(SAMPLES) == list(VERBS)


@pytest.mark.parametrize("verb", SAMPLES)
def test_it_runs(verb: str) -> None:
    async def scenario(it: Bench) -> RunEnded:
        steps = filter(None, (SAMPLES[verb].before, SAMPLES[verb].step))
        it.start(f"steps: [{', '.join(steps)}]")
        return await answered(it)

    ended = played(scenario)
    assert (ended.status, ended.message) == (RunStatus.SUCCESS, "")


@pytest.mark.parametrize("verb", [verb for verb, sample in SAMPLES.items() if sample.python])
def test_it_has_its_python_method(verb: str) -> None:
    async def whole(run: Any) -> None:
        method = SAMPLES[verb].python
        assert method is not None
        await method(run)

    async def scenario(it: Bench) -> RunEnded:
        it.start("steps: [{run: whole}]")
        return await answered(it)

    ended = played(scenario, whole=whole)
    assert (ended.status, ended.message) == (RunStatus.SUCCESS, "")


def limited(_name: str) -> Metadata:
    return Metadata(NativeType.DOUBLE, control=Limits(-5, 5))


@pytest.mark.parametrize("verb", SAMPLES)
def test_a_put_beyond_limits_is_found(verb: str) -> None:
    sample = SAMPLES[verb]
    if sample.beyond:
        found = [finding.text for finding in check_program(program(sample.beyond), limited)]
        assert [text for text in found if "sim.x" in text and "limits" in text], found
    else:
        own = program(sample.before, sample.step).steps[-1]
        assert own.puts == ()


@pytest.mark.parametrize("verb", SAMPLES)
def test_two_branches_that_put_to_one_channel_are_found(verb: str) -> None:
    sample = SAMPLES[verb]
    both = program(sample.before, f"{{parallel: [{sample.step}, {sample.step}]}}")
    found = [f.text for f in check_program(both) if "by two branches" in f.text]
    claimed = sample.claims or ("SIM:x" if sample.beyond else "")
    assert bool(found) is bool(claimed), found
    assert not claimed or any(claimed in text for text in found) or "sim.x" in found[0]


@pytest.mark.parametrize("verb", SAMPLES)
def test_a_channel_without_write_access_is_found(verb: str) -> None:
    step = SAMPLES[verb].step.replace("sim.x", "sim.gate")
    made = program(SAMPLES[verb].before, step)

    async def scenario(it: Bench) -> list[Finding]:
        preflight = Preflight(it.sim, it.device.table, it.config.channels, names_of(it.config), 1.0)
        await preflight.connect(sorted(made.reads | made.writes))
        return await preflight.findings(made)

    denied = [f for f in played(scenario) if "write = false" in f.text]
    assert bool(denied) is bool(SAMPLES[verb].beyond)


@pytest.mark.parametrize("verb", SAMPLES)
def test_it_takes_time(verb: str) -> None:
    made = program(SAMPLES[verb].before, SAMPLES[verb].step)
    assert str(estimate(made, {}, {"sim.x": 0.0})) == SAMPLES[verb].takes


@pytest.mark.parametrize("verb", SAMPLES)
def test_it_is_documented(verb: str) -> None:
    form = VERBS[verb]
    assert issubclass(form, Form)
    assert undocumented(form) == []
    assert f"'#/$defs/{form.__name__}'" in str(json_schema()["$defs"]["Steps"])
    assert [row.text for row in step_reference() if row.step == verb and not row.field]
