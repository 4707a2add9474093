"""A run that goes on though its HDF5 file can't be read any more: none of its rows is lost."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from orchestrator.data.hdf5 import Hdf5Sink
from orchestrator.data.sinks import Row
from orchestrator.types import Metadata, NativeType, Place, Reading, RunHeader, RunStatus

HEADER = RunHeader("20261130T160423.423Z-k3", "scan", channels={"a": Metadata(NativeType.DOUBLE)})


def row(number: int) -> Row:
    return Row(number, Place(), {"a": Reading("a", float(number), 1.0)}, 1)


@pytest.mark.parametrize("left", [b"", b"no HDF5 at all" * 500])
def test_another_file_takes_all_rows(tmp_path: Path, left: bytes) -> None:
    damaged = tmp_path / "data.h5"
    damaged.write_bytes(left)
    sink = Hdf5Sink(damaged)
    assert sink.go_on(HEADER, 1) == 0
    for number in range(3):
        sink.row(row(number))
    sink.flush()
    sink.end(RunStatus.SUCCESS, "")
    assert damaged.read_bytes() == left
    assert sink.file != damaged
    with h5py.File(sink.file) as file:
        assert len(file["entry/rows/point"]) == 3
