"""The step `loop`: run steps again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field, PlainValidator, StrictBool, StrictStr, WithJsonSchema, model_validator

from orchestrator.errors import ExpressionError, InputError
from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand, constant, constant_value
from orchestrator.language.foresight.counting import count_steps
from orchestrator.language.program.compile_context import (
    UNKNOWN,
    Context,
    KnownLater,
    count,
    positive,
    some,
)
from orchestrator.language.program.form import Form, compile_list
from orchestrator.language.program.nodes import InOrder, Node, Passes, at_once
from orchestrator.language.program.parts import Count, Listed, Points, Put, Range, While
from orchestrator.language.text.field_kinds import (
    Amount,
    AnyValue,
    Identifier,
    OneValue,
    Several,
    one_word,
)
from orchestrator.language.text.findings import Strict
from orchestrator.language.text.steps import Limited, Steps
from orchestrator.language.text.table_text import Table, as_table, rows, table_of_text
from orchestrator.language.values.operations import item, plain
from orchestrator.language.values.points import range_points
from orchestrator.types import Path, Severity
from orchestrator.verbs.doing import Doing
from orchestrator.verbs.flow.leaving import LeaveLoop, NextPass
from orchestrator.verbs.puts import NEED_READBACK, Relative, Target, check_readback, make_put
from orchestrator.verbs.scope import SINCE

_JITTER = 0.1
"""Of a period: what is less late is what any timer is on a busy machine, and is not told."""
_PUT_TIME = constant(10.0)
POINT = "$point"
"""The variable that holds the value of a loop that gives it no name of its own."""
_PUT = ("relative", "completion", "readback", *NEED_READBACK, "accept_invalid", "settle")
"""Fields of a put that a loop with `pv` may have."""


_PUT_TOGETHER = ("completion", "settle", "accept_invalid", "timeout")
"""Those that one with `set` may have; they hold for each of its channels."""
MOST_EACH = 1000
"""Values of `each`: for every one of them the steps are made anew."""


class Loop(Strict):
    """What a loop runs over, and how each point is set."""

    pv: StrictStr | None = None
    """The channel that is set to each value; with it all fields of `set` but `value`."""
    from_: Amount | None = Field(None, alias="from")
    """The first value."""
    to: Amount | None = None
    """The last value, visited only if a whole number of steps reaches it."""
    step: Amount | None = None
    """From each value to the next, negative downwards; or `num`."""
    end: Annotated[str, PlainValidator(one_word("always")), WithJsonSchema({"const": "always"})] | (
        None
    ) = None
    """`always`: `to` is visited in any case, after a shorter step where none reaches it."""
    num: Amount | None = None
    """How many values, both ends included; or `step`."""
    values: Several | None = None
    """A list of values, in place of from/to."""
    set_: Annotated[dict[StrictStr, Several], Field(min_length=1)] | None = Field(None, alias="set")
    """Channels, each with a list of values, all as long: set together, point by point."""
    table: StrictStr | None = None
    """Rows: a parameter of type `table`, or a CSV file `points.csv` beside the sequences. Columns
    that are channels are set, all at once, those with empty cells left; other columns are names
    that may stand wherever something has to be known before the run. All rows are looked at."""
    each: Several | None = None
    """Values that are known before the run, named by `as`, which may stand wherever something has
    to be known by then: `$(axis)` as a channel. All of them are looked at before the run."""
    count: Amount | None = None
    """How many times, where nothing is set."""
    while_: OneValue | None = Field(None, alias="while")
    """An expression; runs as long as it is true, looked at before each pass."""
    as_: Identifier | None = Field(None, alias="as")
    """Names the value in `do`; with `count` and `while` the pass from 0."""
    every: Amount | None = None
    """s from the beginning of each pass to that of the next, by the clock of the run: nothing adds
    up. Passes that take longer are told, and the next begin at once until the clock is met."""
    serpentine: StrictBool = False
    """Runs the values backwards in every other pass of the loop around it, the second first."""
    relative: Relative | None = None
    """As in `set`; counted from where the channel is when the loop begins. `as` names what is
    added."""
    completion: StrictBool | None = None
    """As in `set`."""
    readback: StrictStr | None = None
    """As in `set`."""
    readback_value: AnyValue | None = None
    """As in `set`; the value's name may stand in it."""
    tolerance: Amount | None = None
    """As in `set`."""
    settle: Amount | None = None
    """As in `set`."""
    accept_restart: StrictBool | None = None
    """As in `set`."""
    accept_invalid: StrictBool | None = None
    """As in `set`."""
    timeout: Amount | None = None
    """s for each setting, 10 by default."""

    @model_validator(mode="after")
    def _one_kind(self) -> Loop:
        is_range = any(v is not None for v in (self.from_, self.to, self.step, self.num))
        kinds = (self.values, self.set_, self.table, self.each, self.count, self.while_)
        if is_range + sum(kind is not None for kind in kinds) != 1:
            raise ValueError(
                "runs over one of from/to with step or num, values, set, table, each, count, while"
            )
        if is_range and (self.from_ is None or self.to is None):
            raise ValueError("needs both 'from' and 'to'")
        if is_range and self.step is None and self.num is None:
            raise ValueError("needs one of 'step' and 'num'")
        if self.step is not None and self.num is not None:
            raise ValueError("takes 'step' or 'num', not both: each follows from the other")
        if self.end is not None and self.step is None:
            raise ValueError("'end' does nothing without 'step'")
        if self.serpentine and self.while_ is not None:
            raise ValueError("'serpentine' does nothing with 'while', which has no values to turn")
        if self.serpentine and (self.each is not None or self.table is not None):
            kind = "each" if self.each is not None else "table"
            raise ValueError(f"'serpentine' does nothing with {kind!r}, whose order is fixed")
        if self.table is not None and self.as_ is not None:
            raise ValueError("'as' does nothing with 'table', whose columns are names")
        return self

    @model_validator(mode="after")
    def _has_use(self) -> Loop:
        passes = "count" if self.count is not None else "while" if self.while_ is not None else ""
        if self.pv is not None:
            if passes:
                raise ValueError(
                    f"{passes!r} sets no 'pv': use from/to or values, or leave 'pv' out"
                )
            others = {"each": self.each, "set": self.set_, "table": self.table}
            if kind := next((k for k, given in others.items() if given is not None), ""):
                raise ValueError(f"{kind!r} sets no 'pv': use values, or leave 'pv' out")
            check_readback(self)
            return self
        together = self.set_ is not None or self.table is not None
        taken = _PUT_TOGETHER if together else ()
        for field in (*_PUT, "timeout"):
            if getattr(self, field) is not None and field not in taken:
                raise ValueError(f"{field!r} does nothing without 'pv'")
        if not passes and self.as_ is None and not together:
            raise ValueError("needs 'pv', which is set to each value, or 'as', which names it")
        return self

    def put(self, pv: str) -> Target:
        """What each pass puts; its value is the point."""
        given = {field: getattr(self, field) for field in _PUT}
        own = {field: value for field, value in given.items() if value is not None}
        return Target.model_construct(pv=pv, **own)


class LoopStep(Form, Limited, verb="loop"):
    """Run steps for each of several points."""

    loop: Loop
    """What it runs over. Points are computed by index, never by adding up."""
    do: Steps
    """The steps of each pass."""

    def compiled(self, path: Path, context: Context) -> LoopNode | EachNode:
        here = (*path, "loop")
        loop = self.loop
        if loop.each is not None:
            return self._for_each(loop.each, path, context)
        if loop.table is not None:
            return self._for_rows(loop.table, path, context)
        points = _points(loop, here, context)
        put = loop.pv is not None or loop.set_ is not None
        variable = loop.as_ or (POINT if put else None)
        inner = context if variable is None else context.bound(variable)
        targets = _loop_targets(loop, here, inner, variable)
        if loop.serpentine and not context.in_loop:
            context.warn((*here, "serpentine"), "does nothing: there is no loop around this one")
        return LoopNode(
            *context.head(self, path, _loop_label(loop, targets)),
            targets=targets,
            timeout=self._timeout(here, inner),
            points=points,
            variable=variable,
            body=compile_list(self.do, (*path, "do"), replace(inner, in_loop=True, in_passes=True)),
            serpentine=loop.serpentine,
            every=self._every(here, context),
        )

    def _timeout(self, here: Path, context: Context) -> Operand:
        given = self.loop.timeout
        if given is None:
            return _PUT_TIME
        return context.amount((*here, "timeout"), given, positive)

    def _every(self, here: Path, context: Context) -> Operand | None:
        every = self.loop.every
        return None if every is None else context.amount((*here, "every"), every, positive)

    def _for_each(self, each: object, path: Path, context: Context) -> EachNode:
        """The steps made anew for each value, which is a constant in them."""
        here, name = (*path, "loop"), self.loop.as_
        assert name is not None  # noqa: S101 - its form has seen to it
        body = (*path, "do")
        nodes = []
        for value in _known_values(each, (*here, "each"), context):
            inner = context.bound(name)
            constants = {**inner.constants, name: value}
            own = replace(inner, constants=constants, variables=inner.variables - {name})
            steps = compile_list(self.do, body, replace(own, in_loop=True, in_passes=True))
            head = context.head(self, path, f"{name} = {template.as_text(value)}")
            nodes.append(PassNode(*head, body=steps))
        head = context.head(self, path, f"loop {name}")
        return EachNode(*head, passes=tuple(nodes), every=self._every(here, context))

    def _for_rows(self, table: str, path: Path, context: Context) -> EachNode:
        """The same for each row of a table; what it sets comes first in a pass."""
        here = (*path, "loop")
        given, files = _known_table(table, (*here, "table"), context)
        channels = [name for name in given if not name.isidentifier()]
        names = [name for name in given if name.isidentifier()]
        for name in names:
            if None in given[name]:
                empty = given[name].index(None) + 1
                context.find((*here, "table"), f"{table}: row {empty} has no {name!r}")
                return EachNode(*context.head(self, path, f"loop {table}"), passes=())
        inner = context.bound(*names)
        nodes = []
        for number, row in enumerate(rows(given), 1):
            constants = {**inner.constants, **{name: row[name] for name in names}}
            scope = replace(inner, constants=constants, variables=inner.variables.difference(names))
            own = replace(scope, in_loop=True, in_passes=True)
            set_ = [_of_row(self.loop, pv, row[pv], here, own) for pv in channels if pv in row]
            nodes.append(
                PassNode(
                    *context.head(self, path, f"{table} row {number}"),
                    body=compile_list(self.do, (*path, "do"), own),
                    targets=tuple(put for put in set_ if put is not None),
                    timeout=self._timeout(here, own),
                )
            )
        head = context.head(self, path, f"loop {table}")
        every = self._every(here, context)
        return EachNode(*head, passes=tuple(nodes), every=every, files=files)


def _known_table(
    table: str, path: Path, context: Context
) -> tuple[Table, tuple[tuple[str, str, str], ...]]:
    """The columns of `table`, none where what is wrong with it is noted; its file, if it is one."""
    if table in context.later:
        raise KnownLater
    context.notes.parameters.add(table)
    none = Table()
    text = origin = ""
    if table in context.constants:
        given = context.attempt(path, lambda: as_table(context.constants[table], table), none)
    elif table.endswith(".csv"):
        text, origin = context.attempt(path, lambda: context.shared.library.file(table), ("", ""))
        made = partial(table_of_text, text, origin)
        given = context.attempt(path, made, none) if origin else none
    else:
        context.find(path, f"there is no parameter {table!r}; a file ends in .csv")
        return none, ()
    count = len(next(iter(given.values()), ()))
    if count > MOST_EACH:
        context.find(path, f"has {count:,} rows, where {MOST_EACH:,} are the most")
        return none, ()
    return given, ((table, text, origin),) if origin else ()


def _of_row(loop: Loop, pv: str, cell: object, here: Path, context: Context) -> Put | None:
    return make_put(loop.put(pv), (*here, "table"), context, constant(cell))


def _known_values(each: object, path: Path, context: Context) -> list[object]:
    """The values of `each`."""
    operand = context.amount(path, each, some)
    if operand is UNKNOWN:
        return []
    if not operand.constant:
        if operand.variables and operand.variables <= context.later and not operand.asks_the_run:
            raise KnownLater
        context.find(path, "has to be known before the run: values and parameters")
        return []
    values = constant_value(operand)
    listed = list(values) if isinstance(values, list | np.ndarray) else []
    if len(listed) > MOST_EACH:
        context.find(path, f"has {len(listed):,} values, where {MOST_EACH:,} are the most")
        return []
    return [plain(value) for value in listed]


def _loop_label(loop: Loop, targets: tuple[Put, ...]) -> str:
    if targets:
        return f"loop {', '.join(put.pv for put in targets)}"
    if loop.while_ is None:
        return "loop"
    return f"loop while {str(loop.while_).removeprefix('=')}"


def _loop_targets(
    loop: Loop, path: Path, context: Context, variable: str | None
) -> tuple[Put, ...]:
    if variable is None:
        return ()
    if loop.set_ is not None:
        names = enumerate(loop.set_)
        puts = [_one_of(loop, i, pv, (*path, "set", pv), context, variable) for i, pv in names]
        return tuple(put for put in puts if put is not None)
    if loop.pv is None:
        return ()
    value = Operand(variable, lambda env: env.variable(variable), variables=frozenset({variable}))
    target = make_put(loop.put(loop.pv), path, context, value)
    return () if target is None else (target,)


def _one_of(
    loop: Loop, index: int, pv: str, path: Path, context: Context, variable: str
) -> Put | None:
    """What a pass puts to one channel of several: its part of the point."""
    value = Operand(
        f"{pv} of the point",
        lambda env: item(env.variable(variable), index),
        variables=frozenset({variable}),
    )
    # The path of the key is that of the channel.
    return make_put(loop.put(pv), path, context, value)


def _points(loop: Loop, path: Path, context: Context) -> Points:
    if loop.while_ is not None:
        make = template.compile_condition
        return While(context.operand((*path, "while"), make, loop.while_))
    if loop.count is not None:
        return Count(context.amount((*path, "count"), loop.count, count))
    if loop.set_ is not None:
        return Listed(_rows(loop.set_, (*path, "set"), context))
    if loop.values is not None:
        return Listed(context.amount((*path, "values"), loop.values, some))
    parts = {"from": loop.from_, "to": loop.to, "step": loop.step, "num": loop.num}
    given = {f: context.value((*path, f), v) for f, v in parts.items() if v is not None}
    if all(operand.constant and operand is not UNKNOWN for operand in given.values()):
        _check_range(given, path, context, to_the_end=loop.end is not None)
    ends = given["from"], given["to"]
    return Range(*ends, given.get("step"), given.get("num"), loop.end is not None)


def _rows(columns: Mapping[str, object], path: Path, context: Context) -> Operand:
    """The points of a loop over several channels: a list of each one's value, for each point."""
    operands = [context.amount((*path, pv), values, some) for pv, values in columns.items()]
    if UNKNOWN in operands:
        return UNKNOWN

    def rows(parts: list[object]) -> object:
        lists = [list(part) for part in parts]  # type: ignore[call-overload]  # `some` has a length
        if len({len(part) for part in lists}) > 1:
            lengths = ", ".join(f"{len(p)} of {pv}" for pv, p in zip(columns, lists, strict=True))
            raise InputError(f"the lists are not all as long: {lengths}")
        return [list(map(plain, row)) for row in zip(*lists, strict=True)]

    text = f"the values of {', '.join(columns)}"
    return context.attempt(path, lambda: template.joined(text, operands, rows), UNKNOWN)


def _check_range(
    given: Mapping[str, Operand], path: Path, context: Context, *, to_the_end: bool
) -> None:
    values = {f: constant_value(operand) for f, operand in given.items()}
    start, stop, step, num = (values.get(f) for f in ("from", "to", "step", "num"))
    points = context.attempt(
        path, lambda: range_points(start, stop, step, num, to_the_end=to_the_end), None
    )
    if points is not None and not points.exact_end:
        context.warn(
            path,
            f"'to' {stop} is not visited: no whole number of steps reaches it; "
            f"the last point is {points[-1]:.10g}",
        )


@dataclass(frozen=True, slots=True)
class LoopNode(Node):
    """Run a body for each point, after setting a channel to it where there is one."""

    targets: tuple[Put, ...]
    """Their `value` reads the loop's variable."""
    timeout: Operand
    """s for each setting, a float > 0."""
    points: Points
    variable: str | None
    """Bound to the value of each point (of Count and While: its index from 0) in target and body.

    With targets never None: `POINT` where the document gives no name.
    """
    body: tuple[Node, ...]
    serpentine: bool
    """Whether it runs its points backwards in every other pass of the loop around it.

    Forwards where the index of the innermost loop around it is even (0, 2, …) or where there is
    none, backwards where it is odd. `y` over [0, 1, 2] around a serpentine `x` over [1, 2, 3]
    visits (0,1) (0,2) (0,3) (1,3) (1,2) (1,1) (2,1) (2,2) (2,3). Its own index counts passes in
    the order in which they are run, 0 first, in either direction. Never with `While`.
    """
    every: Operand | None = None
    """s from the beginning of a pass to that of the next, a float > 0."""

    reads = ()
    takes = at_once

    @property
    def evaluates(self) -> tuple[Operand, ...]:
        return () if self.every is None else (self.every,)

    @property
    def puts(self) -> tuple[Put, ...]:
        return self.targets

    @property
    def inside(self) -> Passes:
        return Passes(self.points, self.variable, self.body, self.every)

    async def run(self, do: Doing) -> None:
        """Run the passes, from that on in which it was where the run comes back."""
        if isinstance(self.points, While):
            await self._while(self.points.condition, do)
            return
        await do.begin(self.puts)
        points = await self._points(do)
        last, loops = len(points) - 1, do.place.loops
        backwards = self.serpentine and loops and loops[-1] % 2
        first = 0 if do.entry is None else do.entry.loop()
        clock = None if self.every is None else Clock(do, await do.number(self.every), first)
        for index in range(first, len(points)):
            if clock is not None:
                await clock.pass_begins(index)
            point = points[last - index if backwards else index]  # computed here, never listed
            if not await self._pass(do, index, point):
                do.course.left_out((last - index) * (self._steps or 0))
                break
            do.entry = None
        if clock is not None:
            clock.ended()

    async def _points(self, do: Doing) -> Sequence[object]:
        """All of them, those that they were where the run comes back into their midst."""
        if all(operand.constant for operand in _operands(self.points)):
            return _made(self.points, await _given(self.points, do))
        return _made(self.points, await do.remembered("points", lambda: _given(self.points, do)))

    async def _while(self, condition: Operand, do: Doing) -> None:
        index = 0 if do.entry is None else do.entry.loop()
        scope = do.scope.child()
        scope[SINCE] = do.world.moment  # of its condition: since the loop began
        looking = Doing(do.world, do.course, scope, do.place, held=do.held)
        clock = None if self.every is None else Clock(do, await do.number(self.every), index)
        while True:
            if clock is not None:
                await clock.pass_begins(index)
            if do.entry is None and not await looking.truth(condition):
                break
            await do.course.gate()
            if not await self._pass(do, index, index):
                break
            index, do.entry = index + 1, None
        if clock is not None:
            clock.ended()

    @property
    def _steps(self) -> int | None:
        """How many steps a pass is known to have."""
        inside = count_steps(self.body)
        return None if inside is None else inside + bool(self.puts)

    async def _pass(self, do: Doing, index: int, point: object) -> bool:
        """One pass: the positioner, unless the run comes back into its middle, then the body.

        Returns whether there may be another one.
        """
        inner = do.inside((index,))
        if self.variable in self.assigns:
            inner.bind(str(self.variable), point)
        elif self.variable is not None:
            inner.scope[self.variable] = point  # it follows from the number of the pass
        if (inner.entry is None or inner.entry.afresh) and self.targets:
            put = partial(inner.put, self.puts, self.timeout)
            await do.course.approach(self, inner.place, put)
        try:
            await inner.steps(self.body)
        except LeaveLoop:
            return False
        except NextPass:
            return True
        return True


@dataclass(frozen=True, slots=True)
class PassNode(Node):
    """One pass of a loop over `each` or `table`, as those see it who look before the run."""

    body: tuple[Node, ...]
    targets: tuple[Put, ...] = ()
    """What a row of the table sets."""
    timeout: Operand = _PUT_TIME
    """s for that."""

    reads = ()
    evaluates = ()
    takes = at_once

    @property
    def puts(self) -> tuple[Put, ...]:
        return self.targets

    @property
    def inside(self) -> Passes:
        return Passes(Count(constant(1)), None, self.body)

    async def run(self, do: Doing) -> None:
        """The positioner, unless the run comes back into its middle, then the body."""
        if self.targets and (do.entry is None or do.entry.afresh):
            await do.course.approach(self, do.place, partial(do.put, self.puts, self.timeout))
        await do.steps(self.body)


@dataclass(frozen=True, slots=True)
class EachNode(Node):
    """Run steps that were made for each of several values."""

    passes: tuple[PassNode, ...]
    every: Operand | None = None
    """s from the beginning of a pass to that of the next, a float > 0."""
    files: tuple[tuple[str, str, str], ...] = ()

    puts = ()
    reads = ()
    takes = at_once

    @property
    def evaluates(self) -> tuple[Operand, ...]:
        return () if self.every is None else (self.every,)

    @property
    def inside(self) -> InOrder:
        return InOrder(self.passes)

    async def run(self, do: Doing) -> None:
        """Run the passes, from that on in which it was where the run comes back."""
        first = 0 if do.entry is None else do.entry.loop()
        clock = None if self.every is None else Clock(do, await do.number(self.every), first)
        for index in range(first, len(self.passes)):
            if clock is not None:
                await clock.pass_begins(index)
            await do.course.gate()
            do.course.left_out(1)  # the pass itself, which is no step
            try:
                await self.passes[index].run(do.inside((index,)))
            except NextPass:
                pass
            except LeaveLoop:
                left = count_steps(self.passes[index + 1 :])
                do.course.left_out(left or 0)
                break
            do.entry = None
        if clock is not None:
            clock.ended()


class Clock:
    """When the passes of a loop with `every` begin, by the run's clock."""

    def __init__(self, do: Doing, every: float, first: int) -> None:
        """`first`: the pass that begins now."""
        self._do = do
        self._every = every
        self._began = do.world.clock - first * every
        self._late = 0
        self._worst = 0.0

    async def pass_begins(self, index: int) -> None:
        """Return when it is time for a pass, at once where that is over; the first is told."""
        early = self._began + index * self._every - self._do.world.clock
        if early > 0:
            await self._do.delay(early)
        elif early < -self._every * _JITTER:
            self._worst = max(self._worst, -early)
            self._late += 1
            if self._late == 1:
                late = f"the next is {-early:.3g} s late"
                text = f"a pass took longer than its {self._every:g} s: {late}"
                self._do.world.tell(text, Severity.MINOR)

    def ended(self) -> None:
        """The loop is over: tell how many were late."""
        if self._late > 1:
            text = f"{self._late} passes began late, by up to {self._worst:.3g} s"
            self._do.world.tell(text, Severity.MINOR)


def _operands(points: Points) -> tuple[Operand, ...]:
    """What says which points a loop has that is not `while`."""
    match points:
        case Count(count):
            return (count,)
        case Listed(values):
            return (values,)
        case Range(start, stop, step, num):
            return tuple(operand for operand in (start, stop, step, num) if operand is not None)
        case While():
            raise AssertionError("has no points")


async def _given(points: Points, do: Doing) -> list[object]:
    """The values of these."""
    return [await do.evaluate(operand) for operand in _operands(points)]


def _made(points: Points, given: list[object]) -> Sequence[object]:
    """All points of a loop that is not `while`, by those values."""
    match points:
        case Count():
            return range(_whole(given[0]))
        case Listed():
            listed = given[0]
            if not isinstance(listed, list | np.ndarray):
                raise InputError(f"the values of a loop have to be a list, not {listed!r}")
            return list(listed)
        case Range(_, _, step, num, to_the_end):
            values = iter(given)
            fields = [next(values), next(values), step and next(values), num and next(values)]
            return range_points(*fields, to_the_end=to_the_end)
        case While():
            raise AssertionError("has no points")


def _whole(count: object) -> int:
    """How many passes that are."""
    if isinstance(count, bool) or not isinstance(count, int | float):
        raise ExpressionError(f"the count of a loop has to be a number, not {count!r}")
    return int(count)
