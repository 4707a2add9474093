"""Runs the nodes of a program by the verbs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress

import structlog

from orchestrator.engine.control.concurrently import first_of, run_all
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.finalising import is_finalising
from orchestrator.engine.control.report import Reporter
from orchestrator.engine.control.slow_disk import has_room
from orchestrator.engine.control.step_scope import (
    End,
    RewindRun,
    SkipStep,
    StopRun,
    ended_early,
)
from orchestrator.engine.sequences.python_program import PythonProgram
from orchestrator.engine.steps.calls import Calls
from orchestrator.engine.steps.verbs import Verbs
from orchestrator.errors import (
    CallError,
    OrchestratorError,
    StepTimeoutError,
)
from orchestrator.language.expressions.operand import Operand, constant_value
from orchestrator.language.foresight.counting import count_steps
from orchestrator.language.program.nodes import (
    OF_ERROR,
    Another,
    Handler,
    Node,
    Runnable,
    Suspender,
)
from orchestrator.language.program.parts import Abort, Continue, OnDisconnect, Retry
from orchestrator.ports import Journal
from orchestrator.types import Path, Place, Point, Severity, path_text
from orchestrator.verbs.doing import Doing
from orchestrator.verbs.flow.leaving import EndSequence, LeaveLoop, NextPass
from orchestrator.verbs.scope import Entry, Mark, Scope

log = structlog.get_logger(__name__)


class Interpreter:
    """Executes nodes; knows where it is, and says so."""

    def __init__(
        self,
        verbs: Verbs,
        control: RunControl,
        reporter: Reporter,
        calls: Calls,
        journal: Journal,
        run_python: Callable[[PythonProgram, Place], Awaitable[None]],
        watching: Callable[[Sequence[Suspender]], AbstractAsyncContextManager[None]],
    ) -> None:
        """One interpreter a run.

        `run_python` runs a Python sequence within this run; `watching` is around the steps of a
        document with suspenders.
        """
        self._journal = journal
        self._verbs = verbs
        self._control = control
        self._reporter = reporter
        self._calls = calls
        self._run_python = run_python
        self._watching = watching
        self.entered = False
        self.tolerated = 0
        self.root: Scope | None = None
        """Of the document that is run; where there is none (Python), nothing can be gone back to.
        """
        self.names = Scope({})
        """What is bound in the outermost list of steps."""
        self.as_it_was: dict[Point, dict[str, object]] = {}
        """Of a run that goes on: what steps had found, each of which is asked for once."""
        self._marks: list[Mark] = []
        self._began: dict[tuple[Path, tuple[int, ...]], float] = {}
        """When the sub-sequences that are under way began, on the run's clock."""
        self.failed_finalisers: list[str] = []
        """Those of sub-sequences that were left in another way, which decided."""

    @property
    def current(self) -> Mark | None:
        """The last checkpoint that is in force: no sub-sequence in which it stands was left."""
        return self._marks[-1] if self._marks else None

    async def run(
        self, nodes: Sequence[Node], scope: Scope, place: Place, entry: Entry | None = None
    ) -> None:
        """Run a list of steps in order; a `let` in it binds for its rest.

        With `entry`, begin at the step that it leads to instead of the first one.
        """
        first = 0
        if entry is None:
            scope = scope.child()
        else:
            scope, first = entry.scope(scope), entry.index()
        if not place.path:
            self.names = scope
        for node in nodes[first:]:
            inside = entry if entry is not None and not entry.arrived else None
            entry = None
            await self._one(node, scope, place, inside)

    async def _one(self, node: Node, scope: Scope, place: Place, entry: Entry | None) -> None:
        await self._control.gate()
        self.entered = True
        self._reporter.step(node.path, node.label, place.loops)
        at = Place(node.path, place.loops, place.tries)
        try:
            if isinstance(node.on_error, Abort):
                await self._placed(node, scope, at, entry)
            else:
                await self._caught(node, scope, at, entry)
        except SkipStep:
            log.debug("skipped as a whole", step=node.label)
        self._reporter.finished()

    async def run_here(self, nodes: Sequence[Node], scope: Scope, place: Place) -> None:
        """Run steps in this very scope, which has what they bound then: a Python verb's."""
        for node in nodes:
            await self._one(node, scope, place, None)

    # Errors -----------------------------------------------------------------------------------

    async def _caught(self, node: Node, scope: Scope, place: Place, entry: Entry | None) -> None:
        match node.on_error:
            case Abort():
                raise AssertionError("its failure is passed on")
            case Retry(tries, delay):
                await self._retried(node, scope, place, tries, delay, entry)
            case Continue():
                try:
                    await self._placed(node, scope, place, entry)
                except OrchestratorError as error:
                    self._control.check_ended()
                    self._tolerate(error)
            case Handler() as handler:
                await self._handled(node, handler, scope, place, entry)

    async def _handled(
        self, node: Node, handler: Handler, scope: Scope, place: Place, entry: Entry | None
    ) -> None:
        if entry is not None and entry.enters("on_error"):
            cases = dict(handler.cases)
            await self.run(cases["" if "" in cases else entry.branch()], scope, place, entry)
            return
        try:
            await self._placed(node, scope, place, entry)
        except OrchestratorError as error:
            self._control.check_ended()
            case = handler.of(error.kind)
            if case is None:
                raise
            self._tolerate(error)
            told = (error.kind, str(error), error.pv, error.step)
            # No child: a way back into these steps counts their scopes.
            of_error = dict(zip(OF_ERROR, told, strict=True))
            bound = Scope({**scope, **of_error}, scope.parent, scope.variables)
            into = (*node.path, "on_error", *filter(None, (case[0],)), 0)
            for name, text in of_error.items():
                self.bound(Place(into, place.loops, place.tries), name, text, bound)
            await self.run(case[1], bound, place)

    async def _placed(self, node: Node, scope: Scope, place: Place, entry: Entry | None) -> None:
        step = 0  # of one that takes no time the journal tells only if it fails
        if node.takes_time:
            if (self._journal.full or self._journal.lack) and not is_finalising():
                await self._disk_has_room()
            step = self._journal.entered(place, node.label)
        try:
            do = self.doing(node, scope, place, entry)
            if node.limit is None:
                await node.run(do)
            else:
                await self._within(node, await do.number(node.limit), do)
        except BaseException as error:
            if isinstance(error, OrchestratorError):
                error.step = error.step or f"{path_text(node.path)} {node.label}"
                error.place = error.place or f"{node.where}: {error.step}"
                error.pv = error.pv or next(iter((*node.writes, *node.reads)), "")
                step = step or self._journal.entered(place, node.label)
            if step:
                self._journal.left(step, *_way_out(error))
            raise
        if step:
            self._journal.left(step, _way())

    async def _disk_has_room(self) -> None:
        waits = "the disk is too slow for the journal: the run waits, and nothing is lost"
        goes_on = "the disk takes the journal again"
        await has_room(self._journal, self._control, self._verbs.tell, waits, goes_on)

    async def _within(self, node: Node, seconds: float, do: Doing) -> None:
        """Run a step that has a time for all that is inside it."""
        here = (node.path, do.place.loops)
        with self._began_at(here, do.entry) as began, self._ends_within(seconds, began, "it"):
            await node.run(do)

    @contextmanager
    def _began_at(self, here: tuple[Path, tuple[int, ...]], entry: Entry | None) -> Iterator[float]:
        """When what is here began, on the run's clock: where the run comes back, it had already."""
        began = self._began.get(here) if entry is not None else None
        self._began[here] = self._control.clock.now if began is None else began
        try:
            yield self._began[here]
        except RewindRun:
            raise  # it is not left, perhaps
        except BaseException:
            self._began.pop(here, None)
            raise
        self._began.pop(here, None)

    async def _retried(
        self,
        node: Node,
        scope: Scope,
        place: Place,
        tries: int,
        delay: Operand,
        entry: Entry | None,
    ) -> None:
        for number in range(1, tries + 2):
            at = Place(place.path, place.loops, (*place.tries, number))
            try:
                await self._placed(node, scope, at, entry if number == 1 else None)
            except OrchestratorError as error:
                self._control.check_ended()
                self._forget(place)
                if number > tries:
                    raise
                self._verbs.tell(f"try {number} of {tries + 1}: {error.placed()}", Severity.MINOR)
                do = self.doing(node, scope, place)
                await do.delay(await do.number(delay))
                await self._control.gate()
            else:
                return

    def _tolerate(self, error: OrchestratorError) -> None:
        self.tolerated += 1
        self._verbs.tell(f"tolerated: {error.placed()}", Severity.MINOR)

    # What steps ask: implements `verbs.doing.Course` -------------------------------------------

    def doing(self, node: Node, scope: Scope, place: Place, entry: Entry | None = None) -> Doing:
        """What a step is given that is carried out."""
        held = node.on_disconnect is OnDisconnect.WAIT
        return Doing(self._verbs, self, scope, place, entry, held=held)

    async def together(self, nodes: Sequence[Node], scope: Scope, place: Place) -> None:
        """Run steps at the same time; the first failure cancels the others."""
        await run_all([(node.label, self.run([node], scope, place)) for node in nodes])

    async def first(self, nodes: Sequence[Node], scope: Scope, place: Place) -> int:
        """Run steps at the same time; the first to end cancels the others. Which that is."""
        known, before = count_steps(nodes), self._reporter.done
        first = await first_of([(node.label, self.run([node], scope, place)) for node in nodes])
        if known is not None:
            self.left_out(max(before + known - self._reporter.done, 0))
        return first

    async def call(self, name: str, args: Mapping[str, object], timeout: float | None) -> object:
        """Call a registered function."""
        return await self._calls.call(name, args, timeout)

    async def gate(self) -> None:
        """Stand here before each pass."""
        await self._control.gate()

    async def approach(self, node: Node, place: Place, move: Callable[[], Awaitable[None]]) -> None:
        """Do what comes before the steps of a pass: it is told and can be skipped as a step."""
        await self._control.gate()
        self._reporter.step(node.path, node.label, place.loops)
        step = self._journal.entered(place, node.label)
        try:
            await move()
        except SkipStep as skipped:  # the steps follow, as where a put is skipped
            self._journal.left(step, *_way_out(skipped))
        except BaseException as error:
            self._journal.left(step, *_way_out(error))
            raise
        else:
            self._journal.left(step, _way())
        self._reporter.finished()

    def left_out(self, steps: int) -> None:
        """So many steps of those foreseen are not run."""
        self._reporter.finished(steps)

    async def sequence(self, another: Another, do: Doing) -> None:
        """Run another sequence, to the end of its finalisers."""
        values = await self._arguments(another, do)
        place, entry = do.place, do.entry
        if another.document is None:
            program = self._calls.python(another.sequence, values)
            await self._run_python(program, place)
            return
        document = await self._calls.program(another, place.path, values)
        self._verbs.history.follow(document.changed)
        inner = Scope(document.arguments, do.scope)
        if entry is not None:
            entry.branch()
            inner = entry.document(inner)
            if entry.afresh:
                inner.update(self._verbs.followed.begin(document))
            entry.branch()
        else:
            await self.begin(document, inner, Place((*place.path, "run"), place.loops))
        guards = () if is_finalising() else document.suspend
        here = (place.path, place.loops)
        began = self._began.get(here) if entry is not None else None
        began = self._began[here] = self._control.clock.now if began is None else began
        way_out: BaseException | None = None
        try:
            async with self._watching(guards):
                with self.timed(document.timeout, began), suppress(EndSequence):
                    await self.run(document.steps, inner, place, entry)
        except BaseException as error:  # raised again behind the finalisers
            if isinstance(error, RewindRun) and self.current and self.current.stands_in(place):
                raise  # it is not left
            way_out = error
        self._forget(place)
        self._began.pop(here, None)
        with self._verbs.followed.closing(inner):
            await self._leave(another.sequence, document.finally_, inner, place, way_out)

    async def finalised(
        self, label: str, nodes: Sequence[Node], finalisers: Sequence[Node], do: Doing
    ) -> None:
        """Run the steps inside a step, and whatever comes its finalisers."""
        way_out: BaseException | None = None
        try:
            await do.steps(nodes)
        except BaseException as error:  # raised again behind the finalisers
            if isinstance(error, RewindRun) and self.current and self.current.stands_in(do.place):
                raise  # it is not left
            way_out = error
        self._forget(do.place)
        await self._leave(label, finalisers, do.scope, do.place, way_out)

    async def _arguments(self, another: Another, do: Doing) -> Mapping[str, object]:
        """Those of a sub-sequence; where the run comes back into it, those that it had."""

        async def values() -> dict[str, object]:
            return {name: await do.evaluate(value) for name, value in another.args}

        if all(value.constant for _, value in another.args):
            return await values()
        return await do.remembered("args", values)

    async def begin(self, program: Runnable, scope: Scope, document: Place) -> None:
        """Watch what a document has to see from its beginning, and give its variables values."""
        scope.update(self._verbs.followed.begin(program))
        try:
            await self._begin_variables(program, scope, document)
        except BaseException:
            self._verbs.followed.end(scope)
            raise

    async def _begin_variables(self, program: Runnable, scope: Scope, document: Place) -> None:
        for name, operand in program.variables:
            try:
                found = self.recalled(document, name)
                value = found[0] if found else await self._verbs.evaluate(operand, scope)
                scope.variables[name] = value
                self.bound(document, name, value, scope)
            except OrchestratorError as error:
                error.step = "restore" if name.startswith("_") else f"variables.{name}"
                error.place = f"{program.origin}: {error.step}"
                raise

    async def _leave(
        self,
        name: str,
        finalisers: Sequence[Node],
        scope: Scope,
        place: Place,
        way_out: BaseException | None,
    ) -> None:
        """Run the finalisers of a sub-sequence, and go the way that its steps went."""
        errors: list[OrchestratorError] = []
        try:
            if finalisers:
                work = self.finalise(finalisers, scope, place, errors.append)
                await self._control.finalisers.finalise(work, f"the finalisers of {name}")
        except asyncio.CancelledError as error:
            way_out = error
        if way_out is None and errors:
            way_out = errors.pop(0)
        for failure in errors:  # what ended the steps decides; this is told beside it
            text = f"a finaliser of {name} failed: {failure.placed()}"
            self._verbs.tell(text, Severity.MAJOR)
            self.failed_finalisers.append(text)
        if way_out is not None:
            raise way_out

    @contextmanager
    def timed(self, timeout: Operand | None, began: float | None = None) -> Iterator[None]:
        """Around all steps of a document that may have a timeout.

        `began`: when they did, on the run's clock, where the run has come back into their midst.

        Raises:
            StepTimeoutError: They did not end within it.
        """
        if timeout is None:
            yield
            return
        value = constant_value(timeout)
        seconds = float(value) if isinstance(value, int | float) else 0.0
        with self._ends_within(seconds, began, "the sequence"):
            yield

    @contextmanager
    def _ends_within(self, seconds: float, began: float | None, what: str) -> Iterator[None]:
        gone = 0.0 if began is None else self._control.clock.now - began
        with self._control.timer(seconds - gone) as timer:
            yield
        if timer.ended is not None:
            raise StepTimeoutError(
                f"{what} did not end within its timeout of {seconds:g} s; "
                f"it was at {self._reporter.where}"
            )

    async def finalise(
        self,
        nodes: Sequence[Node],
        scope: Scope,
        place: Place,
        failed: Callable[[OrchestratorError], None],
    ) -> None:
        """Run each of these, in a task of its own, even if the one before has failed.

        `failed` is told of each error. A `let` holds for those behind it.
        """
        inner, task = scope.child(), asyncio.current_task()
        for node in nodes:
            try:
                await self.run_here([node], inner, place)
            except OrchestratorError as error:
                failed(error)
            except KeyboardInterrupt:
                raise
            except asyncio.CancelledError as error:
                if self._control.requests.aborts > 2 or (task is not None and task.cancelling()):
                    raise
                failed(self._misbehaved(node, error))
            except BaseException as error:  # noqa: BLE001 - those behind it have to run
                failed(self._misbehaved(node, error))

    def _misbehaved(self, node: Node, error: BaseException) -> OrchestratorError:
        """What no step should raise, told as an error of the step."""
        log.error("a finaliser failed by a fault of the program", exc_info=error)
        told = CallError(f"internal error: {type(error).__name__}: {error}")
        told.place = f"{node.where}: {path_text(node.path)} {node.label}"
        return told

    def recalled(self, place: Place, name: str) -> tuple[object, ...]:
        """What the step here had found when the run was there before it went on; () = nothing."""
        found = self.as_it_was.get((place.path, place.loops))
        return (found.pop(name),) if found and name in found else ()

    def bound(self, place: Place, name: str, value: object, scope: Scope) -> None:
        """The step here has bound a name in its list, or given a variable a value."""
        if scope.lineage()[0] is self.root and not is_finalising():
            self._journal.binds(place, name, value, variable=name in scope.variables)

    def mark(self, place: Place, scope: Scope) -> None:
        """A rewind may start again from here."""
        if (
            is_finalising()
            or not {"parallel", "race"}.isdisjoint(place.path)
            or scope.lineage()[0] is not self.root
        ):
            return  # no way leads back into finalisers, into branches, into what Python runs
        self._marks = [mark for mark in self._marks if mark.path != place.path]
        # A copy: what is bound later is bound again when the run goes on from here.
        self._journal.passed(place)
        at_mark = scope.copied()
        shared = {id(own.variables): own.variables for own in scope.lineage()}
        variables = tuple((own, dict(own)) for own in shared.values())
        self._marks.append(Mark(place.path, place.loops, at_mark, self._reporter.done, variables))

    def passed(self, name: str, state: Mapping[str, object]) -> None:
        """A Python sequence has passed a checkpoint of its own."""
        self._journal.passed(Place(), name, state)

    def _forget(self, place: Place) -> None:
        """A step is left, or begun anew: the checkpoints in it are no longer in force."""
        left = [mark for mark in self._marks if not mark.stands_in(place)]
        if self._marks and not left:
            self._control.requests.rewound()  # it can only go on
        self._marks = left


_WAYS: Mapping[End | None, str] = {
    None: "done",
    End.SKIP: "skipped",
    End.STOP: "stopped",
    End.GIVE_UP: "given up",
    End.REWIND: "rewound",
    End.TIMEOUT: "timeout",
}


def _way() -> str:
    """How a step was left that the calling task was in, in one word or two."""
    return _WAYS[ended_early()]


def _way_out(error: BaseException) -> tuple[str, str]:
    """The same for one that was left by an exception, and what that says."""
    ended_early()
    match error:
        case StepTimeoutError():
            return "timeout", str(error)
        case SkipStep():
            return "skipped", ""
        case StopRun():
            return "stopped", ""
        case RewindRun():
            return "rewound", ""
        case asyncio.CancelledError():
            return "cancelled", ""
        case LeaveLoop() | NextPass() | EndSequence():
            return "done", ""
        case OrchestratorError():
            return "failed", str(error)
    return "failed", repr(error)
