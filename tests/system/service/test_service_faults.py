"""IOCs that die, hang and restart in the middle of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from service_rig import PREFIX, Rig, rig_of
from sim_helpers import RefusedError, until

from sim_iocs.fleet import Fleet

RECONNECTION = 40
"""s that libca may take to find a restarted IOC of which it hears no beacon (5 to 10 mostly)."""

MEMBERS = ("records", "motor", "frozen=motor", "restarted=motor", "asked=motor")
"""A victim for each test, so that none waits for the reconnection of another's."""


@pytest.fixture(scope="module")
def fault_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with (
        Fleet(MEMBERS, seed=1) as fleet,
        rig_of(fleet, tmp_path_factory.mktemp("faults") / "rig") as rig,
    ):
        for name in ("stage", "rec", "frozen", "restarted", "asked"):
            rig.until(f"CHAIN:{name}:STATUS", "Connected")
        yield rig


@pytest.fixture
def faults(fault_rig: Rig) -> Iterator[Rig]:
    fault_rig.quieten()
    fault_rig.client.put("SIM:REC:Ao", 0)
    yield fault_rig
    for ioc in fault_rig.fleet:
        ioc.thaw()
    fault_rig.quieten()


def test_an_ioc_killed_in_the_middle_of_a_move_fails_the_run_within_a_second(faults: Rig) -> None:
    """libca reports the outstanding put-callback of a killed server as soon as TCP does."""
    text = """
        steps:
          - set: {pv: stage.x, value: 9, readback: stage.x_rbv, timeout: 30}
        finally:
          - set: {pv: stage.x, value: 0, timeout: 1}
          - set: {pv: rec.ao, value: 7}
    """
    waiting = faults.start(faults.sequence(text))
    watch = faults.watch("MON:stage:x_rbv", "BUSY")
    until(lambda: faults.client.get("SIM:STAGE:X.RBV") > 0.2)

    faults.fleet["motor"].kill()

    with pytest.raises(RefusedError):
        waiting()
    lost = next(u for u in watch.updates() if u.get("severity") == 3)
    ended = watch.updates()[-1]
    assert (ended["pv"], ended["value"]) == (PREFIX + "BUSY", 0)
    assert ended["at"] - lost["at"] < 1
    assert faults.get("STATUS") == "Failed"
    message = faults.get("message")
    assert "stage.x" in message
    assert "lost" in message or "disconnected" in message
    assert "steps[0]" in message
    assert "finally[0]" in message, "a finaliser that fails is told, and the next one runs"
    assert faults.client.get("SIM:REC:Ao") == 7


def test_a_frozen_ioc_costs_the_step_its_timeout_and_is_used_again_when_it_thaws(
    faults: Rig,
) -> None:
    """Nothing tells of a frozen host before EPICS_CA_CONN_TMO: the step's own timeout ends it."""
    text = """
        parameters: {to: {type: float}, timeout: {default: 1.0}}
        steps:
          - set: {pv: frozen.x, value: $(to), readback: frozen.x_rbv, timeout: $(timeout)}
        finally:
          - set: {pv: rec.ao, value: 7}
    """
    name = faults.sequence(text)
    waiting = faults.start(name, {"to": 9})
    until(lambda: faults.client.get("SIM:FROZEN:X.RBV") > 0.1)

    faults.fleet["frozen"].freeze()

    with pytest.raises(RefusedError):
        waiting()
    assert faults.get("STATUS") == "Timeout"
    message = faults.get("message")
    assert "frozen.x" in message
    assert "no completion within 1 s" in message
    assert faults.client.get("SIM:REC:Ao") == 7

    faults.fleet["frozen"].thaw()
    faults.start(name, {"to": 0.5, "timeout": 15})()
    assert faults.get("STATUS") == "Success"
    assert faults.client.get("SIM:FROZEN:X.RBV") == pytest.approx(0.5)
    faults.until("CHAIN:frozen:STATUS", "Connected")


def test_the_default_value_of_a_restarted_ioc_ends_no_wait(faults: Rig) -> None:
    """After a restart its first value arrives like any other update, here 0.0 where 5 was."""
    faults.client.put("SIM:RESTARTED:X", 5)
    text = "steps: [{wait: {pv: restarted.x_rbv, below: 1, timeout: 90}}, {sample: [restarted.x]}]"
    waiting = faults.start(faults.sequence(text), timeout=90)
    watch = faults.watch("MON:restarted:x_rbv")

    faults.fleet["restarted"].restart()
    watch.until("MON:restarted:x_rbv", 0, RECONNECTION)
    faults.until("CHAIN:restarted:STATUS", "Connected", RECONNECTION)

    beats = faults.get("HEARTBEAT")
    faults.until("HEARTBEAT", beats + 1)
    assert faults.get("BUSY") == 1, "the default satisfies the condition, and is not believed"
    faults.client.put("SIM:RESTARTED:X", 0.25)
    waiting()
    assert faults.get("STATUS") == "Success"


def test_a_wait_on_a_lost_ioc_says_so_when_its_time_is_over(faults: Rig) -> None:
    text = "steps: [{wait: {pv: asked.x_rbv, not: 0, timeout: 1}}]"
    waiting = faults.start(faults.sequence(text))

    faults.fleet["asked"].kill()

    with pytest.raises(RefusedError):
        waiting()
    assert faults.get("STATUS") == "Timeout", "a disconnected channel satisfies no `not`"
    assert "asked.x_rbv" in faults.get("message")
    assert "disconnected" in faults.get("message")


def test_a_run_on_the_command_line_exits_with_4_if_an_ioc_is_not_there(faults: Rig) -> None:
    """libca is told nothing of an IOC that isn't there: only `connect_timeout` ends the search."""
    faults.client.put("SIM:REC:Ao", 3)
    directory = faults.directory / "alone"
    directory.mkdir()
    sequence = directory / "both.yaml"
    sequence.write_text(
        "steps: [{set: {pv: rec.ao, value: 1}}, {set: {pv: gone.x, value: 1}}]\n"
        "finally: [{set: {pv: rec.ao, value: 2}}]\n"
    )
    records = faults.fleet["records"]
    config = directory / "orchestrator.toml"
    config.write_text(
        "ca = { connect_timeout = 0.5, auto_addr_list = false }\n"
        f'[chain.rec]\nprefix = "SIM:REC:"\naddress = "{records.address}"\nchannels.ao = "Ao"\n'
        '[chain.gone]\nprefix = "SIM:GONE:"\naddress = "127.0.0.1:9"\nchannels.x = "X"\n'
    )
    command = [sys.executable, "-P", "-m", "orchestrator", "run", str(sequence), "--config"]
    process = faults.spawn(*command, str(config))

    assert process.end(20) == 4, process.errors
    assert "gone.x (SIM:GONE:X)" in process.output + process.errors
    assert faults.client.get("SIM:REC:Ao") == 3
