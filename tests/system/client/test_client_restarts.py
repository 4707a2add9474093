"""IOCs that die, freeze and come back. No beacons are heard here."""

import asyncio
import socket
import time

import pytest
from client_iocs import Ioc, Taken, Victim, client_of, until

from orchestrator.client import Client
from orchestrator.errors import NotConnectedError, StepTimeoutError
from orchestrator.types import LinkChange, NativeType, Reading

RECONNECT = 30.0


def kinds(taken: Taken, name: str, after: int) -> list[str]:
    """What came, in a word each."""
    return [
        ("back" if item.reconnected else "up" if item.connected else "lost")
        if isinstance(item, LinkChange)
        else "unconfirmed"
        if item.unconfirmed
        else "value"
        for item in taken.of(name)[after:]
    ]


async def test_a_restarted_ioc_comes_back_with_its_default_unconfirmed(victim: Victim) -> None:
    """libca renews subscriptions by itself; a restarted record starts at its default.

    Nothing that was asked of a channel while it was down is done when it comes back.
    """
    ioc = victim("c_records.py")
    client, taken = client_of(ioc.channel("X"), ioc.channel("Y"))
    async with client:
        await client.connect(["t.x", "t.y"], 5)
        await client.put("t.x", 5.0, completion=True, timeout=5)
        await until(lambda: taken.readings("t.x")[-1].value == 5)
        seen = len(taken.of("t.x"))
        ioc.kill()
        await until(lambda: taken.links("t.x")[-1].connected is False, 1)
        for completion in (True, False):
            with pytest.raises(NotConnectedError):
                await client.put("t.x", 77.0, completion=completion, timeout=1)
        ioc.start()
        assert await client.connect(["t.x", "t.y"], RECONNECT) == []
        await client.put("t.x", 6.0, completion=True, timeout=5)
        await until(lambda: taken.readings("t.x")[-1].value == 6)
        await asyncio.sleep(0.2)  # a put that was kept would have been sent by now
    assert kinds(taken, "t.x", seen) == ["lost", "back", "unconfirmed", "value"]
    assert [reading.value for reading in taken.readings("t.x")[-2:]] == [1.5, 6.0]


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("script", ["c_records.py", "caproto_pvs.py"])
async def test_a_restarted_ioc_is_found_as_soon_as_it_is_there(victim: Victim, script: str) -> None:
    """libca itself would look for it up to 10 s after the loss, beacons or not.

    Its port is open a little before it answers searches, the more so where it is starved.
    """
    ioc = victim(script)
    client, taken = client_of(ioc.channel("X"))
    loop = asyncio.get_running_loop()
    async with client:
        await client.connect(["t.x"], 5)
        for times in range(2):
            ioc.kill()
            await until(lambda: not taken.links("t.x")[-1].connected, 1)
            starting = loop.run_in_executor(None, ioc.start)
            await until(lambda: _accepts(ioc.port), RECONNECT)
            there = time.monotonic()
            await client.connect(["t.x"], RECONNECT)
            assert time.monotonic() - there < 3
            await starting
            await client.put("t.x", 5.0 + times, completion=True, timeout=5)
            await until(lambda value=5.0 + times: taken.readings("t.x")[-1].value == value)
    assert [link.connected for link in taken.links("t.x")] == [True, False, True, False, True]


async def _comes_back_other(ioc: Ioc, client: Client, taken: Taken) -> None:
    seen = len(taken.of("t.x"))
    ioc.kill()
    await until(lambda: kinds(taken, "t.x", seen) == ["lost"], 1)
    ioc.start("other")
    assert await client.connect(["t.x"], RECONNECT) == []
    reading = await until(lambda: [r for r in taken.readings("t.x") if r.value == "text now"])
    assert reading[0].unconfirmed
    assert kinds(taken, "t.x", seen) == ["lost", "back", "unconfirmed"]


async def test_a_channel_that_comes_back_with_another_type_is_subscribed_anew(
    victim: Victim,
) -> None:
    """libca renews a subscription in its first type: a C IOC would go on converting to it."""
    ioc = victim("c_records.py")
    client, taken = client_of(ioc.channel("X"), ioc.channel("WAVE"))
    async with client:
        await client.connect(["t.x", "t.wave"], 5)
        await _comes_back_other(ioc, client, taken)
        assert taken.links("t.x")[-1].metadata.native is NativeType.STRING
        await until(lambda: taken.links("t.wave")[-1].metadata.count == 500)


async def test_a_channel_that_comes_back_with_a_type_like_its_former_is_read_as_that(
    victim: Victim,
) -> None:
    """Nothing breaks: the renewed subscription would bring the integer as a double, as before."""
    ioc = victim("c_records.py")
    client, taken = client_of(ioc.channel("X"), ioc.channel("COUNT"))
    async with client:
        await client.connect(["t.x", "t.count"], 5)
        await _comes_back_other(ioc, client, taken)
        value = await until(lambda: [r.value for r in taken.readings("t.count") if r.value == 12])
        assert type(value[0]) is int
        assert taken.links("t.count")[-1].metadata.native is NativeType.LONG


async def test_a_caproto_pv_that_comes_back_as_text_is_text(victim: Victim) -> None:
    """Text can't be sent as DBR_DOUBLE: the renewed subscription brings nothing usable."""
    ioc = victim("caproto_pvs.py")
    client, taken = client_of(ioc.channel("X", text=True))
    async with client:
        await client.connect(["t.x"], 5)
        await _comes_back_other(ioc, client, taken)
        metadata = taken.links("t.x")[-1].metadata
        assert (metadata.native, metadata.text) == (NativeType.CHAR, True)


async def test_a_server_that_ignores_masks_comes_back_with_fresh_metadata(victim: Victim) -> None:
    """Its feed of metadata was closed, so that the first value comes before they are known."""
    ioc = victim("caproto_pvs.py")
    client, taken = client_of(ioc.channel("X"))
    async with client:
        await client.connect(["t.x"], 5)
        for number in range(12):
            await client.put("t.x", float(number), completion=True, timeout=5)
        await until(lambda: client._links["t.x"]._properties is None)
        await until(lambda: taken.readings("t.x")[-1].value == 11)
        seen = len(taken.of("t.x"))
        ioc.kill()
        await until(lambda: kinds(taken, "t.x", seen) == ["lost"], 1)
        ioc.start()
        await until(lambda: kinds(taken, "t.x", seen) == ["lost", "back", "unconfirmed"], RECONNECT)
    assert taken.links("t.x")[-1].metadata.units == "mm"


async def test_a_channel_that_nobody_may_read_is_lost_and_found_too(victim: Victim) -> None:
    """It has no subscription: libca tells of its access rights on each connection and loss."""
    ioc = victim("c_records.py")
    client, taken = client_of(ioc.channel("HIDDEN"))
    async with client:
        await client.connect(["t.hidden"], 5)
        ioc.kill()
        await until(lambda: kinds(taken, "t.hidden", 0) == ["up", "lost"], 1)
        ioc.start()
        await until(lambda: kinds(taken, "t.hidden", 0) == ["up", "lost", "back"], RECONNECT)


async def test_an_ioc_that_starts_late_is_found(victim: Victim) -> None:
    ioc = victim("c_records.py")
    ioc.kill()
    client, taken = client_of(ioc.channel("X"))
    async with client:
        assert await client.connect(["t.x"], 0.3) == ["t.x"]
        assert taken.items == []
        ioc.start()
        assert await client.connect(["t.x"], RECONNECT) == []
    assert kinds(taken, "t.x", 0) == ["up", "value"]


async def test_a_frozen_ioc_is_lost_and_goes_on_when_thawed(victim: Victim) -> None:
    """libca asks a silent server after EPICS_CA_CONN_TMO, and gives it 5 s to answer."""
    ioc = victim("c_records.py")
    client, taken = client_of(ioc.channel("X"))
    async with client:
        await client.connect(["t.x"], 5)
        ioc.freeze()
        with pytest.raises((StepTimeoutError, NotConnectedError)):
            await client.put("t.x", 9.0, completion=True, timeout=0.5)
        await until(lambda: not taken.links("t.x")[-1].connected, RECONNECT)
        with pytest.raises(NotConnectedError):
            await client.put("t.x", 10.0, completion=True, timeout=1)
        ioc.thaw()
        assert await client.connect(["t.x"], RECONNECT) == []
        assert isinstance((await client.get(["t.x"], 5))["t.x"], Reading)
        await client.put("t.x", 11.0, completion=True, timeout=5)
    assert "back" in kinds(taken, "t.x", 0)
