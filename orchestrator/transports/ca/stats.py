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


def _without_fields(prop: Any) -> Any:
    """The same PV, but no record: fields of thirty are 2000 PVs, a tenth of a service's start."""
    plain = object.__new__(type(prop))  # copy.copy asks it for names that it has not yet
    vars(plain).update(vars(prop))
    plain.pvspec = prop.pvspec._replace(record=None)
    return plain


del Stats._pvs_["sysreset"]
for _name, _prop in Stats._pvs_.items():
    Stats._pvs_[_name] = _without_fields(_prop)
