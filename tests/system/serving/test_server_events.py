"""EVENTS and SNAPSHOT: what a program follows a service by."""

from __future__ import annotations

import json

from service_kit import says, serving

from orchestrator.types import RunEnded, RunStarted, RunStatus, Update


async def test_a_client_reads_where_things_are_and_is_told_of_all_that_follows() -> None:
    async with serving() as service:
        service.publish(Update("state", "Running"), Update("busy", 1))
        client = await service.clients.aioca("""
            posts = []
            def take(value):
                posts.append(bytes(value).decode().rstrip(chr(0)))
            camonitor("ORCH:EVENTS", take, all_updates=True)
            while not posts:
                await asyncio.sleep(0.01)
            snapshot = bytes(await caget("ORCH:SNAPSHOT")).decode().rstrip(chr(0))
            say(snapshot)
            while "run_ended" not in posts[-1]:
                await asyncio.sleep(0.01)
            say(posts)
        """)
        (snapshot,) = await client.said()
        service.publish(
            Update("status", "Undefined"),
            RunStarted("run-1", "align", "me@here", 0, 3),
            Update("busy", 0),
            RunEnded("run-1", RunStatus.FAILED, "cold", 0),
        )
        (posts,) = await client.said()
    begun = json.loads(snapshot)
    assert (begun["fields"]["STATE"], begun["fields"]["BUSY"]) == ("Running", 1)
    assert begun["fields"]["STATUS"] == "Undefined", "as its PV is before anything is published"
    told = [json.loads(post) for post in posts if post]
    assert [post["n"] for post in told] == [*range(told[0]["n"], told[-1]["n"] + 1)]
    since = [post for post in told if post["n"] > begun["n"]]
    assert {name: v for post in since for name, v in post["fields"].items()}["BUSY"] == 0
    events = [event for post in since for event in post.get("events", [])]
    assert [event["event"] for event in events] == ["run_started", "run_ended"]
    assert (events[1]["status"], events[1]["message"]) == ("Failed", "cold")


async def test_a_snapshot_is_as_things_are_when_it_is_read() -> None:
    async with serving() as service:
        client = await service.clients.aioca("""
            while True:
                text = bytes(await caget("ORCH:SNAPSHOT")).decode().rstrip(chr(0))
                shown = json.loads(text)["fields"]["STEP"]
                if not shown:
                    say("reads")
                if shown == 7:
                    break
            stamp = (await caget("ORCH:SNAPSHOT", format=FORMAT_TIME)).timestamp
            say(abs(stamp - time.time()) < 60)
        """)
        await says(client, ["reads"])
        service.publish(Update("step", 7))
        said = ["reads"]
        while said == ["reads"]:
            said = await client.said()
        assert said == [True]
