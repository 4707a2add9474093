"""How the service comes and goes: fresh values, SIGTERM in the middle of a run, SIGKILL."""

from __future__ import annotations

import math
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from service_rig import PREFIX, Client, Process, Rig, rig_of, start_service
from sim_helpers import RefusedError, until

from sim_iocs.fleet import Fleet
from sim_iocs.free_ports import LOOPBACK, PortHold

MOVE = """
    steps:
      - set: {pv: stage.x, value: 9, timeout: 30}
    finally:
      - set: {pv: rec.slow, value: 7}
      - set: {pv: rec.ao, value: 7}
"""


@pytest.fixture
def own(steady_fleet: Fleet, tmp_path: Path) -> Iterator[Rig]:
    """A service that this test may end."""
    with rig_of(steady_fleet, tmp_path / "rig") as rig:
        for name in ("stage", "rec"):
            rig.until(f"CHAIN:{name}:STATUS", "Connected")
        rig.client.put("SIM:REC:Ao", 0)
        rig.client.put("SIM:STAGE:X", 0)
        yield rig


@pytest.fixture(scope="module")
def idle(steady_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A service that has run nothing."""
    with rig_of(steady_fleet, tmp_path_factory.mktemp("idle") / "rig") as rig:
        yield rig


def moving(rig: Rig) -> Callable[[], Any]:
    """Start MOVE, and return when the motor moves; the function waits for the put to START."""
    waiting = rig.start(rig.sequence(MOVE))
    until(lambda: rig.client.get("SIM:STAGE:X.RBV") > 0.2)
    return waiting


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def start_again(rig: Rig) -> Process:
    """A second service on the same port and store."""
    return start_service(rig.directory / "orchestrator.toml", rig.env)


def test_a_fresh_service_shows_no_run(idle: Rig) -> None:
    fresh = idle.outcome()
    values = fresh.pop("values")

    assert len(values) == 2
    assert all(math.isnan(value) for value in values)
    assert (fresh["STATUS"], fresh["STATE"]) == ("Undefined", "Idle")
    assert (fresh["RUN_ID"], fresh["message"], fresh["OWNER"]) == ("", "", "")
    assert (fresh["START"], fresh["BUSY"], fresh["PAUSE"], fresh["DATA:NPTS"]) == (0, 0, 0, 0)
    assert idle.reading("STATUS")["severity"] == 0


def test_a_second_service_on_the_same_store_is_refused(idle: Rig) -> None:
    second = idle.directory / "second.toml"
    text = (idle.directory / "orchestrator.toml").read_text()
    second.write_text(text.replace(f'"{PREFIX}"', '"OTHER:"'))
    command = (sys.executable, "-P", "-m", "orchestrator", "serve", "--config", str(second))

    process = idle.spawn(*command, "--port", "0")

    assert process.end(20) == 2
    assert "store" in process.errors
    assert PREFIX in process.errors, "who has it"
    assert idle.get("BUSY") == 0


def test_sigterm_in_a_run_lets_it_end_and_tells_clients_before_it_goes(own: Rig) -> None:
    waiting = moving(own)
    watch = own.watch("STATUS", "BUSY", "STATE", "message")
    spawned = children(own.service.pid)
    assert own.get("BUSY") == 1

    asked = time.monotonic()
    own.service.signal(signal.SIGTERM)
    code = own.service.end(10)
    took = time.monotonic() - asked

    assert code == 0, own.service.errors
    assert took < 4, "half a second of which are the finalisers'"
    until(lambda: watch.since()[-1][1] is None, what="the disconnection")
    assert watch.values("STATUS") == ["Aborted", None]
    assert watch.values("BUSY") == [0, None], "the end is seen, then the disconnection"
    assert "aborted: the service ends (SIGTERM)" in watch.values("message")[-2]
    assert own.client.get("SIM:REC:Slow:Done") == 7, "the finalisers were awaited"
    assert own.client.get("SIM:REC:Ao") == 7
    assert own.client.get("SIM:STAGE:X.RBV") < 5, "the stop channel has stopped it"
    with pytest.raises(RefusedError):
        waiting()
    assert [pid for pid in spawned if Path(f"/proc/{pid}").exists()] == []
    again = start_again(own)
    again.signal(signal.SIGTERM)
    assert again.end(10) == 0
    again.close()


def test_an_idle_service_ends_at_once_and_without_a_word_of_trouble(own: Rig) -> None:
    asked = time.monotonic()
    own.service.signal(signal.SIGTERM)

    assert own.service.end(10) == 0
    assert time.monotonic() - asked < 2
    assert "Traceback" not in own.service.errors
    assert '"level": "error"' not in own.service.errors
    assert '"level": "warning"' not in own.service.errors
    with socket.socket() as tcp, pytest.raises(ConnectionRefusedError):
        tcp.connect((LOOPBACK, own.port))


def test_a_service_that_is_stopped_before_its_tasks_began_says_nothing_of_them(
    tmp_path: Path,
) -> None:
    # Python warned of coroutines that were never awaited.
    (tmp_path / "orchestrator.toml").write_text("ca.auto_addr_list = false")
    command = [sys.executable, "-m", "orchestrator", "serve", "--stop-with-stdin"]
    with closing(PortHold()) as hold:
        command += ["--port", str(hold.port), "--interfaces", LOOPBACK]
    with (tmp_path / "log").open("w+") as log:
        # To a file: a repeater that libca starts would hold a pipe.
        ended = subprocess.run(
            command,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=30,
            check=False,
        )
        log.seek(0)
        said = log.read()
    assert ended.returncode == 0
    assert "stopped" in said
    assert "never awaited" not in said


def test_sigkill_leaves_the_iocs_alone_and_a_new_service_can_follow(own: Rig) -> None:
    own.sequence("steps: [{set: {pv: rec.ao, value: 2}}]", "again")
    moving(own)

    own.service.signal(signal.SIGKILL)
    own.service.end()

    assert own.client.get("SIM:STAGE:X.MOVN") == 1
    own.client.put("SIM:STAGE:X.STOP", 1)
    until(lambda: own.client.get("SIM:STAGE:X.DMOV") == 1)
    own.client.put("SIM:REC:Ao", 3)
    assert own.client.get("SIM:REC:Calc") == 7
    again = start_again(own)
    newcomer = Client(own.env)  # the other one takes libca's time to search again
    try:
        assert newcomer.start("get", pv=PREFIX + "STATUS")()["value"] == "Interrupted"
        newcomer.put(PREFIX + "CMD", "run again")
        until(lambda: newcomer.get("SIM:REC:Ao") == 2)
    finally:
        newcomer.close()
        again.signal(signal.SIGTERM)
        again.end(10)
        again.close()


def test_only_those_in_the_access_list_may_write(steady_fleet: Fleet, tmp_path: Path) -> None:
    with rig_of(steady_fleet, tmp_path / "rig", access=["nobody@nowhere"]) as rig:
        for name, value in (("CMD", "ping"), ("START", 1), ("SEQ", "x"), ("ABORT", 1)):
            with pytest.raises(RefusedError):
                rig.put(name, value)

        assert rig.get("STATUS") == "Undefined"
        assert rig.get("RUN_ID") == ""
