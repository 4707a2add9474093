"""Whether a server that libca ignores still has the PVs that it answered a search for.

libca tells when a second server answers, and never when it is gone: it is asked here, on a circuit
of its own that is closed at once.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

TIMEOUT = 1.0
"""s that a server has to accept the circuit, and to answer."""

_HEADER = struct.Struct(">HHHHII")  # command, payload, type, count, two parameters
_VERSION, _CREATE_CHAN, _CREATE_CH_FAIL = 0, 18, 26  # caProto.h
_MINOR = 13

Place: TypeAlias = tuple[str, int] | str


async def ignored_servers(told: Mapping[str, tuple[str, Sequence[str]]]) -> dict[str, str]:
    """A server, `host:port`, of each PV that has one beside that which is connected.

    Args:
        told: By PV, the server that is connected, and all that have answered for it.
    """
    servers = {server for here, all_ in told.values() for server in (here, *all_)}
    places = {server: await place_of(server) for server in servers}
    asked: dict[str, set[str]] = {}
    for pv, (here, all_) in told.items():
        for server in all_:
            if places[server] != places[here]:
                asked.setdefault(server, set()).add(pv)
    found: dict[str, str] = {}
    async with asyncio.TaskGroup() as tasks:
        answers = {
            server: tasks.create_task(_still_has(places[server], pvs), name=f"ask {server}")
            for server, pvs in asked.items()
        }
    for server, answer in answers.items():
        found.update(dict.fromkeys(answer.result(), server))
    return found


async def place_of(server: str) -> Place:
    """Where a server is; its text where that is not known.

    The text alone won't do: libca names a host by number until it knows its name.
    """
    host, _, port = server.rpartition(":")
    loop = asyncio.get_running_loop()
    family, kind = socket.AF_INET, socket.SOCK_STREAM
    try:
        async with asyncio.timeout(TIMEOUT):
            found = await loop.getaddrinfo(host, int(port), family=family, type=kind)
    except (OSError, ValueError, TimeoutError):
        return server
    return str(found[0][4][0]), int(found[0][4][1])


async def accepts(where: Place) -> bool:
    """Whether somebody accepts connections there; the one that is made is closed at once."""
    if isinstance(where, str):
        return False
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(*where)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def _still_has(where: Place, pvs: Collection[str]) -> Collection[str]:
    """Those of `pvs` that the server there has, as far as it doesn't deny it.

    None where nobody accepts connections, as libca would connect to none there; all that have no
    answer in time from a server that accepts them, or of which it is not known where it is.
    """
    if isinstance(where, str):
        return pvs
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(*where)
    except (OSError, TimeoutError):
        return frozenset()
    names = dict(enumerate(pvs))
    denied: set[int] = set()
    try:
        async with asyncio.timeout(TIMEOUT):
            writer.write(_questions(names))
            await _answers(reader, set(names), denied)
    except TimeoutError:
        pass
    except (OSError, asyncio.IncompleteReadError):
        return frozenset()
    finally:
        writer.transport.abort()
    return frozenset(pv for number, pv in names.items() if number not in denied)


def _questions(names: dict[int, str]) -> bytes:
    parts = [_HEADER.pack(_VERSION, 0, 0, _MINOR, 0, 0)]
    for number, pv in names.items():
        text = pv.encode() + b"\0"
        text += b"\0" * (-len(text) % 8)
        parts += [_HEADER.pack(_CREATE_CHAN, len(text), 0, 0, number, _MINOR), text]
    return b"".join(parts)


async def _answers(reader: asyncio.StreamReader, waiting: set[int], denied: set[int]) -> None:
    while waiting:
        head = await reader.readexactly(_HEADER.size)
        command, size, _, _, number, _ = _HEADER.unpack(head)
        await reader.readexactly(size)
        if command in (_CREATE_CHAN, _CREATE_CH_FAIL):
            waiting.discard(number)
        if command == _CREATE_CH_FAIL:
            denied.add(number)
