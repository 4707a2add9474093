"""Nobody reads what the service writes: Ctrl-S, a hung journald, a program that follows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from service_rig import PREFIX, Client, environment, held_udp_port, until

from sim_iocs.free_ports import LOOPBACK, PortHold

MANY_LINES = f"steps:\n  [{{loop: {{count: 3000}}, do: [{{log: {'x' * 4000}}}]}}]"
"""Three times as much as waits for a reader."""


@dataclass
class Unread:
    """A service whose stderr and events are pipes that nobody reads unless told to."""

    process: subprocess.Popen[bytes]
    stderr: int
    events: int
    client: Client

    def run(self) -> None:
        """Run what writes more than can wait, to its end."""
        self.client.put(f"{PREFIX}CMD", MANY_LINES)
        until(lambda: self.client.get(f"{PREFIX}STATUS") == "Success", 60)

    def beat(self) -> int:
        return int(self.client.get(f"{PREFIX}HEARTBEAT"))


def read_until(fd: int, end: bytes) -> str:
    text = b""
    while end not in text or not text.endswith(b"\n"):  # whole lines
        text += os.read(fd, 1 << 20)
    return text.decode()


@pytest.fixture
def unread(tmp_path: Path) -> Iterator[Unread]:
    (tmp_path / "orchestrator.toml").write_text("ca.auto_addr_list = false")
    os.mkfifo(tmp_path / "events")
    events = os.open(tmp_path / "events", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(events, True)
    with closing(PortHold()) as hold, held_udp_port() as repeater:
        env = environment(f"{LOOPBACK}:{hold.port}", repeater=repeater)
        command = [sys.executable, "-P", "-m", "orchestrator", "serve", "--events", "events"]
        command += ["--port", str(hold.port), "--interfaces", LOOPBACK, "--stop-with-stdin"]
        hold.close()
        process = subprocess.Popen(
            command, env=env, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        stderr = process.stderr.fileno()
        read_until(stderr, b'"serving"')
        with process, Client(env) as client:
            yield Unread(process, stderr, events, client)
            process.kill()
    os.close(events)


def test_the_service_goes_on_and_tells_its_reader_who_is_back_what_he_missed(
    unread: Unread,
) -> None:
    unread.run()
    beat = unread.beat()
    until(lambda: unread.beat() > beat + 1)
    assert unread.client.get(f"{PREFIX}LOOP_LAG") < 1
    log = [json.loads(line) for line in read_until(unread.stderr, b"lines dropped").splitlines()]
    told = [line for line in log if line["event"].endswith("dropped here: nobody read the log")]
    assert {line["level"] for line in told} == {"warning"}
    events = read_until(unread.events, b'"dropped"').splitlines()
    counts = [line["count"] for line in map(json.loads, events) if line["event"] == "dropped"]
    assert sum(counts) > 0


def test_the_end_comes_in_bounded_time_where_nobody_reads(unread: Unread) -> None:
    unread.run()
    began = time.monotonic()
    unread.process.terminate()
    assert unread.process.wait(30) == 0
    assert time.monotonic() - began < 15
