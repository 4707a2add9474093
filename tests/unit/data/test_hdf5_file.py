"""Data files in HDF5: what stands in them, while they grow, when their process is killed."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from nexusformat import nexus

from orchestrator.data import DataForm, RunStore
from orchestrator.data.hdf5 import Hdf5Sink, mend
from orchestrator.data.sinks import Baseline, Row
from orchestrator.types import (
    Limits,
    Metadata,
    NativeType,
    Place,
    Reading,
    RunHeader,
    RunStatus,
    Severity,
    SourceText,
)

HDF5 = DataForm(("hdf5",))
KNOWN = {
    "stage.x": Metadata(NativeType.DOUBLE, units="mm", precision=3, display=Limits(-10, 10)),
    "det.counts": Metadata(NativeType.LONG),
    "io.gate": Metadata(NativeType.ENUM, labels=("Closed", "Open")),
    "io.text": Metadata(NativeType.STRING),
    "det.image": Metadata(NativeType.SHORT, count=6),
}
HEADER = RunHeader(
    "20261130T160423.423Z-k3",
    "scan",
    owner="operator@console",
    how="run",
    started=datetime(2026, 11, 30, 17, 4, 23, tzinfo=timezone(timedelta(hours=1))),
    sources=(
        SourceText("scan", "steps: []", "scan.yaml"),
        SourceText("f", "x = 1", "", "mod", "f"),
    ),
    arguments={
        "start": -1.5,
        "points": 3,
        "label": "α",
        "fast": True,
        "list": [1, "a"],
        "none": None,
    },
    versions={"orchestrator": "1.2.3"},
    channels=KNOWN,
    axes=("stage.x",),
)
VALUES: Mapping[str, Any] = {
    "stage.x": 0.5,
    "det.counts": 7,
    "io.gate": 1,
    "io.text": "grün",
    "det.image": np.arange(6, dtype=np.int16),
}


def taken(**values: Any) -> dict[str, Reading | None]:
    given = {name.replace("_", ".", 1): value for name, value in values.items()}
    return {
        name: None if value is None else Reading(name, value, 1.25, Severity.MINOR)
        for name, value in given.items()
    }


NOWHERE = Place()


def row(point: int, readings: Mapping[str, Reading | None], at: Place = NOWHERE) -> Row:
    return Row(point, at, readings, 1_000_000_000 + point)


def sink(path: Path, header: RunHeader = HEADER) -> Hdf5Sink:
    own = Hdf5Sink(path)
    own.open(header)
    return own


ALL = taken(**{name.replace(".", "_", 1): value for name, value in VALUES.items()})


def test_all_that_is_known_of_a_run_stands_in_its_file(tmp_path: Path) -> None:
    own = sink(tmp_path / "data.h5")
    own.row(row(0, ALL))
    own.flush()
    own.end(RunStatus.FAILED, "stage.x did not arrive")
    with h5py.File(own.file) as file:
        entry = file["entry"]
        text = entry["title"].asstr()
        assert (file.attrs["NX_class"], entry.attrs["NX_class"]) == ("NXroot", "NXentry")
        assert text[()] == "scan"
        assert entry["start_time"].asstr()[()] == "2026-11-30T17:04:23.000+01:00"
        assert entry["entry_identifier"].asstr()[()] == HEADER.run_id
        assert entry["user/name"].asstr()[()] == "operator@console"
        assert entry["document/data"].asstr()[()] == "steps: []"
        assert entry["document_2/type"].asstr()[()] == "text/x-python"
        arguments = entry["arguments"]
        assert (arguments["start"][()], arguments["points"][()]) == (-1.5, 3)
        assert (arguments["label"].asstr()[()], bool(arguments["fast"][()])) == ("α", True)
        assert arguments["list"].asstr()[()] == '[1, "a"]'
        assert entry["run/status"].asstr()[()] == "Failed"
        assert entry["run/message"].asstr()[()] == "stage.x did not arrive"
        assert entry["program_name"].attrs["version"] == "1.2.3"


def test_a_row_has_values_times_and_severities_and_where_it_was_taken(tmp_path: Path) -> None:
    own = sink(tmp_path / "data.h5")
    at = Place(("steps", 3, "do", 0), (7, 2), (1,))
    precise = Reading("stage.x", 0.5, 1_795_000_000.1234567, nanoseconds=123_456_789)
    own.row(row(0, {**ALL, "stage.x": precise}, at))
    own.flush()
    own.end(RunStatus.SUCCESS, "")
    with h5py.File(own.file) as file:
        channels = file["entry/channels"]
        assert channels["stage_x/value"][:] == [0.5]
        assert channels["stage_x/time"][:] == [1_795_000_000_123_456_789]
        assert channels["det_counts/value"][:] == [7]
        assert channels["det_counts/severity"][:] == [Severity.MINOR]
        assert channels["io_gate/value"][:] == [1]
        assert list(channels["io_gate/value"].attrs["labels"]) == ["Closed", "Open"]
        assert channels["io_text/value"].asstr()[0] == "grün"
        assert channels["det_image/value"].dtype == np.int16
        np.testing.assert_array_equal(channels["det_image/value"], [np.arange(6)])
        assert channels["det_image/value"].compression == "gzip"
        value = channels["stage_x/value"].attrs
        assert (value["units"], value["precision"], *value["display_limits"]) == ("mm", 3, -10, 10)
        assert channels["stage_x"].attrs["channel"] == value["long_name"] == "stage.x"
        rows = file["entry/rows"]
        assert rows["step"].asstr()[0] == "steps[3].do[0]"
        assert rows["loop"][0].tolist()[:3] == [7, 2, -1]
        assert rows["try"][0].tolist()[:2] == [1, -1]
        assert (rows["time"][0], rows["superseded"][0], rows["point"][0]) == (1_000_000_000, 0, 0)


def test_what_a_row_does_not_have_is_told_apart_from_what_did_not_answer(tmp_path: Path) -> None:
    own = sink(tmp_path / "data.h5")
    own.row(row(0, ALL))
    own.row(row(1, {"stage.x": None}))
    own.row(row(2, taken(stage_x=1.5)))
    own.flush()
    own.end(RunStatus.SUCCESS, "")
    with h5py.File(own.file) as file:
        channels = file["entry/channels"]
        np.testing.assert_array_equal(channels["stage_x/value"], [0.5, np.nan, 1.5])
        assert channels["stage_x/severity"][:].tolist() == [1, 3, 1]
        assert channels["det_counts/severity"][:].tolist() == [1, -1, -1]
        assert channels["io_gate/value"][:].tolist() == [1, -1, -1]
        assert channels["io_text/value"].asstr()[:].tolist() == ["grün", "", ""]
        assert channels["det_image/length"][:].tolist() == [6, 0, 0]


@pytest.mark.parametrize(
    "values",
    [
        [1.5, -2.0],
        [1, 2**62],
        [1, 2.5],
        [2.5, 1],
        ["a", "b" * 39, "ü" * 500, ""],
        [np.arange(3.0), np.arange(9.0), np.arange(1.0)],
        [np.array([], np.int32), np.arange(5, dtype=np.int32)],
        [np.zeros((2, 3), np.uint8), np.ones((2, 3), np.uint8)],
        [("a", "b"), ("c",)],
        [1.5, "text", np.arange(3)],
        [np.random.default_rng(1).normal(size=400_000)],
    ],
)
def test_any_values_are_read_as_they_were_taken_whatever_they_become(
    tmp_path: Path, values: list[Any]
) -> None:
    own = sink(tmp_path / "data.h5", RunHeader("1", "scan"))
    for number, value in enumerate(values):
        own.row(row(number, {"a": Reading("a", value, 1.0), "b": Reading("b", number, 1.0)}))
        own.flush()
    own.end(RunStatus.SUCCESS, "")
    with h5py.File(own.file) as file:
        groups = [g for g in file["entry/channels"].values() if g.attrs["channel"] == "a"]
        for number, value in enumerate(values):
            (found,) = [g for g in groups if g["severity"][number] == 0]
            np.testing.assert_array_equal(_read(found, number), value)
        assert file["entry/channels/b/value"][:].tolist() == list(range(len(values)))


def _read(group: Any, number: int) -> Any:
    value = group["value"][number]
    if group.attrs["kind"] == "text":
        return value.decode()
    if group.attrs["kind"] == "texts":
        return tuple(text.decode() for text in value[: group["length"][number]])
    if value.ndim == 1:
        return value[: group["length"][number]]
    return value


def test_a_channel_that_comes_later_has_room_and_the_rows_before_stay(tmp_path: Path) -> None:
    own = sink(tmp_path / "data.h5", RunHeader("1", "plan"))
    for number in range(3):
        own.row(row(number, {f"c{number}": Reading(f"c{number}", float(number), 1.0)}))
    deep = Place(tuple(["do", 1] * 60), tuple(range(9)))
    own.row(row(3, {"c0": Reading("c0", 9.0, 1.0)}, deep))
    own.flush()
    own.end(RunStatus.SUCCESS, "")
    with h5py.File(own.file) as file:
        np.testing.assert_array_equal(file["entry/channels/c1/value"], [np.nan, 1, np.nan, np.nan])
        assert file["entry/rows/loop"][3].tolist() == list(range(9))
        assert file["entry/rows/step"].asstr()[3] == "do[1]." * 59 + "do[1]"
        assert set(file["entry/data"]) == {"c0", "c1", "c2", "point"}
    assert [file.name for file in tmp_path.iterdir()] == ["data.h5"]


def test_readers_follow_a_file_that_grows_from_its_first_row_on(tmp_path: Path) -> None:
    own = sink(tmp_path / "data.h5")
    own.row(row(0, ALL))
    own.flush()
    with h5py.File(own.file, libver="latest", swmr=True) as file:
        x, image = file["entry/data/stage_x"], file["entry/channels/det_image/value"]
        assert x[:].tolist() == [0.5]
        assert file["entry/run/status"].asstr()[()] == "Running"
        for number in range(1, 4):
            own.row(row(number, ALL))
            own.flush()
            x.refresh()
            image.refresh()
            assert len(x) == len(image) == own.rows == number + 1
    own.end(RunStatus.SUCCESS, "")


def test_it_plots_what_was_sampled_over_what_was_moved(tmp_path: Path) -> None:
    own = sink(tmp_path / "data.h5")
    for number in range(3):
        own.row(
            row(number, taken(stage_x=0.5 * number, det_counts=number**2, det_image=np.arange(6)))
        )
    own.flush()
    own.end(RunStatus.SUCCESS, "")
    shown = nexus.nxload(str(own.file)).plottable_data
    assert shown.nxsignal.nxname == "det_counts"
    assert shown.nxsignal.nxdata.tolist() == [0, 1, 4]
    assert [axis.nxname for axis in shown.nxaxes] == ["stage_x"]
    assert shown.nxaxes[0].nxdata.tolist() == [0.0, 0.5, 1.0]
    images = nexus.nxload(str(own.file)).entry["det_image_rows"]
    assert images.nxsignal.shape == (3, 6)
    assert images.nxaxes[0].nxdata.tolist() == [0.0, 0.5, 1.0]


def checked(file: Path) -> str:
    """What the program `nxcheck` says of a file."""
    check = "import sys; from nexusformat.scripts.nxcheck import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", check, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("axes", [("stage.x",), ()])
@pytest.mark.parametrize("readings", [ALL, taken(io_text="only text"), taken(stage_x=1.0)])
def test_it_is_valid_for_the_definitions_of_nexus(
    tmp_path: Path, readings: Mapping[str, Reading], axes: tuple[str, ...]
) -> None:
    own = sink(
        tmp_path / "data.h5", RunHeader("1", "scan", owner="a@b", axes=axes, arguments={"A:B": 1})
    )
    own.row(row(0, readings))
    own.row(row(1, {**readings, "A:B.C-d": Reading("A:B.C-d", 1.0, 1.0)}))
    own.flush()
    own.end(RunStatus.SUCCESS, "")
    said = checked(own.file)
    assert "Total number of warnings: 0" in said, said
    assert "Total number of errors: 0" in said, said


WRITES = """
import sys
from pathlib import Path
import numpy as np
from orchestrator.data.hdf5 import Hdf5Sink
from orchestrator.data.sinks import Baseline, Row
from orchestrator.types import Place, Reading, RunHeader

sink = Hdf5Sink(Path(sys.argv[1]))
sink.open(RunHeader("1", "scan"))
late = int(sys.argv[2])
for n in range(10**9):
    values = {"a": float(n), "b": f"row {n}", "c": np.full(2000, n)}
    if n >= late:
        values |= {f"late{k}": n for k in range((n - late) // 10 % 5 + 1)}
    sink.row(Row(n, Place(), {name: Reading(name, value, 1.0) for name, value in values.items()}))
    if n % 3 == 0:
        sink.flush()
        print(sink.rows, flush=True)
"""


@pytest.mark.parametrize("seed", range(8))
def test_the_file_of_a_process_that_was_killed_opens_with_all_that_was_flushed(
    tmp_path: Path, seed: int
) -> None:
    """At some moment, such in which the file is replaced among them."""
    path, rows = tmp_path / "data.h5", int(np.random.default_rng(seed).integers(1, 150))
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(path), str(rows - 20)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    told = next(count for line in writer.stdout if (count := int(line)) >= rows)
    os.kill(writer.pid, signal.SIGKILL)
    told = max([told, *(int(line) for line in writer.stdout.read().splitlines()[:-1])])
    writer.wait()
    writer.stdout.close()
    with h5py.File(path, libver="latest", swmr=True) as file:
        assert len(file["entry/rows/point"]) >= told, "readers have it as it is"
    found = mend(path)
    assert found >= told
    with h5py.File(path) as file:
        for dataset in file["entry/rows"].values():
            assert len(dataset) == found
        for group in file["entry/channels"].values():
            assert {len(own) for own in group.values()} == {found}
        assert file["entry/channels/a/value"][:].tolist() == list(range(found))
        assert (file["entry/channels/c/value"][:, -1] == np.arange(found)).all()
        assert file["entry/run/status"].asstr()[()] == "Interrupted"


FIRST_ROW = """
import os, signal, sys, time
from pathlib import Path
from orchestrator.data.hdf5 import Hdf5Sink
from orchestrator.data.sinks import Row
from orchestrator.types import Place, Reading, RunHeader

def write(folder, rows):
    sink = Hdf5Sink(folder / "data.h5")
    sink.open(RunHeader("1", "scan"))
    for n in range(rows):
        sink.row(Row(n, Place(), {f"c{k}": Reading(f"c{k}", n + 0.5, 1.0) for k in range(40)}))
        sink.flush()
    return sink

began = time.monotonic()
sink = write(Path(sys.argv[1]) / "first", 1)
takes = time.monotonic() - began
for number in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        signal.alarm(60)  # not for ever, should nobody be left to kill it
        write(Path(sys.argv[1]) / str(number), 10**9)
    time.sleep(number * 2 * takes / int(sys.argv[2]))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_a_file_has_its_name_only_when_any_program_can_open_it(tmp_path: Path) -> None:
    """Killed at all moments around its first row."""
    subprocess.run([sys.executable, "-c", FIRST_ROW, str(tmp_path), "12"], check=True, timeout=120)
    files = sorted(tmp_path.rglob("*.h5"))
    assert files
    assert len(files) < 60, "none was killed before its first row"
    for path in files:
        with h5py.File(path, libver="latest", swmr=True) as file:
            assert len(file["entry/channels"]) == 40
        rows = mend(path)
        with h5py.File(path) as file:
            assert {len(own["value"]) for own in file["entry/channels"].values()} == {rows}


def test_a_run_goes_on_in_the_file_of_a_process_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITES, str(path), "1000000"], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    next(line for line in writer.stdout if int(line) >= 10)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    own = Hdf5Sink(path)
    rows = own.go_on(RunHeader("1", "scan"), 5)
    assert own.rows == rows >= 10
    own.row(row(rows, {"a": Reading("a", -1.0, 1.0), "new": Reading("new", 2.0, 1.0)}))
    own.flush()
    own.end(RunStatus.SUCCESS, "")
    with h5py.File(path) as file:
        superseded = file["entry/rows/superseded"][:].tolist()
        assert superseded == [0] * 5 + [1] * (rows - 5) + [0]
        assert file["entry/channels/a/value"][:].tolist() == [*range(rows), -1.0]
        assert file["entry/channels/new/severity"][:].tolist() == [-1] * rows + [0]
        assert file["entry/run/status"].asstr()[()] == "Success"


def test_what_is_no_file_of_ours_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    path.write_bytes(b"precious" * 10)
    with pytest.raises(OSError, match="no HDF5 file of ours"):
        mend(path)
    assert path.read_bytes() == b"precious" * 10


FULL = """
import asyncio, resource, sys
from pathlib import Path
from orchestrator.data import DataForm, RunStore
from orchestrator.types import Place, Reading, RunHeader, RunStatus

async def main():
    resource.setrlimit(resource.RLIMIT_FSIZE, (6_000_000, resource.RLIM_INFINITY))
    recorder = RunStore(Path(sys.argv[1]), form=DataForm(("hdf5",))).open(RunHeader("1", "scan"))
    for number in range(10_000):
        recorder.row(Place(), {"a": Reading("a", "x" * 997, 1.5, 0, 0)})
    print(await recorder.close(RunStatus.SUCCESS))

asyncio.run(main())
"""


def test_a_disk_that_is_full_is_told_and_what_was_written_can_be_read(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    path = tmp_path / "runs/1/data.h5"
    with h5py.File(path) as file:
        rows = len(file["entry/rows/point"])
        assert rows >= 20
        assert file["entry/run/status"].asstr()[()] == "Incomplete"
        assert file["entry/channels/a/value"].asstr()[rows - 1] == "x" * 997
    told = done.stdout.splitlines()[-1]
    assert " of 10000 rows are not in " in told
    assert told.endswith(": File too large")


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def replaced_by_a_copy(file: Path) -> None:
    copy = file.with_name("copy")
    shutil.copy(file, copy)
    copy.replace(file)


@pytest.mark.parametrize("spoil", [emptied, replaced_by_a_copy, Path.unlink])
@pytest.mark.parametrize("later", [(), ("a",), ("a", "b")])
async def test_a_file_that_somebody_else_changes_in_the_run_is_told(
    tmp_path: Path, spoil: Any, later: tuple[str, ...]
) -> None:
    told: list[str] = []
    recorder = RunStore(tmp_path, told.append, HDF5).open(RunHeader("1", "scan"))
    recorder.row(Place(), {"a": Reading("a", 1.0, 1.5)})
    while recorder._written < 1:  # noqa: ASYNC110 - a thread writes it
        await asyncio.sleep(0.001)
    spoil(tmp_path / "runs/1/data.h5")
    if later:
        recorder.row(Place(), {name: Reading(name, 2.0, 1.5) for name in later})
    why = await recorder.close(RunStatus.SUCCESS)
    assert "rows are" in why
    assert "in the run" in why
    assert len(told) == 1
    assert recorder.file == ""


async def test_both_forms_have_all_rows_and_the_first_is_told_with_its_first_row(
    tmp_path: Path,
) -> None:
    made: list[tuple[str, str]] = []
    store = RunStore(tmp_path, made=lambda *what: made.append(what))
    recorder = store.open(HEADER)
    recorder.row(Place(), ALL)
    path = tmp_path / "runs" / HEADER.run_id / "data.h5"
    while not made:  # noqa: ASYNC110 - a thread tells it
        await asyncio.sleep(0.001)
    assert made == [(HEADER.run_id, str(path))]
    recorder.row(Place(), ALL)
    assert await recorder.close(RunStatus.SUCCESS) == ""
    assert recorder.file == str(path)
    assert len(path.with_suffix(".csv").read_text().splitlines()) == 3
    with h5py.File(path) as file:
        assert len(file["entry/rows/point"]) == 2


def test_baseline_and_recorded_updates_stand_beside_the_rows(tmp_path: Path) -> None:
    known = {"stage.x": KNOWN["stage.x"], "io.gate": KNOWN["io.gate"]}
    header = RunHeader("1", "scan", channels=KNOWN, baseline=known, recorded=known)
    own, before = sink(tmp_path / "data.h5", header), taken(stage_x=1.5, io_gate=1)
    own.baseline(Baseline("start", before, 5))
    own.row(row(0, ALL))
    for number in range(3):
        own.update(Reading("stage.x", number / 2, float(number)))
    own.update(Reading("io.gate", 1, 7.0))
    own.update(Reading("late", "text", 8.0))
    own.flush()
    with h5py.File(own.file, libver="latest", swmr=True) as file:
        assert file["entry/monitors/stage_x/value"][:].tolist() == [0.0, 0.5, 1.0]
    own.row(row(1, ALL))
    own.baseline(Baseline("end", {**before, "io.gate": None}, 6))
    own.flush()
    own.end(RunStatus.SUCCESS, "")
    with h5py.File(own.file) as file:
        entry = file["entry"]
        assert entry["baseline/when"].asstr()[:].tolist() == ["start", "end"]
        assert entry["baseline/stage_x/value"][:].tolist() == [1.5, 1.5]
        assert entry["baseline/io_gate/severity"][:].tolist() == [1, 3]
        assert entry["monitors/stage_x/time"][:].tolist() == [0, 10**9, 2 * 10**9]
        assert entry["monitors/io_gate/value"][:].tolist() == [1]
        assert entry["monitors/late/value"].asstr()[:].tolist() == ["text"]
        assert entry["channels/stage_x/value"][:].tolist() == [0.5, 0.5]
        assert len(entry["rows/point"]) == 2
    said = checked(own.file)
    assert "Total number of warnings: 0" in said, said
    assert "Total number of errors: 0" in said, said
    shown = nexus.nxload(str(own.file)).entry.monitors["stage_x"]
    assert shown.nxaxes[0].nxdata.tolist() == [0, 10**9, 2 * 10**9]


async def test_csv_keeps_them_in_files_of_their_own(tmp_path: Path) -> None:
    recorder = RunStore(tmp_path, form=DataForm(("csv",))).open(RunHeader("1", "scan"))
    recorder.baseline("start", {"a": Reading("a", 1.5, 1.0), "b": None})
    for number in range(2):
        recorder.update(Reading("a", number, float(number)))
        recorder.row(Place(), {f"late{number}": Reading(f"late{number}", 1.0, 1.0)})
    assert await recorder.close(RunStatus.SUCCESS) == ""
    files = {file.name: file.read_text() for file in (tmp_path / "runs/1").iterdir()}
    assert files["data-baseline.csv"].splitlines() == [
        "when,channel,value,timestamp,severity",
        "start,a,1.5,1.000000000,0",
        "start,b,,,",
    ]
    assert files["data-recorded.csv"].splitlines() == [
        "channel,value,timestamp,severity",
        "a,0,0.000000000,0",
        "a,1,1.000000000,0",
    ]


def test_nothing_of_hdf5_is_imported_before_there_is_a_row() -> None:
    check = "import sys, orchestrator.data, orchestrator.service; sys.exit('h5py' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)
