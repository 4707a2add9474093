"""A service that is killed in a run: what a client was told, and what reached an IOC, is kept."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from service_rig import PREFIX, Client, Process, Rig, Watch, rig_of, start_service
from sim_helpers import until

from sim_iocs.fleet import Fleet

SCAN = """
    steps:
      - loop: {pv: rec.ao, from: 0.003, to: 9, num: 3000}
        do:
          - set: {pv: rec.number, value: 5, completion: false}
          - sample: [rec.ao]
          - parallel:
              - set: {pv: rec.bo, value: 1}
              - delay: 0.002
"""
"""A put with its completion, one without, a row, and two more steps at once, as fast as it goes."""


def entries_of(folder: Path) -> list[dict[str, Any]]:
    """As any program reads them."""
    return [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]


def told(entries: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [entry for entry in entries if entry["event"] == event]


def status_of(store: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(store / "index.db")) as index:
        return index.execute("SELECT run_id, status FROM runs").fetchall()


@contextmanager
def started_again(rig: Rig) -> Iterator[tuple[Process, Client]]:
    """A service on the same port and store, and a client that has not known the one before."""
    service = start_service(rig.directory / "orchestrator.toml", rig.env)
    client = Client(rig.env)
    try:
        yield service, client
    finally:
        client.close()
        service.signal(signal.SIGTERM)
        service.end(10)
        service.close()


def counted(rows: Watch) -> int:
    """The largest NPTS that a client was told; a loss of the service is None."""
    return max((value for value in rows.values("DATA:NPTS") if value), default=0)


def seen_in(rig: Rig, points: int, later: float) -> tuple[str, int, list[float]]:
    """Run the scan, and kill the service after so many rows and s.

    Gives its id, the last NPTS that the client was told, and the values that reached the IOC.
    """
    rows, arrived = rig.watch("DATA:NPTS"), rig.watch_pvs("SIM:REC:Ao")
    rig.start(rig.sequence(SCAN))
    run_id = rig.get("RUN_ID")
    until(lambda: counted(rows) >= points)
    time.sleep(later)  # a moment that nothing has chosen
    rig.service.signal(signal.SIGKILL)
    rig.service.end()
    reached = rig.client.get("SIM:REC:Ao")  # behind it, all updates of the IOC have come
    values = [update["value"] for update in arrived.updates()[1:] if update.get("value")]
    return run_id, counted(rows), [*values, reached]


@pytest.mark.parametrize(
    ("points", "later"), [(0, 0.0), (1, 0.0), (20, 0.003), (50, 0.011), (100, 0.017), (300, 0.0)]
)
def test_a_killed_service_has_kept_what_it_told_and_what_it_put(
    steady_fleet: Fleet, tmp_path: Path, points: int, later: float
) -> None:
    with rig_of(steady_fleet, tmp_path / "rig") as rig:
        rig.until("CHAIN:rec:STATUS", "Connected")
        rig.client.put("SIM:REC:Ao", 0)
        run_id, announced, reached = seen_in(rig, points, later)
        store = next(path.parent for path in rig.directory.rglob(".lock"))
        with started_again(rig) as (service, client):
            until(lambda: (run_id, "Interrupted") in status_of(store), what="the index")
            before = client.get("SIM:REC:Ao")
            assert client.get(PREFIX + "BUSY") == 0
            entries = entries_of(store / "runs" / run_id)
            time.sleep(0.3)
            assert client.get("SIM:REC:Ao") == before == reached[-1], "nothing moves by itself"
            assert f'"run": "{run_id}"' in service.errors
            assert '"event": "interrupted"' in service.errors

    rows = [entry["point"] for entry in told(entries, "row")]
    assert rows == list(range(len(rows)))
    assert len(rows) >= announced
    puts = {put["value"] for put in told(entries, "put_leaves") if put["pv"] == "rec.ao"}
    assert {value for value in reached if value} <= puts
    assert entries[0]["run_id"] == run_id
    assert not told(entries, "run_ended")
    steps = [entry["step"] for entry in told(entries, "step_entered")]
    assert steps == sorted(set(steps))
