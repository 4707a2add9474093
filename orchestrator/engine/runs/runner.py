"""One run from its first event to its last: check, steps, finalisers, outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import structlog

from orchestrator.config import Config
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.report import Reporter
from orchestrator.engine.control.step_scope import RewindRun, StopRun
from orchestrator.engine.control.suspenders import Suspenders, channels_of
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.python.python_steps import PythonSteps
from orchestrator.engine.python.verb_calls import VerbCalls
from orchestrator.engine.runs.claims import Claim, Claims
from orchestrator.engine.runs.going_on import GoingOn
from orchestrator.engine.runs.only_finalising import OnlyFinalising
from orchestrator.engine.runs.preflight import Preflight
from orchestrator.engine.runs.seldom import seldom
from orchestrator.engine.sequences.library import Library
from orchestrator.engine.sequences.python_program import PythonProgram
from orchestrator.engine.steps.calls import Calls
from orchestrator.engine.steps.interpreter import Interpreter
from orchestrator.engine.steps.server_master import Memory
from orchestrator.engine.steps.verbs import Verbs
from orchestrator.engine.user_code.rooms import Rooms
from orchestrator.engine.user_code.user_code import Patience, UserCode
from orchestrator.errors import (
    InputError,
    NotConnectedError,
    OrchestratorError,
    StepTimeoutError,
)
from orchestrator.language.foresight.counting import count_steps
from orchestrator.language.names import Names
from orchestrator.language.program.nodes import Runnable, Suspender
from orchestrator.ports import Channels, Recorder, RunEvents, View
from orchestrator.types import Cause, Place, RunEnded, RunStatus, Severity
from orchestrator.verbs.flow.leaving import EndSequence
from orchestrator.verbs.scope import Entry, Return, Scope, WayBack

_GIVES_UP = 2
"""The abort from which on nothing more is waited for."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all runs of one engine share."""

    config: Config
    names: Names
    view: View
    channels: Channels
    events: RunEvents
    library: Library
    suspenders: tuple[Suspender, ...]
    """Those of the configuration, watched during every run."""
    wall: Callable[[], datetime]
    """The local time."""
    memory: Memory
    """Of the sequence servers."""
    rooms: Rooms
    """Where user code runs."""
    claims: Claims
    """Which run may put to which channels."""


@dataclass(slots=True)
class RunOutcome:
    """How a run goes, as far as it has gone."""

    status: RunStatus = RunStatus.SUCCESS
    cause: Cause = Cause.NONE
    texts: list[str] = field(default_factory=list)

    @property
    def message(self) -> str:
        """All of it, in a line."""
        return "; ".join(self.texts)

    def failed(self, error: OrchestratorError, *, before: bool) -> None:
        """An error decided; `before`: before the first step was entered."""
        late = isinstance(error, StepTimeoutError)
        self._set(RunStatus.TIMEOUT if late else RunStatus.FAILED, error.placed())
        self.cause = _cause(error) if before else Cause.DURING

    def broken(self, error: BaseException) -> None:
        """A fault of ours: the run fails, and the log has the traceback."""
        log.error("a run failed by a fault of the program", exc_info=error)
        self._set(RunStatus.FAILED, f"internal error: {type(error).__name__}: {error}")
        self.cause = Cause.DURING

    def _set(self, status: RunStatus, text: str) -> None:
        if self.status is RunStatus.SUCCESS:
            self.status = status
        self.texts.append(text)

    def decided_by(self, control: RunControl) -> None:
        """STOP and ABORT decide over success; an abort over all."""
        if control.requests.aborts:
            self.status = RunStatus.ABORTED
            self.texts.insert(0, f"aborted{control.requests.aborted_by}")
        elif control.requests.stopped and self.status is RunStatus.SUCCESS:
            self.status = RunStatus.STOPPED
            self.texts.insert(0, f"stopped{control.requests.stopped_by}")
        if self.status is not RunStatus.SUCCESS and self.cause is Cause.NONE:
            self.cause = Cause.DURING


def watched_by(suspenders: Sequence[Suspender]) -> frozenset[str]:
    """The channels that suspenders look at."""
    return frozenset(name for suspender in suspenders for name in channels_of(suspender))


class Runner:
    """Runs one program, once."""

    def __init__(
        self,
        context: RunContext,
        control: RunControl,
        recorder: Recorder,
        program: Runnable,
        claim: Claim,
        going_on: GoingOn | None = None,
    ) -> None:
        """`control` may have been asked for a stop already; `going_on`: a run that had ended."""
        if going_on is not None:
            context = replace(context, library=going_on.library)
        self._going_on = going_on
        self._context = context
        self._control = control
        self._recorder = recorder
        self._program = program
        self._outcome = RunOutcome()
        self.steps = count_steps(program.all_steps) or 0
        outside = recorder.journal.channels(context.channels)
        channels = context.claims.channels(claim, outside)
        verbs = Verbs(
            context.config,
            context.names,
            context.view,
            channels,
            control,
            recorder,
            context.events,
            context.memory,
            context.wall,
        )
        self._verbs = verbs
        self._reporter = Reporter(context.events, control, self.steps, verbs.held.look)
        self._preflight = Preflight(
            context.channels,
            context.view,
            context.config.channels,
            context.names,
            context.config.ca.connect_timeout,
        )
        self._guards = (*context.suspenders, *program.suspend)
        self._suspenders = Suspenders(
            context.view,
            control,
            verbs.tell,
            context.wall,
            verbs.history,
            lambda: self._interpreter.current is not None,
            verbs.held,
        )
        calls = self._calls = Calls(
            context.library, control, self._connect, verbs.tell, context.rooms
        )
        self._interpreter = Interpreter(
            verbs,
            control,
            self._reporter,
            calls,
            recorder.journal,
            self.python,
            self._suspenders.watching,
        )

    @property
    def needed(self) -> frozenset[str]:
        """The channels that this run has named, or that guard it."""
        return watched_by(self._guards) | self._preflight.used

    async def run(self) -> RunOutcome:
        """Check, steps, finalisers. Never raises but when cancelled from outside."""
        reporting = asyncio.create_task(self._reporter.run(), name="report progress")
        try:
            if self._going_on is not None and self._going_on.wanted.finalise:
                await self._only_finalise(self._going_on)
            else:
                await self._body()
                if self._interpreter.entered:
                    await self._finalise()
                    if self._control.requests.aborts < _GIVES_UP:
                        await self._baseline("end")
            if not self._control.requests.aborts:
                await self._verbs.mover.alarms.last_look()
        finally:
            self._verbs.mover.alarms.close()
            self._verbs.history.close()
            self._verbs.followed.close()
            self._control.close()
            reporting.cancel()
            await asyncio.wait({reporting})
            self._reporter.last()
            names = self._interpreter.names
            self._recorder.journal.bound({**names.variables, **names})
        self._outcome.texts += self._interpreter.failed_finalisers
        if self._going_on is None or not self._going_on.wanted.finalise:
            self._outcome.decided_by(self._control)
            self._outcome.texts += self._control.finalisers.dropped
        self._tell_tolerated()
        self._outcome.texts += self._verbs.mover.alarms.texts
        self._outcome.texts += self._verbs.mover.orphans
        return self._outcome

    async def _baseline(self, when: str) -> None:
        """Keep what the channels of the document's baseline hold now."""
        if self._program.baseline:
            await self._verbs.sampler.baseline(self._program.baseline, when)

    def _tell_tolerated(self) -> None:
        count = self._interpreter.tolerated
        if count:
            errors = "1 error was" if count == 1 else f"{count} errors were"
            self._outcome.texts.append(f"{errors} tolerated")

    async def _body(self) -> None:
        try:
            with self._control.body():
                self._control.check_begins()
                await self._check()
                async with self._suspenders.watching(self._guards):
                    self._control.requests.begun()
                    self._verbs.history.follow(self._program.changed)
                    await self._baseline("start")
                    with self._interpreter.timed(self._program.timeout):
                        await self._program.run(self)
        except StopRun:
            log.debug("stopped at a boundary")
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except OrchestratorError as error:
            self._outcome.failed(error, before=not self._interpreter.entered)
        except BaseException as error:  # noqa: BLE001 - the top of a run: the service goes on
            self._outcome.broken(error)

    async def _only_finalise(self, going_on: GoingOn) -> None:
        """Run the finalisers of a run that has ended; its outcome stays as it was."""
        outcome, interpreter = self._outcome, self._interpreter
        owed = OnlyFinalising(interpreter, self._calls, self._preflight.connect, self._verbs.tell)
        try:
            failed = await owed.run(going_on, self._control)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the top of a run: the service goes on
            outcome.broken(error)
            failed = list(outcome.texts)
        self._recorder.journal.finalised(failed)
        outcome.status = RunStatus(going_on.before.status)
        outcome.cause = Cause.DURING if failed else Cause.NONE
        outcome.texts = failed or ["its finalisers have run"]

    async def document(self, program: Runnable) -> None:
        """Run the steps of a document, from the start; after a rewind from the last checkpoint."""
        scope = self._interpreter.root = Scope(program.arguments)
        entry = self._return(scope)
        if entry is not None:
            scope.update(self._verbs.followed.begin(program))
        rewinds = 0
        while True:
            try:
                if entry is None:
                    self._verbs.followed.end(scope)  # of a try that has gone back to the start
                    await self._interpreter.begin(program, scope, Place())
                place = Place(tries=(rewinds + 1,) if rewinds else ())
                with suppress(EndSequence):
                    await self._interpreter.run(program.steps, scope, place, entry)
            except RewindRun:
                mark = self._interpreter.current
                rewinds += 1
                self._control.requests.rewound()
                entry = None if mark is None else WayBack(mark)
                if mark is not None and entry is not None:
                    entry.branch()
                    mark.restore()
                    self._recorder.journal.rewound(mark.path, mark.loops)
                    self._reporter.done = mark.done
            else:
                return

    def _return(self, scope: Scope) -> Entry | None:
        """The way to where a run goes on that had ended; None = from the beginning."""
        if self._going_on is None:
            return None
        for text in self._going_on.told():
            self._verbs.tell(text, Severity.MINOR)
        position, again = self._going_on.position, self._going_on.abandoned
        found = {place: dict(names) for place, names in again.as_it_was.items()}
        self._interpreter.as_it_was = found
        if position is None:
            return None
        self._verbs.sampler.samples.take_over(again.data, again.rows)
        entry = Return(position)
        entry.document(scope)
        entry.branch()
        return entry

    async def python(self, program: PythonProgram, place: Place) -> None:
        """Run a Python sequence, as the run or as a step of its, in a room of its own."""
        context, control, name = self._context, self._control, program.name
        failed = self._interpreter.failed_finalisers.append
        code = UserCode(context.rooms, control, name, self._verbs.tell, Patience.OPERATOR, failed)
        calls = VerbCalls(name, context.names, context.library, place.path)
        with seldom(self._verbs.tell) as tell_state:
            steps = PythonSteps(
                name,
                self._interpreter,
                self._verbs,
                control,
                self._preflight.connect,
                self._preflight.reach,
                self._preflight.one_server,
                tell_state,
            )
            run = Run(name, steps, self._verbs, control, context.names, calls, code, place)
            await code.run(lambda: run.carry_out(program.function, **program.arguments))

    async def _check(self) -> None:
        context = self._context
        await context.channels.connect(sorted(watched_by(self._guards)), 0.0)
        for warning in await self._preflight.check(self._program):
            self._verbs.tell(warning, Severity.MINOR)
        await self._preflight.one_server(sorted(watched_by(self._guards)))

    async def _connect(self, names: Sequence[str]) -> None:
        """Make sure of channels that are known only in the run."""
        await self._preflight.connect(names)
        await self._preflight.one_server(names)

    async def _finalise(self) -> None:
        self._control.finalisers.in_finally = True
        scope = self._interpreter.root
        if self._program.finally_ and scope is not None:
            failed = partial(self._outcome.failed, before=False)
            work = self._interpreter.finalise(self._program.finally_, scope, Place(), failed)
            await self._control.finalisers.finalise(work)


def ended(run_id: str, request: int, outcome: RunOutcome, data_file: str) -> RunEnded:
    """The last event of a run."""
    return RunEnded(run_id, outcome.status, outcome.message, request, outcome.cause, data_file)


def _cause(error: OrchestratorError) -> Cause:
    if isinstance(error, NotConnectedError):
        return Cause.NOT_CONNECTED
    return Cause.INPUT if isinstance(error, InputError) else Cause.DURING
