"""Rows on their way into a file of HDF5: by the thread of a run, and by bare h5py.

Settings: `store`, a folder.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from orchestrator import loops
from orchestrator.bench.figures import percentile
from orchestrator.bench.programs.answering import answer_all, settings
from orchestrator.data import DataForm, RunStore
from orchestrator.types import Place, Reading, RunHeader, RunStatus

_CHANNELS = 10
_SIDE = 1024
"""Of an image of 16 bits: 2 MB."""
_AT_ONCE = 50
"""Rows that bare h5py writes at a time."""
_BEAT = 0.002
"""s between two looks at how late the loop is."""

_numbers = itertools.count()


class Rows:
    """What the benchmark asks of them."""

    def __init__(self, store: str) -> None:
        """Images are counts: noise that can be compressed, but not to nothing."""
        self._store = Path(store)
        draw = np.random.default_rng(1).poisson
        self._images = [draw(30, _SIDE * _SIDE).astype(np.uint16) for _ in range(4)]

    async def ours(self, kind: str, count: int) -> dict[str, Any]:
        """So many rows by a run; how long until they are there, and how late the loop was."""
        late: list[float] = []
        looking = asyncio.create_task(_look(late), name="look at the loop")
        header = RunHeader(f"{next(_numbers)}", "bench")
        recorder = RunStore(self._store, print, DataForm(("hdf5",))).open(header)
        began = time.perf_counter()
        for number in range(count):
            if recorder.full:
                await recorder.room()
            elif number % 20 == 0:
                await asyncio.sleep(0)  # as a step that samples
            recorder.row(Place(("steps", 0), (number,)), self._row(kind, number))
        fault = await recorder.close(RunStatus.SUCCESS)
        seconds = time.perf_counter() - began
        looking.cancel()
        await asyncio.to_thread(os.unlink, recorder.file)
        if fault:
            raise RuntimeError(fault)
        return {"seconds": seconds, "late": percentile(late, 99)}

    def _row(self, kind: str, number: int) -> Mapping[str, Reading]:
        if kind == "images":
            return {"image": Reading("image", self._images[number % 4], 1e9 + number)}
        values = ((f"c{k}", number * 0.5 + k) for k in range(_CHANNELS))
        return {name: Reading(name, value, 1e9 + number) for name, value in values}

    async def bare(self, kind: str, count: int) -> dict[str, Any]:
        """The same by h5py alone, followed by readers just so."""
        path = self._store / "bare.h5"
        began = time.perf_counter()
        with h5py.File(path, "w", libver="latest") as file:
            if kind == "images":
                self._bare_images(file, count)
            else:
                _bare_numbers(file, count)
        seconds = time.perf_counter() - began
        path.unlink()
        return {"seconds": seconds}

    def _bare_images(self, file: Any, count: int) -> None:
        size = _SIDE * _SIDE
        images = file.create_dataset(
            "image",
            (0, size),
            maxshape=(None, size),
            chunks=(1, size // 2),
            dtype="u2",
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        file.swmr_mode = True
        for number in range(count):
            images.resize(number + 1, 0)
            images[number] = self._images[number % 4]
            file.flush()


def _bare_numbers(file: Any, count: int) -> None:
    """Value, time and severity of each channel."""
    kinds = {"value": "f8", "time": "i8", "severity": "i1"}
    made = [
        file.create_dataset(f"c{k}/{name}", (0,), maxshape=(None,), chunks=(512,), dtype=kind)
        for k in range(_CHANNELS)
        for name, kind in kinds.items()
    ]
    file.swmr_mode = True
    values = np.arange(float(_AT_ONCE))
    for first in range(0, count, _AT_ONCE):
        for dataset in made:
            dataset.resize(first + _AT_ONCE, 0)
            dataset[first : first + _AT_ONCE] = values
        file.flush()


async def _look(late: list[float]) -> None:
    last = time.perf_counter()
    while True:
        await asyncio.sleep(_BEAT)
        now = time.perf_counter()
        late.append(max(now - last - _BEAT, 0.0))
        last = now


async def main() -> None:
    """Work until the benchmark has no more questions."""
    rows = Rows(settings()["store"])
    await answer_all({"ours": rows.ours, "bare": rows.bare})


if __name__ == "__main__":
    settings()
    loops.run(main())
