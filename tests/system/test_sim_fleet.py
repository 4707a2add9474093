"""The fleet launcher: processes side by side, faults, and nothing left behind."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest
from sim_helpers import Client, RefusedError, alive, running, until, values

from orchestrator.errors import InputError
from sim_iocs.fleet import FLEET, Fleet, FleetError, Member, available


def test_each_simulated_ioc_has_a_line_that_describes_it():
    assert set(available()) == set(FLEET) >= {"motor", "detector", "shutter", "records"}
    assert all(line and "\n" not in line for line in available().values())


TOP = Member("motor", name="top", prefix="XF:31ID:Top:")


@pytest.fixture(scope="module")
def motors():
    """Three of a kind: nobody moves the one that is named so, far is killed, top is frozen."""
    with running("motor", TOP, "far=motor") as both:
        yield both


def test_a_fleet_whose_members_know_each_other_stops_cleanly_all_at_once():
    """A detector that stopped just when its motor's circuit was lost once hung for ever."""
    with running("motor", "shutter", "detector") as (fleet, client):
        client.put("SIM:SHUTTER:State", "Open")
        client.put("SIM:DET:Acquire", 1)
        assert client.reading("SIM:DET:Counts")["severity"] == 0
    assert [ioc.exit_code for ioc in fleet] == [0, 0, 0]


def test_two_of_a_kind_live_under_names_and_prefixes_of_their_own(motors):
    fleet, client = motors
    client.put("XF:31ID:Top:X", 0.1)
    assert client.get("XF:31ID:Top:X.RBV") == 0.1
    assert client.get("SIM:STAGE:X.RBV") == 0
    assert client.get("SIM:FAR:X.RBV") == 0
    assert fleet["top"].prefix == "XF:31ID:Top:"


def test_two_of_one_name_are_refused():
    with pytest.raises(InputError, match="NAME=KIND"):
        Fleet(["motor", "motor"])


def test_an_unknown_kind_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="did you mean detector"):
        Fleet(["detektor"])


def test_an_ioc_that_does_not_start_is_an_error_with_its_stderr_and_stops_the_others():
    fleet = Fleet(["motor", Member("shutter", options=("--no-such-option",))])
    with pytest.raises(FleetError, match="no-such-option"):
        fleet.start()
    assert not fleet["motor"].running


def test_a_killed_ioc_disconnects_and_comes_back_on_its_port(motors):
    fleet, client = motors
    port = fleet["far"].port
    rbv = client.monitor("SIM:FAR:X.RBV")
    client.put("SIM:FAR:X", 0.5)
    fleet["far"].kill()
    until(lambda: not rbv()[-1]["connected"], timeout=2, what="disconnection")
    assert not fleet["far"].running
    fleet["far"].restart()
    assert fleet["far"].port == port
    until(lambda: rbv()[-1]["connected"], timeout=20, what="reconnection")
    assert values(rbv())[-1] == 0


def test_a_frozen_ioc_answers_again_when_thawed(motors):
    fleet, client = motors
    client.get("XF:31ID:Top:X")
    fleet["top"].freeze()
    with pytest.raises(RefusedError, match=r"(?i)timeout|timed out"):
        client.put("XF:31ID:Top:X", 0.2, timeout=0.5)
    assert fleet["top"].running
    fleet["top"].thaw()
    until(lambda: client.get("XF:31ID:Top:X.RBV") == 0.2, what="the move asked for meanwhile")


PARENT = """
import sys, time
from sim_iocs.fleet import Fleet
fleet = Fleet(["motor", "records", "shutter"])
fleet.start()
fleet["shutter"].freeze()
print(*(ioc.pid for ioc in fleet), flush=True)
time.sleep(60)
"""


def test_a_killed_parent_leaves_no_child_be_it_running_or_frozen(tmp_path):
    with (
        open(tmp_path / "errors", "w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", PARENT],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as parent,
    ):
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3, (tmp_path / "errors").read_text()
        assert all(alive(pid) for pid in pids)
        parent.kill()
        until(lambda: not any(alive(pid) for pid in pids), what="the end of all children")


def test_ctrl_c_at_a_terminal_reaches_the_parent_only(motors):
    fleet, _ = motors
    pid = fleet["motor"].pid
    assert pid
    assert os.getpgid(pid) != os.getpgid(0)


def test_sigint_and_sigterm_stop_an_ioc_cleanly():
    with Fleet(["motor", "records"]) as fleet:
        for ioc, number in ((fleet["motor"], signal.SIGINT), (fleet["records"], signal.SIGTERM)):
            assert ioc.pid
            os.kill(ioc.pid, number)
            until(lambda ioc=ioc: not ioc.running, timeout=3, what=f"end of {ioc.name}")
            assert ioc.exit_code == 0


@pytest.mark.parametrize("kind", ["motor", "records"])
def test_an_ioc_by_itself_finds_a_free_port_and_says_so_when_it_is_reachable(kind, tmp_path):
    command = [sys.executable, "-m", f"sim_iocs.{kind}", "--prefix", "T:", "--port", "0"]
    with (
        open(tmp_path / "out", "w+") as out,
        subprocess.Popen([*command, "--interfaces", "127.0.0.1", "--list-pvs"], stdout=out) as ioc,
    ):
        until(lambda: "READY" in (tmp_path / "out").read_text(), what="READY")
        *pvs, ready = (tmp_path / "out").read_text().splitlines()
        port = int(ready.removeprefix("READY port="))
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            ioc.send_signal(signal.SIGTERM)
        assert ioc.wait(5) == 0
        assert pvs
        assert all(pv.startswith("T:") for pv in pvs)


@pytest.mark.parametrize("kind", ["motor", "records"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--port", "99999", "--interfaces", "127.0.0.1"], "99999"),
        (["--port", "0", "--interfaces", "no such host"], "no such host"),
    ],
)
def test_a_port_or_an_interface_that_there_is_not_is_told_in_a_line(kind, options, told):
    command = [sys.executable, "-m", f"sim_iocs.{kind}", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_seed_makes_what_is_drawn_repeatable():
    seeds = {"one": 5, "same": 5, "other": 6}
    with ExitStack() as fleets:
        env = {}
        for name, seed in seeds.items():
            fleet = fleets.enter_context(Fleet([f"{name}=detector"], seed=seed))
            env[name] = fleet.env["EPICS_CA_ADDR_LIST"]
        with Client({"EPICS_CA_ADDR_LIST": " ".join(env.values())}) as client:
            drawn = {name: client.get(f"SIM:{name.upper()}:Peak:Center") for name in seeds}
    assert drawn["one"] == drawn["same"] != drawn["other"]
