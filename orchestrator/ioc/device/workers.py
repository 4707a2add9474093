"""The threads of a device: what each does in a turn, and how long it then waits."""

from __future__ import annotations

import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import structlog

from orchestrator.buffers import Floats
from orchestrator.ioc.device.device_items import (
    Call,
    DeviceError,
    Done,
    NotOpenError,
    Origin,
    PushItem,
    Recovery,
    Trouble,
)
from orchestrator.ioc.thread_queue import ThreadQueue

NOTHING: Floats = np.empty(0)

logger = structlog.get_logger(__name__)

_current = threading.local()


def current_origin() -> Origin:
    """The method of a device in which this is called."""
    return getattr(_current, "origin", Origin.OTHER)


@contextmanager
def _inside(origin: Origin) -> Iterator[None]:
    before = current_origin()
    _current.origin = origin
    try:
        yield
    finally:
        _current.origin = before


class Threaded(Protocol):
    """What its threads use of a `Device`, which describes each of these."""

    name: str
    period: float
    acquiring: bool
    process_period: float
    separate_commands: bool
    retry_first: float
    retry_most: float
    clock: Callable[[], float]
    io_pull_queue: ThreadQueue[Call]
    acquired: int
    nudges: int

    @property
    def io_push_queue(self) -> ThreadQueue[PushItem]: ...  # noqa: D102 - see above
    @property
    def acquires(self) -> bool: ...  # noqa: D102
    @property
    def stopping(self) -> bool: ...  # noqa: D102
    def open(self) -> None: ...  # noqa: D102
    def acquire(self) -> float | Iterable[float] | None: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102
    def keep(self, taken: float | Iterable[float] | None) -> None: ...  # noqa: D102
    def process_window(self) -> None: ...  # noqa: D102
    def finish(self, done: Done) -> None: ...  # noqa: D102
    def nudge(self) -> None: ...  # noqa: D102
    def sleep_until(  # noqa: D102
        self, ready: Callable[[], bool], timeout: float | None, nudges: int, stop: threading.Event
    ) -> None: ...


class Attempts:
    """Failures of one method in a row, and the growing pause after each."""

    def __init__(self, device: Threaded, origin: Origin) -> None:
        self._device = device
        self._origin = origin
        self._failures = 0
        self.last = ""
        """What went wrong the last time."""
        self.not_before = float("-inf")
        """When it may be tried again, in the clock of the device."""

    @property
    def failing(self) -> bool:
        """Whether the last one failed."""
        return self._failures > 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Tell what is raised inside, and that it works again. Nothing gets out."""
        try:
            with _inside(self._origin):
                yield
        # SystemExit too: it would end the thread without a word.
        except BaseException as error:  # noqa: BLE001 - the top of a thread
            self._failed(error)
        else:
            self._worked()

    def _failed(self, error: BaseException) -> None:
        device, method = self._device, self._origin.value
        pause = min(device.retry_first * 2**self._failures, device.retry_most)
        self._failures = min(self._failures + 1, 100)
        self.last = described(error)
        self.not_before = device.clock() + pause
        text = f"{device.name}: {method} failed: {self.last}; next try in {pause:g} s"
        if not device.stopping:
            # The traceback once, for who writes the device; then a line each.
            where = "\n" + "".join(traceback.format_exception(error)).rstrip()
            logger.error(text + where if self._failures == 1 else text)
            device.io_push_queue.offer(Trouble(self._origin, text))

    def _worked(self) -> None:
        if self.failing:
            self._failures = 0
            self._device.io_push_queue.offer(Recovery(self._origin))


class Worker(ABC):
    """One thread of a device: turns, until it is asked to stop."""

    def __init__(self, device: Threaded, what: str, origin: Origin, stop: threading.Event) -> None:
        self.device = device
        self._stop = stop
        self._turns = Attempts(device, origin)
        self.thread = threading.Thread(
            # daemon: a driver that blocks must not keep the process from ending
            target=self._run,
            name=f"{device.name} {what}",
            daemon=True,
        )

    @abstractmethod
    def turn(self) -> float | None:
        """Do what is due; seconds until more is, None = only when `ready`."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether something is due whatever the time."""

    def end(self) -> None:  # noqa: B027 - most have nothing to end
        """What is to be done last."""

    def _run(self) -> None:
        while not self._stop.is_set():
            nudges = self.device.nudges
            pause: float | None = self.device.retry_most
            # What a turn calls of the user's never gets here; a `period` that is no number does.
            with self._turns.attempt():
                pause = self.turn()
            self.device.sleep_until(self.ready, pause, nudges, self._stop)
        self.end()


class Commands(Worker):
    """Handles the pull queue."""

    def __init__(self, device: Threaded, stop: threading.Event, driver: Driver) -> None:
        super().__init__(device, "commands", Origin.OTHER, stop)
        self._driver = driver

    def turn(self) -> None:
        """Handle what waits."""
        self._driver.handle_calls()

    def ready(self) -> bool:
        """Whether a put waits."""
        return len(self.device.io_pull_queue) > 0


class Driver(Worker):
    """Opens the instrument, acquires, and handles the pull queue unless `Commands` does."""

    def __init__(self, device: Threaded, stop: threading.Event) -> None:
        super().__init__(device, "acquisition", Origin.ACQUIRE, stop)
        self._opening = Attempts(device, Origin.OPEN)
        self._acquiring = Attempts(device, Origin.ACQUIRE)
        self._open = False
        self._last = float("-inf")  # when the last acquire was due

    def turn(self) -> float | None:
        """Open if need be, handle the puts, acquire if it is due."""
        device = self.device
        if not self._open and device.clock() >= self._opening.not_before:
            self._try_to_open()
        if not device.separate_commands:
            self.handle_calls()
        if self._open and self._acquires and device.clock() >= self._due:
            self._acquire()
        return self._pause()

    def ready(self) -> bool:
        """Whether a put waits that is ours to handle."""
        return not self.device.separate_commands and len(self.device.io_pull_queue) > 0

    def end(self) -> None:
        """Close the instrument."""
        if self._open:
            self._close()

    def handle_calls(self) -> None:
        """Handle the puts that wait, in their order."""
        while not self._stop.is_set() and (calls := self.device.io_pull_queue.take(1)):
            for call in calls:
                if not call.done.cancelled():
                    self.device.finish(self._handled(call))
            self.device.nudge()  # it may have changed what is due

    def _handled(self, call: Call) -> Done:
        if not self._open:
            why = f"{self.device.name} is not there: {self._opening.last}"
            return Done(call, error=NotOpenError(why))
        return handled(call)

    def _try_to_open(self) -> None:
        with self._opening.attempt():
            self.device.open()
        self._open = not self._opening.failing

    def _close(self) -> None:
        self._open = False
        try:
            self.device.close()
        except BaseException as error:  # noqa: BLE001 - what is broken may not close either
            logger.warning("close failed", device=self.device.name, error=described(error))

    def _acquire(self) -> None:
        now, due = self.device.clock(), self._due
        # In step with the clock, but what was missed is not made up for.
        self._last = due if now - due < self.device.period else now
        values = NOTHING
        with self._acquiring.attempt():
            values = readings(self.device.acquire())
        self.device.keep(values)  # once it is told that it works again, before it is processed
        if self._acquiring.failing and not self._stop.is_set():
            self._close()
            self._try_to_open()

    @property
    def _acquires(self) -> bool:
        return self.device.acquires and self.device.acquiring

    @property
    def _due(self) -> float:
        return max(self._last + self.device.period, self._acquiring.not_before)

    def _pause(self) -> float | None:
        if not self._open:
            return self._opening.not_before - self.device.clock()
        return self._due - self.device.clock() if self._acquires else None


class Processor(Worker):
    """Processes the window when something new is in it."""

    def __init__(self, device: Threaded, stop: threading.Event) -> None:
        super().__init__(device, "processing", Origin.PROCESS, stop)
        self._processing = Attempts(device, Origin.PROCESS)
        self._not_before = float("-inf")
        self._seen = device.acquired

    def turn(self) -> float | None:
        """Process what is new, unless that was done a moment ago."""
        if self._fresh and self._wait <= 0:
            self._seen = self.device.acquired
            self._not_before = self.device.clock() + self.device.process_period
            with self._processing.attempt():
                self.device.process_window()
        return self._wait if self._fresh else None

    def ready(self) -> bool:
        """Whether something new may be processed."""
        return self._fresh and self._wait <= 0

    @property
    def _fresh(self) -> bool:
        return self.device.acquired != self._seen

    @property
    def _wait(self) -> float:
        return max(self._not_before, self._processing.not_before) - self.device.clock()


def readings(taken: float | Iterable[float] | None) -> Floats:
    """What was acquired, shape (n,).

    Raises:
        ValueError: It is not numbers, or has more dimensions than one.
    """
    values = np.atleast_1d(np.asarray([] if taken is None else taken, dtype=float))
    if values.ndim != 1:
        raise ValueError(f"acquire returned an array of shape {values.shape}, not (n,)")
    return values


def handled(call: Call) -> Done:
    """The outcome of a put, whatever it raises."""
    try:
        with _inside(Origin.OTHER):
            return Done(call, call.work())
    except BaseException as error:  # noqa: BLE001 - told to the client whose put it is
        return Done(call, error=_for_a_future(error))


def described(error: BaseException) -> str:
    """An error in a line: its kind, unless it is one of ours, and its text."""
    text = " ".join(str(error).split())
    if isinstance(error, DeviceError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _for_a_future(error: BaseException) -> Exception:
    """The error, if the event loop can be given it.

    SystemExit would end the IOC, and what is given a StopIteration is never done
    (python/cpython#112182).
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return DeviceError(described(error))
