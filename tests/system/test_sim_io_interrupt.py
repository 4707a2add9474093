"""Keys and lines that are posted as they come: on a terminal, from a pipe, by a PV."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path
from types import SimpleNamespace

import pytest
from sim_helpers import client_of, running, until, values

from sim_iocs.fleet import Member
from sim_iocs.free_ports import PortHold

P = "SIM:KEYS:"


def test_what_is_written_to_a_named_pipe_is_posted_byte_by_byte_and_line_by_line(tmp_path):
    pipe = tmp_path / "keys"
    with running(Member("io_interrupt", options=("--source", str(pipe)))) as (fleet, client):
        keys, lines = client.monitor(f"{P}Key"), client.monitor(f"{P}Lines")
        assert client.label(f"{P}Source") == "Pipe"
        pipe.write_bytes(b"aab\nhalf a ")
        pipe.write_bytes(b"line\n")
        until(lambda: values(lines())[-1] == 2, what="two lines")
        until(lambda: bytes(values(keys())[1:]) == b"aab\nhalf a line\n", what="each key once")
        assert client.text(f"{P}Line") == "half a line"
        client.put(f"{P}Type", list(b"typed\n\0"))
        until(lambda: client.text(f"{P}Line") == "typed", what="what was written to Type")
        fleet["io_interrupt"].alarm("Key", "MAJOR")
        until(lambda: keys()[-1]["severity"] == 2, what="a fault: stdin is not its source")


@pytest.fixture
def alone(tmp_path: Path):
    """Starts one by itself, whose stdin is given; its client, process and terminal."""
    hold = PortHold()
    env = {
        "EPICS_CA_ADDR_LIST": f"127.0.0.1:{hold.port}",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
    }
    command = [sys.executable, "-m", "sim_iocs.io_interrupt", "--port", str(hold.port)]
    started = []

    def start(stdin):
        with (tmp_path / "out").open("w") as out:
            process = subprocess.Popen(
                [*command, "--interfaces", "127.0.0.1"],
                stdin=stdin,
                stdout=out,
                start_new_session=True,
            )
        started.append(process)
        until(lambda: "READY" in (tmp_path / "out").read_text(), what="READY")
        return process

    yield start, SimpleNamespace(env=env)
    for process in started:
        process.kill()
        process.wait()
        if process.stdin:
            process.stdin.close()
    hold.close()


def test_a_pipe_on_stdin_is_read_to_its_end_and_the_ioc_stays(alone):
    start, fleet = alone
    process = start(subprocess.PIPE)
    process.stdin.write(b"one\ntwo\n")
    process.stdin.close()
    with client_of(fleet) as client:
        until(lambda: client.label(f"{P}Source") == "Ended", what="the end of the pipe")
        assert client.text(f"{P}Line") == "two"
        assert client.get(f"{P}Count") == 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_keys_come_one_by_one_and_the_terminal_is_restored(alone, number):
    start, fleet = alone
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    process = start(theirs)
    with client_of(fleet) as client:
        assert client.label(f"{P}Source") == "Terminal"
        assert termios.tcgetattr(theirs) != before, "keys come without Enter"
        os.write(ours, b"q")
        until(lambda: client.get(f"{P}Key") == ord("q"), what="the key")
    process.send_signal(number)
    assert process.wait(10) == 0
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
