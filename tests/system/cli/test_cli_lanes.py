"""Several runs at once in one service: each lane is talked to as a service is."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import SLOW, Served, Shell, serving

from sim_iocs.testing import RefusedError, until

LANES = """
[lane.guard]
sequence = "watch"
autostart = true
restart = "on_failure"

[lane.night]
"""


@pytest.fixture(scope="module")
def service(servers_shell: Shell) -> Iterator[Served]:
    """As that of other tests, with lanes of which one runs by itself."""
    file = Path(servers_shell.folder / "orchestrator.toml")
    file.write_text(file.read_text() + LANES)
    servers_shell.write("sequences/watch.yaml", SLOW)
    with serving(servers_shell) as served:
        yield served


def test_a_lane_is_served_under_its_own_prefix_and_runs_beside_the_main_one(served: Served) -> None:
    served.until("guard:BUSY", 1)
    assert served.get("guard:RUN_NAME") == "watch"
    assert served.get("guard:SEQ") == "watch"
    assert served.get("BUSY") == 0
    served.begin("run slow")
    assert served.get("guard:BUSY") == 1
    listed = served.service.out.splitlines()
    assert {"T:guard:START", "T:guard:RESTARTS", "T:guard:DATA:stage:x"} <= set(listed)
    assert "T:RESTARTS" not in listed


def test_the_commands_talk_to_a_lane_as_to_a_service(served: Served) -> None:
    lane = ("--server", "T:night:")
    done = served.run("run", "quick", "a=-7", *lane)
    assert done.code == 0, done.err
    assert "outcome: Success" in done.out
    assert served.get("night:STATUS") == "Success"
    assert served.get("RUN_NAME") != "quick"
    assert served.run("submit", "slow", *lane).code == 0
    served.until("night:BUSY", 1)
    assert served.run("pause", *lane).out.startswith("T:night: Paus")
    status = served.run("status", *lane).lines
    assert status[0].startswith("T:night: Paused")
    assert any(line.startswith("channels: ") for line in status)
    assert served.run("abort", "enough", *lane).code == 0
    served.until("night:STATUS", "Aborted")
    assert served.get("guard:BUSY") == 1


def test_status_lists_the_lanes(served: Served) -> None:
    served.until("guard:STATE", "Running")
    until(lambda: "lane guard: Running watch" in served.run("status").lines, what="the lane")
    [guard, night] = json.loads(served.run("status", "--json").out)["LANES"]
    assert (guard["name"], guard["run_name"]) == ("guard", "watch")
    assert night["name"] == "night"


def test_a_lane_is_found_by_the_store_wherever_its_service_serves(served: Served) -> None:
    """The port of the service stands in no configuration that this command is given."""
    done = served.shell.run("status", "--server", "T:guard:")
    assert done.lines[0].startswith("T:guard: Running"), done.err


def test_text_for_the_main_lanes_cmd_may_name_a_lane(served: Served) -> None:
    served.ask("@night run quick")
    served.until("night:RUN_NAME", "quick")
    with pytest.raises(RefusedError):
        served.ask("@knight run quick")
    assert "did you mean 'night'?" in served.get("message")
    assert served.get("ACK") == 0


def test_samples_of_a_lane_have_pvs_of_their_own(served: Served) -> None:
    served.run("run", "quick", "--server", "T:night:")
    until(lambda: len(served.client.get("T:night:DATA:stage:x_rbv")) == 1, what="a point")
    assert served.get("night:DATA:NPTS") == 1


def test_it_starts_again_what_was_killed_by_its_own_fault_and_ends_with_the_service(
    shell: Shell,
) -> None:
    file = Path(shell.folder / "orchestrator.toml")
    file.write_text(file.read_text() + LANES)
    shell.write("sequences/watch.yaml", "steps: [{fail: no beam}]\n")
    with serving(shell) as served:
        served.client.until("T:guard:RESTARTS", 1)
        until(lambda: "started again in" in served.get("guard:message"), what="the message")
        shell.write("sequences/watch.yaml", SLOW)
        served.until("guard:BUSY", 1)
        served.begin("run slow")
        served.service.interrupt(signal.SIGTERM)
        ended = served.service.finish(20)
        assert ended.code == 0
    lines = [json.loads(line) for line in ended.err.splitlines()]
    ends = [line for line in lines if line["event"] == "run ended"][-2:]
    assert {(end.get("lane"), end["reason"]) for end in ends} == {
        (None, "aborted: the service ends (SIGTERM)"),
        ("guard", "aborted: the service ends (SIGTERM)"),
    }
