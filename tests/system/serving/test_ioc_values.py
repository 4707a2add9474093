"""What clients read, write and monitor on the kit's PVs, by three clients' libraries."""

from __future__ import annotations

import caproto as ca
from ioc_kit_clients import until
from ioc_kit_pvs import small_ioc
from ioc_kit_raw import RawClient


async def test_text_is_written_by_plain_strings_and_long_ones_and_read_by_both() -> None:
    async with small_ioc() as (ioc, _, clients):
        client = await clients.aioca("""
            await caput("T:text", "plain", wait=True)
            say(await caget("T:text", datatype=DBR_CHAR_STR))
            say(str((await caget("T:text", datatype=str))[0]))
            await caput("T:text", "long " * 30, datatype=DBR_CHAR_STR, wait=True)
            say(await caget("T:text", datatype=DBR_CHAR_STR))
            say(str((await caget("T:text", datatype=str))[0]))
        """)
        assert await client.said() == ["plain"]
        assert await client.said() == ["plain"]
        assert await client.said() == ["long " * 30]
        assert await client.said() == [("long " * 30)[:39]]
        assert ioc.text.value == "long " * 30


async def test_text_is_nul_terminated_for_clients_that_count_on_it() -> None:
    # caget -S of EPICS base prints up to the NUL, wherever that is (its tool, caget.c).
    async with small_ioc() as (ioc, _, clients):
        await ioc.text.write("ab", verify_value=False)
        client = await clients.aioca("""
            say(list(await caget("T:text")))
            await caput("T:text", "", wait=True)
            say(list(await caget("T:text")))
            say(await caget("T:text", datatype=DBR_CHAR_STR))
        """)
        assert await client.said() == [[97, 98, 0]]
        assert await client.said() == [[0]]
        assert await client.said() == [""]


async def test_text_of_other_encodings_is_read_as_far_as_it_can_be() -> None:
    async with small_ioc() as (ioc, _, clients):
        client = await clients.aioca("""
            await caput("T:text", [0x66, 0xFC, 0x72], datatype=DBR_CHAR, wait=True)
            say(await caget("T:text", datatype=DBR_CHAR_STR))
            await caput("T:text", "für Ω", wait=True)
            say(await caget("T:text", datatype=DBR_CHAR_STR))
        """)
        assert await client.said() == ["f�r"]
        assert await client.said() == ["für Ω"]
        assert ioc.text.value == "für Ω"


async def test_text_that_is_too_long_is_refused_and_changes_nothing() -> None:
    async with small_ioc() as (ioc, _, clients):
        client = await clients.aioca("""
            answer = await caput("T:text", [65] * 200, datatype=DBR_CHAR, wait=True, throw=False)
            say(answer.ok)
            say(await caget("T:text", datatype=DBR_CHAR_STR))
        """)
        assert await client.said() == [False]
        assert await client.said() == ["as it was"]
        assert ioc.text.alarm.severity == 0


async def test_pyepics_writes_reads_and_monitors_text() -> None:
    async with small_ioc() as (ioc, _, clients):
        client = await clients.pyepics("""
            # Given at once: a callback that is added later may miss the first update.
            pv = epics.PV("T:text", auto_monitor=True,
                          callback=lambda char_value, **_: say(char_value))
            pv.wait_for_connection(5)
            say(pv.get(as_string=True))
            pv.put("x" * 100, wait=True)
            time.sleep(30)
        """)
        seen = []
        while "x" * 100 not in seen:  # the first update may come before the callback is there
            seen += await client.said()
        assert "as it was" in seen
        await ioc.text.write("from inside", verify_value=False)
        assert await client.said() == ["from inside"]


async def test_caprotos_tools_write_and_read_text() -> None:
    async with small_ioc() as (ioc, _, clients):
        await clients.caproto("put", "T:text", "'by caproto'")
        assert ioc.text.value == "by caproto"
        assert "by caproto" in await clients.caproto("get", "-d", "STRING", "T:text")


async def test_a_busy_pv_shows_both_edges_and_completes_its_put_at_the_end() -> None:
    async with small_ioc() as (ioc, _, clients):
        client = await clients.aioca("""
            camonitor("T:busy", lambda v: say(int(v), v.severity), format=FORMAT_TIME)
            await told()
            await caput("T:busy", 1, wait=True)
            say("completed")
            await told()
        """)
        assert await client.said() == [0, 0]
        await client.tell()
        assert await client.said() == [1, 0]
        assert len(client.lines()) == 2  # not completed while it works
        ioc.work.set()
        assert sorted([await client.said(), await client.said()], key=str) == [
            ["completed"],
            [0, 0],
        ]


async def test_a_busy_pv_whose_work_fails_fails_the_put_and_is_in_alarm_until_a_success() -> None:
    async with small_ioc() as (ioc, _, clients):
        ioc.work.set()
        await ioc.number.write(13.0, verify_value=False)
        client = await clients.aioca("""
            say((await caput("T:busy", "Busy", wait=True, throw=False)).ok)
            v = await caget("T:busy", format=FORMAT_TIME)
            say(int(v), v.severity)
            await caput("T:number", 1, wait=True)
            say((await caput("T:busy", "1", wait=True, throw=False)).ok)
            v = await caget("T:busy", format=FORMAT_TIME)
            say(int(v), v.severity)
        """)
        assert [await client.said() for _ in range(4)] == [[False], [0, 2], [True], [0, 0]]


async def test_a_refused_put_alarms_its_own_pv_only() -> None:
    # In caproto all PVs of a group share one alarm.
    async with small_ioc() as (_, _, clients):
        client = await clients.aioca("""
            say((await caput("T:number", -1, wait=True, throw=False)).ok)
            values = await caget(["T:number", "T:other"], format=FORMAT_TIME)
            say([v.severity for v in values])
        """)
        assert await client.said() == [False]
        assert await client.said() == [[2, 0]]


async def test_a_putter_knows_who_puts_and_whether_they_wait() -> None:
    async with small_ioc() as (ioc, _, clients):
        client = await clients.aioca("""
            import getpass, socket
            say(getpass.getuser(), socket.gethostname())
            await caput("T:number", 3, wait=True)
            say("waited")
            await told()
            await caput("T:number", 4)
        """)
        user, host = await client.said()
        assert await client.said() == ["waited"]
        assert (ioc.put.owner, ioc.put.waiting) == (f"{user}@{host}", True)
        await client.tell()
        await until(lambda: ioc.number.value == 4.0)
        assert not ioc.put.waiting


async def test_read_only_text_tells_so_on_connecting() -> None:
    async with small_ioc() as (_, _, clients):
        client = await clients.aioca("""
            info = await cainfo("T:fixed")
            say(info.read, info.write)
        """)
        assert await client.said() == [True, False]


async def test_a_subscription_of_fixed_length_gets_that_many_elements() -> None:
    # caproto says the length that was asked for, and sends fewer.
    async with small_ioc() as (ioc, _, clients):
        client = await clients.aioca("""
            camonitor("T:wave", lambda v: say(list(v)), count=4)
            await asyncio.sleep(30)
        """)
        assert await client.said() == [[1.0, 2.0, 0.0, 0.0]]
        await ioc.wave.write([1.0, 2.0, 3.0, 4.0, 5.0], verify_value=False)
        assert await client.said() == [[1.0, 2.0, 3.0, 4.0]]


async def test_a_put_callback_is_answered_behind_the_updates_that_it_caused() -> None:
    """pyepics gives what its monitor brought last: the former value, if the answer overtook it."""
    async with small_ioc() as (_, _, clients):
        client = await clients.pyepics("""
            pv = epics.PV("T:number", auto_monitor=True, connection_timeout=10)
            pv.wait_for_connection(timeout=10)
            pv.get()
            wrong = 0
            for n in range(200):
                pv.put(float(n), wait=True, timeout=10)
                wrong += pv.get() != n
            say(wrong)
        """)
        assert await client.said(20) == [0]


async def test_a_refused_put_is_answered_behind_the_alarm_that_it_caused() -> None:
    async with small_ioc() as (_, server, _), await RawClient.connect(server.port) as client:
        channel = await client.channel("T:number")
        await client.send(channel.subscribe(data_type=ca.ChannelType.TIME_DOUBLE))
        await client.receive(ca.EventAddResponse)
        await client.send(channel.write([-1.0], notify=True))
        kinds = (ca.EventAddResponse, ca.ErrorResponse)
        update, refusal = await client.receive(kinds), await client.receive(kinds)
        assert isinstance(update, ca.EventAddResponse)
        assert (update.metadata.severity, isinstance(refusal, ca.ErrorResponse)) == (2, True)


async def test_a_client_that_wants_no_updates_is_not_kept_waiting_for_them() -> None:
    async with small_ioc() as (_, server, _), await RawClient.connect(server.port) as client:
        channel = await client.channel("T:number")
        await client.send(channel.subscribe(data_type=ca.ChannelType.TIME_DOUBLE))
        await client.receive(ca.EventAddResponse)
        await client.send(ca.EventsOffRequest(), channel.write([2.0], notify=True))
        kinds = (ca.EventAddResponse, ca.WriteNotifyResponse)
        assert isinstance(await client.receive(kinds, timeout=0.9), ca.WriteNotifyResponse)
        await client.send(ca.EventsOnRequest())
        assert (await client.receive(kinds)).data.tolist() == [2.0]


async def test_a_number_read_as_text_has_the_digits_of_its_precision() -> None:
    """As one of a record has; without one it is as it was."""
    async with small_ioc() as (ioc, _, clients):
        client = await clients.aioca("""
            say([str(v) for v in await caget(["T:number", "T:other"], datatype=str)])
            camonitor("T:number", lambda v: say(str(v)), datatype=str)
            await told()
        """)
        assert await client.said() == [["1.000", "2.0"]]
        assert await client.said() == ["1.000"]
        await ioc.number.write(2.71828)
        assert await client.said() == ["2.718"]
        await client.tell()
