"""Puts to the service's PVs: what leaves as a command, and when a put-callback completes."""

from __future__ import annotations

import getpass
import signal
import socket

import caproto as ca
from ioc_kit_clients import until
from ioc_kit_raw import RawClient
from service_kit import config, says, serving

from orchestrator.types import Command, Reply, Update, Verb

ME = f"{getpass.getuser()}@{socket.gethostname()}"

WATCH = """
    def show(v):
        say(v.name.removeprefix("ORCH:"), str(v[0]) if v.datatype == 0 else int(v), v.severity)
    for name in ("STATUS", "START", "BUSY"):
        camonitor(f"ORCH:{name}", show, format=FORMAT_TIME, all_updates=True)
    camonitor("ORCH:RUN_ID", show, datatype=str, format=FORMAT_TIME, all_updates=True)
"""
FIRST = [["BUSY", 0, 0], ["RUN_ID", "", 0], ["START", 0, 0], ["STATUS", 0, 0]]
BEGIN = [["STATUS", 0, 0], ["RUN_ID", "run-1", 0], ["START", 1, 0], ["BUSY", 1, 0]]


async def test_a_put_callback_on_start_completes_after_every_update_of_its_run() -> None:
    # EPICS itself promises no such order: a C IOC's completion may come before its monitors.
    async with serving() as service:
        client = await service.clients.aioca(
            WATCH
            + """
    await told()
    await caput("ORCH:SEQ", "align")
    await caput("ORCH:ARGS", '{"start": 1}', wait=True)
    await caput("ORCH:START", 1, wait=True)
    say("completed")
    await told()
"""
        )
        assert sorted([await client.said() for _ in range(4)]) == FIRST
        await client.tell()
        selected, command = await service.command(0), await service.command(1)
        assert (selected.verb, selected.text) == (Verb.SELECT, "align")
        assert command == Command(Verb.START, command.request, "align", '{"start": 1}', owner=ME)
        assert command.request
        service.begin()
        await says(client, *BEGIN)
        service.end(command.request, "Success", "")
        await says(client, ["STATUS", 1, 0], ["START", 0, 0], ["BUSY", 0, 0], ["completed"])


async def test_a_put_callback_on_start_fails_with_the_run_and_posts_nothing_after_busy() -> None:
    async with serving() as service:
        client = await service.clients.aioca(
            WATCH
            + """
    await told()
    say((await caput("ORCH:START", 1, wait=True, throw=False)).ok)
    say(await caget("ORCH:message", datatype=DBR_CHAR_STR), (await caget("ORCH:START")).real)
    await told()
"""
        )
        assert sorted([await client.said() for _ in range(4)]) == FIRST
        await client.tell()
        service.begin()
        service.end((await service.command()).request, "Failed", "stage.x: no completion")
        await says(client, *BEGIN, ["STATUS", 2, 2], ["START", 0, 0], ["BUSY", 0, 0], [False])
        await says(client, ["stage.x: no completion", 0])


async def test_a_put_callback_completes_behind_every_update_that_was_posted_before() -> None:
    """Byte by byte: a client library may itself hold updates back behind completions."""
    async with serving() as service, await RawClient.connect(service.ioc.port) as client:
        queued, start = await client.channel("ORCH:QUEUE_LEN"), await client.channel("ORCH:START")
        await client.send(queued.subscribe())
        await client.receive(ca.EventAddResponse)
        await client.send(start.write((1,), notify=True))
        command = await service.command()
        service.publish(
            *(Update("queue_len", number) for number in range(1, 301)), Reply(command.request)
        )
        seen: list[int] = []
        answers = ca.EventAddResponse, ca.WriteNotifyResponse
        while isinstance(answer := await client.receive(answers), ca.EventAddResponse):
            seen.append(int(answer.data[0]))
        assert answer.status.success
        assert seen == list(range(1, 301))


async def test_start_needs_no_callback_and_a_run_that_fails_then_tells_nobody() -> None:
    async with serving() as service:
        client = await service.clients.pyepics("""
            start = epics.PV("ORCH:START")
            start.wait_for_connection(5)
            start.put(1)
            start.put(0)
            epics.ca.flush_io()
            say("put")
            time.sleep(30)
        """)
        await says(client, ["put"])
        assert (await service.command(0)).verb is Verb.START
        assert (await service.command(1)).verb is Verb.ABORT
        start, abort = (command.request for command in service.commands)
        assert start != abort, "what comes of one is not taken for the other's"
        service.publish(Reply(start, "failed"))
        service.publish(Update("message", "told"))
        await until(lambda: not service.published.figures.waiting)
        assert client.errors == ""


async def test_a_run_goes_on_when_the_client_that_started_it_dies() -> None:
    async with serving() as service:
        dying = await service.clients.aioca('await caput("ORCH:START", 1, wait=True)')
        request = (await service.command()).request
        dying.signal(signal.SIGKILL)
        await until(lambda: service.ioc.clients == 0)
        service.end(request, "Success", "")
        other = await service.clients.aioca('say(str(await caget("ORCH:STATUS", datatype=str)))')
        await says(other, ["Success"])


async def test_a_command_is_taken_as_a_plain_string_and_as_a_long_one() -> None:
    document = "name: long\nsteps:\n" + "  - delay: 1\n" * 1000
    async with serving() as service:
        client = await service.clients.aioca(f"""
            await caput("ORCH:CMD", "run align start=1", wait=True)
            await caput("ORCH:CMD", {document!r}, datatype=DBR_CHAR_STR, wait=True)
            say("accepted")
            say(await caget("ORCH:CMD", datatype=DBR_CHAR_STR) == {document!r})
        """)
        for number, text in enumerate(["run align start=1", document]):
            command = await service.command(number)
            assert command == Command(Verb.COMMAND, command.request, text, owner=ME)
            service.publish(Update("ack", 0), Update("ack", 1), Reply(command.request))
        await says(client, ["accepted"], [True])


async def test_a_refused_command_fails_the_put_and_alarms_ack_only() -> None:
    async with serving() as service:
        client = await service.clients.aioca("""
            say((await caput("ORCH:CMD", "rum align", wait=True, throw=False)).ok)
            names = ["ORCH:ACK", "ORCH:CMD"]
            say([v.severity for v in await caget(names, format=FORMAT_TIME)])
        """)
        command = await service.command()
        reason = "rum is no command; run is"
        service.publish(Update("ack", 0, severity=2, status=2), Reply(command.request, reason))
        await says(client, [False], [[2, 0]])


async def test_caprotos_tools_command_and_read() -> None:
    async with serving() as service:
        service.publish(Update("message", "all is well"), Update("elapsed", 12.5))
        await service.clients.caproto("put", "ORCH:CMD", "'ping'")
        assert (await service.command()).text == "ping"
        read = ("get", "-d", "STRING")
        assert "all is well" in await service.clients.caproto(*read, "ORCH:message")
        assert "12.5" in await service.clients.caproto("get", "--terse", "ORCH:ELAPSED")
        assert "Idle" in await service.clients.caproto(*read, "ORCH:STATE")
        monitor = await service.clients.caproto("monitor", "--maximum", "1", "ORCH:STATUS")
        assert "Undefined" in monitor


BUTTONS = [
    ("PAUSE", 1, Verb.PAUSE),
    ("PAUSE", 0, Verb.RESUME),
    ("STOP", 1, Verb.STOP),
    ("ABORT", 1, Verb.ABORT),
    ("SKIP", 1, Verb.SKIP),
    ("START", 0, Verb.ABORT),
]


async def test_the_buttons_send_one_command_each() -> None:
    async with serving() as service:
        client = await service.clients.aioca(f"""
            for name, value in {[(name, value) for name, value, _ in BUTTONS]}:
                await caput(f"ORCH:{{name}}", value, wait=True)
                say(name, value)
                await told()
        """)
        for number, (name, value, verb) in enumerate(BUTTONS):
            command = await service.command(number)
            assert command == Command(verb, command.request, owner=ME), name
            service.publish(Reply(command.request))
            await says(client, [name, value])
            assert len(service.commands) == number + 1, name
            await client.tell()


async def test_momentary_buttons_show_that_they_were_pressed_and_go_back() -> None:
    async with serving() as service:
        client = await service.clients.aioca("""
            camonitor("ORCH:STOP", lambda v: say(int(v)), all_updates=True)
            await told()
            await caput("ORCH:STOP", 1)
            await told()
            await caput("ORCH:STOP", 0, wait=True)
            say("no command")
        """)
        await says(client, [0])
        await client.tell()
        await says(client, [1], [0])
        await client.tell()
        await says(client, ["no command"])
        assert [command.verb for command in service.commands] == [Verb.STOP]


async def test_only_those_whom_the_config_names_may_write() -> None:
    async with serving(config(write_access=("operator@console",))) as service:
        client = await service.clients.aioca("""
            say((await cainfo("ORCH:CMD")).write, (await cainfo("ORCH:START")).write)
            say((await caput("ORCH:START", 1, wait=True, throw=False)).ok)
        """)
        await says(client, [False, False], [False])
        assert service.commands == []
    async with serving(config(write_access=(ME,))) as service:
        client = await service.clients.aioca("""
            say((await cainfo("ORCH:CMD")).write, (await cainfo("ORCH:BUSY")).write)
        """)
        await says(client, [True, False])
