"""One piece of user code under way: a Python sequence, or a coroutine function that is called."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import Enum, auto
from typing import Any, TypeAlias

from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.finalising import is_finalising
from orchestrator.engine.control.step_scope import RewindRun, StopRun
from orchestrator.engine.user_code.cleanup import Site, cleans_up, line_of, line_of_error
from orchestrator.engine.user_code.rooms import Room, Rooms
from orchestrator.errors import CallError, OrchestratorError
from orchestrator.types import Severity

_LOOK = 0.1
"""s between two looks at code that is to end."""
_GRACE = 1.0
"""s without a sign of life after which code that has to end does not react."""
_TELL = 3.0
"""s after which it is told that code does not react."""

WayOut: TypeAlias = type[StopRun] | type[RewindRun] | type[asyncio.CancelledError]


class Patience(Enum):
    """When code that does not react to being ended is given up."""

    OPERATOR = auto()
    """With the second abort: a sequence, which has to clean up."""
    SHORT = auto()
    """After a second: a function, which has its time in `timeout`."""


class OverrunError(RuntimeError):
    """Carries `SystemExit` and the like out of a task, which would end the loop otherwise."""


class UserCode:
    """Runs a coroutine of the user's in a room, and sees to it that it ends."""

    def __init__(
        self,
        rooms: Rooms,
        control: RunControl,
        name: str,
        tell: Callable[[str, Severity], None],
        patience: Patience,
        failed: Callable[[str], None] | None = None,
    ) -> None:
        """`tell` gets what an operator should know, at home.

        `failed` is told of errors in its clean-up, where something else decides how it ends.
        """
        self.room: Room
        """Where it runs; set when it is run."""
        self._rooms = rooms
        self._control = control
        self._name = name
        self._tell = tell
        self._patience = patience
        self._failed = failed
        self._dropped = False
        self._is_deaf = False
        """A task that it has left behind does not end."""
        self.left: WayOut | None = None
        """How the user's code has been told to end; what it does from then on is clean-up."""
        self.over = False
        """It has ended, or was given up: nothing is done for it any more."""
        self._task: asyncio.Task[object]
        self._before: set[asyncio.Task[Any]] = set()
        """Tasks that there were when it was told to end."""
        self._again: asyncio.TimerHandle | None = None

    async def run(self, main: Callable[[], Coroutine[Any, Any, object]]) -> object:
        """Run it to its end; a cancellation is passed on to it, and waits for its clean-up.

        Raises:
            CancelledError: It was cancelled from outside, whatever it has made of that.
            StopRun, RewindRun: A verb has raised that, whatever it has made of that.
            OrchestratorError: It raised that.
            CallError: It raised something else, or cancelled itself.
        """
        self.room = self._rooms.open()
        ended: asyncio.Future[asyncio.Task[object]] = asyncio.get_running_loop().create_future()
        self.room.to_user(contextvars.copy_context().run, self._start, main, ended)
        try:
            cancelled = await self._until(ended)
        finally:
            self.over = True
            if not ended.done():
                self.room.give_up()
            elif self.room.calls or self._is_deaf:
                self.room.end()
            else:
                self._rooms.release(self.room)
        if cancelled is not None:
            if ended.done():
                self._tell_of(ended.result())
            raise cancelled
        return self._result(ended.result())

    # At home: until it has ended ---------------------------------------------------------------

    async def _until(
        self, ended: asyncio.Future[asyncio.Task[object]]
    ) -> asyncio.CancelledError | None:
        """Return when it has ended or is given up; the cancellation that came meanwhile, if any."""
        cancelled: asyncio.CancelledError | None = None
        since, told = 0.0, False
        while not ended.done():
            try:
                await asyncio.wait({ended}, timeout=None if cancelled is None else _LOOK)
            except asyncio.CancelledError as error:
                if cancelled is None:
                    since = self.room.home.time()
                    self.room.leave()
                    self.room.to_user(self._leave)
                cancelled = cancelled or error
            if cancelled is None or ended.done():
                continue
            silent = self.room.home.time() - max(self.room.alive, since)
            if self._is_given_up(silent):
                self._give_up(silent)
                break
            if silent > _TELL and not told and not self.room.calls:
                told = True
                self._tell(f"{self._stands()} does not react to being ended", Severity.MINOR)
        return cancelled

    def _is_given_up(self, silent: float) -> bool:
        dropped = self._control.requests.aborts > 2
        if dropped:
            if not self._dropped:
                self._control.finalisers.dropped.append(f"the clean-up of {self._name} was dropped")
            self._dropped = True
            self.room.to_user(self._drop)
        if silent <= _GRACE or self.room.calls:
            return False
        return dropped or self._patience is Patience.SHORT or self._control.requests.gives_up

    def _give_up(self, silent: float) -> None:
        text = f"{self._stands()} did not react for {silent:.0f} s: it is given up"
        if not self.room.is_shared:
            text += " and may go on by itself"
        self._tell(text, Severity.MAJOR)
        self.room.to_user(self._drop)

    def _stands(self) -> str:
        """Its name, and where it stands."""
        with suppress(AttributeError):  # it has not begun
            line = self.room.line() or line_of(self._task.get_coro())
            return f"{self._name}, at {line}," if line else self._name
        return self._name

    # At home: how it has ended -----------------------------------------------------------------

    def _result(self, task: asyncio.Task[object]) -> object:
        if self.left is not None and self.left is not asyncio.CancelledError:
            self._tell_of(task)
            raise self.left
        if task.cancelled():
            raise CallError(f"{self._name} raised CancelledError: it has cancelled itself")
        error = task.exception()
        if error is None:
            return task.result()
        raise as_error(self._name, error)

    def _tell_of(self, task: asyncio.Task[object]) -> None:
        """Tell the error of code that has failed in its clean-up: it decides nothing any more."""
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, StopRun | RewindRun | asyncio.CancelledError):
            return
        if isinstance(error, BaseExceptionGroup) and _ways_out(error):
            return
        told = as_error(self._name, error).placed()
        text = f"the clean-up of {self._name} failed: {told}"
        self._tell(text, Severity.MAJOR)
        if self._failed is not None:
            self._failed(text)

    # On the user's loop ------------------------------------------------------------------------

    def _start(
        self,
        main: Callable[[], Coroutine[Any, Any, object]],
        ended: asyncio.Future[asyncio.Task[object]],
    ) -> None:
        def finish(task: asyncio.Task[object]) -> None:
            if not ended.done():
                ended.set_result(task)

        def done(task: asyncio.Task[object]) -> None:
            if self._again is not None:
                self._again.cancel()
            self.room.to_home(finish, task)

        self._task = self.room.loop.create_task(self._run(main), name=self._name)
        self._task.add_done_callback(done)

    async def _run(self, main: Callable[[], Coroutine[Any, Any, object]]) -> object:
        try:
            result = await main()
        except GeneratorExit:  # it is thrown away, and can't wait for anything
            raise
        except (SystemExit, KeyboardInterrupt) as error:
            await self._sweep()
            raise OverrunError from error
        except BaseException:
            await self._sweep()
            raise
        await self._sweep()
        return result

    async def _sweep(self) -> None:
        cancelled, deaf = await self.room.sweep()
        self._is_deaf = bool(deaf)
        told = [f"{', '.join(cancelled)} were cancelled"] if cancelled else []
        told += [f"{', '.join(deaf)} does not end"] if deaf else []
        if told:
            text = f"{self._name} has left tasks behind: {'; '.join(told)}"
            self.room.to_home(self._tell, text, Severity.MINOR)

    def _leave(self) -> None:
        """Cancel it where it stands, but not in a clean-up of its own: that comes to its end."""
        if self._task.done() or self.left is not None:
            return
        if cleans_up(self._task.get_coro()):
            self._again = self.room.loop.call_later(_LOOK, self._leave)
            return
        self.leaving_by(asyncio.CancelledError)
        self._task.cancel()

    def _drop(self) -> None:
        """Cancel it wherever it stands; nothing more is done for it."""
        self.over = True
        with suppress(AttributeError):  # it has not begun
            self._task.cancel()

    def leaving_by(self, way_out: WayOut) -> None:
        """The code is told to end; the first way counts."""
        if self.left is None:
            self._before = asyncio.all_tasks()
            self.left = way_out

    def cleans(self, site: Site) -> bool:
        """Whether the verb that is called there is a finaliser.

        Raises:
            CancelledError, StopRun, RewindRun: It is none, and the code has to end.
        """
        if site.cleans or is_finalising():
            return True
        task = asyncio.current_task()
        if task is not self._task and task not in self._before and cleans_up(self._task.get_coro()):
            return True
        if self.left is not None and (site.handles or self._is_later(task)):
            return True
        if self.left is not None:
            raise self.left
        if self.room.is_leaving:
            self.leaving_by(asyncio.CancelledError)
            raise asyncio.CancelledError
        return False

    def _is_later(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether a task has begun since the code was told to end."""
        return task is not self._task and task not in self._before


def as_error(name: str, error: BaseException) -> OrchestratorError:
    """What user code has raised, as an error that names it and the line."""
    if isinstance(error, OverrunError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OrchestratorError):
        return error
    if isinstance(error, BaseExceptionGroup):
        own = error.subgroup(lambda each: isinstance(each, OrchestratorError))
        while own is not None and len(own.exceptions) == 1:  # of a TaskGroup, mostly
            first = own.exceptions[0]
            if isinstance(first, OrchestratorError):
                return first
            own = first if isinstance(first, BaseExceptionGroup) else None
    line = line_of_error(error)
    where = f" at {line}" if line else ""
    wrapped = CallError(f"{name} raised {type(error).__name__}{where}: {error}")
    wrapped.__cause__ = error
    return wrapped


def _ways_out(group: BaseExceptionGroup[BaseException]) -> bool:
    """Whether there is nothing in it but ways out."""
    _, rest = group.split((StopRun, RewindRun, asyncio.CancelledError))
    return rest is None
