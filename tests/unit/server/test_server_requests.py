"""Puts to the service's command PVs, on their way to the device and back."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.config import Config
from orchestrator.device import Device
from orchestrator.errors import PutError
from orchestrator.ioc.puts import Put, set_current_put
from orchestrator.server.requests import Requests
from orchestrator.testing import run_virtual
from orchestrator.types import Command, Control, Reply, RunRefused, Verb


class Pull(list[Command]):
    """Keeps what is offered."""

    offer = list.append


def test_the_refusal_of_a_plain_put_does_not_end_the_run_of_another() -> None:
    """A screen's puts wait for nothing: START, then a command that is refused, then ABORT.

    The channels of a run may be waited for as long as `connect_timeout` before it starts.
    """

    async def put() -> list[Command]:
        pull = Pull()
        requests = Requests(pull)
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
        requests = Requests(pull)
        set_current_put(Put("operator", "console", waiting=True))
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(requests.ask(Verb.COMMAND, "ping"))
            second = tasks.create_task(_outcome(requests.ask(Verb.COMMAND, "pong")))
            await asyncio.sleep(1)
            requests.resolve(Reply(pull[1].request, "refused"))
            await asyncio.sleep(1)
            waits = not first.done()
            requests.resolve(Reply(pull[0].request))
        return [pull[0].owner, waits, await first, await second]

    assert run_virtual(put()) == ["operator@console", True, None, "refused"]


def test_a_reply_that_nobody_waits_for_is_no_fault() -> None:
    Requests(Pull()).resolve(Reply(7, "gone"))


async def _outcome(put: object) -> str:
    with pytest.raises(PutError) as refused:
        await put  # type: ignore[misc] # a coroutine
    return str(refused.value)
