"""The check against the channels, on the stand-in for libca; it writes nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.client.libca.libca_log import doubled
from orchestrator.config import CaConfig, ChainConfig, ChannelConfig, Config, names_of
from orchestrator.dryrun import DryRun, dry_run, offline
from orchestrator.engine.sequences.library import Library
from orchestrator.engine.sequences.registry import load
from orchestrator.language.foresight.verdicts import Level
from orchestrator.language.text.suspend import Suspend
from orchestrator.types import NativeType, RunRequest
from tests.doubles import run_virtual
from tests.unit.client.fake_libca import FakeCa, replace_context, replace_libca, served

CHANNELS = ("x", "x_rbv", "y", "shutter", "count", "gone", "other")


@pytest.fixture
def ca(monkeypatch: pytest.MonkeyPatch) -> FakeCa:
    """All channels but `gone` and `other` are there."""
    ca = replace_libca(monkeypatch)
    replace_context(monkeypatch, ca)
    served(ca, "S:x", value=1.0, limits=(-10.0, 10.0))
    served(ca, "S:x_rbv", value=1.0)
    served(ca, "S:y", value=0.0, units=b"deg")
    served(ca, "S:shutter", native=NativeType.ENUM, labels=("Closed", "Open"), value=0)
    served(ca, "S:count", native=NativeType.LONG, value=7)
    return ca


class Looked:
    """What a check has found."""

    def __init__(self, found: DryRun) -> None:
        self.found = found
        self.errors = [f.line() for f in found.findings if f.level is Level.ERROR]
        self.warnings = [f.line() for f in found.findings if f.level is Level.WARNING]


def config_of(**options: Any) -> Config:
    channels = {f"s.{name}": ChannelConfig(f"s.{name}", f"S:{name}") for name in CHANNELS}
    channels["s.count"] = ChannelConfig("s.count", "S:count", write=False)
    chain = {"s": ChainConfig("s", "S:", channels=channels)}
    return Config(chain=chain, ca=CaConfig(connect_timeout=2.0), **options)


@pytest.fixture
def look(ca: FakeCa):
    """Check a document, or the sequence of a registry."""

    def look_at_it(
        text: str, name: str = "", registry: Any = None, alone: bool = False, **options: Any
    ) -> Looked:
        config = config_of(**options)
        library = Library(None, names_of(config), registry or load([]))
        program = library.load(RunRequest(0, name, text, "a.yaml", {}))
        speeds = {"s.x": 2.0}
        if alone:
            return Looked(offline(config, program, speeds, library))
        found = run_virtual(dry_run(config, program, speeds, library))
        assert [c.puts for c in ca.channels.values()] == [[]] * len(ca.channels)
        assert ca.subscriptions == {}
        return Looked(found)

    return look_at_it


def test_what_can_run_has_no_findings_and_takes_as_long_as_from_where_all_stands(look) -> None:
    seen = look("steps: [{set: {pv: s.x, value: 4, readback: s.x_rbv, tolerance: 0.1}}]")
    assert (seen.errors, seen.warnings, seen.found.not_connected) == ([], [], "")
    assert seen.found.duration.seconds == pytest.approx(1.5)
    assert not seen.found.has_errors


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("set: {pv: s.x, value: 10.1}", "s.x: 10.1 mm is outside its limits"),
        ("set: {pv: s.x, value: -11}", "s.x: -11 mm"),
        ("set: {pv: s.shutter, value: Opne}", "'Opne' is none of its labels"),
        ("set: {pv: s.shutter, value: 2}", "2"),
        ("set: {pv: s.count, value: 1}", "the configuration says write = false"),
        ("wait: {pv: s.count, equals: 1.5, timeout: 5}", "it holds whole numbers"),
        ("{loop: {pv: s.x, from: 0, to: 12, num: 3}, do: [{delay: 1}]}", "12"),
    ],
)
def test_what_the_channels_would_refuse_is_an_error_with_its_line(look, step, told) -> None:
    seen = look(f"steps:\n  - {step}\n")
    assert len(seen.errors) == 1
    assert seen.errors[0].startswith("a.yaml:2:")
    assert told in seen.errors[0]
    assert seen.found.has_errors


@pytest.mark.parametrize("value", [10, -10])
def test_a_limit_itself_is_allowed(look, value) -> None:
    assert look(f"steps: [{{set: {{pv: s.x, value: {value}}}}}]").errors == []


def test_what_the_server_lets_nobody_write_is_an_error(look, ca: FakeCa) -> None:
    ca.channel("S:y").writable = False
    [line] = look("steps: [{set: {pv: s.y, value: 1}}]").errors
    assert "the IOC gives no write access" in line


def test_all_that_is_not_there_is_told_at_once(look) -> None:
    seen = look("steps: [{set: {pv: s.gone, value: 1}}, {sample: [s.other, s.x]}]")
    assert seen.found.not_connected.startswith(
        "not connected within 2 s: s.gone (S:gone), s.other (S:other); "
    )


def test_a_pv_of_two_servers_is_an_error_of_the_step_that_names_it(
    look, ca: FakeCa, monkeypatch
) -> None:
    here = ca.ca_host_name(ca.channel("S:x"))
    monkeypatch.setitem(doubled, "S:x", (here, "nowhere"))  # it can't be asked whether it is there
    [line] = look("steps:\n  - delay: 1\n  - sample: [s.x]\n").errors
    assert line.startswith("a.yaml:3:")
    assert f"two servers have the PV S:x, {here} and nowhere; stop one" in line


def test_a_suspender_whose_channel_is_not_there_is_warned_of(look) -> None:
    suspend = {"beam": Suspend(when="s.gone < 1"), "dark": Suspend(when="s.shutter == 'Shut'")}
    seen = look("steps: [{delay: 1}]", suspend=suspend)
    assert any("suspend.beam: s.gone: not connected" in line for line in seen.warnings)
    assert any("'Shut' is none of the labels" in line for line in seen.errors)


# Setpoints and their readbacks ------------------------------------------------------------------


def set_to(pv: str = "s.x", readback: str = "s.x_rbv", more: str = "tolerance: 0.5") -> str:
    return f"steps: [{{set: {{pv: {pv}, value: 1, readback: {readback}, {more}}}}}]"


@pytest.mark.parametrize(("at", "apart"), [(1.5, False), (0.5, False), (1.51, True), (0.49, True)])
def test_a_readback_beside_its_setpoint_is_warned_of_beyond_the_tolerance(
    look, ca: FakeCa, at, apart
) -> None:
    ca.channel("S:x_rbv").value = at
    warnings = look(set_to()).warnings
    assert len(warnings) == apart
    if apart:
        assert f"s.x is at 1 mm, but its readback s.x_rbv is at {at:g} mm" in warnings[0]


def test_integers_that_are_apart_are_warned_of_by_one(look, ca: FakeCa) -> None:
    for name, value in (("S:x", 5), ("S:x_rbv", 6)):
        ca.channel(name).native, ca.channel(name).value = NativeType.LONG, value
    assert len(look(set_to(more="timeout: 5")).warnings) == 1
    ca.channel("S:x_rbv").value = 5
    assert look(set_to(more="timeout: 5")).warnings == []


def test_a_readback_in_other_units_or_invalid_is_warned_of_but_where_that_is_accepted(
    look, ca: FakeCa
) -> None:
    [line] = look(set_to(pv="s.y")).warnings
    assert "s.y is in deg, its readback s.x_rbv in mm" in line
    ca.channel("S:x_rbv").severity = 3
    [line] = look(set_to()).warnings
    assert "s.x_rbv is INVALID now, and so satisfies no readback" in line
    assert look(set_to(more="tolerance: 0.5, accept_invalid: true")).warnings == []


@pytest.mark.parametrize(
    "steps",
    [
        set_to(more="readback_value: 3, tolerance: 0.1"),
        set_to(readback="s.x", more="tolerance: 0.1"),
        set_to(pv="s.shutter", readback="s.shutter", more="timeout: 1"),
    ],
)
def test_what_is_not_to_be_where_the_setpoint_is_is_not_compared(look, ca: FakeCa, steps) -> None:
    ca.channel("S:x_rbv").value = 9.0
    assert look(steps).warnings == []


def test_each_pair_is_told_once(look, ca: FakeCa) -> None:
    ca.channel("S:x_rbv").value = 9.0
    step = "{set: {pv: s.x, value: 1, readback: s.x_rbv}}"
    assert len(look(f"steps: [{step}, {step}]\nfinally: [{step}]").warnings) == 1


# Python -----------------------------------------------------------------------------------------

PLAN = """
from orchestrator import Run, sequence

@sequence
async def visit(run: Run, often: bool = False) -> None:
    await run.set("s.x", 11)
    if often:
        await run.set("s.gone", 1)
        await run.set("s.x", -12)
    await run.sample("s.other")
    await run.set("s.y", len("abc"), readback="s.x_rbv")
"""


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "plan_to_look_at.py").write_text(PLAN)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "plan_to_look_at", raising=False)
    return load(["plan_to_look_at"])


def test_of_a_python_sequence_its_verbs_are_looked_at(look, plan, tmp_path: Path) -> None:
    seen = look("", "visit", plan)
    place = str(tmp_path / "plan_to_look_at.py")
    assert [line.removeprefix(place) for line in seen.errors] == [
        ":6: set s.x: 11 mm is outside its limits, -10 … 10 mm"
    ]
    assert seen.found.not_connected.startswith("not connected within 2 s: s.other (S:other); ")
    told = "\n".join(seen.warnings)
    assert f"{place}:9: set s.x: -12 mm" in told
    assert "not connected within 2 s: s.gone (S:gone)" in told
    assert "s.y is in deg, its readback s.x_rbv in mm" in told
    assert seen.found.python is not None
    assert seen.found.python.unseen == [f"{place}:11: run.set: value"]


def test_without_the_channels_that_is_told_which_needs_none(look, plan) -> None:
    seen = look("", "visit", plan, alone=True)
    assert (seen.errors, seen.warnings, seen.found.not_connected) == ([], [], "")
    seen = look(
        "steps: [{wait: {until: 1 > 2, timeout: none}}, {run: visit}]", "", plan, alone=True
    )
    assert len(seen.errors) == 1
    assert seen.found.python is not None
    assert seen.found.python.sequences == ["visit"]
    assert look("steps: [{delay: 2}]", alone=True).found.duration.seconds == 2
