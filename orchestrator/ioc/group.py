"""A PVGroup of which each PV has an alarm of its own."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from caproto import ChannelAlarm
from caproto.server import PVGroup

if TYPE_CHECKING:
    from orchestrator.ioc.serve import IocServer


class _Alarms(defaultdict[Any, Any]):
    """Alarms by group name; a new one each time for PVs that name none."""

    def __getitem__(self, name: Any) -> Any:
        return ChannelAlarm() if name is None else super().__getitem__(name)


class Group(PVGroup):  # type: ignore[misc] # caproto is untyped
    """caproto's PVGroup, but a PV without `alarm_group` shares its alarm with no other.

    In caproto all of them share one: a refused put to one PV puts every PV of the group in alarm.
    """

    server: IocServer | None = None
    """What serves it, once `run_ioc` does; for a group that changes its own PVs."""

    def _create_pvdb(self) -> None:
        self.alarms = _Alarms(ChannelAlarm)
        super()._create_pvdb()
