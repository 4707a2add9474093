"""Sequences in Python and suspenders of the configuration, in a service and from the commands."""

from collections.abc import Iterator

import pytest
from cli_rig import Served, Shell, serving

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


@pytest.fixture(scope="module")
def service(servers_shell: Shell) -> Iterator[Served]:
    config = (servers_shell.folder / "orchestrator.toml").read_text()
    servers_shell.write("own_plans.py", PLANS)
    outer = "steps: [{run: {sequence: patient, args: {where: 2}}}]\n"
    servers_shell.write("sequences/outer.yaml", outer)
    servers_shell.write("broken_plans.py", "def broken(:\n")
    config = config.replace('python = ["plans"]', 'python = ["plans", "broken_plans", "own_plans"]')
    servers_shell.write("orchestrator.toml", config + GUARD)
    with serving(servers_shell) as served:
        yield served


@pytest.fixture
def served(service: Served) -> Iterator[Served]:
    service.client.put("SIM:REC:Mbbo", "Low")
    service.settle()
    yield service
    service.client.put("SIM:REC:Mbbo", "Low")


def test_a_python_sequence_is_listed_checked_and_takes_typed_arguments(served: Served) -> None:
    assert "patient" in served.get("SEQUENCES")
    done = served.shell.run("check", "patient", "where=2")
    assert done.code == 0, done.err
    assert "in Python" in done.out
    broken = f"broken_plans can't be imported: {served.shell.folder / 'broken_plans.py'}:1: Syntax"
    assert broken in served.service.err
    assert served.shell.run("check", "patient", "where=far").code == 2
    done = served.run("submit", "patient", "were=2", "--server", "T:")
    assert done.code == 2
    assert "did you mean 'where'?" in done.err


@pytest.mark.parametrize("name", ["patient", "outer"])
def test_it_is_paused_resumed_and_skipped_as_a_document_is(served: Served, name: str) -> None:
    served.begin(f"run {name}")
    served.ask("pause")
    served.until("STATE", "Paused")
    served.ask("resume")
    served.until("STATE", "Running")
    served.ask("skip")
    served.until("BUSY", 0)
    assert served.get("STATUS") == "Success"
    served.until_told("went on")
    assert served.client.get("SIM:STAGE:Y") == 0


@pytest.mark.parametrize(("verb", "outcome"), [("stop", "Stopped"), ("abort", "Aborted")])
def test_stop_and_abort_leave_it_through_its_finally(
    served: Served, verb: str, outcome: str
) -> None:
    served.begin("run patient where=3")
    served.ask(verb)
    served.until("BUSY", 0)
    assert served.get("STATUS") == outcome
    served.until_told("cleaned up")
    assert "went on" not in served.log
    assert served.client.get("SIM:STAGE:Y") == 0


def test_a_suspender_of_the_configuration_holds_it_up_until_the_record_is_back(
    served: Served,
) -> None:
    running = served.start("run", "patient", "--server", "T:")
    running.until_says("long delay")
    served.client.put("SIM:REC:Mbbo", "High")
    served.until("STATE", "Suspended")
    shown = served.run("status", "--server", "T:")
    assert shown.lines[0].startswith("T: Suspended patient")
    assert "suspended by interlock since" in shown.out
    served.client.put("SIM:REC:Mbbo", "Mid")  # between the two conditions
    assert served.get("STATE") == "Suspended"
    served.client.put("SIM:REC:Mbbo", "Low")
    served.until("STATE", "Running")
    served.until_told("no longer suspended by interlock")
    served.ask("skip")
    assert running.finish(20).code == 0


def test_stop_ends_a_suspended_run_and_its_clean_up_is_not_held_up(served: Served) -> None:
    served.client.put("SIM:REC:Mbbo", "High")
    running = served.start("run", "patient", "--server", "T:")
    served.until("STATE", "Suspended")
    served.ask("stop")
    done = running.finish(20)
    assert done.code == 3
    assert served.get("STATUS") == "Stopped"
    assert not done.noise
