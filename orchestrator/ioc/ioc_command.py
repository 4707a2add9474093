"""The command line of a simulated IOC: caproto's options, a free port, a clean stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import structlog

from orchestrator import loops
from orchestrator.errors import OrchestratorError
from orchestrator.faults import Lines, reply
from orchestrator.ioc.pv_group import Group
from orchestrator.ioc.serving.fault_injection import Faults
from orchestrator.ioc.serving.ioc_server import serve
from orchestrator.line_writer import LineWriter, spare

log = structlog.get_logger(__name__)

_LAST_LINES_S = 2.0
"""s that the last lines of the log may take at the end."""

GroupFactory = Callable[..., Any]
"""Makes a PVGroup: called with `prefix=` and `macros=`."""


def run_ioc(
    group: GroupFactory,
    argv: Sequence[str] | None = None,
    *,
    default_prefix: str,
    desc: str,
    macros: Mapping[str, str] | None = None,
) -> int:
    """Run one IOC until SIGINT, SIGTERM, or the end of stdin if that was asked for.

    Prints `READY port=NNNN` on a line of its own once clients can connect. With
    `--stop-with-stdin` the lines on stdin are faults that it is to have: see
    `orchestrator.faults`. A program of your own ends with:

    >>> import sys
    >>> from caproto.server import pvproperty
    >>> from orchestrator.ioc import Group, run_ioc
    >>> class Lamp(Group):
    ...     power = pvproperty(value=1.5)
    >>> if __name__ == "__main__":
    ...     sys.exit(run_ioc(Lamp, default_prefix="LAMP:", desc="A lamp."))

    Args:
        group: The PVGroup class, or a function that makes one.
        argv: Arguments after the program's name; those of the process by default.
        default_prefix: Prefix of its PV names unless `--prefix` says otherwise.
        desc: What it simulates, for `--help`; the first line is enough for lists.
        macros: Names for `--macro NAME=VALUE` with their defaults; PV names and prefix refer
            to them as `{NAME}`.

    Returns:
        The exit code: 0 stopped as asked, 1 could not run.
    """
    options = _parse(argv, default_prefix, desc, dict(macros or {}))
    with _background_logs(options) as write:
        try:
            ioc = group(prefix=options.prefix, macros=options.macros)
            if options.list_pvs:
                _print(*ioc.pvdb)
            loops.run(_serve_until_stopped(ioc, options, write))
        except OrchestratorError as error:
            write(f"{error}\n")
            return 1
    return 0


def _parse(
    argv: Sequence[str] | None, default_prefix: str, desc: str, macros: dict[str, str]
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=desc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prefix", default=default_prefix, help="prefix of all PV names")
    parser.add_argument(
        "--port",
        type=int,
        help="for clients; 0 = a free one; else as EPICS_CAS_SERVER_PORT says, or 5064",
    )
    parser.add_argument(
        "--interfaces",
        nargs="+",
        help="addresses to listen on; else EPICS_CAS_INTF_ADDR_LIST or all",
    )
    parser.add_argument("--list-pvs", action="store_true", help="print the PV names at start")
    parser.add_argument(
        "--macro",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"replace {{NAME}} in PV names; here: {macros or 'none'}",
    )
    parser.add_argument(
        "--stop-with-stdin",
        action="store_true",
        help="stop when stdin ends, as with a parent; until then its lines are faults to have",
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="errors only")
    loudness.add_argument("-v", "--verbose", action="count", default=0, help="more; -vv: all")
    options = parser.parse_args(argv)
    for item in options.macro:
        name, equals, value = item.partition("=")
        if not equals or name not in macros:
            parser.error(f"--macro {item}: expected NAME=VALUE with NAME of {sorted(macros)}")
        macros[name] = value
    options.macros = macros
    return options


class _Log:
    """The log as a file, whose lines a thread writes: a reader who stands still stops no IOC."""

    def __init__(self, writer: LineWriter) -> None:
        self.write = writer.offer

    def flush(self) -> None:
        """Nothing waits here."""


@contextmanager
def _background_logs(options: argparse.Namespace) -> Iterator[Callable[[str], None]]:
    """Log to stderr, as stdout is READY's; gives the function that writes there."""
    stderr = sys.stderr.fileno()
    writer = LineWriter(stderr, "{:,} lines dropped here: nobody read the log\n".format)
    stream: Any = _Log(writer)
    level = logging.ERROR if options.quiet else logging.WARNING - 10 * min(options.verbose, 2)
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=level, format=form, stream=stream)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    try:
        yield writer.offer
    finally:
        if not writer.close(_LAST_LINES_S):
            spare(stderr)


async def _serve_until_stopped(
    ioc: Any, options: argparse.Namespace, write: Callable[[str], None]
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with serve(ioc.pvdb, port=options.port, interfaces=options.interfaces) as server:
        if isinstance(ioc, Group):
            ioc.server = server
        if options.stop_with_stdin:
            lines: asyncio.Queue[str] = asyncio.Queue()
            loops.watch_stdin(partial(_take_stdin, Lines(), lines, stopped))
            server.spawn(_have_faults(lines, server.faults), "faults")
        log.info("serving", port=server.port, loop=loops.name_of_loop())
        # Where its environment has moved it is told in any case: who looks for it must not guess.
        if (line := server.where.line(server.port)) and not options.quiet:
            write(f"{line}\n")
        _print(f"READY port={server.port}")
        await stopped.wait()


def _take_stdin(
    split: Lines, lines: asyncio.Queue[str], stopped: asyncio.Event, received: bytes
) -> None:
    for line in split.take(received):
        lines.put_nowait(line)
    if not received:
        stopped.set()


async def _have_faults(lines: asyncio.Queue[str], faults: Faults) -> None:
    """Obey the lines that come on stdin, one after the other: see orchestrator.faults."""
    while True:
        _print(await reply(await lines.get(), faults.obey))


def _print(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
