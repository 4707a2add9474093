"""Objects over a local socket."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.api import frames
from orchestrator.api.frames import Frame, frame_of, read_frame
from tests.doubles import run_virtual


def read(data: bytes, *, whole: bool = True) -> list[Frame]:
    async def reading() -> list[Frame]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        if whole:
            reader.feed_eof()
        found: list[Frame] = []
        while (frame := await read_frame(reader)) is not None:
            found.append(frame)
        return found

    return run_virtual(reading())


def test_objects_come_as_they_were_sent() -> None:
    sent: list[Frame] = [{}, {"text": "µ" * 70_000}, {"n": [1, None, {"a": "b"}]}]
    assert read(b"".join(map(frame_of, sent))) == sent


def test_the_end_in_the_midst_of_one_is_the_end() -> None:
    assert read(frame_of({"a": 1}) + frame_of({"b": 2})[:-1]) == [{"a": 1}]


def test_what_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="no object"):
        read(frames.framed("[]"))
    with pytest.raises(ValueError, match="expected at most"):
        read(b"\xff\xff\xff\xff" + b"x" * 10)
