"""Keys of a foreground run: a letter is a command, Enter answers a question.

Where a question takes a value, what is typed is the answer until Enter sends it, and no command.

The terminal gives each key at once and shows none, as long as the run has it; it is given back at
every way out, by Ctrl-Z and by signals too. A run that is in the background, or that has no
terminal on both sides, leaves it alone.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from orchestrator.cli.terminal.interrupts import dying
from orchestrator.display.run_display import RunDisplay
from orchestrator.types import Verb

_STDIN, _STDOUT = 0, 1
_LOOK = 0.25
"""s between two looks at whether we are in the foreground: a shell's `fg` need not tell."""
_SHOW_CURSOR = b"\x1b[?25h"
_VERBS = {"p": Verb.PAUSE, "r": Verb.RESUME, "s": Verb.SKIP}
_SEQUENCES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)
"""What arrow and function keys send: several characters, none of which is meant."""

_BACKSPACE = "\x7f\b"
_KILL = "\x15"
"""Ctrl-U: the line is begun anew."""

HINT = "p pause · r resume · s skip · q abort"
"""What stands below a run."""
_SURE = "abort this run? y aborts it, any other key lets it run"


class Keys:
    """What each key asks for, as long as a display shows the run."""

    def __init__(
        self,
        display: RunDisplay,
        ask: Callable[[Verb, str], None],
        is_asked: Callable[[], bool] | None = None,
    ) -> None:
        """Nothing has been typed yet.

        Args:
            display: Shows what a key needs.
            ask: Called with PAUSE, RESUME, SKIP, ABORT; or with ANSWER and the answer.
            is_asked: Whether an answer is due; None = as the display knows.
        """
        self._display = display
        self._ask = ask
        self._is_asked = is_asked or (lambda: display.progress.run.question is not None)
        self._unsure = False

    def take(self, received: bytes) -> None:
        """Take what was typed."""
        for key in _SEQUENCES.sub(b"", received).decode(errors="replace"):
            self._press(key)

    def _press(self, key: str) -> None:
        question = self._display.progress.run.question
        if question is not None and question.takes_a_value and not self._unsure:
            self._type(key)
        elif self._unsure:
            self._unsure = False
            self._display.hint("")
            if key == "y":
                self._ask(Verb.ABORT, "")
        elif key == "q":
            self._unsure = True
            self._display.hint(_SURE)
        elif key in "\r\n":
            if self._is_asked():
                self._ask(Verb.ANSWER, "")
        elif key in _VERBS:
            self._ask(_VERBS[key], "")

    def _type(self, key: str) -> None:
        """A key of an answer."""
        typed = self._display.typed
        if key in "\r\n":
            self._ask(Verb.ANSWER, typed)
            typed = ""
        elif key in _BACKSPACE:
            typed = typed[:-1]
        elif key == _KILL:
            typed = ""
        elif key.isprintable():
            typed += key
        self._display.type(typed)


class Terminal:
    """The terminal of stdin, in the mode in which keys come one by one, and out of it."""

    def __init__(self, file: int, take: Callable[[bytes], None], display: RunDisplay) -> None:
        """`file` is a description of our own: libuv makes what it watches non-blocking."""
        self._file = file
        self._take = take
        self._display = display
        self._loop = asyncio.get_running_loop()
        self._former: Any = None
        self._in_front: bool | None = None
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """Take the terminal where we are in the foreground, and look again after a while."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_LOOK, self.look)
        with suppress(OSError):  # it was hung up
            in_front = os.tcgetpgrp(self._file) == os.getpgrp()
            if in_front is not self._in_front:
                self._in_front = in_front
                self._enter() if in_front else self._leave()

    def _leave(self) -> None:
        self._former = None  # whoever put us into the background has set it for itself
        self._loop.remove_reader(self._file)
        self._display.hide()

    def _enter(self) -> None:
        former = termios.tcgetattr(self._file)
        mode = termios.tcgetattr(self._file)
        mode[3] &= ~(termios.ECHO | termios.ICANON)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._file, termios.TCSAFLUSH, mode)  # what was typed before is not meant
        self._former = former
        self._loop.add_reader(self._file, self._read)
        self._display.show()

    def _read(self) -> None:
        try:
            received = os.read(self._file, 1024)
        except BlockingIOError:
            return
        except OSError:  # hung up, or in the background since just now
            received = b""
        if received:
            self._take(received)
        else:
            self._loop.remove_reader(self._file)

    def restore(self) -> None:
        """Give it back as it was."""
        former, self._former = self._former, None
        if former is not None:
            with suppress(OSError, termios.error):
                termios.tcsetattr(self._file, termios.TCSADRAIN, former)

    def suspend(self) -> None:
        """Ctrl-Z: stop with the terminal as it was; on `fg` take it again."""
        self._in_front = None
        self._loop.remove_reader(self._file)
        self._display.hide()
        self.restore()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        self._loop.add_signal_handler(signal.SIGTSTP, self.suspend)
        self.look()

    def give_back(self) -> None:
        """A signal ends the process at once."""
        self.restore()
        with suppress(OSError):
            os.write(_STDOUT, _SHOW_CURSOR)

    def close(self) -> None:
        """Leave it for good."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._file)
        self.restore()


@contextmanager
def keys(
    display: RunDisplay,
    ask: Callable[[Verb, str], None],
    *,
    is_asked: Callable[[], bool] | None = None,
) -> Iterator[None]:
    """Have keys ask for things, for the time of the block; nothing where there is no terminal.

    Args: as of `Keys`.
    """
    file = _open()
    if file is None:
        yield
        return
    with ExitStack() as undo:
        undo.callback(os.close, file)
        terminal = Terminal(file, Keys(display, ask, is_asked).take, display)
        undo.callback(terminal.close)
        display.keys = HINT
        undo.callback(setattr, display, "keys", "")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTTIN, signal.SIGTTOU):
            undo.callback(signal.signal, number, signal.signal(number, signal.SIG_IGN))
        undo.enter_context(dying(terminal.give_back))
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGTSTP, terminal.suspend)
            undo.callback(loop.remove_signal_handler, signal.SIGTSTP)
        terminal.look()
        yield


def _open() -> int | None:
    """The terminal of stdin, where stdout is one as well."""
    if not (sys.stdout.isatty() and os.isatty(_STDIN)):
        return None
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
    for name in (os.ttyname, lambda _: "/dev/tty"):  # a container's may have no name inside it
        with suppress(OSError):
            file = os.open(name(_STDIN), flags)
            with suppress(OSError):
                os.tcgetpgrp(file)
                return file
            os.close(file)
    return None
