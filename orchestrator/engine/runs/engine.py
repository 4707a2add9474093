"""Takes requests, runs one sequence at a time, passes on what operators ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from orchestrator.config import Config
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.runs.header import Loaded, load
from orchestrator.engine.runs.queue import RunQueue
from orchestrator.engine.runs.runner import Outcome, RunContext, Runner, ended, watched_by
from orchestrator.engine.sequences.library import Library
from orchestrator.engine.steps.chained import Memory
from orchestrator.engine.user_code.rooms import SHARED, Rooms
from orchestrator.errors import InputError
from orchestrator.language.names import Names
from orchestrator.language.program.nodes import Suspender
from orchestrator.ports import Channels, RunEvents, Store, View
from orchestrator.queues import MergeQueue
from orchestrator.task_context import enter_run
from orchestrator.types import (
    Accepted,
    Cause,
    Control,
    Controlled,
    EngineItem,
    QueueRequest,
    RunEnded,
    RunLoading,
    RunRefused,
    RunRequest,
    RunStarted,
    RunState,
    RunStatus,
    Severity,
    StateChanged,
    Told,
    Verb,
)

log = structlog.get_logger(__name__)

_GRACE = 10.0
"""s that finalisers get when the service ends, before completions are given up."""


class Engine:
    """The only module that decides what happens next."""

    def __init__(
        self,
        config: Config,
        names: Names,
        view: View,
        channels: Channels,
        events: RunEvents,
        store: Store,
        wall: Callable[[], datetime],
        library: Library,
        suspenders: tuple[Suspender, ...] = (),
        rooms: Rooms = SHARED,
    ) -> None:
        """`wall` gives the local time; `suspenders` are watched during every run.

        User code runs in `rooms`.
        """
        self.library = library
        memory = Memory.starting(wall().timestamp())
        self._context = RunContext(
            config, names, view, channels, events, self.library, suspenders, wall, memory, rooms
        )
        self._events = events
        self._store = store
        self._wall = wall
        self._control: RunControl | None = None
        self._running: asyncio.Task[None] | None = None
        self._queue = RunQueue()
        self._turn = asyncio.Event()
        self._arranging = asyncio.Lock()
        self._closing = False
        self._last_stamp: datetime | None = None
        self._runner: Runner | None = None

    @property
    def needed(self) -> frozenset[str]:
        """The channels that a run under way, or the configuration's suspenders, need."""
        named = frozenset() if self._runner is None else self._runner.needed
        return named | watched_by(self._context.suspenders)

    async def run(self, requests: MergeQueue[EngineItem]) -> None:
        """Serve requests until cancelled; a run under way is then cancelled too."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._advance(tasks), name="queue of runs")
            while True:
                for item in await requests.batch():
                    match item:
                        case RunRequest():
                            self._begin(tasks, item)
                        case Control():
                            self._obey(item)
                        case QueueRequest():
                            tasks.create_task(self._arrange(item), name="arrange the queue")

    async def close(self, reason: str, grace: float = _GRACE) -> None:
        """End a run under way: its finalisers get `grace` s, then completions are given up."""
        self._closing = True
        running, control = self._running, self._control
        for _ in range(3):
            if running is None or control is None or running.done():
                return
            self._events.offer(Controlled(Verb.ABORT, reason=reason, run_id=control.run_id))
            control.abort(reason)
            await asyncio.wait({running}, timeout=grace)

    def _begin(self, tasks: asyncio.TaskGroup, request: RunRequest) -> None:
        if not self._is_free():
            # The device reserves the engine for one run at a time; this is its second line.
            self._events.offer(RunRefused(request.request, "another run is under way"))
            return
        control = self._control = RunControl(lambda state: self._tell_state(control, state))
        name = f"run {request.name or request.origin}"
        self._running = tasks.create_task(self._serve(request, control), name=name)

    def _tell_state(self, control: RunControl, state: RunState) -> None:
        self._events.offer(StateChanged(state, run_id=control.run_id))

    def _obey(self, item: Control) -> None:
        control = self._control
        if control is None:
            return
        refused = ""
        match item.verb:
            case Verb.PAUSE:
                refused = control.pause()
            case Verb.RESUME:
                control.resume(item.by)
            case Verb.STOP:
                control.stop(item.by)
            case Verb.ABORT:
                control.abort(item.reason, item.by)
            case Verb.SKIP:
                refused = control.skip()
            case _:
                log.error("a verb that is no control", verb=item.verb)
        if refused:
            self._events.offer(Told(refused, Severity.MINOR, run_id=control.run_id))
        else:
            told = Controlled(item.verb, item.by, item.reason, run_id=control.run_id)
            self._events.offer(told)

    # The queue of runs ------------------------------------------------------------------------

    async def _advance(self, tasks: asyncio.TaskGroup) -> None:
        """Start what waits, one after the other, as long as nothing else runs."""
        while True:
            await self._turn.wait()
            self._turn.clear()
            if self._closing or not self._is_free():
                continue
            request = self._queue.take()
            if request is not None:
                self._begin(tasks, request)
                self._events.offer(RunLoading(request.name))

    async def _arrange(self, item: QueueRequest) -> None:
        try:
            async with self._arranging:  # in the order asked: to load one may take long
                text = await self._arranged(item)
        except InputError as error:
            self._events.offer(RunRefused(item.request, str(error)))
            return
        except Exception as error:  # the top of a task: a fault of ours must not end the service
            log.exception("the queue could not be changed", action=item.action)
            text = f"internal error: {type(error).__name__}: {error}"
            self._events.offer(RunRefused(item.request, text))
            return
        self._events.offer(self._queue.changed)
        self._events.offer(Accepted(item.request, text))
        self._turn.set()

    async def _arranged(self, item: QueueRequest) -> str:
        queue = self._queue
        match item.action:
            case "submit":
                assert item.run is not None  # noqa: S101 - a submission brings it
                await self._load(item.run)  # what can't be run is refused now, not at its turn
                submitted = queue.submit(item.run)
                return f"{submitted.name} waits as run {submitted.number}"
            case "clear":
                return f"{queue.clear()} waiting runs were removed"
            case "remove":
                return f"{queue.remove(item.number).name} was removed"
            case "move":
                return f"{queue.move(item.number, item.position).name} was moved"
            case "start":
                queue.held, queue.autostart = False, True
                return "waiting runs are started"
            case "hold":
                queue.autostart = False
                return "no waiting run is started"

    # Runs -------------------------------------------------------------------------------------

    def _is_free(self) -> bool:
        return self._running is None or self._running.done()

    async def _load(self, request: RunRequest) -> Loaded:
        digest = self._context.config.digest
        try:
            return await asyncio.to_thread(load, self.library, request, digest)
        except (InputError, asyncio.CancelledError, KeyboardInterrupt):
            raise
        except BaseException as error:  # neither a fault of ours nor user code ends the service
            log.exception("a sequence could not be loaded", name=request.name)
            raise InputError(_internal(error)) from error

    async def _serve(self, request: RunRequest, control: RunControl) -> None:
        try:
            try:
                await self._run(request, control, await self._load(request))
            except InputError as error:
                self._refuse(request, str(error))
        finally:
            self._control = None
            # Not before this task has ended: until then the engine is not free.
            asyncio.get_running_loop().call_soon(self._turn.set)

    def _refuse(self, request: RunRequest, reason: str) -> None:
        if request.always_a_run:
            run_id = self._new_id()
            owner, number = request.owner, request.request
            self._started(RunStarted(run_id, request.name, owner, number, 0))
            self._ended(RunEnded(run_id, RunStatus.FAILED, reason, number, Cause.INPUT))
        else:
            self._events.offer(RunRefused(request.request, reason))

    async def _run(self, request: RunRequest, control: RunControl, loaded: Loaded) -> None:
        """Run it, from its first event to its last.

        Raises:
            InputError: It could not begin; no event was told.
        """
        run_id, name = self._new_id(), loaded.program.name or request.name
        try:
            header = loaded.header(run_id, request, self._context.view, self._wall())
            recorder = self._store.open(header)
            runner = self._runner = Runner(self._context, control, recorder, loaded.program)
        except Exception as error:
            log.exception("a run could not begin", name=name)
            raise InputError(_internal(error)) from error
        control.run_id = run_id
        enter_run(run_id)
        outcome = Outcome(RunStatus.ABORTED, Cause.DURING, ["cancelled: the service ended"])
        self._started(RunStarted(run_id, name, request.owner, request.request, runner.steps))
        self._tell_state(control, control.state)
        try:
            outcome = await runner.run()
            fault = await recorder.close(outcome.status)
            if fault:
                outcome.texts.append(fault)
                if outcome.status is RunStatus.SUCCESS:
                    outcome.status = RunStatus.FAILED
        except Exception as error:  # noqa: BLE001 - the top of a run: the service goes on
            outcome.broken(error)
        finally:
            self._runner = None
            self._ended(ended(run_id, request.request, outcome, recorder.file))

    def _started(self, event: RunStarted) -> None:
        # The queue gets shorter after BUSY, so that work left is seen at every moment.
        self._events.offer(event)
        self._events.offer(self._queue.changed)

    def _ended(self, event: RunEnded) -> None:
        # … and shows what did not succeed before BUSY goes to 0.
        self._queue.ended(event.status, event.message)
        self._events.offer(self._queue.changed)
        self._events.offer(event)

    def _new_id(self) -> str:
        """Unique, sorts by the order of runs, fit for a file name: `20260131-142501-037`.

        Two within a millisecond, and those behind a clock that was set back, follow the last one.
        """
        now = self._wall().replace(tzinfo=None)  # at the end of summer time an hour comes twice
        stamp = now.replace(microsecond=now.microsecond // 1000 * 1000)
        if self._last_stamp is not None and stamp <= self._last_stamp:
            stamp = self._last_stamp + timedelta(milliseconds=1)
        self._last_stamp = stamp
        return stamp.strftime("%Y%m%d-%H%M%S-%f")[:-3]


def _internal(error: BaseException) -> str:
    return f"internal error: {type(error).__name__}: {error}"
