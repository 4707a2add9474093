"""`serve`: the service until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import structlog
import typer

from orchestrator import loops
from orchestrator.api import EVENTS
from orchestrator.cli.local.event_lines import event_lines
from orchestrator.cli.local.runlog import RunLog
from orchestrator.cli.settings import settings
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.interrupts import interrupts
from orchestrator.cli.terminal.logs import background_logs, level_of
from orchestrator.client import configure_environment
from orchestrator.config import Config, check_prefix
from orchestrator.config.access import useless
from orchestrator.errors import InputError
from orchestrator.service import Listener, Service, open_service, spare_the_collector
from orchestrator.transports.ca import pv_names
from orchestrator.types import Verb

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line says of the service; empty = as in the configuration."""

    prefix: str = ""
    list_pvs: bool = False
    interfaces: Sequence[str] = ()
    more_interfaces: Sequence[str] = ()
    """The second and further ones of `--interfaces A B`, as caproto's IOCs take them."""
    port: int | None = None
    macros: Sequence[str] = ()
    events: Path | None = None
    """Where the events of runs are written."""
    stop_with_stdin: bool = False
    quiet: bool = False
    verbose: int = 0
    record: Path | None = None
    """Where all that comes from outside is written."""


def serve(file: Path | None, options: ServeOptions) -> int:
    """Run the service until SIGINT or SIGTERM.

    Raises:
        OrchestratorError: The configuration is wrong, the port or the store is taken.
    """
    level = level_of(options.verbose, quiet=options.quiet, normal=logging.INFO)
    with background_logs(level):
        return _serve_logged(file, options)


def _serve_logged(file: Path | None, options: ServeOptions) -> int:
    config = _with(settings(file, options.macros), options)
    configure_environment(config)
    if options.list_pvs:
        typer.echo("\n".join(pv_names(config)))
    spare_the_collector()
    with ExitStack() as files:
        listeners = [RunLog().take]
        if options.events is not None:
            listeners.append(files.enter_context(event_lines(options.events)).take)
        loops.run(_serve(config, listeners, options))
    return Code.SUCCESS


async def _serve(config: Config, listeners: Sequence[Listener], options: ServeOptions) -> None:
    stopped = asyncio.Event()
    service: Service | None = None
    why: dict[str, str] = {}

    def press(count: int, name: str) -> None:
        nonlocal why
        stopped.set()
        why = why or {"signal": name}
        if service is None:
            return
        if count == 1:
            service.ends(name)
        else:
            service.control(Verb.ABORT, name)

    with interrupts(press):
        async with open_service(config, record=options.record) as service:
            for take in listeners:
                service.listen(take, EVENTS)
            if options.stop_with_stdin:
                loops.watch_stdin(lambda received: None if received else stopped.set())
            log.info(
                "serving",
                prefix=config.prefix,
                port=service.port,
                interfaces=list(service.where.interfaces),
                **service.where.told,
                channels=len(config.channels),
                sequences=str(config.sequences or ""),
                store=str(config.store),
                loop=loops.name_of_loop(),
            )
            if service.http_port and config.http is not None:
                where = list(config.http.interfaces)
                log.info("serving HTTP", port=service.http_port, interfaces=where)
            for text in useless(config.write_access):
                log.warning("a rule of access.write is useless", why=text)
            if config.sequences is not None and not config.sequences.is_dir():
                log.warning("there is no directory of sequences", directory=str(config.sequences))
            if service.recording is not None:
                log.info("recording", file=str(service.recording))
            await stopped.wait()
            log.info("stopping", **why)
    log.info("stopped")


def _with(config: Config, options: ServeOptions) -> Config:
    interfaces = _addresses(options)
    server = config.server
    if options.port is not None:
        server = replace(server, port=options.port)
    if interfaces:
        server = replace(server, interfaces=interfaces)
    try:
        prefix = check_prefix(options.prefix or config.prefix)
    except ValueError as error:
        raise InputError(f"--prefix: {error}") from error
    return replace(config, prefix=prefix, server=server)


def _addresses(options: ServeOptions) -> tuple[str, ...]:
    if options.more_interfaces and not options.interfaces:
        raise InputError(f"serve takes no {options.more_interfaces[0]!r}; see serve --help")
    addresses = (*options.interfaces, *options.more_interfaces)
    for address in addresses:
        try:
            ip_address(address)
        except ValueError as error:
            raise InputError(f"--interfaces {address}: expected an IP address") from error
    return addresses
