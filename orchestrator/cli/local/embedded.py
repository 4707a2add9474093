"""`run`: a service for the time of one run."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import typer

from orchestrator import loops
from orchestrator.api import EVENTS, Caller
from orchestrator.cli.local.sequence import load
from orchestrator.cli.settings import Chosen, choose, owner, settings
from orchestrator.cli.terminal.codes import Code, code_of_run
from orchestrator.cli.terminal.guard import complain
from orchestrator.cli.terminal.interrupts import PRESSED, interrupts, raise_interrupts
from orchestrator.cli.terminal.keys import keys
from orchestrator.cli.terminal.logs import background_logs, level_of, set_up_logs
from orchestrator.client import configure_environment
from orchestrator.config import DEFAULT_FILE, Config, ServerConfig
from orchestrator.display.run_display import RunDisplay, open_display
from orchestrator.display.run_end import show_outcome
from orchestrator.language.program.nodes import Runnable, Walk, walk
from orchestrator.language.text.arguments import parse_assignments, with_files
from orchestrator.service import Service, open_service
from orchestrator.types import Cause, Command, Reply, RunEnded, RunRefused, RunStatus, Verb

Begin: TypeAlias = Callable[[Service], Awaitable[RunEnded | RunRefused]]
LOOPBACK = ServerConfig(port=0, interfaces=("127.0.0.1",))
"""Where an embedded service serves its PVs: for nobody outside, on a free port."""


def run(
    sequence: str,
    arguments: Sequence[str],
    meta: Sequence[str],
    file: Path | None,
    verbose: int,
    *,
    as_json: bool,
) -> int:
    """Run one sequence with a service of its own.

    Raises:
        InputError: The configuration, the sequence or its arguments are wrong.
    """
    set_up_logs(level_of(verbose))
    chosen, args = choose(sequence), with_files(parse_assignments(arguments))
    metadata = parse_assignments(meta, "metadata")
    return run_chosen(chosen, args, metadata, settings(file), verbose, as_json=as_json)


def run_chosen(
    chosen: Chosen,
    args: Mapping[str, object],
    metadata: Mapping[str, object],
    config: Config,
    verbose: int,
    *,
    as_json: bool,
) -> int:
    """Run what was chosen, with a service of its own; the log is set up.

    Raises:
        InputError: The sequence or its arguments are wrong.
    """
    # What is wrong with the files is told without starting anything.
    program, begin = load(config, chosen, args), beginning(chosen, args, metadata)
    return carry_out(config, program, chosen.name, begin, verbose, as_json=as_json)


def beginning(
    chosen: Chosen, args: Mapping[str, object], metadata: Mapping[str, object] = {}
) -> Begin:
    """Has a service begin a sequence."""

    def begin(service: Service) -> Awaitable[RunEnded | RunRefused]:
        return service.run(
            chosen.name,
            text=chosen.text,
            origin=chosen.origin,
            args=args,
            metadata=metadata,
            owner=owner(),
            repeats=chosen.repeats,
        )

    return begin


def carry_out(
    config: Config,
    program: Runnable,
    name: str,
    begin: Begin,
    verbose: int,
    code: Callable[[RunEnded | RunRefused], int] = code_of_run,
    *,
    as_json: bool,
) -> int:
    """Begin something with a service of its own, and show how it ends.

    Args:
        config: That of the service.
        program: What will be run.
        name: Of that, for commands in other terminals.
        begin: Has the service begin it; returns its last event.
        verbose: As the option.
        code: The exit code of an end.
        as_json: As the option.
    """
    config = replace(config, server=_place(config, program))
    configure_environment(config)
    raise_interrupts()
    # A live display keeps the log's lines above itself, and writes them as it writes its own.
    live = sys.stdout.isatty() and not as_json
    logs = nullcontext() if live else background_logs(level_of(verbose))
    with logs, open_display(quiet=as_json) as display:
        tell = complain if as_json else display.note
        end = loops.run(Embedded(config, display, tell).run(name, begin))
    show_outcome(end, display.progress, as_json=as_json, code=code(end))
    for line in () if as_json else seen_again(end, config):
        typer.echo(line, err=code(end) is not Code.SUCCESS)
    return code(end)


def seen_again(end: RunEnded | RunRefused, config: Config) -> list[str]:
    """How to see the run again, in the same folder; nothing of one that did not begin."""
    if isinstance(end, RunRefused) or not end.run_id or end.cause not in (Cause.NONE, Cause.DURING):
        return []
    found = config.file is None or config.file == DEFAULT_FILE
    where = "" if found else f" --store {shlex.quote(str(config.store))}"
    verbs = ("plot", "show") if end.data_file else ("show",)
    again = ", ".join(f"orchestrator {verb} {end.run_id}{where}" for verb in verbs)
    return [f"see it again: {again}"]


def _place(config: Config, program: Runnable) -> ServerConfig:
    """Where the service serves: sequence servers have to find the indices that it walks."""
    if program.is_known:
        nodes = walk(program.all_steps)
        walks = any(isinstance(node.inside, Walk) for node in nodes)
    else:
        walks = any(chain.server is not None for chain in config.chain.values())
    return replace(config.server, master="", name="") if walks else LOOPBACK


class Embedded:
    """One run, from the start of its service to the end of it."""

    def __init__(
        self, config: Config, display: RunDisplay, tell: Callable[[str], None] | None = None
    ) -> None:
        """Nothing is started yet; `tell`: where runs that were interrupted are told of."""
        self._tell = tell or display.note
        self._config = config
        self._display = display
        self._service: Service | None = None
        self._pressed = 0

    async def run(self, name: str, begin: Begin) -> RunEnded | RunRefused:
        """Begin it, and return its last event; signals abort it, each harder than the one before.

        Raises:
            OrchestratorError: The service could not be started.
        """
        with interrupts(self._press):
            async with open_service(self._config, foreground=name) as service:
                service.listen(self._display.take, EVENTS)
                for interrupted in service.interrupted:
                    self._tell(interrupted.title)
                if self._pressed:
                    return RunEnded("", RunStatus.ABORTED, "aborted before it began", 0)
                self._service = service
                with keys(self._display, self._ask):
                    return await begin(service)

    def _press(self, _count: int, name: str) -> None:
        self._abort(name)

    def _ask(self, verb: Verb, text: str) -> None:
        if verb is Verb.ABORT:
            self._abort("the key q")
        elif self._service is not None:
            reply = self._service.api.ask(Command(verb, text=text), Caller(owner()))
            reply.add_done_callback(self._told)

    def _told(self, reply: asyncio.Future[Reply]) -> None:
        """What was asked for by a key is done, or refused."""
        if not reply.cancelled() and reply.result().error:
            self._display.note(reply.result().error)

    def _abort(self, reason: str) -> None:
        self._pressed += 1
        self._display.note(PRESSED[min(self._pressed, len(PRESSED)) - 1])
        if self._service is not None:
            self._service.control(Verb.ABORT, reason)
