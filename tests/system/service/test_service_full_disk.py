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
- loop: {count: 30}
  do:
  - set: {pv: rec.ao, value: 1}
  - sample: [rec.ao]
  - delay: 0.1
"""


@pytest.mark.parametrize("on_full", ["pause", "fail"])
def test_all_that_was_told_is_kept(steady_fleet: Fleet, tmp_path: Path, on_full: str) -> None:
    with small_disk(tmp_path / "rig/runs") as disk:
        more = f'[store]\non_full = "{on_full}"\n'
        with rig_of(steady_fleet, tmp_path / "rig", more=more) as rig:
            rig.until("CHAIN:rec:STATUS", "Connected")
            rig.start(rig.sequence(SCAN))
            until(lambda: rig.get("DATA:NPTS") >= 3)
            stat = os.statvfs(disk)
            ballast = disk / "ballast"
            ballast.write_bytes(b"\0" * (stat.f_bavail * stat.f_frsize - 300_000))
            until(lambda: "no room on the disk of the store" in rig.get("message"))
            message = rig.reading("message")
            assert message["severity"] == 2
            points = rig.get("DATA:NPTS")
            if on_full == "pause":
                assert "the run waits until there is room" in message["value"]
                assert rig.get("BUSY") == 1
                ballast.unlink()
                rig.until("BUSY", 0)
                points = 30
            status = {"pause": "Success", "fail": "Failed"}[on_full]
            rig.until("STATUS", status)
            assert rig.get("DATA:NPTS") == points
            file = Path(rig.get("DATA:FILE"))
        with h5py.File(file) as data:
            assert data["entry/data/point"].shape[0] == points
        with file.with_suffix(".csv").open() as rows:
            assert len(list(csv.DictReader(rows))) == points
        journal = b"".join(path.read_bytes() for path in file.parent.glob("journal*.jsonl"))
        assert journal.count(b'"row"') >= points
