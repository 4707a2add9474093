"""Clients hold every descriptor that a service may have: runs go on as if nothing were."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from orchestrator.bench.hostile.wire import CREATE_CHAN, Circuit, create
from sim_iocs.fleet import Fleet
from sim_iocs.testing import Service
from sim_iocs.testing.polling import until

MOST = 200
"""As by `ulimit -n`."""

PLANS = '''
import time
from orchestrator import Run, function, sequence

@function
def blocks() -> int:
    """In a thread of its own, with a file of its own."""
    with open(__file__) as file:
        time.sleep(0.1)
        return len(file.read())

@sequence
async def crowded(run: Run) -> None:
    """A bit of everything."""
    await run.set("rec.slow", 1, readback="rec.slow_done", timeout=10)
    for _ in range(5):
        await run.sample("rec.ao", "rec.calc")
    assert await run.call("blocks")
    await run.run("document")
'''

DOCUMENT = """
steps:
  - loop: {pv: rec.ao, from: 1, to: 5, step: 1, readback: rec.ao, timeout: 5}
    do: [{sample: [rec.ao, rec.calc]}]
  - set: {pv: other.double, value: 3, timeout: 30}
    on_disconnect: wait
"""


@pytest.fixture
def service(tmp_path) -> Iterator[Service]:
    (tmp_path / "crowded_plans.py").write_text(PLANS)
    with (
        Fleet(["rec=records", "other=plain"]) as fleet,
        Service(fleet, python=["crowded_plans"], path=[tmp_path]) as service,
    ):
        service.sequence(DOCUMENT, "document")
        yield service


def let_in(service: Service, stack: ExitStack) -> bool:
    """Whether one more client gets a channel, which it then keeps."""
    with contextlib.suppress(OSError, TimeoutError):
        circuit = stack.enter_context(Circuit(service.port))
        circuit.socket.sendall(create(f"{service.prefix}HEARTBEAT", 1))
        circuit.answer(CREATE_CHAN, seconds=2.0)
        return True
    return False


def descriptors(service: Service) -> int:
    return len(os.listdir(f"/proc/{service.pid}/fd"))


def test_a_run_goes_on_and_an_ioc_that_restarts_is_found(service: Service) -> None:
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (MOST, MOST))
    log = len(service.log)
    with ExitStack() as stack:
        held = 0
        while let_in(service, stack):
            held += 1
        assert 50 < held < MOST
        assert descriptors(service) > MOST / 2
        run = service.start("crowded")
        service.fleet["other"].restart()
        outcome = run.wait()

        assert outcome.status == "Success"
        assert outcome.points == 10
        assert service.get("DATA:NPTS") == 10
        beats = service.get("HEARTBEAT")
        service.until("HEARTBEAT", beats + 2)
        told = [line for line in service.log[log:].splitlines() if "open files" in line]
        assert len(told) == 1, "told once"
        assert "Traceback" not in service.log[log:]
    until(lambda: descriptors(service) < MOST / 2)
    with ExitStack() as stack:
        assert let_in(service, stack)
