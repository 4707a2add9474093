"""demo and sim: nothing is left behind, and the peak is found."""

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import Running, Shell, until

from sim_iocs.testing import Client, RefusedError

SCAN_RANGE = 2.0
"""mm, of the demo's scan."""


def children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", f"{pid}"], capture_output=True, text=True
    )
    return [int(line) for line in listed.stdout.split()]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists() and bool(Path(f"/proc/{pid}/cmdline").read_bytes())


@pytest.fixture
def anywhere(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell({"TMPDIR": str(tmp_path)}, tmp_path)
    yield shell
    shell.close()


def test_the_demo_finds_a_moved_peak_within_2_percent_of_the_scan(anywhere: Shell) -> None:
    peak = -0.55
    done = anywhere.run("demo", f"--peak={peak}", timeout=60)
    assert done.code == 0, done.err
    found = re.search(r"peak found at (\S+) mm", done.out)
    assert found is not None, done.out
    assert abs(float(found[1]) - peak) < 0.02 * SCAN_RANGE
    assert "det.counts over stage.x_rbv" in done.out
    assert not done.err
    file = re.search(r"^data: (\S+\.h5)", done.out, re.MULTILINE)
    assert file is not None
    assert len(Path(file[1]).with_suffix(".csv").read_text().splitlines()) > 20


MOMENTS = ("Starting", "Warming up", "Scanning", "The peak is")


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_in_the_demo_leaves_nothing_behind(anywhere: Shell, moment: str) -> None:
    running = anywhere.start("demo")
    running.until_says(moment)
    until(lambda: children(running.pid))
    started = children(running.pid)
    running.interrupt()
    done = running.finish(20)
    assert done.code == 3
    assert not done.noise
    if moment in MOMENTS[1:]:
        assert "outcome: Aborted" in done.err
    until(lambda: not any(map(alive, started)), 5)


def test_sim_lists_what_there_is_a_line_each(anywhere: Shell) -> None:
    done = anywhere.run("sim", "--list")
    assert done.code == 0
    names = [line.split()[0] for line in done.lines]
    assert {"motor", "detector", "temperature", "shutter", "records"} <= set(names)


def sim_says(running: Running) -> list[str]:
    running.until_says("#")
    return running.out.splitlines()


def test_sim_prints_the_environment_in_which_its_pvs_are_found(anywhere: Shell) -> None:
    running = anywhere.start("sim", "shutter", "--prefix", "XF:", "--list-pvs")
    running.until_says("XF:State_RBV")
    lines = running.out.splitlines()
    exported = dict(re.findall(r"^export (\w+)='(.*)'$", running.out, re.MULTILINE))
    assert lines[0].startswith("export EPICS_CA_ADDR_LIST=")
    with Client(exported) as client:
        assert client.get("XF:State") == "Closed"
    started = children(running.pid)
    running.interrupt()
    assert running.finish().code == 0
    until(lambda: not any(map(alive, started)), 5)


def test_sim_told_to_terminate_stops_its_iocs(anywhere: Shell) -> None:
    running = anywhere.start("sim", "shutter")
    sim_says(running)
    started = children(running.pid)
    running.interrupt(signal.SIGTERM)
    assert running.finish().code == 0
    until(lambda: not any(map(alive, started)), 5)


@pytest.mark.parametrize(
    ("args", "told"),
    [(["moter"], "did you mean motor?"), (["motor", "shutter", "--prefix", "A:"], "one IOC")],
)
def test_sim_refuses_what_it_does_not_have(anywhere: Shell, args: list[str], told: str) -> None:
    done = anywhere.run("sim", *args)
    assert done.code == 2
    assert told in done.err


def test_sim_takes_fault_levers_as_options_and_as_lines(anywhere: Shell) -> None:
    begun = ["--fault", "motor alarm X.RBV MAJOR", "--fault", "motor refuse_writes"]
    running = anywhere.start("sim", "motor", "shutter", *begun)
    running.until_says("# motor: ")
    env = dict(re.findall(r"export (\w+)='(.*)'", running.out))
    with Client(env) as client:
        until(lambda: client.reading("SIM:STAGE:X.RBV")["severity"] == 2, what="MAJOR")
        with pytest.raises(RefusedError):
            client.put("SIM:STAGE:X", 1)
        running.type("motor clear\nshutter freeze")
        running.until_says("# shutter freeze")
        assert client.reading("SIM:STAGE:X.RBV")["severity"] == 0
        running.type("shutter kill\nmotor kick\nbench clear")
        running.until_says("which IOC? Begin with one of motor, shutter")
        assert "'motor kick' is no lever of motor; there are delay SECONDS" in running.err
    assert running.runs  # one that is killed by a lever is not missed
    running.interrupt()
    assert running.finish().code == 0


@pytest.mark.parametrize("fault", ["motor", "delay", "delay soon", "alarm X.RBV BAD", "{", "{}"])
def test_sim_refuses_a_fault_that_there_is_not(anywhere: Shell, fault: str) -> None:
    done = anywhere.run("sim", "motor", "--fault", fault)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
