"""A server that tells a channel's values before its metadata; both are asked for together."""

import pytest
from client_iocs import Ioc, Taken, client_of, until

from orchestrator.client import Client
from orchestrator.errors import OrchestratorError
from orchestrator.types import LinkChange

VALUES = [2.0, 3.0, 4.0, 5.0]


async def _come_before_their_metadata(ioc: Ioc, client: Client) -> None:
    """Put values to LATE whose metadata nobody has answered for; then have them answered."""
    assert await client.connect([ioc.prefix + "RELEASE"], 5) == []
    assert await client.connect(["t.late"], 0.1) == ["t.late"]
    for value in VALUES:
        await client.put("t.late", value, completion=True, timeout=5)
    link = client._links["t.late"]
    await until(lambda: link._values is None or len(link._held) > len(VALUES))


async def _release(ioc: Ioc, client: Client, taken: Taken) -> LinkChange:
    assert taken.of("t.late") == []
    await client.put(ioc.prefix + "RELEASE", 1, completion=True, timeout=5)
    assert await client.connect(["t.late"], 5) == []
    first = taken.of("t.late")[0]
    assert isinstance(first, LinkChange)
    return first


async def test_values_wait_for_the_metadata_that_say_what_they_mean(py_ioc: Ioc) -> None:
    client, taken = client_of(py_ioc.channel("LATE"))
    async with client:
        await _come_before_their_metadata(py_ioc, client)
        first = await _release(py_ioc, client, taken)
    assert first.metadata is not None
    assert first.metadata.units == "mm"
    assert [reading.value for reading in taken.readings("t.late")][-len(VALUES) :] == VALUES
    assert len(taken.readings("t.late")) == len(VALUES) + 1


async def test_values_that_wait_for_metadata_are_bounded(
    py_ioc: Ioc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then they are asked for when the metadata are there: the last is not lost."""
    monkeypatch.setattr("orchestrator.client.channels.link.MOST_HELD", 3)
    client, taken = client_of(py_ioc.channel("LATE"))
    async with client:
        await _come_before_their_metadata(py_ioc, client)
        assert client._links["t.late"]._held == []
        await _release(py_ioc, client, taken)
    assert [reading.value for reading in taken.readings("t.late")] == VALUES[-1:]


async def test_a_question_for_metadata_says_that_nobody_answered(py_ioc: Ioc) -> None:
    """`info` asks by itself; a channel that only its values are known of has none to show."""
    client, _ = client_of(py_ioc.channel("LATE"))
    async with client:
        assert await client.connect(["t.late"], 0.1) == ["t.late"]
        assert client.metadata("t.late") is None
        answer = (await client.describe(["t.late"], 5))["t.late"]
        assert not isinstance(answer, OrchestratorError)
        assert answer.units == "mm"
