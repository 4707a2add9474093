"""Runs the command as a user's shell does: a process, its output in files."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim_iocs.free_ports import PortHold
from sim_iocs.process import Process
from sim_iocs.testing import Client, until
from sim_iocs.testing.service import SERVING_TIMEOUT

COMMAND = (sys.executable, "-m", "orchestrator")
SLOW = "steps:\n  - log: waiting\n  - delay: 300\n    name: long delay\nfinally:\n  - log: done\n"
QUICK = "parameters: {a: 1}\nsteps:\n  - log: a is $(a)\n  - sample: [stage.x_rbv]\n"


@dataclass(frozen=True)
class Finished:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def noise(self) -> list[str]:
        """What no user should see."""
        text = self.out + self.err
        signs = ("Traceback", "CA.Client", "Virtual circuit", "beacon", "Task exception", "Warning")
        return [sign for sign in signs if sign in text]


class Running:
    """A command that runs."""

    def __init__(self, args: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self._process = Process(" ".join(args), [*COMMAND, *args], env, cwd=folder)
        self._finished: Finished | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def out(self) -> str:
        return self._finished.out if self._finished else self._process.output

    @property
    def err(self) -> str:
        return self._finished.err if self._finished else self._process.errors

    @property
    def runs(self) -> bool:
        return self._finished is None and not self._process.ended

    def interrupt(self, number: int = signal.SIGINT) -> None:
        if self._finished is None:
            self._process.signal(number)

    def type(self, line: str) -> None:
        self._process.write(line)

    def finish(self, timeout: float = 30) -> Finished:
        if self._finished is None:
            try:
                code = self._process.end(timeout)
                self._finished = Finished(code, self.out, self.err)
            finally:
                self._process.close()
        return self._finished

    def until_says(self, text: str, timeout: float = SERVING_TIMEOUT) -> None:
        until(lambda: text in self.out + self.err or not self.runs, timeout, text)
        assert text in self.out + self.err, self.out + self.err


class Shell:
    """A folder and an environment in which commands are run."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EPICS_")}
        self.env = {**inherited, **env}
        self.folder = folder
        self._started: list[Running] = []

    def start(self, *args: str) -> Running:
        running = Running(args, self.env, self.folder)
        self._started.append(running)
        return running

    def run(self, *args: str, timeout: float = 30) -> Finished:
        return self.start(*args).finish(timeout)

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.write_text(text)
        return file

    def close(self) -> None:
        for running in self._started:
            if running.runs:
                running.interrupt(signal.SIGTERM)
        for running in self._started:
            running.finish()
        self._started.clear()


class Served:
    """A service with the prefix T:, a shell from which it is reached, and a client of it."""

    def __init__(self, service: Running, shell: Shell) -> None:
        self.service = service
        self.shell = shell
        self.client = Client(shell.env)
        self._told = 0

    def run(self, *args: str) -> Finished:
        return self.shell.run(*args, "--config", "client.toml")

    def start(self, *args: str) -> Running:
        return self.shell.start(*args, "--config", "client.toml")

    # Without a command: where not the command is what a test is about ---------------------------

    def get(self, name: str) -> Any:
        """One of its PVs."""
        return self.client.get(f"T:{name}")

    def until(self, name: str, value: Any) -> None:
        self.client.until(f"T:{name}", value)

    def ask(self, command: str) -> None:
        """Have it do a text of CMD, `run slow`; returns when that is accepted."""
        self.client.ask("put", pv="T:CMD", value=command, kind="long")

    def begin(self, command: str) -> None:
        """The same with a run that comes to a long delay; returns when it is there."""
        self.ask(command)
        self.until_delayed()

    def until_delayed(self) -> None:
        until(lambda: "long delay" in self.get("STEP_NAME"), what="long delay")

    @property
    def log(self) -> str:
        """What it has told in this test."""
        return self.service.err[self._told :]

    def until_told(self, text: str) -> None:
        until(lambda: text in self.log, what=text)

    def settle(self) -> None:
        """End what a test before has left: commands, a run, a queue that holds or is held."""
        self.shell.close()
        self.ask("queue clear")
        self.client.put("T:ABORT", 1)
        self.until("BUSY", 0)
        self.ask("queue start")
        self._told = len(self.service.err)

    def close(self) -> None:
        self.client.close()
        self.shell.close()


@contextmanager
def serving(shell: Shell) -> Iterator[Served]:
    """Run the service of the shell's configuration on a free port of loopback."""
    with closing(PortHold()) as hold:
        shell.write("client.toml", f"[server]\nport = {hold.port}\n")  # where clients look for it
        shell.env["EPICS_CA_ADDR_LIST"] += f" 127.0.0.1:{hold.port}"
        where = ["--interfaces", "127.0.0.1", "--port", f"{hold.port}", "--prefix", "T:"]
        service = shell.start("serve", *where, "--list-pvs", "--stop-with-stdin")
        with closing(Served(service, Shell(shell.env, shell.folder))) as served:
            service.until_says("serving")
            yield served
        if service.runs:
            service.interrupt()
            assert service.finish(20).code == 0
