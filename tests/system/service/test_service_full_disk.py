"""A disk that is full while a run is under way."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import h5py
import pytest
from service_rig import rig_of, until

from sim_iocs.testing import Fleet
from tests.small_disk import small_disk

SCAN = """
steps:
- loop: {count: 3}
  do: [{sample: [rec.ao]}]
- wait: {until: rec.number == 1, timeout: none}
- loop: {count: 3}
  do: [{sample: [rec.ao]}, {delay: 0.01}]
finally:
- set: {pv: rec.number, value: 0}
"""


def test_a_store_that_is_gone_is_told_and_not_made_anew(
    steady_fleet: Fleet, tmp_path: Path
) -> None:
    """As where its disk is unmounted; it looked as one in which nothing was ever run."""
    with rig_of(steady_fleet, tmp_path / "rig") as rig:
        store, away = tmp_path / "rig/runs", tmp_path / "away"
        until(store.exists)
        until(lambda: rig.get("HEARTBEAT") >= 1)
        store.rename(away)
        until(lambda: "is gone: it was removed, or its disk" in rig.get("message"))
        assert rig.reading("message")["severity"] == 2
        rig.start(rig.sequence("steps: [{delay: 0.1}]"))
        until(lambda: "the run waits until there is room" in rig.get("message"))
        assert not store.exists()
        away.rename(store)
        rig.until("STATUS", "Success")
        assert (store / "runs" / rig.get("RUN_ID") / "journal.jsonl").exists()


@pytest.mark.parametrize("on_full", ["pause", "fail"])
def test_all_that_was_told_is_kept(steady_fleet: Fleet, tmp_path: Path, on_full: str) -> None:
    with small_disk(tmp_path / "rig/runs") as disk:
        more = f'[store]\non_full = "{on_full}"\n'
        with rig_of(steady_fleet, tmp_path / "rig", more=more) as rig:
            rig.until("CHAIN:rec:STATUS", "Connected")
            rig.client.put("SIM:REC:LongOut", 0)
            rig.start(rig.sequence(SCAN))
            rig.until("DATA:NPTS", 3)
            stat = os.statvfs(disk)
            ballast = disk / "ballast"
            ballast.write_bytes(b"\0" * (stat.f_bavail * stat.f_frsize - 24_000_000))
            until(lambda: "no room on the disk of the store" in rig.get("message"))
            assert rig.reading("message")["severity"] == 2
            rig.client.put("SIM:REC:LongOut", 1)
            points = 3
            if on_full == "pause":
                until(lambda: "the run waits until there is room" in rig.get("message"))
                assert (rig.get("BUSY"), rig.get("DATA:NPTS")) == (1, 3)
                ballast.unlink()
                points = 6
            status = {"pause": "Success", "fail": "Failed"}[on_full]
            rig.until("STATUS", status)
            rig.until("BUSY", 0)
            assert rig.get("DATA:NPTS") == points
            file = Path(rig.get("DATA:FILE"))
        with h5py.File(file) as data:
            assert data["entry/data/point"].shape[0] == points
        with file.with_suffix(".csv").open() as rows:
            assert len(list(csv.DictReader(rows))) == points
        journal = b"".join(path.read_bytes() for path in file.parent.glob("journal*.jsonl"))
        assert journal.count(b'"row"') >= points
