"""The row about data files: what a run's rows cost beside bare h5py, and how late the loop is."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from orchestrator.bench.figures import Figure, interleaved, ratio
from orchestrator.bench.measured_process import Worker
from orchestrator.bench.rig import Rig

_KINDS = {"rows": (20_000, 500, "rows of 10 numbers"), "images": (100, 4, "images of 2 MB")}
"""How many, how many with `--quick`, and what they are."""


def data_files(rig: Rig) -> Iterator[Figure]:
    """Rows into HDF5 by the thread of a run, against the same by h5py alone."""
    with ExitStack() as stack:
        store = stack.enter_context(tempfile.TemporaryDirectory(dir=rig.folder))
        program = stack.enter_context(rig.program("data_rows", loop="auto", store=store))
        for kind, (count, few, words) in _KINDS.items():
            yield from _kind(rig, program, kind, rig.some(count, few), words)


def _kind(rig: Rig, program: Worker, kind: str, count: int, words: str) -> Iterator[Figure]:
    late: list[float] = []

    def ours() -> float:
        answer = program.ask("ours", kind=kind, count=count)
        late.append(answer["late"])
        return float(answer["seconds"])

    bare = partial(program.seconds, "bare", kind=kind, count=count)
    ours()
    late.clear()
    taken = interleaved(rig.rounds, {"ours": ours, "bare h5py": bare})
    rates = {name: [count / seconds for seconds in each] for name, each in taken.items()}
    what = f"{words} a second / by bare h5py"
    yield ratio(what, rates, "ours", "bare h5py", unit="/s", at_least=0.8)
    milliseconds = tuple(1e3 * seconds for seconds in late)
    yield Figure(f"how late the loop is meanwhile (p99), {words}", milliseconds, "ms", at_most=20.0)
