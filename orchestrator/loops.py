"""The event loop of a process that serves: uvloop's where it is installed, asyncio's otherwise."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from orchestrator.errors import InputError

T = TypeVar("T")

_STDIN, _STDERR = 0, 2

LOOP_VARIABLE = "ORCHESTRATOR_LOOP"
"""The environment variable that chooses."""

LOOPS = {
    "auto": "uvloop's if it is installed, asyncio's otherwise",
    "uvloop": "uvloop's; an error if it is not installed",
    "asyncio": "Python's own",
}
"""What it may say, the default first."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, on the loop that is chosen.

    Raises:
        InputError: The choice is none, or is not installed.
    """
    try:
        factory = _factory()
    except InputError:
        main.close()
        raise
    _fill_standard_streams()
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for another thread, as chosen for this process.

    Raises:
        InputError: As `run`.
    """
    return (_factory() or asyncio.new_event_loop)()


def name_of_loop() -> str:
    """What the loop that runs now is to be called: `uvloop` or `asyncio`."""
    kinds = type(asyncio.get_running_loop()).__mro__
    return "uvloop" if any(kind.__module__.startswith("uvloop") for kind in kinds) else "asyncio"


def watch_stdin(take: Callable[[bytes], None]) -> None:
    """Call `take` with whatever comes on stdin from now on, and once with nothing at its end."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        received = os.read(_STDIN, 4096)
        if not received:
            loop.remove_reader(_STDIN)
        take(received)

    try:
        loop.add_reader(_STDIN, read)
    except PermissionError:  # a plain file or /dev/null: nobody to wait for is behind it
        take(b"")


def _fill_standard_streams() -> None:
    """Put /dev/null where stdin, stdout or stderr was closed (`<&-`).

    A socket would take the number, and libuv aborts the process when it is to close such a one.
    """
    while (file := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(file, True)
    os.close(file)


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop; None = asyncio's."""
    choice = os.environ.get(LOOP_VARIABLE) or "auto"
    if choice not in LOOPS:
        raise InputError(f"{LOOP_VARIABLE}={choice}: expected {', '.join(LOOPS)}")
    installed = importlib.util.find_spec("uvloop") is not None
    if choice == "uvloop" and not installed:
        raise InputError(f"{LOOP_VARIABLE}=uvloop: uvloop is not installed; pip install uvloop")
    if choice == "asyncio" or not installed:
        return None
    from orchestrator.startup.fast_loop import FastLoop

    return FastLoop
