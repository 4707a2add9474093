"""The fleet launcher: processes side by side, faults, and nothing left behind."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from sim_helpers import RefusedError, running, until, values

from orchestrator.errors import InputError
from sim_iocs.fleet import FLEET, Fleet, FleetError, Member, available


def alive(pid: int) -> bool:
    """Whether the process exists; one that ended and waits for its parent does not count."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_each_simulated_ioc_has_a_line_that_describes_it():
    assert set(available()) == set(FLEET) >= {"motor", "detector", "shutter", "records"}
    assert all(line and "\n" not in line for line in available().values())


def test_all_kinds_start_side_by_side_and_list_their_pvs():
    with Fleet(FLEET) as fleet:
        for ioc in fleet:
            assert ioc.running
            assert ioc.pvs, ioc.name
            assert all(pv.startswith(FLEET[ioc.kind].prefix) for pv in ioc.pvs)
        pids = [ioc.pid for ioc in fleet]
        assert len({ioc.port for ioc in fleet}) == len(fleet)
        assert "SIM:STAGE:X.RBV" in fleet.pvs
    assert not any(alive(pid) for pid in pids if pid)


def test_a_clean_stop_says_nothing_on_stderr():
    with Fleet(["motor", "detector", "shutter", "temperature", "digital_io"]) as fleet:
        for ioc in fleet:
            ioc.terminate()
            assert ioc.errors == "", ioc.name


def test_a_fleet_whose_members_know_each_other_stops_cleanly_all_at_once():
    """A detector that stopped just when its motor's circuit was lost once hung for ever."""
    with running("motor", "shutter", "detector") as (fleet, client):
        client.put("SIM:SHUTTER:State", "Open")
        client.put("SIM:DET:Acquire", 1)
        assert client.reading("SIM:DET:Counts")["severity"] == 0
    assert [ioc.exit_code for ioc in fleet] == [0, 0, 0]


def test_two_of_a_kind_live_under_names_and_prefixes_of_their_own():
    top = Member("motor", name="top", prefix="XF:31ID:Top:")
    with running("motor", top, "far=motor") as (fleet, client):
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


def test_a_killed_ioc_disconnects_and_comes_back_on_its_port():
    with running("motor") as (fleet, client):
        port = fleet["motor"].port
        rbv = client.monitor("SIM:STAGE:X.RBV")
        client.put("SIM:STAGE:X", 0.5)
        fleet["motor"].kill()
        until(lambda: not rbv()[-1]["connected"], timeout=2, what="disconnection")
        assert not fleet["motor"].running
        fleet["motor"].restart()
        assert fleet["motor"].port == port
        until(lambda: rbv()[-1]["connected"], timeout=20, what="reconnection")
        assert values(rbv())[-1] == 0


def test_a_frozen_ioc_answers_again_when_thawed():
    with running("motor") as (fleet, client):
        client.get("SIM:STAGE:X")
        fleet["motor"].freeze()
        with pytest.raises(RefusedError, match=r"(?i)timeout|timed out"):
            client.put("SIM:STAGE:X", 0.1, timeout=0.5)
        assert fleet["motor"].running
        fleet["motor"].thaw()
        until(lambda: client.get("SIM:STAGE:X.RBV") == 0.1, what="the move asked for meanwhile")


PARENT = """
import sys, time
from sim_iocs.fleet import Fleet
fleet = Fleet(["motor", "records", "shutter"])
fleet.start()
{then}
print(*(ioc.pid for ioc in fleet), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("then", ["", "fleet['motor'].freeze()"], ids=["running", "one frozen"])
def test_a_killed_parent_leaves_no_child(then, tmp_path):
    with (
        open(tmp_path / "errors", "w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", PARENT.format(then=then)],
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


def test_ctrl_c_at_a_terminal_reaches_the_parent_only():
    with Fleet(["motor"]) as fleet:
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
    centers = []
    for seed in (5, 5, 6):
        with running("detector", seed=seed) as (_, client):
            centers.append(client.get("SIM:DET:Peak:Center"))
    assert centers[0] == centers[1] != centers[2]
