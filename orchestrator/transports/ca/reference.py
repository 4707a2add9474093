"""What PVs there are: for `--list-pvs` and for the reference page."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.api import EVENTS, Api
from orchestrator.config import Config
from orchestrator.queues import request_queue
from orchestrator.transports.ca.requests import Requests
from orchestrator.transports.ca.table import PVTable
from orchestrator.types import Field, fields


class ReferenceRow(NamedTuple):
    """One PV of the reference page."""

    name: str
    """Without the prefix; `{ioc}`, `{channel}` and `{lane}` stand for any."""
    type: str
    """As clients see it: `double`, `enum (Idle, …)`, `long string (4096)` …"""
    units: str
    doc: str


def pv_names(config: Config) -> list[str]:
    """The PVs that are served from the start; mirrors come when their channels connect."""
    samples = [fields.DATA.pv(alias, lane) for lane in config.lanes for alias in config.channels]
    return [*_table(config).pvdb, *(f"{config.prefix}{name}" for name in samples)]


def reference() -> list[ReferenceRow]:
    """Every PV of the service, in the order of its declaration."""
    of_the_process = [
        ReferenceRow(name, pv.data_type.name.lower(), getattr(pv, "units", ""), pv.__doc__ or "")
        for name, pv in _table(Config(prefix="")).pvdb.items()
        if name.startswith("STATS:")
    ]
    lanes_only = set(fields.OF_LANE) - set(fields.OF_SERVICE)
    names = {f: f"{{lane}}:{f.name}" if f in lanes_only else f.name for f in fields.ALL}
    ours = [ReferenceRow(names[f], type_text(f), f.metadata.units, f.meaning) for f in fields.ALL]
    return [*ours, *of_the_process]


def _table(config: Config) -> PVTable:
    api = Api(request_queue())
    return PVTable(config, Requests(api, api.subscribe(EVENTS)))


def type_text(field: Field) -> str:
    """The type of a field's PV as clients see it."""
    known = field.metadata
    if field in (fields.MON, fields.OWN):
        return "as the channel" if field == fields.MON else "as configured"
    if known.text:
        return f"long string ({known.count})"
    if known.labels:
        return f"enum ({', '.join(known.labels)})"
    kind = known.native.name.lower()
    return kind if known.count == 1 else f"{kind} waveform ({known.count or '`buffer`'})"
