"""The service's tests: a fleet in a chain, and shorthands for what they look at.

All are processes of their own, made by `sim_iocs.testing`.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim_iocs import process
from sim_iocs.free_ports import LOOPBACK
from sim_iocs.testing import Client, Fleet, Monitor, RefusedError, Service, until
from sim_iocs.testing.client import environment, held_udp_port
from sim_iocs.testing.service import SERVING_TIMEOUT

__all__ = ["PREFIX", "Client", "RefusedError", "environment", "held_udp_port", "until"]

FOLLOWER = Path(__file__).with_name("service_follower.py")

PREFIX = "ORCH:"

CHAINS = {
    "motor": (
        "stage",
        [
            'x = { pv = "X", stop = "X.STOP" }',
            'x_rbv = { pv = "X.RBV", buffer = 50 }',
            'velo = "X.VELO"',
        ],
    ),
    "records": (
        "rec",
        ['ao = "Ao"', 'ai = "Ai"', 'calc = "Calc"', 'mbbo = "Mbbo"', 'bo = "Bo"', 'slow = "Slow"',
         'done = "Slow:Done"', 'delay = "Slow:Delay"', 'number = "LongOut"', 'wave = "Waveform"',
         'string = "StringOut"', 'chars = { pv = "Chars", text = true }'],
    ),
    "digital_io": ("dio", ['do0 = "DO0"', 'word = "DO:Word"']),
    "temperature": ("temp", ['setpoint = "Setpoint"', 'tolerance = "Tolerance"']),
}  # fmt: skip
"""For each simulated IOC its name in the chain and the channels that tests use."""


class Process(process.Process):
    """A process by its command alone."""

    def __init__(self, command: list[str], env: Mapping[str, str], cwd: Path | None = None) -> None:
        super().__init__(Path(command[-1]).name, command, env, cwd=cwd)


def config_text(
    fleet: Fleet, port: int, *, more: str = "", timeout: float = 5, head: str = ""
) -> str:
    """An orchestrator.toml that chains the fleet, by the names of `CHAINS`.

    `head` stands before its tables, `more` at its end.
    """
    lines = [
        f'prefix = "{PREFIX}"',
        f'server = {{ port = {port}, interfaces = ["{LOOPBACK}"] }}',
        f"ca = {{ connect_timeout = {timeout}, auto_addr_list = false }}",
        'sequences.directory = "sequences"',
        head,
    ]
    for ioc in fleet:
        name, channels = CHAINS[ioc.kind]
        name = name if ioc.name == ioc.kind else ioc.name
        lines += [f"[chain.{name}]", f'prefix = "{ioc.prefix}"', f'address = "{ioc.address}"']
        lines += [f"channels.{channel}" for channel in channels]
    return "\n".join([*lines, more, ""])


@dataclass
class Rig:
    """A fleet, one service that chains it, and a libca client of both."""

    fleet: Fleet
    directory: Path
    env: dict[str, str]
    """What any client needs to reach the IOCs and the service, and nobody else."""
    own: Service
    client: Client
    port: int
    _processes: list[Process] = field(default_factory=list)

    @property
    def service(self) -> process.Process:
        """Its process."""
        return self.own.process

    # Sequences ----------------------------------------------------------------------------------

    def sequence(self, text: str, name: str = "") -> str:
        """Put a document into the service's directory; its name."""
        return self.own.sequence(text, name)

    def start(self, name: str, args: Any = "", timeout: float = 30) -> Callable[[], Any]:
        """Put 1 to START with callback; the function waits for the put, or raises RefusedError."""
        self.put("SEQ", name)
        self.put("ARGS", json.dumps(args) if args != "" else "")
        waiting = self.client.put_later(PREFIX + "START", 1, timeout=timeout)
        self.until("BUSY", 1)
        return waiting

    def run(self, text: str, args: Any = "", timeout: float = 30) -> dict[str, Any]:
        """Run a document by START to its end; every final value of `OUTCOME`."""
        self.put("SEQ", self.sequence(text))
        self.put("ARGS", json.dumps(args) if args != "" else "")
        failed = ""
        try:
            self.client.put(PREFIX + "START", 1, timeout=timeout)
        except RefusedError as error:
            failed = str(error)
        return {"failed": failed} | self.outcome()

    def outcome(self) -> dict[str, Any]:
        """What clients read of the last run."""
        got = self.client.start("get_all", pvs=[PREFIX + name for name in OUTCOME])()
        return {name: got[PREFIX + name]["value"] for name in OUTCOME}

    # PVs of the service -------------------------------------------------------------------------

    def get(self, name: str) -> Any:
        """The value of one of the service's PVs: text, label or number."""
        return self.reading(name)["value"]

    def reading(self, name: str) -> dict[str, Any]:
        """The same with severity, status, timestamp."""
        return self.client.start("get", pv=PREFIX + name)()

    def put(self, name: str, value: Any, **options: Any) -> Any:
        """Put with callback, and wait for it."""
        return self.client.start("put", pv=PREFIX + name, value=value, **options)()

    def give(self, channel: str, value: float) -> None:
        """Put to a channel, and wait until the service knows: what others left is over then."""
        self.client.put(self.own.aliases[channel], value)
        self.until(f"MON:{channel.replace('.', ':')}", value)

    def until(self, name: str, value: Any, timeout: float = 10) -> None:
        """Wait until one of the service's PVs has this value."""
        self.own.until(PREFIX + name, value, timeout=timeout)

    def watch(self, *names: str) -> Watch:
        """Watch several PVs of the service from now on."""
        return Watch(self.client, [PREFIX + name for name in names])

    def watch_pvs(self, *pvs: str) -> Watch:
        """The same for PVs by their full names."""
        return Watch(self.client, list(pvs))

    def follow(self, *names: str) -> Follower:
        """The same for updates whose order counts, by a client that keeps it."""
        pvs = [PREFIX + name for name in names]
        process = self.spawn(sys.executable, str(FOLLOWER), *pvs)
        follower = Follower(process)
        until(lambda: {name for name, _ in follower.lines()} == set(names), what="monitors")
        follower.mark()
        return follower

    # The rest -----------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        """The end of what the service has written."""
        return self.service.errors[-2000:]

    def spawn(self, *command: str) -> Process:
        """Start another client; ended with the rig."""
        process = Process(list(command), self.env)
        self._processes.append(process)
        return process

    def python(self, body: str) -> Process:
        """The same for a piece of Python."""
        return self.spawn(sys.executable, "-c", textwrap.dedent(body))

    def quieten(self) -> None:
        """No run is left under way, whatever a test did."""
        with suppress(RefusedError, AssertionError):
            for _ in range(3):
                if not self.get("BUSY"):
                    return
                self.put("ABORT", 1)
                with suppress(AssertionError):
                    self.until("BUSY", 0, timeout=3)

    def close(self) -> None:
        for each in self._processes:
            each.close()


OUTCOME = (
    "STATUS", "message", "STATE", "START", "BUSY", "PAUSE", "RUN_ID", "RUN_NAME", "OWNER",
    "STEP", "NSTEPS", "STEP_NAME", "PROGRESS", "DATA:NPTS", "values",
)  # fmt: skip


class Follower:
    """What a client of `service_follower.py` has been told, in the order of libca."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._marked = 0

    def lines(self) -> list[tuple[str, Any]]:
        """(name, value) of all updates."""
        text = self.process.output
        updates = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [(pv.removeprefix(PREFIX), value) for pv, value in updates]

    def mark(self) -> None:
        """Forget what has come so far."""
        self._marked = len(self.lines())

    def until(self, name: str, value: Any) -> list[tuple[str, Any]]:
        """Wait for an update; all since the mark."""
        try:
            until(lambda: (name, value) in self.lines()[self._marked :])
        except AssertionError:
            raise AssertionError(f"no {name} = {value!r} in {self.lines()}") from None
        return self.lines()[self._marked :]


class Watch:
    """Updates of several PVs.

    In order for each PV, not from one to another: aioca calls back at once for all that waits of
    one PV. Where that counts, see `Follower`.
    """

    def __init__(self, client: Client, pvs: list[str]) -> None:
        self._monitor = Monitor(client, pvs)
        self.skipped = self._monitor.skipped

    def updates(self) -> list[dict[str, Any]]:
        """All so far, the first value of each included."""
        return self._monitor.updates()

    def since(self) -> list[tuple[str, Any]]:
        """(name, value) of those after the watch began; a loss is None."""
        return [
            (update["pv"].removeprefix(PREFIX), update.get("value"))
            for update in self.updates()[self.skipped :]
        ]

    def values(self, name: str) -> list[Any]:
        """Values of one PV after the watch began."""
        return [value for pv, value in self.since() if pv == name]

    def until(self, name: str, value: Any, timeout: float = 10) -> list[tuple[str, Any]]:
        """Wait for an update; all after the watch began."""
        try:
            until(lambda: (name, value) in self.since(), timeout)
        except AssertionError:
            raise AssertionError(f"no {name} = {value!r} in {self.since()}") from None
        return self.since()


def start_service(
    file: Path,
    env: Mapping[str, str],
    timeout: float = SERVING_TIMEOUT,
    options: Sequence[str] = (),
) -> Process:
    """`orchestrator serve`, once it serves."""
    command = [sys.executable, "-P", "-m", "orchestrator", "serve", "--config", str(file)]
    command.append("--stop-with-stdin")  # nothing is left when the tests are killed
    service = Process([*command, *options], env, cwd=file.parent)
    try:
        until(lambda: '"serving"' in service.errors or service.ended, timeout, "the service")
        assert not service.ended, service.errors
    except BaseException:
        service.close()
        raise
    return service


@contextmanager
def rig_of(
    fleet: Fleet,
    directory: Path,
    more: str = "",
    timeout: float = 5,
    *,
    head: str = "",
    others: Sequence[str] = (),
    access: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Iterator[Rig]:
    """A service that chains a running fleet, and a client; both ended with the block.

    `more` and `head` as in `config_text`; `others` are addresses of more IOCs, `access` is who
    may write, `options` are for the command `serve`.
    """
    service = Service(
        fleet,
        config=config_text(fleet, 0, more=more, timeout=timeout, head=head),
        directory=directory,
        others=others,
        access=access,
        options=options,
        connected=False,
    )
    with service:
        rig = Rig(fleet, directory, service.env, service, service.client, service.port)
        try:
            yield rig
        finally:
            rig.close()
