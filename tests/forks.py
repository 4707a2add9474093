"""Starts our programs by a fork of a process that has imported what they import.

To a test it is the same: a process of its own, with its own environment, folder and descriptors,
that runs the same module from its first line. But it takes a tenth of the time, and the tests
start several hundred. What users type is started as they start it: the commands of README and
docs, of `scripts/demo`, of the tests in a user's project.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Container, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from sim_iocs import process
from tests.forker import LONGEST

IMPORTED = (
    "orchestrator.config",
    "orchestrator.cli.panels.app",
    "orchestrator.cli.panels",
    "orchestrator.cli.terminal.logs",
    "orchestrator.cli.settings",
    "orchestrator.device",
    "orchestrator.display.run_end",
    "orchestrator.display.run_display",
    "orchestrator.display.status",
    "orchestrator.engine",
    "orchestrator.language",
    "orchestrator.replay",
    "orchestrator.transports.ca",
    "orchestrator.data",
    "orchestrator.data.hdf5.run_file",
    "sim_iocs.base",
    "sim_iocs.fleet",
    "sim_iocs.physics",
)
"""What a forker imports, with all that these import: nothing that loads libca."""

LOOKED_AT = ("PYTHON", "CAPROTO_", "LANG", "LC_", "TZ", "LD_", "TERMINAL_WIDTH")
"""How variables begin that Python looks at when it starts, or a package when it is imported."""

DONE = ("PYTHONPATH", "PYTHONUNBUFFERED")
"""Those of them that a forker itself does."""


class Forker:
    """The process that forks; it starts when it is first needed."""

    def __init__(self, packages: Container[str] = ("orchestrator", "sim_iocs")) -> None:
        """Fork for the modules of these."""
        self._packages = packages
        self._asking = threading.Lock()
        self._end = ExitStack()
        self._door: socket.socket | None = None
        self._has: dict[str, str] = {}

    def can(self, command: Sequence[str], env: Mapping[str, str]) -> bool:
        """Whether it can run this as Python would."""
        python, *rest = command
        if rest[:1] == ["-P"]:
            del rest[0]
        if python != sys.executable or rest[0] != "-m":
            return False
        if rest[1].partition(".")[0] not in self._packages:
            return False
        with self._asking:
            if self._door is None:
                self._door = self._start()
        has, wanted = looked_at(self._has), looked_at(env)
        # caproto's are set by who imports `orchestrator.ioc`: they may be missing
        missing = {name for name in has if name not in wanted and not name.startswith("CAPROTO_")}
        return not missing and wanted.items() <= has.items()

    def start(self, command: Sequence[str], **how: Any) -> Forked | process.Child:
        """Start a program: with a fork if that will do."""
        if self.can(command, how["env"]):
            return Forked(self, command, **how)
        return process.Child(command, **how)

    def ask(self, descriptors: Sequence[int] = (), **what: Any) -> Any:
        """Have it do something, and return its answer."""
        assert self._door is not None, "it is started by who asks whether it can"
        with self._asking:
            socket.send_fds(self._door, [json.dumps(what).encode()], descriptors)
            return self._answer(self._door)

    def _start(self) -> socket.socket:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        env = {name: os.environ[name] for name in os.environ if not name.startswith("CAPROTO_")}
        # Its only thread: others would not be there in who is forked.
        env |= {"OPENBLAS_NUM_THREADS": "1"}
        program = Path(__file__).with_name("forker.py")
        where = str(program.parents[1])
        with its:
            forker = subprocess.Popen(
                [sys.executable, str(program), str(its.fileno()), where, *IMPORTED],
                env=env,
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                process_group=0,
            )
        self._end.callback(forker.wait)
        self._end.callback(ours.close)
        self._has = self._answer(ours)
        return ours

    def _answer(self, door: socket.socket) -> Any:
        if answered := door.recv(LONGEST):
            return json.loads(answered)
        raise RuntimeError("the forker has ended; why, it has written to stderr")

    def close(self) -> None:
        """End it."""
        self._end.close()


class Forked:
    """A child of the forker, with what `sim_iocs.process` asks of a child of ours."""

    stdout: IO[bytes] | None = None

    def __init__(
        self,
        forker: Forker,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | None,
        stdin: int,
        stdout: int | IO[bytes],
        stderr: IO[bytes],
        process_group: int | None,
        start_new_session: bool,
    ) -> None:
        self._command = command
        self._forker = forker
        self._reaping = threading.Lock()
        self._code: int | None = None
        with ExitStack() as its:
            reads, writes = os.pipe()
            its.callback(os.close, reads)
            self.stdin: IO[bytes] | None = open(writes, "wb")  # noqa: SIM115 - lives as long as it
            if stdout == subprocess.PIPE:
                ours, stdout = os.pipe()
                its.callback(os.close, stdout)
                self.stdout = open(ours, "rb")  # noqa: SIM115 - as above
            out = stdout if isinstance(stdout, int) else stdout.fileno()
            self.pid = forker.ask(
                [reads, out, stderr.fileno()],
                start={
                    "arguments": [os.fspath(part) for part in command[1:]],
                    "env": dict(env),
                    "cwd": str(cwd or Path.cwd()),
                    "session": start_new_session,
                },
            )
        self._watch = os.pidfd_open(self.pid)
        weakref.finalize(self, os.close, self._watch)

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended."""
        if self._code is None:
            poll = select.poll()
            poll.register(self._watch, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(self._command, timeout or 0)
        with self._reaping:
            if self._code is None:
                self._code = self._forker.ask(ended=self.pid)
            return self._code

    def send_signal(self, number: int) -> None:
        """Nothing happens if it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def until_stopped(self) -> None:
        """Until all of its threads have stopped, or it has ended."""
        self._forker.ask(stopped=self.pid)


def looked_at(env: Mapping[str, str]) -> dict[str, str]:
    return {n: v for n, v in env.items() if n.startswith(LOOKED_AT) and n not in DONE}
