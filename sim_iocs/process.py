"""A child process: its output in files, its end when we end, however that comes."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, ClassVar

from orchestrator.errors import OrchestratorError

GRACE = 3.0
"""Seconds that a process has to stop after SIGTERM before it is killed."""

LOG_END = 3000
"""Characters of a log that an error shows."""

AS_ASKED = (0, -signal.SIGTERM, -signal.SIGINT, -signal.SIGKILL)
"""Exit codes of one that did nothing but end when it was asked to."""

ALIVE: weakref.WeakSet[Process] = weakref.WeakSet()
"""Those that have not been closed, for the report of a failed test."""

CLOSED: deque[tuple[str, str]] = deque(maxlen=20)
"""Name and news of those that were closed last, for the same; pytest's plugin empties it."""


class ProcessError(OrchestratorError):
    """A process did not end in time."""


class Child(subprocess.Popen[bytes]):
    """A process as the system starts it."""

    def until_stopped(self) -> None:
        """Until all of its threads have stopped, or it has ended."""
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


class Process:
    """A child process.

    Its stdin is a pipe, which closes when we end, even by SIGKILL: a child that ends with its
    stdin leaves nothing behind. Its output goes to files, as a repeater that libca starts would
    keep pipes open for ever.
    """

    start: ClassVar[Callable[..., Child]] = Child
    """How one is started; our own tests have a faster way (`tests/forks.py`)."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: Path | None = None,
        piped: bool = False,
        session: bool = False,
    ) -> None:
        """Start it.

        Args:
            name: for errors and reports.
            command: the program and its arguments.
            env: its whole environment.
            cwd: its working directory; ours unless given.
            piped: whether its stdout is a pipe for us to read, `stdout_pipe`.
            session: whether it begins a session: Linux then gives it a share of the processor
                beside ours, not of ours.
        """
        self.name = name
        self._stdout = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - as above
        self._mark = 0
        self._asked = False
        self._written: tuple[str, str] | None = None
        self._popen = type(self).start(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if piped else self._stdout,
            stderr=self._stderr,
            # Ctrl-C on a terminal is for the caller, whose clean-up may still need the process.
            # When the caller dies, the system ends a frozen one too, as its group is orphaned.
            process_group=None if session else 0,
            start_new_session=session,
        )
        ALIVE.add(self)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    @property
    def ended(self) -> bool:
        """Whether it has; a frozen one has not."""
        return self._popen.poll() is not None

    @property
    def exit_code(self) -> int | None:
        """None while it runs, negative if a signal ended it."""
        return self._popen.poll()

    @property
    def fell(self) -> bool:
        """Whether it ended without being asked to, or of something else just then."""
        return self.ended and not (self._asked and self.exit_code in AS_ASKED)

    @property
    def output(self) -> str:
        """What it has written to stdout, where that is no pipe."""
        return self._written[0] if self._written else _read(self._stdout)

    @property
    def lines(self) -> list[str]:
        """The whole lines of that."""
        text = self.output
        return text[: text.rfind("\n") + 1].splitlines()

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return self._written[1] if self._written else _read(self._stderr)

    @property
    def log(self) -> str:
        """The end of what it has written to stderr."""
        return self.errors[-LOG_END:]

    @property
    def stdout_pipe(self) -> IO[bytes]:
        """Its stdout, where that is a pipe."""
        assert self._popen.stdout is not None  # noqa: S101 - it was asked for
        return self._popen.stdout

    def mark(self) -> None:
        """What it wrote up to now belongs to somebody else."""
        self._mark = len(self.errors)

    @property
    def news(self) -> str:
        """What it has written to stderr since the mark; its end."""
        return self.errors[self._mark :][-LOG_END:]

    def write(self, line: str) -> None:
        """Write a line to its stdin.

        Raises:
            BrokenPipeError: it has ended.
        """
        assert self._popen.stdin is not None  # noqa: S101 - it is always a pipe
        self._popen.stdin.write(line.encode() + b"\n")
        self._popen.stdin.flush()

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens if it has ended."""
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL) and not self.ended:
            self._asked = True
        self._popen.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP: it stays connected and answers nothing. Returns when all of it has stopped."""
        self.signal(signal.SIGSTOP)
        if not self.ended:
            self._popen.until_stopped()  # its threads still answer until all of them have

    def thaw(self) -> None:
        """Let a frozen one go on."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.signal(signal.SIGKILL)
        self._popen.wait()

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting; once, as a second one would find it in the middle of it."""
        if not self._asked:
            self.signal(signal.SIGTERM)
        self.thaw()  # a frozen one hears it only then

    def wait(self, timeout: float) -> int:
        """Its exit code, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        return self._popen.wait(timeout)

    def end(self, timeout: float = 15) -> int:
        """The same, with an error that shows its log.

        Raises:
            ProcessError: it still runs after `timeout` seconds.
        """
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self.name} still runs after {timeout:g} s:\n{self.log}") from None

    def terminate(self, grace: float = GRACE) -> None:
        """Stop it cleanly; it is killed if it has not ended in `grace` seconds."""
        self.ask_to_stop()
        try:
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def end_input(self) -> None:
        """Close its stdin."""
        assert self._popen.stdin is not None  # noqa: S101 - it is always a pipe
        with suppress(BrokenPipeError):
            self._popen.stdin.close()

    def close(self) -> None:
        """Kill it if it still runs, and let go of its files; what it wrote is kept."""
        if self._written:
            return
        ALIVE.discard(self)
        self.kill()
        self.end_input()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        self._written = (self.output, self.errors)
        CLOSED.append((self.name, self.news))
        self._stdout.close()
        self._stderr.close()


def _read(file: IO[bytes]) -> str:
    # pread: a seek would move the place at which the process writes
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), size, 0).decode(errors="replace")
