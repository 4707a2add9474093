"""What the log of a service tells at info level of its chain and of commands."""

from __future__ import annotations

import asyncio
from typing import Any

from structlog.testing import capture_logs

from orchestrator.config import CaConfig, ChainConfig, ChannelConfig, Config
from orchestrator.device import Device
from orchestrator.queues import pull_queue
from orchestrator.types import Command, LinkChange, Metadata, NativeType, PullItem, Tick, Verb
from tests.doubles import run_virtual

DOUBLE = Metadata(NativeType.DOUBLE)
NAMES = {"stage": ["stage.x", "stage.y"], "det": ["det.counts"]}


class Nobody:
    def offer(self, _item: object) -> None:
        """Take it."""


def lines(*items: PullItem) -> list[tuple[str, Any]]:
    """(event, ioc or who) of each line of info or above."""
    chain = {
        ioc: ChainConfig(ioc, "S:", channels={n: ChannelConfig(n, n.upper()) for n in names})
        for ioc, names in NAMES.items()
    }

    async def work() -> None:
        pull = pull_queue()
        device = Device(Config(chain=chain, ca=CaConfig(connect_timeout=5)))
        task = asyncio.create_task(device.run(pull, Nobody(), Nobody()))
        for item in items:
            pull.offer(item)
        await pull.idle()
        task.cancel()
        await asyncio.wait([task])

    with capture_logs() as captured:
        run_virtual(work())
    told = [line for line in captured if line["log_level"] in ("info", "warning", "error")]
    return [(line["event"], line.get("ioc", line.get("by"))) for line in told]


def up(name: str) -> LinkChange:
    return LinkChange(name, connected=True, metadata=DOUBLE)


def down(name: str) -> LinkChange:
    return LinkChange(name, connected=False)


def test_an_ioc_is_told_when_it_comes_goes_and_returns() -> None:
    assert lines(
        up("stage.x"), up("stage.y"), up("det.counts"), Tick(1, 0.0),
        down("stage.x"), down("stage.y"), Tick(20, 0.0), Tick(21, 0.0),
        up("stage.x"), up("stage.y"), Tick(30, 0.0), Tick(31, 0.0),
    ) == [
        ("IOC connected", "stage"), ("IOC connected", "det"),
        ("IOC lost", "stage"), ("IOC back", "stage"),
    ]  # fmt: skip


def test_what_is_not_there_at_the_start_is_missing_once_its_time_is_over() -> None:
    told = lines(up("stage.x"), Tick(1, 0.0), Tick(5, 0.0), Tick(6, 0.0), up("det.counts"),
                 Tick(9, 0.0))  # fmt: skip
    assert told == [
        ("channels missing", "stage"), ("IOC missing", "det"), ("IOC connected", "det"),
    ]  # fmt: skip


def test_one_that_is_lost_before_then_is_told_once() -> None:
    told = lines(up("det.counts"), Tick(1, 0.0), down("det.counts"), Tick(2, 0.0), Tick(5, 0.0))
    assert [event for event, ioc in told if ioc == "det"] == ["IOC connected", "IOC lost"]


def test_one_that_was_gone_for_less_than_a_pulse_is_told_as_back() -> None:
    told = lines(up("det.counts"), Tick(1, 0.0), down("det.counts"), up("det.counts"), Tick(2, 0.0))
    assert told == [("IOC connected", "det"), ("IOC back", "det")]


def test_a_part_of_an_ioc_that_is_lost_is_named() -> None:
    told = lines(up("stage.x"), up("stage.y"), Tick(1, 0.0), down("stage.y"), Tick(6, 0.0))
    assert ("channels lost", "stage") in told


def test_refused_commands_are_told_with_who_and_not_all_of_thousands() -> None:
    wrong = [Command(Verb.COMMAND, n, "rnu", owner="me@here") for n in range(1, 500)]
    told = lines(*wrong, Command(Verb.PAUSE, 500, owner="you@there"), Tick(60, 0.0))
    assert told[:20] == [("refused", "me@here")] * 20
    assert told[20] == ("more commands were refused", None)


def test_a_control_of_nothing_is_told() -> None:
    assert lines(Command(Verb.STOP, 1, owner="you@there")) == [("refused", "you@there")]
    assert lines(Command(Verb.COMMAND, 1, "ping", owner="you@there")) == []
