"""Where user code runs: on an event loop of its own, so that it can hold up nothing but itself.

A room is a thread with an event loop, for one Python sequence or coroutine function at a time. What
that asks of the service (a verb) is done by a task on the service's loop; the answer comes back.
Under virtual time and in recordings both loops are one, by the same code.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar

import structlog

from orchestrator.engine.control.cancelling import end, forget
from orchestrator.engine.user_code.cleanup import line_of_thread
from orchestrator.errors import CallError
from orchestrator.loops import new_loop

T = TypeVar("T")

log = structlog.get_logger(__name__)

_SWEEP = 1.0
"""s that tasks which user code has left behind get to end."""
_IDLE = 4
"""Rooms without work that are kept for what comes next; to make one takes some 0.3 ms."""


class GivenUp(SystemExit):
    """Raised in the midst of user code that was given up, and wherever its thread may be by then.

    A SystemExit: asyncio passes it on out of its loop, and a thread ends by it without a word.
    """


class Room:
    """Two event loops, and the way from one to the other and back.

    `home` is the service's, `loop` that of the user code. Made by `Rooms.open`.
    """

    def __init__(
        self, home: asyncio.AbstractEventLoop, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        """`loop`: None = user code runs at home."""
        self.home = home
        self.is_shared = loop is None
        self.loop = loop or home
        self.calls: dict[RoomCall[Any], None] = {}
        """What user code has asked for and waits for; kept at home."""
        self.alive = home.time()
        """When user code last asked for something or was answered, by the clock of `home`."""
        self._leaving = False
        self._over = False
        self._thread: threading.Thread | None = None
        if loop is not None:
            self._thread = threading.Thread(target=self._run, name="user code", daemon=True)
            self._thread.start()

    def to_user(self, callback: Callable[..., object], *args: object) -> None:
        """Call it on the user's loop, at its next turn; without effect where that has ended."""
        send = self.loop.call_soon if self.is_shared else self.loop.call_soon_threadsafe
        with suppress(RuntimeError):  # the loop was closed
            send(callback, *args)

    def to_home(self, callback: Callable[..., object], *args: object) -> None:
        """Call it on the service's loop, at its next turn; from any thread of user code."""
        send = self.home.call_soon if self.is_shared else self.home.call_soon_threadsafe
        with suppress(RuntimeError):  # the service has ended
            send(callback, *args)

    def renew(self) -> None:
        """Called at home: what was in it has ended, and something else comes."""
        self._leaving = False
        self.touch()

    def touch(self) -> None:
        """User code shows that it is alive; at home."""
        self.alive = self.home.time()

    async def call(self, work: Callable[[], Coroutine[Any, Any, T]], *, cleans: bool = False) -> T:
        """Called by user code: have it done at home, in the context of the caller.

        A cancellation ends it there, and comes through when it has ended. `cleans`: it is a
        finaliser, which `leave` does not end.
        """
        return await RoomCall(self, work, cleans).result()

    def leave(self) -> None:
        """Called at home: from now on nothing is done here but finalisers."""
        self._leaving = True
        for call in list(self.calls):
            call.left()

    @property
    def is_leaving(self) -> bool:
        """Whether nothing is done any more but finalisers."""
        return self._leaving

    def line(self) -> str:
        """Where user code stands that executes now: `/lab/plans.py:12`; empty where none does."""
        ident = None if self._thread is None else self._thread.ident
        return "" if ident is None else line_of_thread(ident)

    async def sweep(self) -> tuple[list[str], list[str]]:
        """Called by user code at its end: cancel the tasks that it has left, and name them.

        First those that have ended, then those that do not, for which the room is none for others.
        Where it shares the service's loop nobody knows whose they are: their verbs are refused.
        """
        if self.is_shared:
            return [], []
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        done, deaf = (await asyncio.wait(left, timeout=_SWEEP)) if left else (set(), set())
        return sorted(t.get_name() for t in done), sorted(t.get_name() for t in deaf)

    def end(self) -> None:
        """Nothing is to run in it any more; a thread that does not react is left behind."""
        self._over = True
        for call in list(self.calls):
            call.cancel()
        if not self.is_shared:
            self.to_user(self.loop.stop)

    def give_up(self) -> None:
        """End it whatever runs in it: code that computes for ever is interrupted there."""
        self.end()
        if self._thread is not None and self._thread.ident is not None and self.line():
            ident = ctypes.c_ulong(self._thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(GivenUp))

    @property
    def is_over(self) -> bool:
        """Whether nothing is to run in it any more."""
        return self._over

    def _run(self) -> None:
        try:
            self._serve()
            self._clear()
        finally:
            forget(asyncio.all_tasks(self.loop))
            self.loop.close()

    def _serve(self) -> None:
        while not self._over:
            try:
                self.loop.run_forever()
            except GivenUp:
                continue
            except BaseException:
                log.exception("a task of user code has raised what ends a program; it goes on")

    def _clear(self) -> None:
        """What was given up gets a last chance to end."""
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left, timeout=_SWEEP))


class RoomCall(Generic[T]):
    """Something that user code has asked the service's loop to do."""

    def __init__(
        self, room: Room, work: Callable[[], Coroutine[Any, Any, T]], cleans: bool
    ) -> None:
        """Made on the user's loop; `result` begins it."""
        self._room = room
        self._cleans = cleans
        self._work = work
        self._reply: asyncio.Future[T] = room.loop.create_future()
        self._ended: asyncio.Future[None] | None = None
        """Set once the caller was cancelled, and waits only for the end."""
        self._over = False
        """It has ended at home, and the user's loop knows it."""
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False

    async def result(self) -> T:
        """What came of it; on the user's loop."""
        room = self._room
        room.to_home(self._begin)
        try:
            return await self._reply
        except asyncio.CancelledError:
            await self._end()
            raise

    async def _end(self) -> None:
        """Cancel it at home; return when it has ended, whoever cancels meanwhile."""
        self._ended = self._room.loop.create_future()
        while not self._over:
            self._room.to_home(self.cancel)
            with suppress(asyncio.CancelledError):  # the caller raises the first of them
                await asyncio.wait({self._ended})

    # At home ------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._room.touch()
        self._room.calls[self] = None
        task = self._task = self._room.home.create_task(self._work())
        task.add_done_callback(self._done)
        if self._cancelled or self._room.is_over:
            task.cancel()
        if self._room.is_leaving:
            self.left()

    def cancel(self) -> None:
        """End it early."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def left(self) -> None:
        """The user code is left: end it, unless it is a finaliser; no put leaves from now on."""
        if self._task is not None and not self._cleans:
            end(self._task)

    def _done(self, task: asyncio.Task[T]) -> None:
        self._room.touch()
        self._room.calls.pop(self, None)
        if not task.cancelled():
            task.exception()  # retrieved, also where nobody waits for it any more
        self._room.to_user(self._take, task)

    # At the user's ------------------------------------------------------------------------------

    def _take(self, task: asyncio.Task[T]) -> None:
        self._over = True
        if self._ended is not None:
            if not self._ended.done():
                self._ended.set_result(None)
        elif self._reply.done():
            return
        elif task.cancelled():
            self._reply.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self._reply.set_exception(error)
        else:
            self._reply.set_result(task.result())


class Rooms:
    """The rooms of a service; here alone is decided where user code runs."""

    def __init__(self, *, threads: bool) -> None:
        """`threads`: user code runs in threads; otherwise on the loop of whoever calls."""
        self._threads = threads
        self._idle: list[Room] = []

    def open(self) -> Room:
        """A room without anything in it; called on the service's loop."""
        home = asyncio.get_running_loop()
        if not self._threads:
            return Room(home, None)
        while self._idle:
            room = self._idle.pop()
            if room.home is home:
                room.renew()
                return room
            room.end()
        return Room(home, new_loop())

    def release(self, room: Room) -> None:
        """Nothing is in it any more, and nothing was left in it."""
        if room.is_shared or len(self._idle) >= _IDLE:
            room.end()
        else:
            self._idle.append(room)

    def close(self) -> None:
        """End those without work."""
        while self._idle:
            self._idle.pop().end()

    async def in_thread(self, function: Callable[..., T], args: Mapping[str, object]) -> T:
        """What a function returns that blocks; it has a thread for itself.

        None of a pool: functions that hang would use that up for all others. A cancellation leaves
        the thread behind.
        """
        home = asyncio.get_running_loop()
        if not self._threads:
            return await home.run_in_executor(None, _called(function, args))
        reply: asyncio.Future[T] = home.create_future()

        def finish(result: Callable[[], T]) -> None:
            if not reply.done():
                _finish(reply, result)

        def main() -> None:
            result = _outcome(_called(function, args))
            with suppress(RuntimeError):  # the service has ended meanwhile
                home.call_soon_threadsafe(finish, result)

        run = contextvars.copy_context().run  # what it logs names its run and step
        threading.Thread(target=run, args=(main,), name=function.__name__, daemon=True).start()
        return await reply


SHARED = Rooms(threads=False)
"""User code runs where it is called: under virtual time, and in a recording."""


def _called(function: Callable[..., T], args: Mapping[str, object]) -> Callable[[], T]:
    def call() -> T:
        try:
            return function(**args)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, StopIteration):
                raise
            # A future that is given a StopIteration is never done (python/cpython#112182);
            # `sys.exit()` is to end the function alone.
            text = f"{function.__name__} raised {type(error).__name__}: {error}"
            raise CallError(text) from error

    return call


def _outcome(work: Callable[[], T]) -> Callable[[], T]:
    """What gives its result, or raises what it has raised."""
    try:
        result = work()
    except Exception as error:  # noqa: BLE001 - raised again for whoever has asked
        raised = error

        def again() -> T:
            raise raised

        return again
    return lambda: result


def _finish(reply: asyncio.Future[T], result: Callable[[], T]) -> None:
    try:
        reply.set_result(result())
    except Exception as error:  # noqa: BLE001 - as above
        reply.set_exception(error)
