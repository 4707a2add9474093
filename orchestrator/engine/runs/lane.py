"""A lane: runs one sequence at a time, and passes on what operators ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from orchestrator.config import LaneConfig
from orchestrator.engine.control.cancelling import until_any
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.runs.claims import Claim
from orchestrator.engine.runs.going_on import GoingOn, look_up
from orchestrator.engine.runs.restarts import Restarts
from orchestrator.engine.runs.run_header import Loaded, header_of_refused, load
from orchestrator.engine.runs.run_queue import RunQueue
from orchestrator.engine.runs.runner import RunContext, Runner, RunOutcome, ended
from orchestrator.engine.sequences.library import Library
from orchestrator.errors import InputError
from orchestrator.ports import Recorder, RunEvents, Store
from orchestrator.task_context import enter_run
from orchestrator.types import (
    STATUS_SEVERITY,
    Accepted,
    Cause,
    Control,
    Controlled,
    QueueRequest,
    RunEnded,
    RunEvent,
    RunHeader,
    RunLoading,
    RunRefused,
    RunRequest,
    RunRestarting,
    RunStarted,
    RunState,
    RunStatus,
    Severity,
    StateChanged,
    Told,
    Verb,
)

log = structlog.get_logger(__name__)

_GOES_ON = (Verb.RESUME, Verb.SKIP)
"""What has a run go on is for the run of which it was asked. What holds or ends one is obeyed by
the next one too: who asks for that wants what moves to stand still."""


_ENDS = (Verb.STOP, Verb.ABORT)
"""What is obeyed as well where a sequence waits to be started again."""


class Lane:
    """Runs what it is asked for, then what waits in its queue, one after the other."""

    def __init__(
        self, context: RunContext, store: Store, new_id: Callable[[], str], config: LaneConfig
    ) -> None:
        """`new_id` gives each run its id."""
        if config.name:
            context = replace(context, events=_LaneEvents(context.events, config.name))
        self._name = config.name
        self._context = context
        self._events = context.events
        self._store = store
        self._new_id = new_id
        self._control: RunControl | None = None
        self._running: asyncio.Task[None] | None = None
        self._queue = RunQueue()
        self._turn = asyncio.Event()
        self._arranging = asyncio.Lock()
        self._closing = False
        self._runner: Runner | None = None
        self._restarts = Restarts(config)
        self._due = self._restarts.own("autostart") if config.autostart else None
        """What is started as soon as nothing else runs."""
        self._timer: asyncio.TimerHandle | None = None
        """Something will be due."""
        self._began = 0.0

    @property
    def needed(self) -> frozenset[str]:
        """The channels that a run under way needs."""
        return frozenset() if self._runner is None else self._runner.needed

    async def close(self, reason: str, grace: float) -> None:
        """End a run under way: its finalisers get `grace` s, then completions are given up."""
        self._closing = True
        self._forget_restart()
        running, control = self._running, self._control
        for _ in range(3):
            if running is None or control is None or running.done():
                return
            self._events.offer(Controlled(Verb.ABORT, reason=reason, run_id=control.run_id))
            control.requests.abort(reason)
            await asyncio.wait({running}, timeout=grace)

    def begin(self, tasks: asyncio.TaskGroup, request: RunRequest) -> None:
        """Start a run, in a task of its own."""
        if not self._is_free():
            # The device reserves the engine for one run at a time; this is its second line.
            self._events.offer(RunRefused(request.request, "another run is under way"))
            return
        control = self._control = RunControl(lambda state: self._tell_state(control, state))
        if request.name == self._restarts.sequence:
            self._forget_restart()
        self._began = asyncio.get_running_loop().time()
        name = f"run {request.name or request.origin}"
        self._running = tasks.create_task(self._serve(request, control), name=name)

    def _tell_state(self, control: RunControl, state: RunState) -> None:
        self._events.offer(StateChanged(state, run_id=control.run_id))

    def obey(self, item: Control) -> None:
        """Do what is asked of the run under way; harmless where there is none."""
        control = self._control
        if control is None:
            if item.verb in _ENDS and self._forget_restart():
                asked = Controlled(item.verb, item.by, item.reason).text
                self._events.offer(Told(f"not started again: {asked}"))
            return
        refused = _too_late(item, control) or _obey(item, control)
        if refused:
            self._events.offer(Told(refused, Severity.MINOR, run_id=control.run_id))
        elif item.verb is not Verb.ANSWER:  # what becomes of that, is told where it is taken
            run_id = control.run_id
            self._events.offer(Controlled(item.verb, item.by, item.reason, run_id=run_id))

    # The queue of runs ------------------------------------------------------------------------

    async def advance(self, tasks: asyncio.TaskGroup) -> None:
        """Start what waits, one after the other, as long as nothing else runs."""
        self._turn.set()
        while True:
            await self._turn.wait()
            self._turn.clear()
            if self._closing or not self._is_free():
                continue
            request, self._due = self._due or self._queue.take(), None
            if request is not None:
                self.begin(tasks, request)
                self._events.offer(RunLoading(request.name))

    async def submit(self, request: RunRequest) -> None:
        """Put a run into the queue that nobody waits for.

        Raises:
            InputError: It can't be run.
        """
        async with self._arranging:
            await self._load(request)
            self._queue.submit(request)
        self._events.offer(self._queue.changed)
        self._turn.set()

    async def arrange(self, item: QueueRequest) -> None:
        """Change the queue."""
        try:
            async with self._arranging:  # in the order asked: to load one may take long
                done = await self._arranged(item)
        except InputError as error:
            self._events.offer(RunRefused(item.request, str(error)))
            return
        except Exception as error:  # the top of a task: a fault of ours must not end the service
            log.exception("the queue could not be changed", action=item.action)
            text = f"internal error: {type(error).__name__}: {error}"
            self._events.offer(RunRefused(item.request, text))
            return
        self._events.offer(self._queue.changed)
        if item.left is None:
            self._events.offer(done)
        self._turn.set()

    async def _arranged(self, item: QueueRequest) -> Accepted:
        queue = self._queue
        match item.action:
            case "submit":
                assert item.run is not None  # noqa: S101 - a submission brings it
                loaded = await self._load(item.run)  # what can't be run is refused now
                own = loaded.program.name if isinstance(loaded, Loaded) else ""
                submitted = queue.submit(item.run, item.run.name or own)
                text = f"{submitted.name} waits as run {submitted.number}"
                return Accepted(item.request, text, submitted.number)
            case "clear":
                text = f"{queue.clear()} waiting runs were removed"
            case "remove":
                text = f"{queue.remove(item.number).name} was removed"
            case "move":
                text = f"{queue.move(item.number, item.position).name} was moved"
            case "start":
                queue.held, queue.autostart = False, True
                text = "waiting runs are started"
            case "hold":
                queue.autostart = False
                text = "no waiting run is started"
            case "restore":
                assert item.left is not None  # noqa: S101 - a restoration brings it
                queue.restore(item.left)
                text = ""
        return Accepted(item.request, text)

    # Restarts ---------------------------------------------------------------------------------

    def _restart(self, request: RunRequest, event: RunEnded) -> None:
        """Have a sequence that has ended started again, if it is to be."""
        lasted = asyncio.get_running_loop().time() - self._began
        wait = self._restarts.wait(request, event.status, lasted)
        if wait is None or self._closing:
            return
        again = replace(request, request=0, always_a_run=True, waits=True, how="restart")
        count = self._restarts.count
        why = f"{event.status}{f': {event.message}' if event.message else ''}"
        text = f"{why}; {request.name} is started again in {wait:g} s (restart {count})"
        severity = STATUS_SEVERITY[event.status]
        self._timer = asyncio.get_running_loop().call_later(wait, self._is_due, again)
        self._events.offer(RunRestarting(count, wait))
        self._events.offer(Told(text, severity))

    def _is_due(self, request: RunRequest) -> None:
        self._timer, self._due = None, request
        self._turn.set()

    def _forget_restart(self) -> bool:
        """Start nothing by itself; whether something would have been."""
        pending = self._timer is not None or self._due is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._due = None
        return pending

    # Runs -------------------------------------------------------------------------------------

    def _is_free(self) -> bool:
        return self._running is None or self._running.done()

    def _loaded(self, request: RunRequest) -> Loaded | GoingOn:
        """See `load` and `look_up`; what it claims is looked for as well."""
        context, digest = self._context, self._context.config.digest
        if request.recovery is None:
            loaded = load(context.library, request, digest)
            return replace(loaded, claims=self._wanted(loaded, context.library))
        going_on = look_up(self._store, context.library, request, request.recovery, digest)
        again = going_on.loaded
        claims = self._wanted(again, going_on.library)
        return replace(going_on, loaded=replace(again, claims=claims))

    def _wanted(self, loaded: Loaded, library: Library) -> frozenset[str]:
        return self._context.claims.wanted(loaded.program, library.writes)

    async def _load(self, request: RunRequest) -> Loaded | GoingOn:
        try:
            return await asyncio.to_thread(self._loaded, request)
        except (InputError, asyncio.CancelledError, KeyboardInterrupt):
            raise
        except BaseException as error:  # neither a fault of ours nor user code ends the service
            log.exception("a sequence could not be loaded", name=request.name)
            raise InputError(_internal(error)) from error

    async def _claim(
        self, request: RunRequest, control: RunControl, claim: Claim, wanted: frozenset[str]
    ) -> None:
        """Claim all that it is known to put to; wait for it, if the request is one that waits.

        Raises:
            InputError: Another lane's run holds some of it.
        """
        told, asked = "", control.requests
        while why := self._context.claims.take(claim, wanted):
            if not request.waits:
                raise InputError(why)
            if asked.aborts or asked.stopped:
                return  # its body does not begin
            if why != told:
                told = why
                self._events.offer(Told(f"{claim.name} waits: {why}"))
            free, changed = self._context.claims.freed(), asked.until_changed()
            await until_any(free, changed, name=f"{claim.name} waits for channels")

    async def _serve(self, request: RunRequest, control: RunControl) -> None:
        claim = Claim(self._name, request.name)
        try:
            try:
                loaded = await self._load(request)
                first = loaded.loaded if isinstance(loaded, GoingOn) else loaded
                claim.name = first.program.name or request.name
                await self._claim(request, control, claim, first.claims)
            except InputError as error:
                self._refuse(request, str(error))
            else:
                await self._run(request, control, loaded, claim)
        finally:
            self._context.claims.release(claim)
            self._control = None
            # Not before this task has ended: until then the engine is not free.
            asyncio.get_running_loop().call_soon(self._turn.set)

    def _refuse(self, request: RunRequest, reason: str) -> None:
        if not request.always_a_run:
            self._events.offer(RunRefused(request.request, reason))
            return
        header = header_of_refused(self._new_id(), request, self._context.wall())
        try:
            self._store.open(header)
        except Exception:  # a fault of ours: the one who asked has to be answered all the same
            log.exception("of a run that was refused nothing is kept", name=request.name)
        self._fail(header.run_id, request, reason)

    def _fail(self, run_id: str, request: RunRequest, reason: str) -> None:
        """A run that could not begin."""
        number = request.request
        self._started(RunStarted(run_id, request.name, request.owner, number, 0))
        self._ended(request, RunEnded(run_id, RunStatus.FAILED, reason, number, Cause.INPUT))

    async def _fail_opened(
        self, run_id: str, request: RunRequest, recorder: Recorder, error: Exception
    ) -> None:
        """A run that could not begin though its journal and data were open: they are closed."""
        reason = str(error) if isinstance(error, InputError) else _internal(error)
        try:
            fault = await recorder.close(RunStatus.FAILED, reason)
        except Exception as failure:
            log.exception("what is kept of a run could not be closed", run=run_id)
            fault = _internal(failure)
        self._fail(run_id, request, "; ".join(text for text in (reason, fault) if text))

    async def _run(
        self, request: RunRequest, control: RunControl, loaded: Loaded | GoingOn, claim: Claim
    ) -> None:
        """Run it, from its first event to its last."""
        going_on = loaded if isinstance(loaded, GoingOn) else None
        loaded = loaded.loaded if isinstance(loaded, GoingOn) else loaded
        run_id = self._new_id() if going_on is None else going_on.wanted.run_id
        name = loaded.program.name or request.name
        try:
            header = loaded.header(
                *(run_id, request, self._context.view, self._context.wall()),
                self._context.config.metadata,
            )
            recorder = await self._recorder(header, going_on)
        except InputError as error:
            self._refuse(request, str(error))
            return
        except Exception as error:
            log.exception("a run could not begin", name=name)
            if request.always_a_run:
                self._fail(run_id, request, _internal(error))
            else:
                self._events.offer(RunRefused(request.request, _internal(error)))
            return
        try:
            runner = self._runner = Runner(
                self._context, control, recorder, loaded.program, claim, going_on
            )
        except Exception as error:
            log.exception("a run could not begin", name=name)
            await self._fail_opened(run_id, request, recorder, error)
            return
        control.run_id = claim.run_id = run_id
        enter_run(run_id)
        outcome = RunOutcome(RunStatus.ABORTED, Cause.DURING, ["cancelled: the service ended"])
        self._started(RunStarted(run_id, name, request.owner, request.request, runner.steps))
        self._tell_state(control, control.requests.state)
        try:
            outcome = await runner.run()
            fault = await recorder.close(outcome.status, outcome.message)
            if fault:
                outcome.texts.append(fault)
                if outcome.status is RunStatus.SUCCESS:
                    outcome.status = RunStatus.FAILED
        except Exception as error:  # noqa: BLE001 - the top of a run: the service goes on
            outcome.broken(error)
        finally:
            self._runner = None
            self._context.claims.release(claim)  # who sees the end may start what needs the same
            self._ended(request, ended(run_id, request.request, outcome, recorder.file))

    async def _recorder(self, header: RunHeader, going_on: GoingOn | None) -> Recorder:
        if going_on is None:
            return self._store.open(header)
        before, abandoned = going_on.before, going_on.abandoned
        how = "finalise" if going_on.wanted.finalise else "recover"
        header = replace(header, name=before.header.name, how=how)
        return await asyncio.to_thread(self._store.go_on, header, before, abandoned)

    def _started(self, event: RunStarted) -> None:
        # The queue gets shorter after BUSY, so that work left is seen at every moment.
        self._events.offer(event)
        self._events.offer(self._queue.changed)

    def _ended(self, request: RunRequest, event: RunEnded) -> None:
        # … and shows what did not succeed before BUSY goes to 0.
        self._queue.ended(event.status, event.message)
        self._events.offer(self._queue.changed)
        self._events.offer(event)
        self._restart(request, event)


class _LaneEvents:
    """Implements `RunEvents` for a lane beside the main one: each event has its name."""

    def __init__(self, events: RunEvents, lane: str) -> None:
        self._events = events
        self._lane = lane

    def offer(self, item: RunEvent) -> None:
        """Take an event at once."""
        self._events.offer(replace(item, lane=self._lane))


def _too_late(item: Control, control: RunControl) -> str:
    """Why it is not done: the run of which it was asked has ended, and this is the next one."""
    if item.verb in _GOES_ON and item.run_id not in ("", control.run_id):
        return f"{item.verb} was asked of the run {item.run_id}, which has ended"
    return ""


def _obey(item: Control, control: RunControl) -> str:
    """Do it; returns why not, or an empty text."""
    match item.verb:
        case Verb.PAUSE:
            return control.requests.pause()
        case Verb.RESUME:
            control.requests.resume(item.by)
        case Verb.STOP:
            control.requests.stop(item.by)
        case Verb.ABORT:
            control.requests.abort(item.reason, item.by)
        case Verb.SKIP:
            return control.requests.skip()
        case Verb.ANSWER:
            return control.requests.on_answer(item.question, item.reason, item.by)
        case _:
            log.error("a verb that is no control", verb=item.verb)
    return ""


def _internal(error: BaseException) -> str:
    return f"internal error: {type(error).__name__}: {error}"
