"""Objects of JSON, one after the other, over a local socket: a length before each."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeAlias

Frame: TypeAlias = dict[str, Any]

MOST = 1 << 28
"""Bytes of one: what is longer is none of ours."""

_LENGTH = 4


def framed(text: str) -> bytes:
    r"""The bytes of an object that is JSON text already.

    >>> framed("{}")
    b'\x00\x00\x00\x02{}'
    """
    data = text.encode()
    return len(data).to_bytes(_LENGTH, "big") + data


def frame_of(value: Frame) -> bytes:
    """The bytes of an object."""
    return framed(json.dumps(value))


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next object; None at the end.

    Raises:
        ValueError: What comes is none of ours.
    """
    try:
        size = int.from_bytes(await reader.readexactly(_LENGTH), "big")
        if size > MOST:
            raise ValueError(f"a frame of {size} bytes, expected at most {MOST}")
        value = json.loads(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    if not isinstance(value, dict):
        raise ValueError(f"a frame that is no object: {value!r:.40}")
    return value
