"""The PVs of own values: like mirrors, but that clients may put some of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import caproto as ca
from caproto._backend import backend
from caproto._utils import ConversionDirection

from orchestrator.config import OwnConfig
from orchestrator.errors import PutError
from orchestrator.ioc.pvs.text import decode
from orchestrator.transports.ca.mirrors import make_mirror
from orchestrator.transports.ca.pvs import Writers
from orchestrator.transports.ca.requests import Requests
from orchestrator.types import Metadata, NativeType

_PATIENCE = 0.5
"""s that a get waits for puts that are under way: no more, as the circuit waits with it."""


def make_own(own: OwnConfig, requests: Requests, writers: Writers) -> Any:
    """The PV of an own value; UDF/INVALID until it is written."""
    pv = make_mirror(own.metadata, keep_all=True)
    if own.write:
        puts = _Puts(pv, own, requests, writers)
        # A class for each type would say no more: mirrors are of eight.
        pv.check_access, pv.auth_write = puts.check_access, puts.auth_write
        pv.auth_read = partial(puts.auth_read, pv.auth_read)
    return pv


class _Puts:
    """What clients put to one PV goes to its owner, which has it published if it takes it."""

    def __init__(self, pv: Any, own: OwnConfig, requests: Requests, writers: Writers) -> None:
        self._pv = pv
        self._own = own
        self._requests = requests
        self._writers = writers
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def check_access(self, host: str | None, user: str | None) -> ca.AccessRights:
        """Called by caproto with what the client claims to be."""
        if self._writers.allow(user or "", host or ""):
            return ca.AccessRights.READ | ca.AccessRights.WRITE
        return ca.AccessRights.READ

    async def auth_write(
        self,
        host: str | None,
        user: str | None,
        data: Any,
        data_type: Any,
        *_more: Any,
        **_options: Any,
    ) -> None:
        """Take a client's put, or refuse it; called by caproto.

        Raises:
            PutError: It may not write, or the PV can't hold the value.
        """
        if not self._writers.allow(user or "", host or ""):
            raise PutError(self._writers.refusal(user or "", host or ""))
        self._under_way += 1
        self._idle.clear()
        try:
            await self._requests.put(self._own.name, self._value(data, data_type))
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def auth_read(
        self, read: Callable[..., Awaitable[Any]], *args: Any, **options: Any
    ) -> Any:
        """Answer a client's get; called by caproto.

        A client that puts without callback and reads next (`caput`) means to see what it has put.
        """
        await asyncio.sleep(0)  # its put is a task, which may not have begun
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._idle.wait()
        return await read(*args, **options)

    def _value(self, data: Any, data_type: Any) -> object:
        """What came over the wire, in the terms of sequences."""
        known, native = self._own.metadata, ca.native_type(data_type)
        if known.text or known.native is NativeType.STRING:
            return decode(data)
        if known.native is NativeType.ENUM:
            is_text = native in (ca.ChannelType.STRING, ca.ChannelType.CHAR)
            return _state(decode(data), known) if is_text else int(data[0])
        values = backend.convert_values(
            values=data,
            from_dtype=native,
            to_dtype=self._pv.data_type,
            string_encoding="latin-1",
            direction=ConversionDirection.FROM_WIRE,
        )
        return values if known.count > 1 else _only(values)


def _state(text: str, known: Metadata) -> str | int:
    """A label; or the number of one, which a C IOC takes as text too."""
    return int(text) if text not in known.labels and text.isascii() and text.isdigit() else text


def _only(values: Any) -> object:
    """The first of what caproto gives as a sequence."""
    first = values[0]
    return first.item() if hasattr(first, "item") else first
