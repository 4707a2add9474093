"""Channel Access clients in processes of their own, and waiting for what they say.

Two libca in one process don't work, and libca reads its environment once a process.
"""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sim_iocs.free_ports import LOOPBACK
from sim_iocs.process import Process
from sim_iocs.testing.client import environment, held_udp_port

AIOCA = """
import asyncio, json, signal, sys, time
from aioca import *
def say(*values):
    # One write: pyepics calls back from another thread.
    sys.stdout.write(json.dumps(values, default=lambda v: v.tolist()) + "\\n")
    sys.stdout.flush()
def told():
    # What the test writes to our standard input, line by line.
    return asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
async def main():
{body}
asyncio.run(main())
"""

PYEPICS = """
import json, sys, time
import epics
def say(*values):
    # One write: pyepics calls back from another thread.
    sys.stdout.write(json.dumps(values, default=lambda v: v.tolist()) + "\\n")
    sys.stdout.flush()
{body}
"""


class Client:
    """A client process whose standard output is read line by line."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._read = 0

    @property
    def errors(self) -> str:
        """What it has written to its standard error."""
        return self._process.errors

    def lines(self) -> list[str]:
        """The whole lines that it has written so far."""
        text = self._process.output
        return text[: text.rfind("\n") + 1].splitlines()

    async def line(self, timeout: float = 10.0) -> str:
        """Its next line."""
        await until(lambda: len(self.lines()) > self._read or self.ended, timeout, self)
        lines = self.lines()
        if self._read >= len(lines):
            raise AssertionError(f"client ended with {self._process.exit_code}: {self.errors}")
        self._read += 1
        return lines[self._read - 1]

    async def said(self, timeout: float = 10.0) -> Any:
        """What it says next, by `say(…)`: a list."""
        return json.loads(await self.line(timeout))

    async def tell(self, text: str = "go") -> None:
        """Give it a line for which it waits by `await told()`."""
        self._process.write(text)

    def end_input(self) -> None:
        """Close its standard input."""
        self._process.end_input()

    @property
    def ended(self) -> bool:
        return self._process.ended

    async def end(self, timeout: float = 10.0) -> int:
        """Its exit code, once it has ended."""
        await until(lambda: self.ended, timeout, self)
        return self._process.wait(0)

    def signal(self, number: int) -> None:
        self._process.signal(number)

    def close(self) -> None:
        """End it if it is left."""
        self._process.close()


async def until(
    done: Callable[[], Any], timeout: float = 10.0, client: Client | None = None
) -> None:
    """Poll for a condition."""
    try:
        async with asyncio.timeout(timeout):
            while not done():  # noqa: ASYNC110 - whatever it is, it tells only by being asked
                await asyncio.sleep(0.01)
    except TimeoutError:
        told = f"; client's errors: {client.errors}" if client else ""
        raise AssertionError(f"not within {timeout} s{told}") from None


class Clients:
    """Starts client processes against one port; ends those that are left."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._started: list[Client] = []

    async def run(self, *command: str) -> Client:
        """Start a program."""
        client = Client(Process(Path(command[0]).name, command, self._env))
        self._started.append(client)
        return client

    async def aioca(self, body: str) -> Client:
        """Start a client on aioca; `body` is async code that tells the test by `say(…)`."""
        body = textwrap.indent(textwrap.dedent(body), "    ")
        return await self.run(sys.executable, "-c", AIOCA.format(body=body))

    async def pyepics(self, body: str) -> Client:
        """Start a client on pyepics, another binding of libca."""
        return await self.run(sys.executable, "-c", PYEPICS.format(body=textwrap.dedent(body)))

    async def caproto(self, tool: str, *arguments: str) -> str:
        """Run one of caproto's tools to its end, and return what it printed."""
        program = str(Path(sys.executable).with_name(f"caproto-{tool}"))
        client = await self.run(program, *arguments)
        assert await client.end() == 0, client.errors
        return "\n".join(client.lines())

    def close(self) -> None:
        """End those that are left."""
        for client in self._started:
            client.close()


@asynccontextmanager
async def clients(port: int) -> AsyncIterator[Clients]:
    """Clients of the IOC at `port`, who hear no beacon: what they notice, they do by circuits."""
    with held_udp_port() as repeater:
        started = Clients(environment(f"{LOOPBACK}:{port}", repeater=repeater))
        try:
            yield started
        finally:
            started.close()
