"""The base of devices: plain, blocking Python behind an IOC, in threads of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np
import structlog

from orchestrator.buffers import CircularBuffer, Floats
from orchestrator.ioc.device.device_items import (
    Call,
    DeviceError,
    Done,
    Publication,
    PushItem,
    Sample,
)
from orchestrator.ioc.device.wiring import WiringError, near
from orchestrator.ioc.device.workers import (
    Commands,
    Driver,
    Processor,
    Worker,
    current_origin,
    described,
    handled,
    readings,
)
from orchestrator.ioc.thread_queue import ThreadQueue

_WAITING_PUTS = 1000
"""Puts that may wait for a device; more are refused."""

_WAITING_PUBLICATIONS = 1000
"""Items in the push queue from which on a publisher of a `keep_all` PV is held back."""

_COURTESY = 64
"""Publications after which a thread gives way to others.

Python's threads change every 5 ms only, and each answer to a client takes several changes.
"""

logger = structlog.get_logger(__name__)


class PushQueue(ThreadQueue[PushItem]):
    """The push queue of a device; it can be used as caproto's `ThreadsafeQueue` as well."""

    def __init__(
        self,
        key: Callable[[PushItem], Hashable | None],
        publish: Callable[[Mapping[str, Any]], None],
    ) -> None:
        """`publish` takes what is `put`."""
        super().__init__(key)
        self._publish = publish

    def put(self, values: Mapping[str, Any]) -> None:
        """Show values in the PVs that are wired to these keys; as `Device.publish`."""
        self._publish(values)

    async def async_put(self, values: Mapping[str, Any]) -> None:
        """The same, from the event loop."""
        self._publish(values)


class Device:
    """What stands behind a group of PVs: an instrument, and what is computed from it.

    Subclass it in plain Python; nothing here is asyncio, and every method may block. A group
    (`DeviceGroup`) starts and stops it, and its table says which PV calls what.

    In the acquisition thread: `open`, then `acquire` every `period`, and between two of them the
    methods that puts call; so a driver is never called twice at once, and always from one
    thread. In the processing thread: `process`, with what the circular buffer holds. What any
    thread gives to `publish` is shown by the PVs.

    What a method raises is logged and told in `message`, the PVs that depend on it become
    INVALID, and it is called again after a pause that grows; after `acquire` has failed, `close`
    and `open` are called in between.
    """

    name: str = ""
    """In messages and names of threads; the name of the class unless given."""
    period: float = 0.1
    """s from one `acquire` to the next; may change at any time. 0 = `acquire` itself waits for
    the instrument."""
    capacity: int = 1000
    """Values in the circular buffer."""
    acquiring: bool = True
    """Whether `acquire` is called; may change at any time."""
    process_period: float = 0.0
    """s from one `process` to the next, at least."""
    separate_commands: bool = False
    """Whether puts have a thread of their own, for a driver that may be called while `acquire`
    still blocks."""
    retry_first: float = 0.5
    """s until what has failed is tried again; twice as long each time that it fails again."""
    retry_most: float = 30.0
    """The longest such pause, in s."""

    clock: Callable[[], float] = staticmethod(time.monotonic)
    """Of all pauses."""

    def __init__(self) -> None:
        self.name = self.name or type(self).__name__
        self.io_pull_queue: ThreadQueue[Call] = ThreadQueue(lambda _call: None)
        """Puts on their way to the device."""
        self.io_push_queue = PushQueue(self._merge_key, self.publish)
        """What the device publishes, on its way to the PVs; `put({key: value})` is `publish`."""
        self.acquired = 0
        """Times that `acquire` has returned something."""
        self._buffer = CircularBuffer(self.capacity)
        self._buffer_lock = threading.Lock()
        self._clears = 0
        self._changed = threading.Condition()
        self.nudges = 0
        """Times that the threads were made to look."""
        self._stop = threading.Event()
        self._workers: list[Worker] = []
        self._keys: frozenset[str] | None = None
        self._keep_all: frozenset[str] = frozenset()
        self._home: int | None = None  # the thread that drains the push queue
        self._published = 0

    # What a subclass says ---------------------------------------------------------------------

    def open(self) -> None:
        """Connect to the instrument; called first, and again after a failure."""

    def acquire(self) -> float | Iterable[float] | None:
        """Read the instrument: a value or several, oldest first, for the circular buffer.

        None = there was nothing. May block as long as the instrument takes; what puts call then
        waits for it, unless `separate_commands`. Left out: nothing is ever acquired.
        """
        return None

    def process(self, window: Floats) -> Mapping[str, Any] | None:
        """Compute from the newest `capacity` values, shape (n,), oldest first; a copy.

        Returns:
            What to publish, by key; None = nothing.

        Called when something new was acquired; when it takes longer than `acquire`, what came
        meanwhile is processed together. Left out: nothing is ever processed.
        """
        del window
        return None

    def on_put(self, name: str, value: Any) -> Any:
        """Handle a put that its line in the table gives no method; `name` is the attribute."""
        raise NotImplementedError(f"{type(self).__name__} has no on_put, for the put to {name}")

    def interrupt(self) -> None:
        """Make a call to the driver that blocks return; called from another thread, at the end.

        Without it, a thread whose driver blocks is left behind, and `close` not called.
        """

    def close(self) -> None:
        """Let go of the instrument; called at the end, and before another `open`."""

    # What a subclass uses ---------------------------------------------------------------------

    def publish(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Show values in the PVs that are wired to these keys; from any thread.

        A value is a number, text, a label, an array (copied unless it is read-only), or a
        `Sample` with a time or an alarm of its own.

        Returns at once; but for a PV with `keep_all`, a thread that is faster than the clients
        can be served waits.

        Raises:
            WiringError: No PV is wired to a key.
        """
        for item in self._publications({**(values or {}), **named}):
            self._wait_for_room((item,))
            self.io_push_queue.offer(item)
        self._give_way()

    def window(self) -> Floats:
        """The newest `capacity` values that were acquired, shape (n,), oldest first; a copy."""
        with self._buffer_lock:
            return self._buffer.window().copy()

    def clear(self) -> None:
        """Empty the circular buffer, as what it holds belongs to a former setting.

        What `process` makes of values that were acquired before is not published any more.
        """
        with self._buffer_lock:
            self._buffer = CircularBuffer(self.capacity)
            self._clears += 1

    def wait(self, seconds: float) -> bool:
        """Wait so long in a thread of the device, unless it is to stop; whether it is."""
        return self._stop.wait(seconds)

    @property
    def stopping(self) -> bool:
        """Whether the device is to stop, or has."""
        return self._stop.is_set()

    # Its life ---------------------------------------------------------------------------------

    @property
    def acquires(self) -> bool:
        """Whether there is anything to acquire."""
        return type(self).acquire is not Device.acquire

    def start(self) -> None:
        """Start the threads."""
        self._stop = stop = threading.Event()
        self.io_pull_queue.on_first(self.nudge)
        driver = Driver(self, stop)
        self._workers = [driver]
        if self.separate_commands:
            self._workers.append(Commands(self, stop, driver))
        if type(self).process is not Device.process:
            self._workers.append(Processor(self, stop))
        for worker in self._workers:
            worker.thread.start()

    def stop(self, timeout: float = 1.0) -> bool:
        """Ask the threads to end, and wait at most `timeout` s; whether all have.

        Puts that still wait fail.
        """
        self._stop.set()
        self.nudge()
        self.io_push_queue.look_again()
        try:
            self.interrupt()
        except Exception as error:  # noqa: BLE001 - the user's; the threads must be ended
            logger.warning("interrupt failed", device=self.name, error=described(error))
        deadline = time.monotonic() + timeout
        for worker in self._workers:
            worker.thread.join(max(0.0, deadline - time.monotonic()))
        for call in self.io_pull_queue.take():
            self.finish(Done(call, error=DeviceError(f"{self.name} has stopped")))
        left = [worker.thread.name for worker in self._workers if worker.thread.is_alive()]
        if left:
            logger.warning("threads are left in calls to the driver", threads=", ".join(left))
        return not left

    # What the group and the threads use -------------------------------------------------------

    def attach(
        self, keys: Iterable[str], keep_all: Iterable[str], wake: Callable[[], None]
    ) -> None:
        """Say who takes from the push queue: the calling thread, which is never held back.

        Args:
            keys: all that may be published.
            keep_all: those of which every value is kept.
            wake: called, in any thread, when something comes into the empty push queue.
        """
        self._keys, self._keep_all = frozenset(keys), frozenset(keep_all)
        self._home = threading.get_ident()
        self.io_push_queue.on_first(wake)

    def submit(self, name: str, work: Callable[[], Any]) -> Future[Any]:
        """Have something done in the device's thread, in turn; for a put to `name`.

        What the Future gives comes after what `work` published.
        """
        call = Call(name, work, Future())
        if self.stopping:
            call.done.set_exception(DeviceError(f"{self.name} has stopped"))
        elif not self.io_pull_queue.offer_or_refuse(call, _WAITING_PUTS):
            text = f"{self.name} has {_WAITING_PUTS} puts waiting: {name} is not put"
            call.done.set_exception(DeviceError(text))
        return call.done

    def call_now(self, name: str, work: Callable[[], Any]) -> Any:
        """Do something at once, in the calling thread; what it raises, but never SystemExit."""
        done = handled(Call(name, work, Future()))
        self.nudge()
        if done.error is not None:
            raise done.error
        return done.result

    def finish(self, done: Done) -> None:
        """Complete a put: behind what it published, if somebody takes that."""
        if self._home is None:
            done.tell()
        else:
            self.io_push_queue.offer(done)

    def keep(self, taken: float | Iterable[float] | None) -> None:
        """Put what was acquired into the circular buffer, and have it processed.

        Called with what `acquire` returns; a driver that calls back with its data may call it
        from a thread of its own instead.
        """
        values = readings(taken)
        if not len(values):
            return
        with self._buffer_lock:
            self._buffer.extend(values)
            self.acquired += 1
        self.nudge()

    def process_window(self) -> None:
        """Process the window and publish what comes of it, unless it was cleared meanwhile."""
        with self._buffer_lock:
            window, clears = self._buffer.window().copy(), self._clears
        if not len(window):
            return
        items = self._publications(self.process(window) or {})
        self._wait_for_room(items)
        with self._buffer_lock:  # so that nothing old follows what is published after a clear
            if clears == self._clears:
                for item in items:
                    self.io_push_queue.offer(item)

    def nudge(self) -> None:
        """Make the threads look whether something is due."""
        with self._changed:
            self.nudges += 1
            self._changed.notify_all()

    def sleep_until(
        self, ready: Callable[[], bool], timeout: float | None, nudges: int, stop: threading.Event
    ) -> None:
        """Wait for `ready`, `timeout` s, a nudge after so many, or the end; for the threads."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.nudges != nudges or stop.is_set() or ready(), timeout
            )

    def _merge_key(self, item: PushItem) -> Hashable | None:
        if isinstance(item, Publication) and item.key not in self._keep_all:
            return item.key
        return None

    def _publications(self, values: Mapping[str, Any]) -> list[Publication]:
        origin, now = current_origin(), time.time()
        for key in values:
            if self._keys is not None and key not in self._keys:
                raise WiringError(f"no PV shows {key!r}{near(key, self._keys)}")
        return [Publication(key, _frozen(each, now), origin) for key, each in values.items()]

    def _wait_for_room(self, items: Iterable[Publication]) -> None:
        all_kept = any(item.key in self._keep_all for item in items)
        if all_kept and threading.get_ident() != self._home:
            self.io_push_queue.wait_for_room(_WAITING_PUBLICATIONS, lambda: self.stopping)

    def _give_way(self) -> None:
        self._published += 1
        if self._published % _COURTESY == 0 and threading.get_ident() != self._home:
            time.sleep(0)


def _frozen(value: Any, now: float) -> Sample:
    """The value as it is now, and when that was."""
    sample = value if isinstance(value, Sample) else Sample(value)
    plain = sample.value
    if isinstance(plain, np.ndarray) and plain.flags.writeable:
        plain = plain.copy()
    elif isinstance(plain, list):
        plain = tuple(plain)
    at = now if sample.timestamp is None else sample.timestamp
    return Sample(plain, at, sample.severity, sample.status)
