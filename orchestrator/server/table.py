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
from orchestrator.server.chained import MIRROR_DOC, Row, chained_rows, data_waveform, mirror_name
from orchestrator.server.lazy import LazyPVs
from orchestrator.server.mirrors import describe, make_mirror, shape, take_metadata, units_of
from orchestrator.server.pvs import UNTOLD, ServicePVs, escaped
from orchestrator.server.requests import Requests
from orchestrator.server.stats import Stats
from orchestrator.server.values import held, mark_invalid, write
from orchestrator.types import Alarm, Metadata, MirrorOpened, Severity, Update

_WITH_UNITS = ("mon_buf", "mon_mean", "mon_std", "data")
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
        self.pvdb = LazyPVs()
        self.pvdb.update(self.service.pvdb)
        self.pvdb.update(Stats(escaped(f"{config.prefix}STATS:"), root=self).pvdb)
        self._names: dict[tuple[str, str], str] = {}
        self._known: dict[str, Metadata] = {}
        self._beyond: set[tuple[str, str]] = set()
        self._unfit: set[tuple[str, str]] = set()
        for row in chained_rows(config):
            self._add(row)

    @property
    def told(self) -> dict[str, tuple[str, Any]]:
        """Name (without the prefix) and value now of the PVs that EVENTS tells of, by field."""
        return {
            field: (pv.pvname.removeprefix(self._prefix), pv.value)
            for field, pv in self.service.attr_pvdb.items()
            if field not in UNTOLD
        }

    async def publish(self, update: Update, server: IocServer) -> None:
        """Write one update to its PV; one that does not fit marks the PV INVALID."""
        channel = self._channel(update.field, update.key)
        if channel is None:
            logger.debug("no PV for an update", field=update.field, key=update.key)
            return
        try:
            if update.field == "data" and np.size(update.value) > channel.max_length:
                channel = await self._grow(update, channel, server)
            await write(channel, self._held(channel, update))
            self._unfit.discard((update.field, update.key))
        except Exception as error:  # noqa: BLE001 - one bad value must not stop all others
            self._tell_unfit(update, str(error))
            with suppress(Exception):  # told already; the drain goes on
                await mark_invalid(channel)

    def _tell_unfit(self, update: Update, error: str) -> None:
        """Once, until a value fits again: an IOC may go on for ever with one that does not."""
        where = update.field, update.key
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
        name = mirror_name(self._prefix, opened.channel)
        former = self._mirrored[opened.channel]
        self._mirrored[opened.channel] = opened.metadata
        if former is not None and shape(former) == shape(opened.metadata):
            await take_metadata(self.pvdb[name], opened.metadata)
        elif former is not None:
            await server.replace_pv(name, self._make_mirror(opened))
        else:
            mirror = self._make_mirror(opened)
            self._add(Row("mon", opened.channel, name, mirror, MIRROR_DOC))

    def _held(self, channel: Any, update: Update) -> Update:
        """The same; a number of ours beyond 32 bits is shown as the largest one, in alarm."""
        if update.field == "mon" or not isinstance(channel, ca.ChannelInteger):
            return update  # a mirror shows what the channel has, or is INVALID
        value = held(update.value)
        if value is update.value:
            return update
        pv = update.field, update.key
        if pv not in self._beyond:
            self._beyond.add(pv)
            name = self._names.get(pv) or channel.pvname
            logger.warning("a number is beyond 32 bits: its PV shows the largest", pv=name)
        severity = max(update.severity, Severity.MINOR)
        return replace(update, value=value, severity=severity, status=update.status or Alarm.HIGH)

    def _make_mirror(self, opened: MirrorOpened) -> Any:
        return make_mirror(opened.metadata, keep_all=opened.channel in self._keep_all)

    def _channel(self, field: str, key: str) -> Any:
        if key:
            return self.pvdb.get(self._names.get((field, key), ""))
        return self.service.attr_pvdb.get(field)

    def _add(self, row: Row) -> None:
        if row.name in self.pvdb:
            raise InputError(f"two PVs would be named {row.name}: rename {row.key}")
        if row.channel is None:
            self.pvdb.later(row.name, partial(self._make_data, row))
        else:
            row.channel.__doc__ = row.doc
            self.pvdb[row.name] = row.channel
        self._names[row.field, row.key] = row.name

    def _make_data(self, row: Row) -> Any:
        known = self._known.get(row.key)
        channel = data_waveform(0)
        if known is not None:
            channel = data_waveform(0, units_of(known), known.precision)
        channel.__doc__ = row.doc
        return channel

    async def _grow(self, update: Update, channel: Any, server: IocServer) -> Any:
        larger = data_waveform(np.size(update.value))
        await describe(larger, channel.units, precision=channel.precision)
        await server.replace_pv(self._names[update.field, update.key], larger)
        return larger

    async def _describe(self, opened: MirrorOpened) -> None:
        """Give what is computed from a channel its units and precision."""
        self._known[opened.channel] = opened.metadata
        for field in _WITH_UNITS:
            channel = self.pvdb.made(self._names.get((field, opened.channel), ""))
            if channel is not None:
                precision = opened.metadata.precision or channel.precision
                await describe(channel, units_of(opened.metadata), precision=precision)
