"""`run --server`: hand a sequence to a running service, and follow it over Channel Access."""

from __future__ import annotations

import asyncio
import json
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.cli.remote.service_client import RemoteService, reach
from orchestrator.cli.remote.which import Which, which
from orchestrator.cli.settings import Chosen, choose, settings
from orchestrator.cli.terminal.codes import code_of_run
from orchestrator.cli.terminal.interrupts import PRESSED, interrupts, raise_interrupts
from orchestrator.cli.terminal.keys import keys
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.config import Config
from orchestrator.display.run_display import RunDisplay, open_display
from orchestrator.display.run_end import show_outcome
from orchestrator.errors import InputError, NotConnectedError, PutError
from orchestrator.language.text.arguments import bind, parse_assignments, with_files
from orchestrator.language.text.document import parse
from orchestrator.language.text.tree import read
from orchestrator.types import (
    Cause,
    RunEnded,
    RunEvent,
    RunRefused,
    RunStarted,
    RunState,
    RunStatus,
    Told,
    Verb,
    fields,
    run_of,
)
from orchestrator.verbs.own import register_verbs


def run(
    sequence: str,
    arguments: Sequence[str],
    meta: Sequence[str],
    prefix: str,
    file: Path | None,
    verbose: int,
    *,
    as_json: bool,
) -> int:
    """Run one sequence on the service with this prefix.

    Raises:
        InputError: The configuration, the sequence or its arguments are wrong.
        NotConnectedError: The service isn't there, or was lost during the run.
    """
    set_up_logs(level_of(verbose))
    config = settings(file)
    register_verbs(config)
    chosen = choose(sequence)
    text = command_text(chosen, arguments, meta)
    return follow(config, text, prefix, retelling(chosen, text), as_json=as_json)


def follow(
    config: Config,
    text: str,
    prefix: str,
    retell: Callable[[str], str] = str,
    code: Callable[[RunEnded | RunRefused], int] = code_of_run,
    *,
    as_json: bool,
) -> int:
    """Send a command that begins a run, and show the run; gives the exit code.

    Raises:
        NotConnectedError: The service isn't there, or was lost during the run.
    """
    target = which(config, prefix, runs=False)
    raise_interrupts()
    with open_display(quiet=as_json) as display:
        end = asyncio.run(RunFollower(display, retell).run(config, target, text))
    show_outcome(end, display.progress, as_json=as_json, code=code(end))
    return code(end)


def command_text(chosen: Chosen, arguments: Sequence[str], meta: Sequence[str] = ()) -> str:
    """What is written to CMD: `run NAME k=v`, or the document with the arguments put in.

    Raises:
        InputError: The document or the arguments are wrong, or it is too long.
    """
    args, metadata = with_files(parse_assignments(arguments)), parse_assignments(meta, "metadata")
    if not chosen.text:
        return shlex.join(["run", chosen.name, *words(args, metadata)])
    text = json.dumps(_with_defaults(chosen, args, metadata))
    if len(text.encode()) > fields.CMD.most:
        raise InputError(
            f"{chosen.origin}: too long for CMD, which takes {fields.CMD.most} bytes as JSON"
        )
    return text


def words(args: Mapping[str, str], metadata: Mapping[str, str]) -> list[str]:
    """Arguments and metadata as they stand behind `run NAME`."""
    given = [f"{name}={value}" for name, value in args.items()]
    return given + [w for name, value in metadata.items() for w in ("--meta", f"{name}={value}")]


def _with_defaults(chosen: Chosen, args: dict[str, str], metadata: dict[str, str]) -> object:
    values = bind(parse(chosen.text, chosen.origin), args)
    tree = read(chosen.text, chosen.origin).value
    assert isinstance(tree, dict)  # noqa: S101 - `parse` has seen to it
    parameters = dict(tree.get("parameters", {}))
    for name in args:
        given = parameters[name]
        form = given if isinstance(given, dict) else {"default": given}
        parameters[name] = {**form, "default": values[name]}
    named = {"name": chosen.name, **tree}
    if metadata:
        named["metadata"] = {**tree.get("metadata", {}), **metadata}
    return _json(named | ({"parameters": parameters} if parameters else {}))


def _json(value: object) -> object:
    """JSON has no NaN; where a document means one (`missing`), its word does as well."""
    match value:
        case dict():
            return {key: _json(inner) for key, inner in value.items()}
        case list():
            return [_json(inner) for inner in value]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


def retelling(chosen: Chosen, sent: str) -> Callable[[str], str]:
    """Puts the places of the user's file for those of the JSON that was sent of it.

    Args:
        chosen: The sequence, and the file that it came from.
        sent: What the service got, on one line.
    """
    if not chosen.text:
        return str
    ours, theirs = read(chosen.text, chosen.origin), read(sent, fields.CMD.name)
    places = {
        place: own[path]
        for own, given in ((ours.positions, theirs.positions), (ours.keys, theirs.keys))
        for path, place in given.items()
        if path in own
    }

    def place(match: re.Match[str]) -> str:
        found = places.get((int(match[1]), int(match[2])))
        return f"{chosen.origin}:{found[0]}:{found[1]}" if found else chosen.origin

    return lambda text: _PLACE.sub(place, text)


_PLACE = re.compile(r"\bCMD:(\d+):(\d+)")


class Followed:
    """Which of all that a service tells is of the run that was asked for, and how that ended."""

    def __init__(self, take: Callable[[RunEvent], None], retell: Callable[[str], str]) -> None:
        """`take` gets the run's events; `retell` makes a user's text of one of the service's."""
        self._display = take
        self._retell = retell
        self._asked = False
        self.run_id = ""
        """Known once it has begun."""
        self.end: RunEnded | None = None
        self.news = asyncio.Event()
        """It has ended, or something was missed."""

    def ask(self) -> None:
        """The next run that begins is the one."""
        self._asked = True

    def take(self, events: Sequence[RunEvent]) -> None:
        """Take what a service tells."""
        for event in events if self._asked else ():
            self._take(event)

    def _take(self, event: RunEvent) -> None:
        if isinstance(event, RunStarted) and not self.run_id:
            self.run_id = event.run_id
        if self.end is not None or run_of(event) not in ("", self.run_id):
            return
        match event:
            case RunEnded():
                self.end = event = replace(event, message=self._retell(event.message))
                self.news.set()
            case Told():
                event = replace(event, text=self._retell(event.text))
            case _:
                pass
        self._display(event)

    def look(self, service: RemoteService) -> None:
        """Something was missed: see by the fields of the service whether it has ended meanwhile.

        Raises:
            InputError: It has, and another run has begun: how it ended is not known here.
        """
        self.run_id = self.run_id or str(service.value(fields.RUN_ID))
        if service.value(fields.RUN_ID) != self.run_id:
            raise InputError(
                f"{service.prefix}: run {self.run_id} has ended while we heard nothing of it, and "
                "another one has begun since; its outcome is in the log and data of the service"
            )
        if service.value(fields.BUSY):
            return
        early = (Cause.INPUT, Cause.NOT_CONNECTED)
        alarm = service.alarm(fields.STATUS)
        cause = next((cause for cause in early if cause.alarm == alarm), Cause.DURING)
        status = RunStatus(str(service.value(fields.STATUS)))
        self._take(RunEnded(self.run_id, status, str(service.value(fields.MESSAGE)), 0, cause))


class RunFollower:
    """One run on a service, from the command to the end."""

    def __init__(self, display: RunDisplay, retell: Callable[[str], str] = str) -> None:
        """Nothing is sent yet; `retell` makes a user's text of one of the service's."""
        self._display = display
        self._retell = retell
        self._followed = Followed(display.take, retell)
        self._pressed = 0
        self._commands: asyncio.Queue[str] = asyncio.Queue()

    async def run(self, config: Config, target: Which, text: str) -> RunEnded | RunRefused:
        """Send it and follow it; signals abort that run, each harder than the one before.

        Raises:
            NotConnectedError: The service isn't there, or was lost during the run.
        """
        followed = self._followed
        with interrupts(self._press):
            async with reach(config, target, followed.take, followed.news.set) as service:
                if self._pressed:
                    return RunEnded("", RunStatus.ABORTED, "aborted before it began", 0)
                if service.value(fields.BUSY):
                    return RunRefused(0, _busy(service), Cause.DURING)
                followed.ask()
                try:
                    await service.command(text)
                except PutError as error:
                    return RunRefused(0, self._retell(str(error)))
                return await self._until_ended(service)

    async def _until_ended(self, service: RemoteService) -> RunEnded:
        async with asyncio.TaskGroup() as tasks:
            passing = tasks.create_task(self._pass_on(service), name="pass on what is asked")
            try:
                with keys(self._display, self._ask, is_asked=self._is_paused):
                    lost = await self._ended_or_lost(service)
            finally:
                passing.cancel()
        if lost or self._followed.end is None:
            raise NotConnectedError(
                f"the service {service.prefix} was lost during the run; if it still runs, so "
                f"does the sequence: see orchestrator status --server {service.prefix}"
            )
        return self._followed.end

    async def _ended_or_lost(self, service: RemoteService) -> bool:
        """Whether the service was lost before the run has ended."""
        followed = self._followed
        while followed.end is None:
            await followed.news.wait()
            followed.news.clear()
            if followed.end is None:
                if not service.connected:
                    return True
                await service.refresh()
                followed.look(service)
        return False

    def _press(self, _count: int, name: str) -> None:
        self._abort(name)

    def _is_paused(self) -> bool:
        """Whether there may be a question; the service knows."""
        return self._display.progress.run.state is RunState.PAUSED

    def _ask(self, verb: Verb, text: str) -> None:
        if verb is Verb.ABORT:
            self._abort("the key q")
        else:
            self._commands.put_nowait(f"{verb.value} {shlex.quote(text)}" if text else verb.value)

    def _abort(self, how: str) -> None:
        self._pressed += 1
        self._display.note(PRESSED[min(self._pressed, len(PRESSED)) - 1])
        self._commands.put_nowait(f"abort {shlex.quote(how)}")

    async def _pass_on(self, service: RemoteService) -> None:
        while True:
            command = await self._commands.get()
            try:
                await service.command(command)
            except (PutError, NotConnectedError) as error:
                self._display.note(str(error))


def _busy(service: RemoteService) -> str:
    name = service.value(fields.RUN_NAME) or "a run"
    return (
        f"{service.prefix} is busy with {name} of {service.value(fields.OWNER)} "
        f"({service.value(fields.STATE)}); wait for its end, or stop or abort it"
    )
