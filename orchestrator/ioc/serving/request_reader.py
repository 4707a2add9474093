"""What a client sends, cut into requests."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from typing import Any
from weakref import proxy

import caproto as ca
from caproto._commands import read_from_bytestream

from orchestrator.ioc.serving.answers import first_line
from orchestrator.ioc.serving.turns import Budget

MAX_REQUEST_BYTES = 20_000_000
"""The largest request that is taken in; a client that claims a larger one is disconnected."""

_MAX_NAME_BYTES = 8192
"""The largest that is no put: a name with its filters."""

_PUTS = (ca.WriteRequest.ID, ca.WriteNotifyRequest.ID)


class HungUpError(Exception):
    """The client is to be disconnected; told already."""


class RequestReader:
    """Reads a client's requests; what is none, or too large, ends its circuit."""

    def __init__(self, circuit: Any) -> None:
        """`circuit` owns it; no more is kept of it than that it can be asked."""
        self._circuit = proxy(circuit)
        self._client = circuit.client
        self._received = bytearray()

    @property
    def held_bytes(self) -> int:
        """What has come of a request that is not complete."""
        return len(self._received)

    def clear(self) -> None:
        """Forget what has come: nobody obeys it any more."""
        self._received = bytearray()

    async def requests(self, budget: Budget) -> AsyncIterator[Any]:
        """One after the other, until the client has gone.

        Raises:
            HungUpError: It sends what is no request, or one that is too large.
        """
        missing = 0
        while received := await self._read(missing, budget):
            self._received += received
            missing = 0
            while not missing:
                self._received, command, missing = self._parse()
                if not missing:
                    yield command
            self._refuse_too_large(missing)

    async def _read(self, missing: int, budget: Budget) -> bytes:
        waits = not self._client.reader._buffer  # noqa: SLF001 - no other way to be told
        try:
            received = bytes(await self._client.recv(min(max(missing, 4096), 65_536)))
        except (OSError, ca.CaprotoNetworkError):
            received = b""
        if waits:
            budget.renew()
        if not received:
            await budget.turn()  # a thousand may leave at once
        return received

    def _parse(self) -> tuple[bytearray, Any, int]:
        try:
            rest, command, missing = read_from_bytestream(self._received, ca.CLIENT)
        except Exception as error:
            self._circuit.complain("client sends what is no request", error=first_line(error))
            raise HungUpError from error
        return rest, command, missing

    def _refuse_too_large(self, missing: int) -> None:
        if missing <= _MAX_NAME_BYTES:
            return
        (kind,) = struct.unpack_from(">H", self._received)
        if kind not in _PUTS or missing > MAX_REQUEST_BYTES:
            self._circuit.complain("request too large", bytes=missing)
            raise HungUpError
        self._circuit.context.check_held()
