"""Other clients of the whole service: pyepics, caproto's command line, and one that hangs."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_rig import PREFIX, Process, Rig
from sim_helpers import until

SHORT = """
    steps:
      - set: {pv: rec.ao, value: 2.5}
      - sample: [rec.calc]
      - delay: 0.3
"""

FAILING = "steps: [{wait: {pv: rec.ao, above: 99, timeout: 0.2}}]"

PYEPICS = """
    import json, sys, time
    import epics

    def say(value):
        sys.stdout.write(json.dumps(value) + "\\n")
        sys.stdout.flush()

    def pv(name):
        made = epics.PV("ORCH:" + name)
        assert made.wait_for_connection(10), name
        return made
"""


def pyepics(rig: Rig, body: str) -> list[Any]:
    """What a program on pyepics says."""
    process = rig.python(PYEPICS + body)
    assert process.end(30) == 0, process.errors
    return [json.loads(line) for line in process.output.splitlines()]


# pyepics ------------------------------------------------------------------------------------


def test_pyepics_starts_a_run_waits_for_it_and_reads_its_results(rig: Rig) -> None:
    said = pyepics(
        rig,
        f"""
    busy = []
    follower = epics.PV("ORCH:BUSY", callback=lambda value, **_: busy.append(value))
    pv("SEQ").put("{rig.sequence(SHORT)}", wait=True)
    pv("ARGS").put("", wait=True)
    follower.wait_for_connection(10)
    began = time.monotonic()
    pv("START").put(1, wait=True, timeout=20)
    say(time.monotonic() - began)
    say(pv("STATUS").get(as_string=True, use_monitor=False))
    say(pv("message").get(as_string=True))
    say(pv("DATA:rec:calc").get().tolist())
    say(pv("MON:rec:ao").get())
    say(busy[-2:])
    """,
    )

    took, *rest = said
    assert took > 0.3
    assert rest == ["Success", "", [6.0], 2.5, [1, 0]]


def test_pyepics_writes_a_plain_and_a_long_command(rig: Rig) -> None:
    said = pyepics(
        rig,
        f"""
    cmd, status, busy = pv("CMD"), pv("STATUS"), pv("BUSY")
    document = "steps:\\n- set: {{pv: rec.ao, value: 7}}" + " " * 60
    for text in ("run {rig.sequence(SHORT)}", document):
        cmd.put(text, wait=True)
        while busy.get(use_monitor=False):
            time.sleep(0.01)
        say(status.get(as_string=True, use_monitor=False))
    # DBR_STRING, as caput of EPICS base sends it
    chid = epics.ca.create_channel("ORCH:CMD", connect=True)
    epics.ca.put(chid, "ping", wait=True, ftype=epics.dbr.STRING)
    say(pv("ACK").get(use_monitor=False))
    """,
    )

    assert said == ["Success", "Success", 1]
    assert rig.client.get("SIM:REC:Ao") == 7


# caproto's command line ---------------------------------------------------------------------


def caproto(rig: Rig, tool: str, *arguments: str) -> Process:
    """One of caproto's tools, run to its end."""
    program = Path(sys.executable).with_name(f"caproto-{tool}")
    process = rig.spawn(str(program), "--no-repeater", *arguments)
    process.end(30)
    return process


def test_caproto_put_starts_a_run_and_waits_for_it(rig: Rig) -> None:
    rig.put("SEQ", rig.sequence(SHORT))
    rig.put("ARGS", "")

    started = caproto(rig, "put", "-c", "-w", "20", f"{PREFIX}START", "1")

    assert started.end() == 0, started.errors
    read = caproto(rig, "get", "-t", f"{PREFIX}STATUS", f"{PREFIX}BUSY", f"{PREFIX}MON:rec:ao")
    assert read.output.replace("[", "").replace("]", "").split() == ["Success", "0", "2.5"]


def test_caproto_put_reports_a_run_that_failed(rig: Rig) -> None:
    rig.put("SEQ", rig.sequence(FAILING))
    rig.put("ARGS", "")

    started = caproto(rig, "put", "-c", "-w", "20", f"{PREFIX}START", "1")

    assert "ECA_PUTFAIL" in started.output + started.errors
    assert "waited 0.2 s for rec.ao above 99" in started.output + started.errors
    message = caproto(rig, "get", "-S", "-t", f"{PREFIX}message")
    assert "waited 0.2 s" in message.output


def test_caproto_put_writes_a_command_and_monitor_follows(rig: Rig) -> None:
    monitor = rig.spawn(
        str(Path(sys.executable).with_name("caproto-monitor")),
        *("--no-repeater", "--maximum", "3", f"{PREFIX}BUSY"),
    )
    until(lambda: monitor.output.count(f"{PREFIX}BUSY") == 1, what="first update")

    caproto(rig, "put", "-S", f"{PREFIX}CMD", f"run {rig.sequence(SHORT)}")

    assert monitor.end(20) == 0
    assert [line.split()[-1].strip("[]") for line in monitor.output.splitlines()] == ["0", "1", "0"]


# A client that hangs ------------------------------------------------------------------------


@pytest.fixture
def hanging(rig: Rig) -> Iterator[Process]:
    """A client with monitors on what moves most, stopped in the middle of it."""
    process = rig.follow("CMD", "ACK", "MON:rec:number", "HEARTBEAT", "STEP_NAME").process
    process.signal(signal.SIGSTOP)
    yield process
    process.signal(signal.SIGKILL)
    process.signal(signal.SIGCONT)


def test_a_client_that_hangs_disturbs_no_run_and_no_other_client(
    rig: Rig, hanging: Process
) -> None:
    """caproto's own server would wait for it with all other clients (its circuit's queue)."""
    watch = rig.watch("MON:rec:number", "BUSY")
    text = """
        steps:
          - loop: {pv: rec.number, from: 1, to: 300, num: 300, as: n}
            do: [{log: "point $(n)"}]
    """
    for _ in range(200):  # 12 MB, more than its sockets take
        rig.put("CMD", "ping" + " " * 60_000, kind="long")
    # 12,000 updates (CMD, ACK = 0, ACK = 1), more than caproto queues for one client
    rig.client.start("burst", pv=PREFIX + "CMD", value="ping", times=4000)()
    began = time.monotonic()

    outcome = rig.run(text)

    assert outcome["failed"] == ""
    assert time.monotonic() - began < 10
    until(lambda: watch.values("MON:rec:number")[-1:] == [300])
    assert watch.values("BUSY") == [1, 0]
