"""Every PV of the service, by field and key: what updates are written to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import caproto as ca
import numpy as np
import structlog

from orchestrator.config import Config
from orchestrator.errors import InputError
from orchestrator.ioc import IocServer
from orchestrator.transports.ca.chained import ChainedRow, chained_rows, data_waveform, row
from orchestrator.transports.ca.lazy import LazyPVs
from orchestrator.transports.ca.mirrors import describe, make_mirror, shape, take_metadata, units_of
from orchestrator.transports.ca.puttable import make_own
from orchestrator.transports.ca.pvs import FixedPVs, LanePVs, ServicePVs, escaped
from orchestrator.transports.ca.requests import Requests
from orchestrator.transports.ca.stats import Stats
from orchestrator.transports.ca.writing import held, mark_invalid, write
from orchestrator.types import Alarm, Field, Metadata, MirrorOpened, Severity, Update, fields

_WITH_UNITS = (fields.MON_BUF, fields.MON_MEAN, fields.MON_STD, fields.DATA)
"""Fields whose PVs are in the units of their channel."""

logger = structlog.get_logger(__name__)


class PVTable:
    """The PVs, and the only writer of what they publish."""

    def __init__(self, config: Config, requests: Requests) -> None:
        """Makes every PV that is known before anything connects.

        Raises:
            InputError: Two of them would have the same name.
        """
        self._prefix = config.prefix
        self._mirrored = {
            alias: Metadata(channel.type, channel.count, text=channel.text)
            if channel.type is not None
            else None
            for alias, channel in config.channels.items()
            if channel.mirror and channel.monitor
        }
        self._keep_all = {name for name, channel in config.channels.items() if channel.keep_all}
        self.service = ServicePVs(config.prefix, requests, config.write_access)
        self.service.limit(fields.HUNG_SEC, config.hung.high, config.hung.hihi)
        self.lanes: dict[str, FixedPVs] = {"": self.service}
        """The PVs of each lane that are there whatever is chained."""
        self.pvdb = LazyPVs()
        self.pvdb.update(self.service.pvdb)
        self._samples = {fields.DATA.pv(alias): alias for alias in config.channels}
        for lane in config.lanes:
            prefix = f"{config.prefix}{lane}:"
            fixed = LanePVs(prefix, requests.of_lane(lane), config.write_access)
            fixed.limit(fields.HUNG_SEC, config.hung.high, config.hung.hihi)
            self.lanes[lane] = fixed
            self.pvdb.update(fixed.pvdb)
            self.pvdb.family(prefix, self._data_of_lane)
        self.pvdb.update(Stats(escaped(f"{config.prefix}STATS:"), root=self).pvdb)
        self._names: dict[tuple[Field, str], str] = {}
        self._known: dict[str, Metadata] = {}
        self._beyond: set[tuple[Field, str, str]] = set()
        self._unfit: set[tuple[Field, str, str]] = set()
        for one in chained_rows(config):
            self._add(one)
        for own in config.own.values():
            self._known[own.name] = own.metadata
            pv = make_own(own, requests, self.service.writers)
            self._add(row(config.prefix, fields.OWN, own.name, pv))

    async def publish(self, update: Update, server: IocServer) -> None:
        """Write one update to its PV; one that does not fit marks the PV INVALID."""
        channel = self._channel(update)
        if channel is None:
            logger.debug("no PV for an update", field=update.field, key=update.key)
            return
        try:
            if update.field == fields.DATA and np.size(update.value) > channel.max_length:
                channel = await self._grow(update, channel, server)
            await write(channel, self._held(channel, update))
            self._unfit.discard((update.field, update.key, update.lane))
        except Exception as error:  # noqa: BLE001 - one bad value must not stop all others
            self._tell_unfit(update, str(error))
            with suppress(Exception):  # told already; the drain goes on
                await mark_invalid(channel)

    def _tell_unfit(self, update: Update, error: str) -> None:
        """Once, until a value fits again: an IOC may go on for ever with one that does not."""
        where = update.field, update.key, update.lane
        if where not in self._unfit:
            self._unfit.add(where)
            logger.error("can't publish", field=update.field, key=update.key, error=error)

    async def open_mirror(self, opened: MirrorOpened, server: IocServer) -> None:
        """Serve the mirror of a channel that has connected, as the channel is now."""
        try:
            await self._open_mirror(opened, server)
        except Exception:  # whatever an IOC says of one channel must not stop all others
            logger.exception("can't mirror", channel=opened.channel)

    async def _open_mirror(self, opened: MirrorOpened, server: IocServer) -> None:
        await self._describe(opened)
        if opened.channel not in self._mirrored:
            return
        name = f"{self._prefix}{fields.MON.pv(opened.channel)}"
        former = self._mirrored[opened.channel]
        self._mirrored[opened.channel] = opened.metadata
        if former is not None and shape(former) == shape(opened.metadata):
            await take_metadata(self.pvdb[name], opened.metadata)
        elif former is not None:
            await server.replace_pv(name, self._make_mirror(opened))
        else:
            mirror = self._make_mirror(opened)
            self._add(row(self._prefix, fields.MON, opened.channel, mirror))

    def _held(self, channel: Any, update: Update) -> Update:
        """The same; a number of ours beyond 32 bits is shown as the largest one, in alarm."""
        if update.field in (fields.MON, fields.OWN) or not isinstance(channel, ca.ChannelInteger):
            return update  # a mirror shows what the channel has, or is INVALID
        value = held(update.value)
        if value is update.value:
            return update
        pv = update.field, update.key, update.lane
        if pv not in self._beyond:
            self._beyond.add(pv)
            name = self._name(update) or channel.pvname
            logger.warning("a number is beyond 32 bits: its PV shows the largest", pv=name)
        severity = max(update.severity, Severity.MINOR)
        return replace(update, value=value, severity=severity, status=update.status or Alarm.HIGH)

    def _make_mirror(self, opened: MirrorOpened) -> Any:
        return make_mirror(opened.metadata, keep_all=opened.channel in self._keep_all)

    def _channel(self, update: Update) -> Any:
        if update.key:
            return self.pvdb.get(self._name(update))
        return self.lanes[update.lane].attr_pvdb.get(update.field)

    def _name(self, update: Update) -> str:
        """Of a PV that belongs to a chained IOC or channel; empty = there is none."""
        if update.lane:
            return f"{self._prefix}{update.field.pv(update.key, update.lane)}"
        return self._names.get((update.field, update.key), "")

    def _add(self, new: ChainedRow) -> None:
        if new.name in self.pvdb:
            raise InputError(f"two PVs would be named {new.name}: rename {new.key}")
        if new.channel is None:
            self.pvdb.later(new.name, partial(self._make_data, new.key))
        else:
            new.channel.__doc__ = new.field.meaning
            self.pvdb[new.name] = new.channel
        self._names[new.field, new.key] = new.name

    def _make_data(self, alias: str) -> Any:
        known = self._known.get(alias)
        channel = data_waveform(0)
        if known is not None:
            channel = data_waveform(0, units_of(known), known.precision)
        channel.__doc__ = fields.DATA.meaning
        return channel

    def _data_of_lane(self, name: str) -> Any:
        alias = self._samples.get(name)
        return None if alias is None else self._make_data(alias)

    async def _grow(self, update: Update, channel: Any, server: IocServer) -> Any:
        larger = data_waveform(np.size(update.value))
        await describe(larger, channel.units, precision=channel.precision)
        await server.replace_pv(self._name(update), larger)
        return larger

    async def _describe(self, opened: MirrorOpened) -> None:
        """Give what is computed from a channel its units and precision."""
        self._known[opened.channel] = opened.metadata
        names = [self._names.get((field, opened.channel), "") for field in _WITH_UNITS]
        data = (fields.DATA.pv(opened.channel, lane) for lane in self.lanes if lane)
        for name in (*names, *(f"{self._prefix}{pv}" for pv in data)):
            channel = self.pvdb.made(name)
            if channel is not None:
                precision = opened.metadata.precision or channel.precision
                await describe(channel, units_of(opened.metadata), precision=precision)
