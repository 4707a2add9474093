"""Runs the nodes of a program by the verbs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import cast

import structlog

from orchestrator.engine.control.concurrently import run_all
from orchestrator.engine.control.control import RewindRun, RunControl, SkipStep
from orchestrator.engine.control.report import Reporter
from orchestrator.engine.readings.environment import NOTHING
from orchestrator.engine.sequences.python_program import PythonProgram
from orchestrator.engine.steps.calls import Calls
from orchestrator.engine.steps.counting import count_steps
from orchestrator.engine.steps.nesting import points
from orchestrator.engine.steps.scope import Entry, Mark, Scope
from orchestrator.engine.steps.steps import Single, Steps
from orchestrator.engine.steps.verbs import Verbs
from orchestrator.errors import (
    CallError,
    OrchestratorError,
    StepTimeoutError,
)
from orchestrator.language.expressions.expression import Operand
from orchestrator.language.names import ServerChannels
from orchestrator.language.program.nodes import (
    Abort,
    Continue,
    Handler,
    Node,
    OnDisconnect,
    Retry,
    Suspender,
    While,
    walk,
)
from orchestrator.types import Path, Place, Severity, path_text
from orchestrator.verbs import (
    CheckpointNode,
    GroupNode,
    IfNode,
    LoopNode,
    NestedNode,
    ParallelNode,
    RunNode,
)

log = structlog.get_logger(__name__)


class Interpreter:
    """Executes nodes; knows where it is, and says so."""

    def __init__(self, verbs: Verbs, control: RunControl, reporter: Reporter, calls: Calls) -> None:
        """One interpreter a run."""
        self._verbs = verbs
        self._control = control
        self._reporter = reporter
        self._calls = calls
        self._steps = Steps(verbs, control, calls)
        self.run_python: Callable[[PythonProgram, Place], Awaitable[None]]
        """Runs a Python sequence within this run; set by who made this."""
        self.watching: Callable[[Sequence[Suspender]], AbstractAsyncContextManager[None]]
        """Around the steps of a document with suspenders; set likewise."""
        self.entered = False
        self.tolerated = 0
        self.root: Scope | None = None
        """Of the document that is run; where there is none (Python), nothing can be gone back to.
        """
        self._marks: list[Mark] = []
        self._began: dict[tuple[Path, tuple[int, ...]], float] = {}
        """When the sub-sequences that are under way began, on the run's clock."""
        self.failed_finalisers: list[str] = []
        """Those of sub-sequences that were left in another way, which decided."""

    @property
    def mark(self) -> Mark | None:
        """The last checkpoint that is in force: no sub-sequence in which it stands was left."""
        return self._marks[-1] if self._marks else None

    async def run(
        self, nodes: Sequence[Node], scope: Scope, place: Place, entry: Entry | None = None
    ) -> None:
        """Run a list of steps in order; a `let` in it binds for its rest.

        With `entry`, begin at its mark instead of the first step.
        """
        first = 0
        if entry is None:
            scope = scope.child()
        else:
            scope, first = entry.scope(), entry.index()
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
            case Handler(body):
                if entry is not None and entry.enters("on_error"):
                    await self.run(body, scope, place, entry)
                    return
                try:
                    await self._placed(node, scope, place, entry)
                except OrchestratorError as error:
                    self._control.check_ended()
                    self._tolerate(error)
                    await self.run(body, scope, place)

    async def _placed(self, node: Node, scope: Scope, place: Place, entry: Entry | None) -> None:
        try:
            await self._step(node, scope, place, entry)
        except OrchestratorError as error:
            error.place = error.place or f"{node.where}: {path_text(node.path)} {node.label}"
            raise

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
                await self._verbs.waiter.delay(await self._steps.number(delay, scope))
                await self._control.gate()
            else:
                return

    def _tolerate(self, error: OrchestratorError) -> None:
        self.tolerated += 1
        self._verbs.tell(f"tolerated: {error.placed()}", Severity.MINOR)

    # Steps ------------------------------------------------------------------------------------

    async def _step(self, node: Node, scope: Scope, place: Place, entry: Entry | None) -> None:
        held = node.on_disconnect is OnDisconnect.WAIT
        match node:
            case LoopNode():
                await self._loop(node, scope, place, entry, held=held)
            case GroupNode():
                if entry is not None:
                    entry.branch()
                await self.run(node.body, scope, place, entry)
            case IfNode():
                await self._if(node, scope, place, entry, held=held)
            case ParallelNode():
                if any(inner.marks for inner in walk((node,))):
                    self._check_in(place, scope)  # all of it begins again: see `_check_in`
                await run_all([(b.label, self.run([b], scope, place)) for b in node.branches])
            case RunNode():
                await self._run(node, scope, place, entry)
            case NestedNode():
                await self._nested(node, scope, place, entry)
            case CheckpointNode():
                self._check_in(place, scope)
            case _:
                await self._steps.run(cast(Single, node), scope, place, held=held)

    async def _if(
        self, node: IfNode, scope: Scope, place: Place, entry: Entry | None, *, held: bool
    ) -> None:
        if entry is not None:
            value = entry.branch() == "then"
        else:
            value = await self._steps.truth(node.condition, scope, held=held)
        taken, left = (node.then, node.else_) if value else (node.else_, node.then)
        await self.run(taken, scope, place, entry)
        self._reporter.finished(max((count_steps(left) or 0) - (count_steps(taken) or 0), 0))

    async def _run(self, node: RunNode, scope: Scope, place: Place, entry: Entry | None) -> None:
        values = {name: await self._verbs.evaluate(value, scope) for name, value in node.args}
        if node.document is None:
            program = self._calls.python(node.sequence, values)
            await self.run_python(program, place)
            return
        document = await self._calls.program(node, values)
        inner = Scope(document.arguments, scope)
        if entry is not None:
            entry.branch()
            inner = entry.scope()
            entry.branch()
        guards = () if self._control.finalising else document.suspend
        here = (place.path, place.loops)
        began = self._began.get(here) if entry is not None else None
        began = self._began[here] = self._control.clock if began is None else began
        way_out: BaseException | None = None
        try:
            async with self.watching(guards):
                with self.timed(document.timeout, began):
                    await self.run(document.steps, inner, place, entry)
        except BaseException as error:  # raised again behind the finalisers
            if isinstance(error, RewindRun) and self.mark and self.mark.stands_in(place):
                raise  # it is not left
            way_out = error
        self._forget(place)
        self._began.pop(here, None)
        await self._leave(node, document.finally_, inner, place, way_out)

    async def _leave(
        self,
        node: RunNode,
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
                await self._control.finalise(work, f"the finalisers of {node.sequence}")
        except asyncio.CancelledError as error:
            way_out = error
        if way_out is None and errors:
            way_out = errors.pop(0)
        for failure in errors:  # what ended the steps decides; this is told beside it
            text = f"a finaliser of {node.sequence} failed: {failure.placed()}"
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
        value = timeout.evaluate(NOTHING)
        seconds = float(value) if isinstance(value, int | float) else 0.0
        gone = 0.0 if began is None else self._control.clock - began
        with self._control.timer(seconds - gone) as timer:
            yield
        if timer.ended is not None:
            raise StepTimeoutError(
                f"the sequence did not end within its timeout of {seconds:g} s; "
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
                if self._control.aborts > 2 or (task is not None and task.cancelling()):
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

    def _check_in(self, place: Place, scope: Scope) -> None:
        if (
            self._control.finalising
            or "parallel" in place.path
            or scope.lineage()[0] is not self.root
        ):
            return  # no way leads back into finalisers, into branches, into what Python runs
        self._marks = [mark for mark in self._marks if mark.path != place.path]
        # A copy: what is bound later is bound again when the run goes on from here.
        at_mark = scope.copied()
        self._marks.append(Mark(place.path, place.loops, at_mark, self._reporter.done))

    def _forget(self, place: Place) -> None:
        """A step is left, or begun anew: the checkpoints in it are no longer in force."""
        left = [mark for mark in self._marks if not mark.stands_in(place)]
        if self._marks and not left:
            self._control.rewound()  # it can only go on
        self._marks = left

    # Loops ------------------------------------------------------------------------------------

    async def _loop(
        self, node: LoopNode, scope: Scope, place: Place, entry: Entry | None, *, held: bool
    ) -> None:
        if isinstance(node.points, While):
            await self._while(node, node.points.condition, scope, place, entry, held=held)
            return
        points = await self._steps.points(node, scope)
        last = len(points) - 1
        backwards = node.serpentine and place.loops and place.loops[-1] % 2
        first = 0 if entry is None else entry.loop()
        for index in range(first, len(points)):
            point = points[last - index if backwards else index]  # computed here, never listed
            await self._pass(node, scope, place, index, point, entry, held=held)
            entry = None

    async def _while(
        self,
        node: LoopNode,
        condition: Operand,
        scope: Scope,
        place: Place,
        entry: Entry | None,
        *,
        held: bool,
    ) -> None:
        index = 0 if entry is None else entry.loop()
        while entry is not None or await self._steps.truth(condition, scope, held=held):
            await self._control.gate()
            await self._pass(node, scope, place, index, index, entry, held=held)
            index, entry = index + 1, None

    async def _pass(
        self,
        node: LoopNode,
        scope: Scope,
        place: Place,
        index: int,
        point: object,
        entry: Entry | None,
        *,
        held: bool,
    ) -> None:
        """One pass: the positioner, unless the run comes back into its middle, then the body."""
        inner = scope.child() if entry is None else entry.scope()
        if node.variable is not None:
            inner[node.variable] = point
        at = Place(place.path, (*place.loops, index), place.tries)
        if entry is not None:
            entry.branch()
        elif node.target is not None:
            await self._control.gate()
            self._reporter.step(node.path, node.label, at.loops)
            with suppress(SkipStep):  # the body follows, as where its put is skipped
                await self._steps.set([node.target], node.timeout, inner, held=held)
            self._reporter.finished()
        await self.run(node.body, inner, at, entry)

    # Sequence servers -------------------------------------------------------------------------

    async def _nested(
        self, node: NestedNode, scope: Scope, place: Place, entry: Entry | None
    ) -> None:
        begin = None if entry is None else [entry.loop() for _ in node.levels]
        try:
            for passes, at in points(node.levels, self._verbs.master, begin):
                inner = scope.child() if entry is None else entry.scope()
                here = Place(place.path, (*place.loops, *passes), place.tries)
                # Where the run comes back into the middle of a pass, it goes to its point again.
                await self.move_servers(node, at, inner, here)
                if entry is not None:
                    entry.branch()
                await self.run(node.body, inner, here, entry)
                entry = None
        finally:
            self._verbs.master.rest()

    async def move_servers(
        self,
        node: NestedNode,
        at: Mapping[str, tuple[ServerChannels, int]],
        scope: Scope,
        place: Place,
    ) -> None:
        """Bring the servers to one point of a `nested`."""
        await self._control.gate()
        self._reporter.step(node.path, node.label, place.loops)
        hold = node.on_disconnect is not OnDisconnect.FAIL
        try:
            with suppress(SkipStep):  # as for a positioner
                timeout = await self._steps.number(node.timeout, scope)
                await self._verbs.master.move(at, timeout, hold=hold)
        finally:
            self._verbs.outdated()
        self._reporter.finished()
