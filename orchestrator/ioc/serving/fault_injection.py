"""An IOC's faults as its clients meet them, without its PVs knowing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import caproto as ca

from orchestrator.errors import InputError
from orchestrator.faults import Clear, Delay, Fault, ForceAlarm, RefuseWrites, hint
from orchestrator.types import Severity

if TYPE_CHECKING:
    from orchestrator.ioc.serving.context import Context


class ForcedAlarm(ca.ChannelAlarm):  # type: ignore[misc] # caproto is untyped
    """Stands before a PV's own alarm: clients see this one, the IOC goes on writing its own."""

    def __init__(self, own: ca.ChannelAlarm, severity: Severity) -> None:
        super().__init__(status=ca.AlarmStatus.STATE, severity=ca.AlarmSeverity(severity))
        self.own = own

    async def write(self, *, flags: int = 0, publish: bool = True, **alarm: Any) -> None:
        """Keep what the IOC says of its PV for later; called by caproto."""
        await self.own.write(flags=flags, publish=publish, **alarm)
        if publish:
            await self.publish(flags)


class Faults:
    """The faults of one server."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._forced: dict[int, Any] = {}
        """PVs that carry a forced alarm, by identity: caproto's compare by value."""

    async def obey(self, fault: Fault) -> None:
        """Have it from now on, or no more.

        Raises:
            InputError: There is no such PV; nothing has changed.
        """
        match fault:
            case Delay(seconds):
                self._context.set_delay(seconds)
            case RefuseWrites(on):
                self._context.refuse_writes(on)
            case ForceAlarm(pv, severity):
                await self._force(self._find(pv), severity)
            case Clear():
                self._context.set_delay(0)
                self._context.refuse_writes(False)
                for channel in list(self._forced.values()):
                    await self._force(channel, Severity.NO_ALARM)

    def _find(self, pv: str) -> Any:
        try:
            return self._context[pv]
        except KeyError:
            raise InputError(f"no PV {pv}{hint(pv, list(self._context.pvdb))}") from None

    async def _force(self, channel: Any, severity: Severity) -> None:
        """Post the value with this severity; NO_ALARM gives the PV its own alarm back."""
        alarm = channel.alarm.own if isinstance(channel.alarm, ForcedAlarm) else channel.alarm
        if severity:
            self._forced[id(channel)] = channel
            channel.alarm = ForcedAlarm(alarm, severity)
        else:
            self._forced.pop(id(channel), None)
            channel.alarm = alarm
        await channel.write_metadata(timestamp=time.time(), publish=False)
        # Its own would tell those only who ask for changed metadata.
        await channel.publish(ca.SubscriptionType.DBE_VALUE | ca.SubscriptionType.DBE_ALARM)
