"""The clients of `orchestrator.clients.rest`, against a service."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from http_rig import HTTP, Http
from service_rig import Rig, rig_of, until

from orchestrator.clients.rest import AsyncRestClient, RequestError, RestClient, RunFailedError
from sim_iocs.fleet import Fleet

SAMPLES = (
    "name: samples\nparameters: {n: 2}\nsteps: [{loop: {count: $(n)}, do: [{sample: [rec.ao]}]}]\n"
)
FAILS = "name: fails\nsteps: [{fail: no beam}]\n"
LONG = "name: long\nsteps: [{delay: 300}]\n"


@pytest.fixture(scope="module")
def client_rig(steady_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    more = f"{HTTP}[lane.guard]\n"
    with rig_of(steady_fleet, tmp_path_factory.mktemp("clients") / "rig", more=more) as rig:
        rig.until("CHAIN:rec:STATUS", "Connected")
        yield rig


@pytest.fixture
def url(client_rig: Rig) -> Iterator[str]:
    client_rig.quieten()
    with closing(Http(client_rig)) as http:
        yield f"http://127.0.0.1:{http.port}"
    client_rig.quieten()


def test_a_run_is_started_and_waited_for(url: str) -> None:
    with RestClient(url, caller="me@desk") as service:
        run_id = service.start(document=SAMPLES, n=3)
        run = service.wait(run_id, timeout=30)
        assert (run["status"], run["owner"]) == ("Success", "me@desk")
        assert len(list(service.csv(run_id))) == 4
        assert run_id in [each["run_id"] for each in service.runs(5)]


def test_a_run_in_a_lane_is_waited_for(url: str) -> None:
    with RestClient(url) as service:
        run = service.wait(service.start(document=SAMPLES, lane="guard"), timeout=30)
        assert (run["status"], run["lane"]) == ("Success", "guard")
        with pytest.raises(RequestError, match="there is no lane 'nine'"):
            service.submit(document=SAMPLES, lane="nine")


def test_a_run_that_does_not_succeed_fails_with_its_message(url: str) -> None:
    with RestClient(url) as service:
        run_id = service.start(document=FAILS)
        with pytest.raises(RunFailedError, match=f"fails {run_id}: Failed: .*no beam"):
            service.wait(run_id, timeout=30)
        with pytest.raises(RequestError, match="there is no sequence") as caught:
            service.start("nine")
        assert caught.value.status == 422


def test_runs_that_end_at_once_are_seen_to_end(url: str) -> None:
    """Their end is told before it is in the file of the journal: who looked then waited on."""
    with RestClient(url) as service:
        for _ in range(20):
            with pytest.raises(RunFailedError, match="no beam"):
                service.wait(service.start(document=FAILS), timeout=20)


def test_a_run_is_paused_and_aborted_and_not_waited_for_without_end(url: str) -> None:
    with RestClient(url) as service:
        run_id = service.start(document=LONG)
        service.pause(run_id)
        until(lambda: service.status()["STATE"] == "Paused")
        service.resume(run_id)
        with pytest.raises(TimeoutError):
            service.wait(run_id, timeout=0.5)
        service.abort(run_id, "smoke")
        with pytest.raises(RunFailedError, match=r"Aborted: .*smoke"):
            service.wait(run_id, timeout=30)
        with pytest.raises(RequestError, match="not under way"):
            service.abort(run_id)


def test_channels_are_read_and_put(url: str) -> None:
    with RestClient(url) as service:
        service.put("rec.ao", 1.25)
        until(lambda: service.channel("rec.ao")["value"] == 1.25)
        assert service.check(document=SAMPLES, offline=True)["ok"]


async def test_the_asynchronous_client_does_the_same(url: str) -> None:
    async with AsyncRestClient(url, caller="me@desk") as service:
        run = await service.wait(await service.start(document=SAMPLES))
        assert run["status"] == "Success"
        with pytest.raises(RunFailedError, match="no beam"):
            await service.wait(await service.start(document=FAILS))
        run_id = await service.start(document=LONG)
        await service.abort(run_id)
        with pytest.raises(RunFailedError, match="Aborted"):
            await service.wait(run_id)
        async with asyncio.timeout(5):  # it is told a moment later
            while (await service.status())["RUN_ID"] != run_id:  # noqa: ASYNC110 - as users do
                await asyncio.sleep(0.01)


def test_it_needs_nothing_that_the_service_needs() -> None:
    program = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("caproto", "aioca", "numpy", "pydantic", "structlog"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import orchestrator.clients.rest
print("imported")
"""
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert told.stdout == "imported\n", told.stderr
