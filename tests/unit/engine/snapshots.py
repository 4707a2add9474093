"""What the PVs of a run show, beside the snapshot that its events reduce to."""

from __future__ import annotations

from typing import Any

import numpy as np

from orchestrator.device import Device
from orchestrator.device.publisher import SHOWN, shown
from orchestrator.types import RunSnapshot, Update, reduce
from tests.unit.engine.bench import Bench

AT_ROWS = ("values", "data_npts")
"""Fields that stay what they are until there is a row."""


def check_snapshots(it: Bench) -> None:
    """After each event of a bench's runs, what is posted so far is what the snapshot says."""
    device, run = Device(it.config), RunSnapshot()
    pvs: dict[tuple[str, str], Any] = {}
    for event in it.events:
        for update in device.examine(event):  # type: ignore[arg-type]  # the engine tells no others
            if isinstance(update, Update):
                pvs[update.field, update.key] = plain(update)
        run = reduce(run, event)  # type: ignore[arg-type]
        for field in SHOWN:
            if run.points or field not in AT_ROWS:
                showing = pvs.get((field, ""), plain(shown(field, RunSnapshot())))
                assert showing == plain(shown(field, run)), (field, event)
        for name, column in run.columns.items():
            assert (name not in it.config.channels) or same(pvs["data", name][0], column)
    _check_the_end(it, pvs)


def _check_the_end(it: Bench, pvs: dict[tuple[str, str], Any]) -> None:
    """Who was there while it ran has seen the same."""
    for field in SHOWN:
        live = [u for u in it.published if isinstance(u, Update) and u.field == field]
        if live and field != "message":  # of which not all come from runs
            assert plain(live[-1]) == pvs[field, ""], field


def plain(update: Update) -> tuple[str, int, int]:
    """Value and alarm, to be compared: NaN is NaN."""
    value = update.value.tolist() if isinstance(update.value, np.ndarray) else update.value
    return repr(value), int(update.severity), int(update.status)


def same(shown_column: str, column: Any) -> bool:
    return shown_column == repr(np.asarray(column).tolist())
