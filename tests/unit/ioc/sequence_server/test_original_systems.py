"""Systems that take CMD and Nested_Indices themselves, as those do that were there before us."""

from __future__ import annotations

import ast
import asyncio
import queue
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.ioc import Device, SequenceServer
from orchestrator.ioc.sequence_server.system import IoQueue
from orchestrator.ioc.sequence_server.taken import IndicesText, Taken, verdict
from tests.original_system import LateSystem, OriginalSystem

ALL = "list(range(10, 15))"
"""No trajectory of ours: the system makes of it what it likes."""


@asynccontextmanager
async def serving(system: Any, **options: Any) -> AsyncIterator[tuple[SequenceServer, list[Any]]]:
    """A server at work, and what its ACK and INDEX have shown."""
    server = SequenceServer("T:", server_name="test.server", **options)
    server.system = system  # as whoever has written it sets it
    shown: list[Any] = []
    for pv, name in ((server.ack, "ACK"), (server.index, "INDEX")):
        pv.write = _noting(pv.write, name, shown)
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(server._work())
        publish = tasks.create_task(server._publish_for_ever())
        try:
            yield server, shown
        finally:
            work.cancel()
            publish.cancel()


def _noting(write: Any, name: str, shown: list[Any]) -> Any:
    async def noting(value: Any, **kwargs: Any) -> Any:
        shown.append((name, list(value) if isinstance(value, list) else value))
        return await write(value, **kwargs)

    return noting


async def put(server: SequenceServer, text: str) -> None:
    await server.cmd.putter(server.cmd, text)


async def until(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - threads tell of nothing else
            await asyncio.sleep(0.001)


def told(server: SequenceServer) -> tuple[int, int]:
    return server.ack.value, int(server.ack.alarm.severity)


async def test_it_gets_both_texts_and_its_acknowledgements_are_shown_with_the_index() -> None:
    system = OriginalSystem()
    async with serving(system) as (server, shown):
        await put(server, ALL)
        await until(lambda: told(server) == (1, 0))
        assert list(server.values.value) == [10, 11, 12, 13, 14]
        shown.clear()
        await server.take('{"seq": 7, "test.server": 3, "laser": 0}')
        await until(lambda: told(server) == (1, 0) and len(shown) > 1)
        assert [pv for pv in shown if pv != ("ACK", 0)] == [("INDEX", [7, 3]), ("ACK", 1)]
        assert shown[0] == ("ACK", 0)
        assert (system.position, server.message.value) == (13, "at 13")
        await server.take("{'test.server': 1}")  # the older form, in which each one is new
        await until(lambda: list(server.index.value) == [-1, 1])
        await server.take('{"seq": 8, "laser": 1}')
        await server.take('{"seq": 9}')
    assert [name for name, _ in system.asked] == ["CMD", "Nested_Indices", "Nested_Indices"]
    assert system.asked[0][1] == ALL
    assert str(system.asked[1][1]) == '{"seq": 7, "test.server": 3, "laser": 0}'


async def test_a_command_that_it_does_not_take_fails_the_put_with_its_words() -> None:
    async with serving(OriginalSystem()) as (server, _):
        with pytest.raises(OrchestratorError, match="failed to evaluate the command"):
            await put(server, "nonsense(")
        await until(lambda: told(server) == (0, 2))
        assert "failed to evaluate the command" in server.message.value
        await server.take('{"seq": 1, "test.server": 0}')
        await until(lambda: "TypeError" in server.message.value)
        assert told(server) == (0, 2)
        assert list(server.index.value) == [-1, -1]


async def test_what_it_acknowledges_later_is_shown_then_and_not_before() -> None:
    system = LateSystem()
    async with serving(system) as (server, shown):
        await put(server, ALL)
        await until(lambda: "no ACK yet" in server.message.value)
        assert ("ACK", 1) not in shown
        system.may_go.set()
        await until(lambda: told(server) == (1, 0))
        assert server.message.value == ""
        system.may_go.clear()
        await server.take('{"seq": 2, "test.server": 4}')
        await until(lambda: "index 4 (seq 2): the system has put no ACK" in server.message.value)
        assert list(server.index.value) == [-1, -1]
        system.may_go.set()
        await until(lambda: told(server) == (1, 0))
        assert shown[-2:] == [("INDEX", [2, 4]), ("ACK", 1)]


async def test_an_ack_for_what_its_own_client_has_heard_is_shown() -> None:
    """It need not get its indices by us: some have a client of their own."""
    system = OriginalSystem()
    async with serving(system) as (server, shown):
        await put(server, ALL)
        await until(lambda: told(server) == (1, 0))
        shown.clear()
        await asyncio.to_thread(system.io_execute, "Nested_Indices", b'{"test.server": 2}')
        await until(lambda: shown == [("ACK", 0), ("ACK", 1)])
        assert told(server) == (1, 0)


class Loads:
    """Takes CMD alone, and never says that it has."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def io_execute(self, pv_name: str, value: Any) -> None:
        match pv_name:
            case "CMD" | "RESET":
                self.asked.append(value)


class LoadsAndMoves(Loads):
    def io_execute(self, pv_name: str, value: Any) -> None:
        super().io_execute(pv_name, value)
        if pv_name == "VAL":
            self.asked.append(value)


async def test_what_nobody_handles_is_not_acknowledged() -> None:
    async with serving(Loads()) as (server, shown):
        await put(server, "[3, 4]")
        await until(lambda: told(server) == (1, 0))
        shown.clear()
        await server.take('{"seq": 1, "test.server": 1}')
        await until(lambda: told(server) == (0, 2))
        assert "handles neither Nested_Indices nor VAL" in server.message.value
        assert list(server.index.value) == [-1, -1]


async def test_one_that_takes_cmd_alone_is_moved_by_the_items() -> None:
    system = LoadsAndMoves()
    async with serving(system) as (server, _):
        await put(server, "[3, 4]")
        await server.take('{"seq": 1, "test.server": 1}')
        await until(lambda: list(server.index.value) == [1, 1])
    assert system.asked == ["[3, 4]", 4]


async def test_the_end_of_a_positional_linear_is_told() -> None:
    async with serving(Mover()) as (server, _):
        await put(server, "linear(0, 3, 1)")
        await until(lambda: told(server) == (1, 0))
        assert list(server.values.value) == [0, 1, 2, 3]
        assert "linear(0, 3, 1) has 4 points, 0 … 3: the end is one of them" in server.message.value
        assert server.message.alarm.severity == 0


class Mover:
    """Moves wherever it is told to, and looks at what was asked for, as the kit's pages have it."""

    io_get_queue: queue.Queue[dict[str, Any]]

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def io_execute(self, pv_name: str, value: Any) -> None:
        while not self.io_get_queue.empty():
            for name in self.io_get_queue.get():
                if name == "CMD":
                    self.asked.append(name)
        self.asked.append((pv_name, value))


async def test_one_that_takes_neither_is_given_items_alone() -> None:
    system = Mover()
    async with serving(system) as (server, _):
        await put(server, "[3, 4]")
        await server.take('{"seq": 1, "test.server": 1}')
        await until(lambda: told(server) == (1, 0) and list(server.index.value) == [1, 1])
    assert system.asked == ["CMD", ("VAL", 4)]


async def test_what_is_said_to_be_taken_stands_above_what_the_source_says() -> None:
    system = Mover()
    async with serving(system, takes=["Nested_Indices"]) as (server, _):
        await put(server, "[3, 4]")
        await server.take('{"seq": 1, "test.server": 1}')
        await until(lambda: list(server.index.value) == [1, 1])
    assert system.asked == ["CMD", ("Nested_Indices", '{"seq": 1, "test.server": 1}')]


async def test_without_a_system_a_trajectory_is_loaded_and_no_index_reached() -> None:
    async with serving(None) as (server, _):
        await put(server, "[1, 2]")
        await until(lambda: told(server) == (1, 0))
        assert list(server.values.value) == [1, 2]
        await server.take('{"seq": 1, "test.server": 1}')
        await until(lambda: told(server) == (0, 2))
        assert server.message.value == "index 1 (seq 1): there is no system that could move"
        with pytest.raises(OrchestratorError, match="no system"):
            await server.execute(3.0)


def test_a_system_is_given_its_queues_by_every_name_that_is_in_use() -> None:
    system = OriginalSystem()
    server = SequenceServer("T:", server_name="s", system=system)
    assert system.io_push_queue is system.io_put_queue is server.io_put_queue  # type: ignore[attr-defined]
    assert system.io_pull_queue is system.io_get_queue is server.io_get_queue  # type: ignore[attr-defined]


class Narrow:
    __slots__ = ("io_get_queue", "io_put_queue")

    def io_execute(self, pv_name: str, value: Any) -> None:
        self.io_put_queue.put({pv_name: value})


def test_a_system_that_has_such_queues_of_its_own_or_no_place_for_them_keeps_what_it_has() -> None:
    device = Device()
    own = device.io_push_queue, device.io_pull_queue
    SequenceServer("T:", server_name="s", system=device)
    assert (device.io_push_queue, device.io_pull_queue) == own
    narrow = Narrow()
    server = SequenceServer("T:", server_name="s", system=narrow)
    assert narrow.io_put_queue is server.io_put_queue


async def test_its_queues_are_waited_for_by_the_event_loop_too() -> None:
    waiting = IoQueue(2)
    both = asyncio.gather(waiting.async_get(), waiting.async_get())
    await asyncio.sleep(0)
    await asyncio.to_thread(waiting.put, {"VAL": 1})
    await waiting.async_put({"VAL": 2})
    assert sorted(item["VAL"] for item in await both) == [1, 2]
    for value in range(3):  # never waits: the oldest goes
        await waiting.async_put({"VAL": value})
    assert [item["VAL"] for item in waiting.taken()] == [1, 2]


class Dispatching:
    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.handlers = {"CMD": self.load, "Nested_Indices": lambda text: self.load(text)}

    def io_execute(self, pv_name: str, value: Any) -> None:
        self.handlers[pv_name](value)

    def load(self, text: str) -> None:
        self.asked.append(text)


def made_of_text() -> Any:
    """A class whose source is nowhere."""
    code = "class S:\n def io_execute(self, pv_name, value):\n  if pv_name == 'CMD': pass\n"
    made: dict[str, Any] = {"__name__": "nowhere"}
    exec(code, made)  # noqa: S102 - that is the point
    return made["S"]()


def test_what_it_takes_is_found_in_its_source() -> None:
    assert Taken.by(Dispatching()).names == {"CMD", "Nested_Indices"}
    assert Taken.by(made_of_text()) == Taken(frozenset({"CMD"}), False)
    assert Taken.by(OriginalSystem()) == Taken(frozenset({"CMD", "Nested_Indices"}), True)
    assert Taken.by(LateSystem()).names == {"CMD", "Nested_Indices"}
    assert Taken.by(LoadsAndMoves()) == Taken(frozenset({"CMD", "RESET", "VAL"}), False)
    assert Taken.by(Mover()) == Taken()
    assert Taken.by(type("Sourceless", (), {"io_execute": print})()) == Taken()


def test_indices_are_text_and_bytes() -> None:
    text = IndicesText('{"seq": 1, "für": 2}')
    assert bytes(text).decode() == text
    assert ast.literal_eval(bytes(text).decode())["für"] == 2


@pytest.mark.parametrize(
    ("said", "done", "why"),
    [
        (1, True, ""),
        ("1", True, ""),
        (True, True, ""),
        ("1 loaded", True, ""),
        (0, None, ""),
        ("0", None, ""),
        (False, None, ""),
        ("0failed to evaluate", False, "failed to evaluate"),
        ("0: no", False, "no"),
        (-1, False, "-1"),
        ("no such command", False, "no such command"),
    ],
)
def test_an_ack_is_understood_as_number_and_as_text(said: Any, done: bool | None, why: str) -> None:
    assert verdict(said) == (done, why)
