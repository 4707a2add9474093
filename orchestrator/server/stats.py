"""iocStats-like health PVs, by caproto's own helper."""

from __future__ import annotations

from typing import Any

from caproto.server import PVGroup, stats

from orchestrator.ioc import Group, ReadOnly


class Stats(Group, stats.BasicStatusHelper, stats.PeriodicStatusHelper):  # type: ignore[misc]
    """caproto's StatusHelper, read-only, and without the PV by which a client can end us."""

    def __init__(self, prefix: str, root: Any) -> None:
        """`root` has all PVs of the IOC in its `pvdb`; they are counted."""
        # PVGroup's alone: PeriodicStatusHelper's warns on the terminal where psutil is missing.
        PVGroup.__init__(self, prefix, name="stats")
        self._root_pvgroup = root
        self._process: Any = stats.psutil and stats.psutil.Process()
        for pv in self.pvdb.values():
            pv.check_access = ReadOnly().check_access


del Stats._pvs_["sysreset"]
