"""What a run may call: registered functions, and other sequences."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence

from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.step_scope import End, StopRun
from orchestrator.engine.sequences.library import Library
from orchestrator.engine.sequences.python_program import PythonProgram
from orchestrator.engine.user_code.rooms import Rooms
from orchestrator.engine.user_code.user_code import Patience, UserCode, as_error
from orchestrator.errors import OrchestratorError, StepTimeoutError
from orchestrator.language.program.nodes import Another, Program
from orchestrator.types import Path, Severity


class Calls:
    """Calls functions and compiles sub-sequences for one run."""

    def __init__(
        self,
        library: Library,
        control: RunControl,
        connect: Callable[[Sequence[str]], Awaitable[None]],
        tell: Callable[[str, Severity], None],
        rooms: Rooms,
    ) -> None:
        """`connect` makes sure of channels; `tell` gets what an operator should know.

        Functions run in `rooms`.
        """
        self._rooms = rooms
        self._connect = connect
        self._library = library
        self._control = control
        self._tell = tell

    async def program(self, another: Another, path: Path, values: Mapping[str, object]) -> Program:
        """The program of a sub-sequence, compiled before the run where that was possible.

        Raises:
            InputError: It is not such as can be run with these arguments.
        """
        if another.program is not None:
            return another.program
        assert another.document is not None  # noqa: S101 - a Python sequence is not compiled
        compiling = self._library.compile_inner
        program = await asyncio.to_thread(compiling, another.document, path, values)
        await self._connect(sorted(program.reads | program.writes))
        return program

    def python(self, name: str, values: Mapping[str, object]) -> PythonProgram:
        """A Python sequence within this run.

        Raises:
            InputError: Its arguments are wrong.
        """
        return self._library.python_program(name, values)

    async def call(self, name: str, args: Mapping[str, object], timeout: float | None) -> object:
        """Call a registered function; a blocking one in a thread.

        A coroutine is cancelled when the step is ended early. A thread can't be: it is left
        behind, and that is told.

        Raises:
            CallError: The function raised.
            StepTimeoutError: It did not return within `timeout` s.
            StopRun: STOP was asked for.
        """
        is_async = inspect.iscoroutinefunction(self._library.functions()[name])
        result: object = None
        try:
            with self._control.step_scope(moving=True, seconds=timeout) as scope:
                result = await _told(self._library.invoke(name, args, self._run), name)
        except asyncio.CancelledError:
            self._tell_of_thread(name, is_async=is_async)
            raise
        if scope.ended is not None:
            self._tell_of_thread(name, is_async=is_async)
        if scope.ended is End.TIMEOUT:
            raise StepTimeoutError(f"{name} did not return within {timeout:g} s")
        if scope.ended is End.STOP:
            raise StopRun
        return result

    async def _run(self, function: Callable[..., object], args: Mapping[str, object]) -> object:
        """Call a function where it can hold up nothing but itself."""
        if not inspect.iscoroutinefunction(function):
            return await self._rooms.in_thread(function, args)
        name = function.__name__
        code = UserCode(self._rooms, self._control, name, self._tell, Patience.SHORT)
        return await code.run(lambda: function(**args))

    def _tell_of_thread(self, name: str, *, is_async: bool) -> None:
        if not is_async:
            self._tell(
                f"{name} runs in a thread and can't be cancelled: it goes on", Severity.MINOR
            )


async def _told(work: Awaitable[object], name: str) -> object:
    try:
        return await work
    except (OrchestratorError, StopRun):
        raise
    except Exception as error:
        raise as_error(name, error) from error
