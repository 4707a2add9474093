"""The measured programs as seen from outside: started, asked one question at a time, stopped."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from orchestrator.errors import OrchestratorError

_START = 60.0
"""s until a program has to be ready; 10,000 channels take a few."""
_ANSWER = 180.0
"""s that one measurement may take."""
_STOP = 10.0
"""s that a program has to end."""


class BenchError(OrchestratorError):
    """A program of the benchmark did not do what it was asked; the text holds what it wrote."""


class Worker:
    """One measured program: `orchestrator.bench.programs.NAME` in a process of its own.

    It answers each request, a line of JSON, with one.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], env: Mapping[str, str]) -> None:
        """Nothing is started before `with`."""
        self.name = name
        self.ready: dict[str, Any] = {}
        """What it told when it was ready."""
        self._settings = settings
        self._env = env
        self._buffer = b""

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        program = f"orchestrator.bench.programs.{self.name}"
        self._process = subprocess.Popen(  # noqa: S603 - a program of ours
            [sys.executable, "-P", "-m", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(self._env),
        )
        try:
            self._send(self._settings)  # no argument: 10,000 PVs are too long for one
            self.ready = self._answer(_START)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 - pipes
        self._process.stdin.close()  # it ends with its stdin
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def ask(self, do: str, *, within: float = _ANSWER, **arguments: Any) -> dict[str, Any]:
        """Ask for one thing and wait for the answer, so many seconds at most.

        Raises:
            BenchError: It failed, ended, or did not answer.
        """
        self._send({"do": do, **arguments})
        return self._answer(within)

    def seconds(self, do: str, **arguments: Any) -> float:
        """Ask for a measurement that is one number of seconds."""
        return float(self.ask(do, **arguments)["seconds"])

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        try:
            self._process.stdin.write(json.dumps(dict(message)).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed("has ended") from None

    def _answer(self, timeout: float) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._line(time.monotonic() + timeout))
        if "error" in answer:
            raise self._failed(f"failed: {answer['error']}")
        return answer

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        number = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([number], [], [], left)[0]:
                raise self._failed("did not answer in time")
            received = os.read(number, 1 << 20)
            if not received:
                raise self._failed("has ended")
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _failed(self, how: str) -> BenchError:
        size = os.fstat(self._errors.fileno()).st_size
        written = os.pread(self._errors.fileno(), size, max(size - 2000, 0))
        return BenchError(f"the program {self.name} {how}\n{written.decode(errors='replace')}")
