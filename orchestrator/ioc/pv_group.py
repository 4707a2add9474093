"""A PVGroup of which each PV has an alarm of its own, and units and labels are UTF-8."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from caproto import MAX_ENUM_STRING_SIZE, MAX_UNITS_SIZE, ChannelAlarm, ChannelChar
from caproto.server import PVGroup

from orchestrator.ioc.pvs.decimal import heed_precision
from orchestrator.ioc.serving.ioc_server import IocServer


class _Alarms(defaultdict[Any, Any]):
    """Alarms by group name; a new one each time for PVs that name none."""

    def __getitem__(self, name: Any) -> Any:
        return ChannelAlarm() if name is None else super().__getitem__(name)


class Group(PVGroup):  # type: ignore[misc] # caproto is untyped
    """caproto's PVGroup, but a PV without `alarm_group` shares its alarm with no other.

    In caproto all of them share one: a refused put to one PV puts every PV of the group in alarm,
    and a write to one may be an update of all (caproto/caproto#803).

    Units, labels and strings are UTF-8, as clients read them, unless `string_encoding` says
    otherwise; caproto's own default is latin-1 (caproto/caproto#120). Arrays of CHAR stay as they
    are: they may hold any bytes. `TextPV` is the one for text.

    A number that is given a `precision` has as many digits where a client reads it as text, as
    that of a record has; caproto gives as many as Python shows.

    >>> from caproto.server import pvproperty
    >>> from orchestrator.ioc import Group, TextPV, TextRO
    >>> class Lamp(Group):
    ...     power = pvproperty(value=1.5, units="W")
    ...     place = pvproperty(dtype=TextPV, value="hutch", max_length=100)
    ...     model = pvproperty(dtype=TextRO, value="L-20")
    >>> list(Lamp(prefix="LAMP:").pvdb)
    ['LAMP:power', 'LAMP:place', 'LAMP:model']
    """

    server: IocServer | None = None
    """What serves it, once `run_ioc` does; for a group that changes its own PVs."""

    def _create_pvdb(self) -> None:
        self.alarms = _Alarms(ChannelAlarm)
        super()._create_pvdb()
        for attr, prop in self._pvs_.items():
            given = prop.pvspec.cls_kwargs or {}
            if "." not in attr and "string_encoding" not in given:
                _take_utf8(self.attr_pvdb[attr])
            if "." not in attr and "precision" in given:
                heed_precision(self.attr_pvdb[attr])


def _take_utf8(channel: Any) -> None:
    texts = [] if isinstance(channel, ChannelChar) or not _fits(channel) else [channel]
    # EGU of a mocked record has the units too; all of its CHAR fields are texts.
    for data in (*texts, *(getattr(channel, "fields", None) or {}).values()):
        if data.string_encoding == "latin-1":
            data.string_encoding = "utf-8"


def _fits(channel: Any) -> bool:
    """Whether units and labels are short enough as UTF-8; caproto can't send them otherwise."""
    units, labels = getattr(channel, "units", ""), getattr(channel, "enum_strings", None) or ()
    return len(units.encode()) <= MAX_UNITS_SIZE and all(
        len(label.encode()) < MAX_ENUM_STRING_SIZE for label in labels
    )
