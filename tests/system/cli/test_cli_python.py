"""Sequences in Python and suspenders of the configuration, in a service and from the commands."""

from collections.abc import Iterator

import pytest
from cli_rig import Served, Shell, serving, until

PLANS = '''
from orchestrator import Run, sequence

@sequence
async def patient(run: Run, where: float = 1.0) -> None:
    """Move, wait for long, and clean up."""
    try:
        await run.set("stage.y", where, readback="stage.y_rbv", tolerance=0.01)
        await run.sample("stage.y_rbv")
        await run.delay(300, name="long delay")
        await run.log("went on")
    finally:
        await run.set("stage.y", 0, readback="stage.y_rbv", tolerance=0.01)
        await run.log("cleaned up")
'''
GUARD = """
[suspend.interlock]
when = "rec.mode == 'High'"
resume = "rec.mode == 'Low'"
settle = 0.2
"""


@pytest.fixture
def service(shell: Shell) -> Iterator[Served]:
    config = (shell.folder / "orchestrator.toml").read_text()
    shell.write("own_plans.py", PLANS)
    shell.write("sequences/outer.yaml", "steps: [{run: {sequence: patient, args: {where: 2}}}]\n")
    config = config.replace('python = ["plans"]', 'python = ["plans", "own_plans"]')
    shell.write("orchestrator.toml", config + GUARD)
    assert shell.run("put", "rec.mode", "Low").code == 0
    with serving(shell) as served:
        yield served
    assert shell.run("put", "rec.mode", "Low").code == 0


def state(served: Served, wanted: str) -> None:
    until(lambda: served.facts["STATE"] == wanted, what=wanted)


def test_a_python_sequence_is_listed_checked_and_takes_typed_arguments(service: Served) -> None:
    assert "patient" in service.facts["SEQUENCES"]
    done = service.shell.run("check", "patient", "where=2")
    assert done.code == 0, done.err
    assert "in Python" in done.out
    assert service.shell.run("check", "patient", "where=far").code == 2
    done = service.run("submit", "patient", "were=2", "--server", "T:")
    assert done.code == 2
    assert "did you mean 'where'?" in done.err


@pytest.mark.parametrize("name", ["patient", "outer"])
def test_it_is_paused_resumed_and_skipped_as_a_document_is(service: Served, name: str) -> None:
    running = service.start("run", name, "--server", "T:")
    running.until_says("long delay")
    assert service.run("pause", "--server", "T:").code == 0
    state(service, "Paused")
    assert service.run("resume", "--server", "T:").code == 0
    state(service, "Running")
    assert service.run("skip", "--server", "T:").code == 0
    done = running.finish(20)
    assert done.code == 0, done.err
    assert "went on" in service.service.err
    assert service.shell.value("stage.y") == 0


@pytest.mark.parametrize(("verb", "outcome"), [("stop", "Stopped"), ("abort", "Aborted")])
def test_stop_and_abort_leave_it_through_its_finally(
    service: Served, verb: str, outcome: str
) -> None:
    running = service.start("run", "patient", "where=3", "--server", "T:")
    running.until_says("long delay")
    assert service.run(verb, "--server", "T:").code == 0
    assert running.finish(20).code == 3
    assert service.facts["STATUS"] == outcome
    assert "cleaned up" in service.service.err
    assert "went on" not in service.service.err
    assert service.shell.value("stage.y") == 0


def test_a_suspender_of_the_configuration_holds_it_up_until_the_record_is_back(
    service: Served,
) -> None:
    running = service.start("run", "patient", "--server", "T:")
    running.until_says("long delay")
    service.shell.run("put", "rec.mode", "High")
    state(service, "Suspended")
    shown = service.run("status", "--server", "T:")
    assert shown.lines[0].startswith("T: Suspended patient")
    assert "suspended by interlock since" in shown.out
    service.shell.run("put", "rec.mode", "Mid")  # between the two conditions
    assert service.facts["STATE"] == "Suspended"
    service.shell.run("put", "rec.mode", "Low")
    state(service, "Running")
    assert "no longer suspended by interlock" in service.service.err
    service.run("skip", "--server", "T:")
    assert running.finish(20).code == 0


def test_stop_ends_a_suspended_run_and_its_clean_up_is_not_held_up(service: Served) -> None:
    service.shell.run("put", "rec.mode", "High")
    running = service.start("run", "patient", "--server", "T:")
    state(service, "Suspended")
    assert service.run("stop", "--server", "T:").code == 0
    done = running.finish(20)
    assert done.code == 3
    assert service.facts["STATUS"] == "Stopped"
    assert not done.noise
