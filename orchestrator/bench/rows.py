"""The table: what is measured, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.bench import rows_accounts, rows_data, rows_flow, rows_scale, rows_steps
from orchestrator.bench.figures import Figure
from orchestrator.bench.rig import Rig
from orchestrator.errors import InputError
from orchestrator.language.names import suggestion


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    name: str
    title: str
    measure: Callable[[Rig], Iterator[Figure]]


ROWS: Sequence[Row] = (
    Row("set", "set step with put-callback, C IOC", rows_steps.set_steps),
    Row("scan", "scan point: readback, 4 channels fresh", rows_steps.scan_points),
    Row("fan", "100 channels at once", rows_steps.fan_out),
    Row("reaction", "IOC post to another client, by a mirror", rows_flow.reactions),
    Row("thousand", "1000 channels at 10 Hz, mirrored, buffered", rows_flow.thousand_channels),
    Row("flood", "one channel flat out", rows_flow.flood),
    Row("connect", "10,000 channels: start, memory", rows_scale.many_channels),
    Row("waveform", "1e6 doubles at 20 Hz, mirrored", rows_flow.waveforms),
    Row("million", "a run of 1,000,000 trivial steps", rows_steps.million_steps),
    Row("python", "set in a Python sequence, in memory", rows_steps.python_steps),
    Row("journal", "set with a journal, in memory", rows_steps.journal_steps),
    Row("data", "rows and images into HDF5", rows_data.data_files),
    Row("buffer", "circular buffer of 1e6", rows_scale.circular_buffer),
    Row("start", "service with 100 channels; --help", rows_scale.start_up),
    Row("accounts", "1,000,000 updates, told of all the way", rows_accounts.accounts),
    Row("subscribers", "1 to 100 subscribers to a mirror", rows_flow.subscribers),
)


def choose(names: Sequence[str]) -> Sequence[Row]:
    """The rows of these names; all if none is given.

    Raises:
        InputError: There is no such row.
    """
    known = {row.name: row for row in ROWS}
    for name in names:
        if name not in known:
            raise InputError(f"no row {name!r}{suggestion(name, known, kind='rows')}")
    return [known[name] for name in names] if names else ROWS
