"""Runs the steps without steps inside: evaluates their fields, and calls the verb."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias, assert_never

import numpy as np
import structlog

from orchestrator.engine.control.control import RunControl
from orchestrator.engine.readings.environment import NOTHING
from orchestrator.engine.readings.trust import accepted
from orchestrator.engine.steps.calls import Calls
from orchestrator.engine.steps.moves import Move
from orchestrator.engine.steps.scope import Scope
from orchestrator.engine.steps.verbs import Verbs
from orchestrator.engine.steps.waits import Condition, How
from orchestrator.errors import (
    ExpressionError,
    InputError,
    NotConnectedError,
    StepTimeoutError,
)
from orchestrator.language.expressions.expression import Operand
from orchestrator.language.program.nodes import Count, Listed, OnDisconnect, Put, Range, While
from orchestrator.language.values.points import range_points
from orchestrator.types import Place
from orchestrator.verbs import (
    AskNode,
    CallNode,
    DelayNode,
    LetNode,
    LogNode,
    LoopNode,
    SampleNode,
    SetNode,
    TrajectoriesNode,
    WaitNode,
)

log = structlog.get_logger(__name__)

_FRESH = 5.0
"""s that a server has to answer where the updates of a channel will tell as well."""

Single: TypeAlias = (
    SetNode
    | WaitNode
    | DelayNode
    | SampleNode
    | LetNode
    | CallNode
    | TrajectoriesNode
    | AskNode
    | LogNode
)
"""A step without steps inside, but for a checkpoint: that is the interpreter's."""


class Steps:
    """Executes single steps, and computes what those with steps inside need."""

    def __init__(self, verbs: Verbs, control: RunControl, calls: Calls) -> None:
        """Made once a run."""
        self._verbs = verbs
        self._control = control
        self._calls = calls

    async def run(self, node: Single, scope: Scope, place: Place, *, held: bool) -> None:
        """Run a step; `held`: what it needs is waited for where it is disconnected."""
        match node:
            case SetNode():
                await self.set(node.targets, node.timeout, scope, held=held)
            case WaitNode():
                await self._wait(node, scope)
            case DelayNode():
                await self._verbs.waiter.delay(await self.number(node.seconds, scope))
            case SampleNode():
                await self._sample(node, scope, place, held=held)
            case LetNode():
                for name, operand in node.bindings:
                    scope[name] = await self.value(operand, scope, held=held)
            case CallNode():
                await self._call(node, scope)
            case TrajectoriesNode():
                await self._load(node, scope, held=held)
            case AskNode():
                text = str(await self.value(node.text, scope, held=held))
                await self._verbs.ask(text)
            case LogNode():
                self._verbs.tell(str(await self.value(node.text, scope, held=held)))
            case _:
                assert_never(node)

    async def set(
        self, targets: Iterable[Put], timeout: Operand, scope: Scope, *, held: bool
    ) -> None:
        """Put to all of these at once: the step `set`, or the positioner of a loop."""
        moves = [await self._move(target, scope) for target in targets]
        try:
            await self._verbs.mover.set(moves, await self.number(timeout, scope), hold=held)
        finally:
            self._verbs.outdated()

    async def _move(self, target: Put, scope: Scope) -> Move:
        evaluate = self._verbs.evaluate
        tolerance, wanted = target.tolerance, target.readback_value
        return Move(
            pv=target.pv,
            value=await evaluate(target.value, scope),
            completion=target.completion,
            readback=target.readback,
            readback_value=None if wanted is None else await evaluate(wanted, scope),
            tolerance=None if tolerance is None else await self.number(tolerance, scope),
            settle=await self.number(target.settle, scope),
            accept=accepted(restart=target.accept_restart, invalid=target.accept_invalid),
            leaves_invalid=target.leaves_invalid,
        )

    async def _wait(self, node: WaitNode, scope: Scope) -> None:
        timeout = None if node.timeout is None else await self.number(node.timeout, scope)
        how = How(
            hold=await self.number(node.hold, scope),
            edge=node.edge,
            fail_when_lost=node.on_disconnect is OnDisconnect.FAIL,
        )
        condition = await self._condition(node, scope)
        counts = condition.begun is not None
        # An edge needs no value, and a pulse that comes meanwhile would be no edge.
        fresh = (
            partial(self._fresh, node, timeout, must=counts) if counts or not node.edge else None
        )
        await self._verbs.waiter.wait(condition, timeout, how, fresh)

    async def _fresh(self, node: WaitNode, timeout: float | None, *, must: bool) -> None:
        """A value from before this run's last put is no reason to go on; `must`: none will do."""
        names = {node.comparison.pv} if node.comparison else set[str]()
        names |= node.until.channels if node.until else set()
        # Where nothing else will do, the wait's own timeout ends it; the client's is its backstop.
        limit = _FRESH if timeout is None else timeout + _FRESH
        try:
            await self._verbs.refresh(names, limit if must else _FRESH)
        except StepTimeoutError:
            if must:
                raise
            log.debug("no fresh value for a wait; its updates will tell", step=node.label)

    async def _condition(self, node: WaitNode, scope: Scope) -> Condition:
        accept = accepted(restart=node.accept_restart, invalid=node.accept_invalid)
        if node.until is not None:
            return self._verbs.until(node.until, scope, accept)
        comparison = node.comparison
        assert comparison is not None  # noqa: S101 - a wait has the one or the other
        tolerance = comparison.tolerance
        return self._verbs.waiter.compare(
            comparison.pv,
            comparison.relation,
            await self._verbs.evaluate(comparison.operand, scope),
            None if tolerance is None else await self.number(tolerance, scope),
            accept,
        )

    async def _sample(self, node: SampleNode, scope: Scope, place: Place, *, held: bool) -> None:
        timeout = await self.number(node.timeout, scope)
        began = self._control.clock
        if held:
            await self._verbs.waiter.connected(node.channels, timeout)
        await self._verbs.sampler.sample(
            node.channels,
            fresh=node.fresh,
            timeout=timeout - (self._control.clock - began),
            missing_nan=node.missing_nan,
            at=place,
        )

    async def _call(self, node: CallNode, scope: Scope) -> None:
        args = {name: await self._verbs.evaluate(value, scope) for name, value in node.args}
        timeout = None if node.timeout is None else await self.number(node.timeout, scope)
        try:
            result = await self._calls.call(node.function, args, timeout)
        finally:
            self._verbs.outdated()
        if node.variable is not None:
            scope[node.variable] = result

    async def _load(self, node: TrajectoriesNode, scope: Scope, *, held: bool) -> None:
        texts = [(s, str(await self._verbs.evaluate(o, scope))) for s, o in node.loads]
        timeout = await self.number(node.timeout, scope)
        try:
            await self._verbs.master.load(texts, timeout, hold=held)
        finally:
            self._verbs.outdated()

    # Values -----------------------------------------------------------------------------------

    async def value(self, operand: Operand, scope: Scope, *, held: bool) -> object:
        """A value of any type; `held`: its channels are waited for where they are disconnected."""
        if held and operand.channels:
            # First without: what is disconnected may be on a side that does not decide.
            with suppress(NotConnectedError):
                return await self._verbs.evaluate(operand, scope)
            await self._verbs.waiter.connected(sorted(operand.channels), None)
        return await self._verbs.evaluate(operand, scope)

    async def truth(self, operand: Operand, scope: Scope, *, held: bool) -> bool:
        """The value of a condition."""
        value = await self.value(operand, scope, held=held)
        if not isinstance(value, bool):
            raise ExpressionError(f"{operand.text} is {value!r}, neither true nor false")
        return value

    async def number(self, operand: Operand, scope: Scope) -> float:
        """The value of a field that is a number."""
        if operand.constant:  # nearly all are
            value = operand.evaluate(NOTHING)
        else:
            value = await self._verbs.evaluate(operand, scope)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ExpressionError(f"{operand.text} has to be a number, not {value!r}")
        return float(value)

    async def points(self, node: LoopNode, scope: Scope) -> Sequence[object]:
        """All points of a loop that is not `while`."""
        evaluate = self._verbs.evaluate
        match node.points:
            case Count(count):
                return range(int(await self.number(count, scope)))
            case Listed(values):
                listed = await evaluate(values, scope)
                if not isinstance(listed, list | np.ndarray):
                    raise InputError(f"the values of a loop have to be a list, not {listed!r}")
                return list(listed)
            case Range(start, stop, step, num):
                fields = [o and await evaluate(o, scope) for o in (start, stop, step, num)]
                return range_points(*fields)
            case While():
                raise AssertionError("has no points")
            case _:
                assert_never(node.points)
