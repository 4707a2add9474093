"""What PVs there are: for `--list-pvs` and for the reference page, from the code that serves."""

from __future__ import annotations

from typing import Any, NamedTuple

from orchestrator.api import EVENTS, Api
from orchestrator.config import ChainConfig, ChannelConfig, Config
from orchestrator.queues import request_queue
from orchestrator.server.chained import MIRROR_DOC, mirror_name
from orchestrator.server.requests import Requests
from orchestrator.server.table import PVTable


class ReferenceRow(NamedTuple):
    """One PV of the reference page."""

    name: str
    """Without the prefix; `{ioc}` and `{channel}` stand for any."""
    type: str
    """As clients see it: `double`, `enum (Idle, …)`, `long string (4096)` …"""
    units: str
    doc: str


def pv_names(config: Config) -> list[str]:
    """The PVs that are served from the start; mirrors come when their channels connect."""
    return list(_table(config).pvdb)


def reference() -> list[ReferenceRow]:
    """Every PV of the service, in the order of its declaration."""
    channel = ChannelConfig("{ioc}.{channel}", "", buffer=1)
    chain = {"{ioc}": ChainConfig("{ioc}", "", channels={channel.name: channel})}
    table = _table(Config(prefix="", chain=chain))
    rows = [
        ReferenceRow(name, _type(pv), getattr(pv, "units", ""), pv.__doc__ or "")
        for name, pv in ((name, table.pvdb[name]) for name in table.pvdb)
    ]
    mirror = ReferenceRow(mirror_name("", channel.name), "as the channel", "", MIRROR_DOC)
    first_of_channel = next(i for i, row in enumerate(rows) if row.name.startswith("MON:"))
    return [*rows[:first_of_channel], mirror, *rows[first_of_channel:]]


def _table(config: Config) -> PVTable:
    api = Api(request_queue())
    return PVTable(config, Requests(api, api.subscribe(EVENTS)))


def _type(pv: Any) -> str:
    kind = pv.data_type.name.lower()
    if kind == "char":
        return f"long string ({pv.max_length})"
    if kind == "enum":
        return f"enum ({', '.join(pv.enum_strings)})"
    return f"{kind} waveform ({pv.max_length})" if pv.max_length > 1 else str(kind)
