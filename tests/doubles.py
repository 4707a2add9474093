"""An event loop on virtual time, and channels in memory."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from orchestrator.errors import NotConnectedError, PutError, StepTimeoutError
from orchestrator.ports import Offer, always
from orchestrator.types import (
    LinkChange,
    Metadata,
    NativeType,
    Reading,
    Severity,
    Value,
)

T = TypeVar("T")


class DeadlockError(RuntimeError):
    """Nothing is ready, no timer is set: the program under test waits for ever."""


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that does not wait for a timer but moves the loop's clock to it."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if self.loop.iterated():
            return events  # something was made ready just now
        if events or timeout == 0:
            return events
        if timeout is None:
            raise DeadlockError("no task is ready and no timer is set")
        self.loop.advance(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer as soon as nothing is ready."""

    thread_takes = 0.0
    """s for each job of a thread: to read a sequence, to call a function that blocks."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._now = 1000.0
        self._iterations = 0
        self._actions: dict[int, Callable[[], None]] = {}
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    @property
    def iterations(self) -> int:
        """Iterations so far; every await that really suspends lies between two of them."""
        return self._iterations

    def at_iteration(self, number: int, action: Callable[[], None]) -> None:
        """Call `action` between the iterations `number - 1` and `number`."""
        self._actions[number] = action

    def iterated(self) -> bool:
        """Count an iteration, act if something is to be done at it; called by the selector."""
        self._iterations += 1
        action = self._actions.pop(self._iterations, None)
        if action is not None:
            self.call_soon(action)
        return action is not None

    @property
    def timers(self) -> list[str]:
        """What waits for its time, by the full names of the functions."""
        handles = self._scheduled  # type: ignore[attr-defined]  # of every loop with a selector
        calls = [handle._callback for handle in handles if not handle.cancelled()]
        named = [getattr(call, "func", call) for call in calls]
        return [f"{call.__module__}.{call.__qualname__}" for call in named]

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        # A timer counts as due up to the clock's resolution early: never step short of it.
        self._now += max(seconds, 1e-9)

    def run_in_executor(
        self, executor: object, func: Callable[..., T], *args: object
    ) -> asyncio.Future[T]:
        """Run it at once, or after `thread_takes`: real threads would not keep virtual time."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        if self.thread_takes:
            self.call_later(self.thread_takes, _run_job, future, func, *args)
        else:
            _run_job(future, func, *args)
        return future


def _run_job(future: asyncio.Future[T], func: Callable[..., T], *args: object) -> None:
    if future.cancelled():
        return
    try:
        future.set_result(func(*args))
    except Exception as error:  # noqa: BLE001 - handed to whoever awaits, as an executor does
        future.set_exception(error)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on virtual time.

    Raises:
        DeadlockError: It waits for something that can't come.
        AssertionError: It left tasks behind.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_leaving_no_task(main))


async def _leaving_no_task(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    for _ in range(10):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        raise AssertionError(f"tasks left behind: {sorted(t.get_name() for t in left)}")
    return result


@dataclass
class SimChannel:
    """One channel in memory, and how it behaves."""

    name: str
    value: Value = 0.0
    metadata: Metadata = Metadata(NativeType.DOUBLE)  # noqa: RUF009 - frozen
    connected: bool = True
    severity: Severity = Severity.NO_ALARM
    status: int = 0
    """The alarm's status code."""
    put_takes: float = 0.0
    """s until the put-callback; inf = never."""
    get_takes: float = 0.0
    """s until a get is answered, with the value by then; inf = never."""
    reply_takes: float = 0.0
    """s for which that answer is under way."""
    refuses: str = ""
    """Why puts fail; empty = they don't."""
    on_put: Callable[[SimChannel, Value], None] | None = None
    """Called when a put arrives, in place of taking the value."""
    puts: list[tuple[float, Value, bool]] = field(default_factory=list)
    """(time, value, completion) of each put that arrived."""
    busy: asyncio.Task[None] | None = None
    """The put-callback under way."""
    since: float = 0.0


class SimChannels:
    """`ports.Channels` in memory: same errors, same orphans, no network."""

    def __init__(self, pull: Offer[Reading | LinkChange]) -> None:
        """Updates are offered to `pull`, as the client does."""
        self._pull = pull
        self.channels: dict[str, SimChannel] = {}
        self.servers: dict[str, tuple[str, str]] = {}
        """Of the channels that two have: the one that is connected, and the other."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._stamp = 0.0

    def add(self, name: str, value: Value = 0.0, **behaviour: Any) -> SimChannel:
        """Make a channel and, if it is connected, offer its link and first value."""
        channel = SimChannel(name, value, **behaviour)
        self.channels[name] = channel
        if channel.connected:
            self._pull.offer(LinkChange(name, True, channel.metadata))
            self._offer(channel)
        return channel

    def post(
        self, name: str, value: Value, severity: Severity = Severity.NO_ALARM, status: int = 0
    ) -> None:
        """The IOC posts a new value."""
        channel = self.channels[name]
        channel.value, channel.severity, channel.status = value, severity, status
        if channel.connected:
            self._offer(channel)

    def disconnect(self, name: str) -> None:
        """The IOC is gone; an outstanding put fails."""
        channel = self.channels[name]
        if channel.connected:
            channel.connected = False
            self._pull.offer(LinkChange(name, False))
            if channel.busy is not None:
                channel.busy.cancel("disconnect")

    def reconnect(self, name: str, value: Value | None = None) -> None:
        """The IOC is back, perhaps with another (its default) value."""
        channel = self.channels[name]
        if channel.connected:
            return
        channel.connected = True
        if value is not None:
            channel.value = value
        self._pull.offer(LinkChange(name, True, channel.metadata, reconnected=True))
        self._offer(channel, unconfirmed=True)

    def _offer(self, channel: SimChannel, *, unconfirmed: bool = False) -> None:
        self._pull.offer(self._reading(channel, unconfirmed=unconfirmed))

    def _reading(self, channel: SimChannel, *, unconfirmed: bool = False) -> Reading:
        self._stamp += 1e-6
        now = asyncio.get_running_loop().time()
        stamp = now + self._stamp
        value, severity = channel.value, channel.severity
        return Reading(channel.name, value, stamp, severity, channel.status, unconfirmed, now)

    # ports.Channels -----------------------------------------------------------------------------

    async def connect(self, names: Iterable[str], timeout: float) -> list[str]:
        """See `ports.Channels.connect`; here, after `timeout` what is not connected is told."""
        wanted = list(names)
        if all(self._connected(n) for n in wanted):
            await asyncio.sleep(0)
            return []
        await asyncio.sleep(timeout)
        return [n for n in wanted if not self._connected(n)]

    def _connected(self, name: str) -> bool:
        return name in self.channels and self.channels[name].connected

    async def put(
        self,
        name: str,
        value: Value,
        *,
        completion: bool,
        timeout: float,
        permit: Callable[[], None] = always,
    ) -> None:
        """See `ports.Channels.put`."""
        channel = self._channel(name)
        if completion and channel.busy is not None:
            await self._wait_for(channel.busy, timeout, f"{name}: an earlier put is outstanding")
            self._channel(name)
        permit()
        if channel.refuses and not completion:
            return  # a rejected plain put looks successful
        if channel.refuses:
            raise PutError(f"{name}: put of {value!r} refused: {channel.refuses}")
        channel.puts.append((asyncio.get_running_loop().time(), value, completion))
        task = self._start(channel, value)
        if completion:
            await self._wait_for(task, timeout, f"{name}: no completion within {timeout:g} s")
            if task.cancelled():
                raise NotConnectedError(f"{name}: lost while the put was outstanding")

    def _start(self, channel: SimChannel, value: Value) -> asyncio.Task[None]:
        task = asyncio.create_task(self._put(channel, value), name=f"put {channel.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        channel.busy, channel.since = task, asyncio.get_running_loop().time()
        return task

    async def _put(self, channel: SimChannel, value: Value) -> None:
        try:
            if channel.on_put is not None:
                channel.on_put(channel, value)
            elif channel.put_takes == 0:
                channel.value = value
                self._offer(channel)
            await asyncio.sleep(channel.put_takes)
            if channel.on_put is None and channel.put_takes > 0:
                channel.value = value
                self._offer(channel)
        finally:
            if channel.busy is asyncio.current_task():
                channel.busy = None

    @staticmethod
    async def _wait_for(task: asyncio.Task[None], timeout: float, text: str) -> None:
        done, _ = await asyncio.wait({task}, timeout=timeout)
        if not done:
            raise StepTimeoutError(text)

    async def get(
        self, names: Sequence[str], timeout: float, *, beside: bool = False
    ) -> dict[str, Reading | Exception]:
        """See `ports.Channels.get`."""
        del beside  # for replays
        replies: dict[str, Reading | Exception] = {}
        slowest = max((min(self.channels[n].get_takes, timeout) for n in names), default=0.0)
        await asyncio.sleep(slowest)
        if under_way := max((self.channels[n].reply_takes for n in names), default=0.0):
            read = {name: self._reading(self.channels[name]) for name in names}
            await asyncio.sleep(under_way)
            now = asyncio.get_running_loop().time()
            return {name: replace(reading, received=now) for name, reading in read.items()}
        for name in names:
            channel = self.channels[name]
            if not channel.connected:
                replies[name] = NotConnectedError(f"{name}: not connected")
            elif channel.get_takes > timeout:
                replies[name] = StepTimeoutError(f"{name}: no reply within {timeout:g} s")
            else:
                replies[name] = self._reading(channel)
        return replies

    async def doubled(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """See `ports.Channels.doubled`."""
        return {name: self.servers[name] for name in names if name in self.servers}

    def outstanding(self, name: str) -> float | None:
        """See `ports.Channels.outstanding`."""
        channel = self.channels[name]
        if channel.busy is None:
            return None
        return asyncio.get_running_loop().time() - channel.since

    def _channel(self, name: str) -> SimChannel:
        if not self._connected(name):
            raise NotConnectedError(f"{name}: not connected")
        return self.channels[name]

    async def close(self) -> None:
        """End what is outstanding."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


def puts(channels: Mapping[str, SimChannel], name: str) -> list[Value]:
    """The values put to a channel, in order."""
    return [value for _, value, _ in channels[name].puts]
