"""Masters and sequence servers as processes, a port each, and a client that reaches them."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from sim_helpers import Client, RefusedError, running, until

from sim_iocs.fleet import Fleet, Member, SimIoc
from sim_iocs.free_ports import LOOPBACK, PortHold
from sim_iocs.process import Process
from sim_iocs.testing.client import environment, held_udp_port

SCRIPT = Path(__file__).with_name("chained_iocs.py")
MASTER = Member(name="master", prefix="TOP:", script=SCRIPT, options=("master",))


def calls(log: Path) -> list[list[Any]]:
    """What `io_execute` was called with: pv_name, value, whether in the main thread, requests."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def server(folder: Path, name: str, prefix: str, master: str) -> Member:
    """A sequence server that notes its calls in `folder/NAME.log`."""
    options = ("server", str(folder / f"{name}.log"), name, master)
    return Member(name=name, prefix=prefix, script=SCRIPT, options=options)


@contextmanager
def chained(folder: Path, **servers: str) -> Iterator[tuple[Fleet, Client]]:
    """A master `TOP:` and servers, each `name="PREFIX:"`, and a client."""
    members = [server(folder, name, prefix, "TOP:") for name, prefix in servers.items()]
    with running(MASTER, *members) as both:
        yield both


@contextmanager
def orchestrated(
    folder: Path, services: Mapping[str, str], sequences: Mapping[str, str] = {}, **servers: str
) -> Iterator[tuple[dict[str, SimIoc], Client]]:
    """Services by name, each with its configuration, and servers `name="MASTER:"`.

    A service's prefix is its name in capitals; `{stage}` in a configuration is the address of
    stage, `{stage.port}` its port. The sequences are those of all services.
    """
    scripts = {
        name: ("server", str(folder / f"{name}.log"), name, master)
        for name, master in servers.items()
    }
    with orchestrated_over(folder, services, sequences, SCRIPT, scripts) as both:
        yield both


@contextmanager
def orchestrated_over(
    folder: Path,
    services: Mapping[str, str],
    sequences: Mapping[str, str],
    script: Path,
    servers: Mapping[str, tuple[str, ...]],
) -> Iterator[tuple[dict[str, SimIoc], Client]]:
    """The same over IOCs of a script, by name with its arguments."""
    env: dict[str, str] = {}
    with ExitStack() as parts:
        iocs = {}
        for name, options in servers.items():
            prefix = f"{name.upper()}:"
            member = Member(name=name, prefix=prefix, script=script, options=options)
            ioc = SimIoc(name, member.prefix, member.command, env)
            iocs[name] = parts.enter_context(closing(ioc))
        ports = {name: ioc.port for name, ioc in iocs.items()}
        for name in services:  # all ports are known before anything starts
            ports[name] = parts.enter_context(closing(PortHold())).port
        addresses = [f"{LOOPBACK}:{port}" for port in ports.values()]
        env |= environment(*addresses, repeater=parts.enter_context(held_udp_port()))
        for ioc in iocs.values():
            ioc.start()
        serving = {}
        for name, config in services.items():
            own = _configured(folder / name, config, ports, sequences)
            command = [sys.executable, "-m", "orchestrator", "serve", "--stop-with-stdin"]
            process = Process(f"service {name}", command, env, cwd=own)
            serving[name] = parts.enter_context(closing(process))
        client = parts.enter_context(Client(env))
        for ioc in iocs.values():
            ioc.wait_ready(time.monotonic() + 20)
        for name, process in serving.items():
            answers = functools.partial(_answers, client, f"{name.upper()}:HEARTBEAT")
            until(answers, 20, f"{name} answers: {process.log}")
        yield iocs, client


def _configured(
    folder: Path, config: str, ports: Mapping[str, int], sequences: Mapping[str, str]
) -> Path:
    """The working directory of a service."""
    folder.mkdir()
    for sequence, text in sequences.items():
        (folder / f"{sequence}.yaml").write_text(text)
    for name, port in ports.items():
        config = config.replace(f"{{{name}}}", f"{LOOPBACK}:{port}")
        config = config.replace(f"{{{name}.port}}", str(port))
    prefix = f'prefix = "{folder.name.upper()}:"\n'
    head = f'{prefix}sequences.directory = "."\nca.connect_timeout = 15\n'
    (folder / "orchestrator.toml").write_text(f"{head}{config}\n")
    return folder


def _answers(client: Client, pv: str) -> bool:
    try:
        client.get(pv)
    except RefusedError:
        return False
    return True


def run(client: Client, prefix: str, name: str, timeout: float = 60) -> str:
    """Run a sequence of a service to its end; its message, or why the put failed."""
    client.put(f"{prefix}SEQ", name)
    try:
        client.put(f"{prefix}START", 1, timeout=timeout)
    except RefusedError as error:
        return f"{error}: {client.text(f'{prefix}message')}"
    return ""
