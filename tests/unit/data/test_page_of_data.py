"""The page on reading the data: what it tells to type works on a file of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.data import RunStore
from orchestrator.types import Metadata, NativeType, Place, Reading, RunHeader, RunStatus

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "read-the-data.md"
PROGRAMS = [
    code
    for before, code in re.findall(r"([^\n]*)\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    if "not run" not in before
]
KNOWN = {"stage.x": Metadata(NativeType.DOUBLE, units="mm"), "det.counts": None}


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
async def test_what_it_tells_to_type_works(tmp_path: Path, number: int) -> None:
    header = RunHeader("1", "scan", channels=KNOWN, axes=("stage.x",))
    recorder = RunStore(tmp_path).open(header)
    for point in range(5):
        values = {"stage.x": point / 2, "det.counts": point**2}
        recorder.row(Place(), {n: Reading(n, v, 1.5) for n, v in values.items()})
    assert await recorder.close(RunStatus.SUCCESS) == ""
    (tmp_path / "program.py").write_text(
        ("import h5py\n" if number == 1 else "") + PROGRAMS[number]
    )
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs here
        [sys.executable, "-W", "ignore", str(tmp_path / "program.py")],
        cwd=tmp_path / "runs" / "1",
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert ["scan Success mm", "5\n", "stage.x", "stage.x", "det_counts ['stage_x']"][number] in (
        done.stdout
    )
