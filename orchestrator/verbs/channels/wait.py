"""The step `wait`: wait for a condition."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from pydantic import Field, StrictBool, StrictStr, model_validator

from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context, not_negative, some, two
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, Timing
from orchestrator.language.program.parts import Awaited, Comparison, OnDisconnect
from orchestrator.language.text.field_kinds import Amount, AnyValue, OneValue, Several, WaitTimeout
from orchestrator.language.text.findings import Strict
from orchestrator.language.values.conditions import Relation
from orchestrator.types import Path
from orchestrator.verbs.awaited import Condition, How, accepted
from orchestrator.verbs.doing import Doing
from orchestrator.verbs.flow.group import GroupNode

_FRESH = 5.0
"""s that a server has to answer where the updates of a channel will tell as well."""


class Wait(Strict):
    """A condition on one channel, or any expression."""

    COMPARISONS: ClassVar = (
        *("equals", "not", "above", "at_least", "below", "at_most", "between", "in"),
        *("increase_by", "decrease_by"),
    )
    """The fields that compare; the values of `conditions.Relation`."""

    pv: StrictStr | None = None
    """The channel that is compared."""
    equals: AnyValue | None = None
    """It equals this, numbers within `tolerance`."""
    not_: AnyValue | None = Field(None, alias="not")
    """It does not equal this; a disconnected channel meets no condition, this one included."""
    above: OneValue | None = None
    """It is greater."""
    at_least: OneValue | None = None
    """It is greater or equal."""
    below: OneValue | None = None
    """It is less."""
    at_most: OneValue | None = None
    """It is less or equal."""
    between: Several | None = None
    """It lies between two values, both included."""
    in_: Several | None = Field(None, alias="in")
    """It equals one of these."""
    increase_by: Amount | None = None
    """It has grown by at least this since the step began."""
    decrease_by: Amount | None = None
    """It has fallen by at least this since the step began."""
    until: OneValue | None = None
    """An expression, in place of `pv` and a comparison."""
    tolerance: Amount | None = None
    """How far off numbers may be for `equals`, `not` and `in`, absolute. By default as for the
    readback of a `set`."""
    hold: Amount = 0
    """s for which the condition has to hold without a break."""
    edge: StrictBool = False
    """Whether it has to become true after the step began: true already is not enough."""
    timeout: WaitTimeout
    """s, or `none` to wait for ever; must be given."""
    accept_restart: StrictBool = False
    """Whether a channel's first value after a reconnection counts."""
    accept_invalid: StrictBool = False
    """Whether a value with severity INVALID counts."""

    @property
    def comparisons(self) -> dict[str, Any]:
        """The comparisons given, by field."""
        values = {field: getattr(self, _attribute(field)) for field in self.COMPARISONS}
        return {field: value for field, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _one_condition(self) -> Wait:
        given = list(self.comparisons)
        if self.until is not None:
            if self.pv is not None or given or self.tolerance is not None:
                raise ValueError("'until' stands alone, without 'pv', comparison or 'tolerance'")
        elif self.pv is None:
            raise ValueError("needs 'pv' with a comparison, or 'until'")
        elif not given:
            raise ValueError(f"needs one of {', '.join(self.COMPARISONS)}; got none")
        elif len(given) > 1:
            raise ValueError(f"takes one comparison, not {' and '.join(given)}{self._instead()}")
        elif self.tolerance is not None and given[0] not in ("equals", "not", "in"):
            raise ValueError(f"'tolerance' does nothing with {given[0]!r}")
        return self

    def _instead(self) -> str:
        """What says the same as two bounds."""
        low = self.at_least if self.above is None else self.above
        high = self.at_most if self.below is None else self.below
        if low is None or high is None or len(self.comparisons) != 2:
            return ""
        return f"; 'between: [{low}, {high}]' has both, its ends included"

    @model_validator(mode="after")
    def _two_bounds(self) -> Wait:
        if isinstance(self.between, tuple) and len(self.between) != 2:
            raise ValueError(f"'between' takes two values, not {len(self.between)}")
        return self


def _attribute(field: str) -> str:
    return f"{field}_" if field in ("not", "in") else field


class WaitStep(Form, verb="wait"):
    """Wait for a condition."""

    VARIES = frozenset({"equals", "not", "above", "at_least", "below", "at_most"})

    wait: Wait
    """Driven by monitors, never by polling."""

    def compiled(self, path: Path, context: Context) -> WaitNode | GroupNode:
        here = (*path, "wait")
        wait = self.wait
        comparison = until = None
        if wait.until is not None:
            until = context.operand((*here, "until"), template.compile_condition, wait.until)
            label = f"wait until {str(wait.until).removeprefix('=')}"
        else:
            comparison = _comparison(wait, here, context)
            if comparison is None:
                return GroupNode(*context.head(self, path, "wait"), body=())
            label = f"wait for {comparison.pv}"
        return WaitNode(
            *context.head(self, path, label),
            comparison=comparison,
            until=until,
            timeout=context.timeout((*here, "timeout"), wait.timeout),
            hold=context.amount((*here, "hold"), wait.hold, not_negative),
            edge=wait.edge,
            accept_restart=wait.accept_restart,
            accept_invalid=wait.accept_invalid,
        )


_BY = (Relation.INCREASE_BY, Relation.DECREASE_BY)


def _comparison(wait: Wait, path: Path, context: Context) -> Comparison | None:
    [(field_name, value)] = wait.comparisons.items()
    pv = context.channel((*path, "pv"), wait.pv or "")
    tolerance = None
    if wait.tolerance is not None:
        tolerance = context.amount((*path, "tolerance"), wait.tolerance, not_negative)
    relation = Relation(field_name)
    place = (*path, field_name)
    if relation in (Relation.BETWEEN, Relation.IN):
        operand = context.amount(place, value, two if relation is Relation.BETWEEN else some)
    elif relation in _BY:
        operand = context.amount(place, value, not_negative)
    else:
        operand = context.value(place, value)
    if pv is None:
        return None
    return Comparison(pv, relation, operand, tolerance)


@dataclass(frozen=True, slots=True)
class WaitNode(Node):
    """Wait for a comparison or an expression, one of which is given."""

    comparison: Comparison | None
    until: Operand | None
    """A bool."""
    timeout: Operand | None
    """s, a float > 0; None = for ever."""
    hold: Operand
    """s for which it has to hold without a break, a float ≥ 0."""
    edge: bool
    """Whether it has to become true after the step began."""
    accept_restart: bool
    """Whether the first value after a reconnection counts."""
    accept_invalid: bool
    """Whether a value with severity INVALID counts."""

    puts = ()
    evaluates = ()
    inside = NO_STEPS

    @property
    def reads(self) -> tuple[str, ...]:
        return () if self.comparison is None else (self.comparison.pv,)

    @property
    def waits(self) -> Awaited:
        return Awaited(self.comparison, self.until, self.timeout, self.hold)

    def takes(self, known: Timing) -> float:
        return known.wait(self.waits) + known.number(self.hold)

    @property
    def waits_for_channels(self) -> bool:
        return self.on_disconnect is not OnDisconnect.FAIL

    async def run(self, do: Doing) -> None:
        timeout = await do.limit(self.timeout)
        how = How(
            hold=await do.number(self.hold),
            edge=self.edge,
            fail_when_lost=self.on_disconnect is OnDisconnect.FAIL,
        )
        condition = await self._condition(do)
        counts = condition.begun is not None
        # An edge needs no value, and a pulse that comes meanwhile would be no edge.
        fresh = partial(self._fresh, do, timeout, must=counts) if counts or not self.edge else None
        await do.world.waiter.wait(condition, timeout, how, fresh)

    async def _fresh(self, do: Doing, timeout: float | None, *, must: bool) -> None:
        """A value from before this run's last put is no reason to go on; `must`: none will do."""
        names = set(self.reads) | (self.until.channels - self.until.ages if self.until else set())
        # Where nothing else will do, the wait's own timeout ends it; the client's is its backstop.
        limit = _FRESH + (timeout or 0.0 if must else 0.0)
        await do.world.refresh(names, limit, must=must)

    async def _condition(self, do: Doing) -> Condition:
        accept = accepted(restart=self.accept_restart, invalid=self.accept_invalid)
        if self.until is not None:
            return do.world.until(self.until, do.scope, accept)
        comparison = self.comparison
        assert comparison is not None  # noqa: S101 - a wait has the one or the other
        return do.world.waiter.compare(
            comparison.pv,
            comparison.relation,
            await do.evaluate(comparison.operand),
            await do.limit(comparison.tolerance),
            accept,
        )
