"""Puts to the service's command PVs, on their way to the device and back."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.api import EVENTS, Api
from orchestrator.config import Config
from orchestrator.device import Device
from orchestrator.errors import PutError
from orchestrator.ioc.pvs.command_pvs import Put, set_current_put
from orchestrator.transports.ca.requests import Requests
from orchestrator.types import Command, Control, Reply, RunRefused, Severity, Update, Verb
from tests.doubles import run_virtual


class Pull(list[Command]):
    """Keeps what is offered."""

    offer = list.append


def made(pull: Pull) -> tuple[Api, Requests]:
    """As the server makes them."""
    api = Api(pull)
    return api, Requests(api, api.subscribe(EVENTS))


def test_the_refusal_of_a_plain_put_does_not_end_the_run_of_another() -> None:
    """A screen's puts wait for nothing: START, then a command that is refused, then ABORT.

    The channels of a run may be waited for as long as `connect_timeout` before it starts.
    """

    async def put() -> list[Command]:
        pull = Pull()
        _, requests = made(pull)
        await requests.ask(Verb.START, "scan")
        await requests.ask(Verb.COMMAND, "submit no_such_sequence")
        await requests.ask(Verb.ABORT)
        return pull

    start, submit, abort = run_virtual(put())
    device = Device(Config(prefix="ORCH:", chain={}))
    device.examine(start)
    device.examine(submit)
    device.examine(RunRefused(submit.request, "no sequence 'no_such_sequence'"))
    assert Control(Verb.ABORT) in device.examine(abort)


def test_a_reply_is_for_the_put_that_it_names() -> None:
    async def put() -> list[object]:
        pull = Pull()
        api, requests = made(pull)
        set_current_put(Put("operator", "console", waiting=True))
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(requests.ask(Verb.COMMAND, "ping"))
            second = tasks.create_task(_outcome(requests.ask(Verb.COMMAND, "pong")))
            await asyncio.sleep(1)
            api.answer(Reply(pull[1].request, "refused"))
            await asyncio.sleep(1)
            waits = not first.done()
            api.answer(Reply(pull[0].request))
        return [pull[0].owner, waits, await first, await second]

    assert run_virtual(put()) == ["operator@console", True, None, "refused"]


def test_a_reply_that_nobody_waits_for_is_no_fault() -> None:
    Api(Pull()).answer(Reply(7, "gone"))


def test_a_flood_of_commands_is_refused_and_told_and_nothing_else_is() -> None:
    """Puts without callback wait for nothing, so that a client can send them without end."""

    async def flood() -> None:
        pull = Pull()
        api, requests = made(pull)
        await requests.ask(Verb.COMMAND, "ping")
        refused = 0
        for _ in range(2000):
            try:
                await requests.ask(Verb.COMMAND, "ping")
            except PutError:
                refused += 1
        assert len(pull) < 1000
        assert refused == 2001 - len(pull) + 1, "the first one that is refused is told"
        for verb in (Verb.ABORT, Verb.STOP, Verb.START, Verb.PAUSE, Verb.INDICES):
            await requests.ask(verb)
            assert pull.pop().verb is verb

        device = Device(Config(prefix="ORCH:", chain={}))
        decisions = [d for command in pull for d in device.examine(command)]
        updates = [(d.field, d.value, d.severity) for d in decisions if isinstance(d, Update)]
        assert updates[-1] == ("ack", 0, Severity.MAJOR)
        assert updates[-2][0] == "message"
        assert "commands wait already" in str(updates[-2][1])
        for decision in decisions:
            if isinstance(decision, Reply):
                api.answer(decision)
        await requests.ask(Verb.COMMAND, "ping")
        assert pull[-1].text == "ping"

    run_virtual(flood())


async def _outcome(put: object) -> str:
    with pytest.raises(PutError) as refused:
        await put  # type: ignore[misc] # a coroutine
    return str(refused.value)
