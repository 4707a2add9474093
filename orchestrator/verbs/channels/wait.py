"""The step `wait`: wait for a condition."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import (
    Field,
    PlainValidator,
    StrictBool,
    StrictStr,
    WithJsonSchema,
    model_validator,
)

from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context, not_negative, some, two
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, Timing
from orchestrator.language.program.parts import Awaited, Comparison, OnDisconnect
from orchestrator.language.text.field_kinds import (
    Amount,
    AnyValue,
    Identifier,
    OneValue,
    Several,
    WaitTimeout,
    one_word,
)
from orchestrator.language.text.findings import Strict
from orchestrator.language.values.conditions import Relation
from orchestrator.types import Path
from orchestrator.verbs.awaited import Condition, How, Next, accepted
from orchestrator.verbs.doing import Doing
from orchestrator.verbs.flow.group import GroupNode

_FRESH = 5.0
"""s that a server has to answer where the updates of a channel will tell as well."""


_Overflow: TypeAlias = Annotated[
    str, PlainValidator(one_word("error", "drop")), WithJsonSchema({"enum": ["error", "drop"]})
]


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
    latch: Identifier | None = None
    """A latch of the document, in place of `pv` and a comparison: it is set now, or will be."""
    next: StrictStr | None = None
    """A channel, in place of `pv` and a comparison: its next update. They are kept from the
    beginning of the document on and taken one by one, in their order."""
    as_: Identifier | None = Field(None, alias="as")
    """With `next`: names its value for the rest of the enclosing list."""
    overflow: _Overflow | None = None
    """With `next`, where more than 100,000 wait: `error`, the default, or `drop` the oldest."""
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
        alone = [field for field in ("until", "latch", "next") if getattr(self, field) is not None]
        if alone:
            several = self.pv is not None or given or self.tolerance is not None
            if several or len(alone) > 1:
                text = f"{alone[0]!r} stands alone, without 'pv', comparison or 'tolerance'"
                raise ValueError(text if len(alone) == 1 else f"takes one of {' and '.join(alone)}")
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
    def _has_use(self) -> Wait:
        if self.next is None:
            for field in ("as_", "overflow"):
                if getattr(self, field) is not None:
                    raise ValueError(f"{field.rstrip('_')!r} does nothing without 'next'")
        what = "latch" if self.latch is not None else "next" if self.next is not None else ""
        if what and (self.hold != 0 or self.edge):
            raise ValueError(f"'hold' and 'edge' do nothing with {what!r}: it is over at once")
        return self

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

    def compiled(self, path: Path, context: Context) -> WaitNode | NextNode | GroupNode:
        here = (*path, "wait")
        wait = self.wait
        comparison = until = None
        if wait.next is not None:
            return self._next(wait.next, path, context)
        if wait.until is not None or wait.latch is not None:
            field, text = ("until", wait.until) if wait.latch is None else ("latch", self._latched)
            until = context.operand((*here, field), template.compile_condition, text)
            label = f"wait until {str(text).removeprefix('=')}"
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

    @property
    def _latched(self) -> str:
        return f"latched({self.wait.latch!r})"

    def _next(self, text: str, path: Path, context: Context) -> NextNode | GroupNode:
        here, wait = (*path, "wait"), self.wait
        name = context.channel((*here, "next"), text)
        if name is None:
            return GroupNode(*context.head(self, path, "wait"), body=())
        context.notes.followed.add(name)
        accept = accepted(restart=wait.accept_restart, invalid=wait.accept_invalid)
        return NextNode(
            *context.head(self, path, f"wait for the next {name}"),
            pv=name,
            variable=wait.as_,
            timeout=context.timeout((*here, "timeout"), wait.timeout),
            next=Next(accept, drop=wait.overflow == "drop"),
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


@dataclass(frozen=True, slots=True)
class NextNode(Node):
    """Wait for the next update of a channel, and take it."""

    pv: str
    """Canonical name."""
    variable: str | None
    """Bound to its value."""
    timeout: Operand | None
    """s, a float > 0; None = for ever."""
    next: Next
    """Which updates count, and what becomes of too many."""

    puts = ()
    evaluates = ()
    inside = NO_STEPS

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.pv,)

    @property
    def binds(self) -> tuple[tuple[str, Operand | None], ...]:
        return () if self.variable is None else ((self.variable, None),)

    def takes(self, known: Timing) -> float:
        return known.count("waits")

    @property
    def waits_for_channels(self) -> bool:
        return self.on_disconnect is not OnDisconnect.FAIL

    async def run(self, do: Doing) -> None:
        how = How(fail_when_lost=self.on_disconnect is OnDisconnect.FAIL)
        timeout = await do.limit(self.timeout)
        value = await do.world.update(self.pv, do.scope, timeout, how, self.next)
        if self.variable is not None and value is not None:
            do.bind(self.variable, value)
