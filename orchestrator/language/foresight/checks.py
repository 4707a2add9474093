"""What can be said of a program before it runs, each finding with its line.

`check_program` walks through a program as the engine would, with the values that its names can
have at each step (see `reach`), and looks what the channels would make of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import TypeAlias

from orchestrator.errors import CheckError, OrchestratorError
from orchestrator.language.expressions.intervals import Interval
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.foresight.reach import UNSURE, Case, Reach, operands_of
from orchestrator.language.foresight.satisfiable import never_equals, never_meets
from orchestrator.language.foresight.verdicts import Finding, Findings, Level
from orchestrator.language.foresight.ways_out import leads_away, may_leave
from orchestrator.language.program.nodes import (
    Another,
    Either,
    Handler,
    InOrder,
    Node,
    Passes,
    Program,
    Runnable,
    Suspender,
    Together,
    Walk,
    operands_in,
    walk,
)
from orchestrator.language.program.parts import Abort, Awaited, Comparison, Put, While
from orchestrator.language.text.arguments import bind_parameters
from orchestrator.language.values.conditions import Relation, next_is_within
from orchestrator.language.values.conversion import (
    as_channel_value,
    index_or_label,
    not_quite,
    unknown_label,
)
from orchestrator.language.values.limits import check_limits, is_allowed
from orchestrator.types import Metadata, NativeType, path_text

_EQUALITIES = (Relation.EQUALS, Relation.NOT, Relation.IN)
MetadataOf: TypeAlias = Callable[[str], Metadata | None]
"""A channel's metadata by its canonical name; None where it is not known."""


def check_program(program: Runnable, metadata: MetadataOf = lambda _name: None) -> list[Finding]:
    """Everything that is wrong or probably not meant, in the order of the document.

    - Values outside limits, labels that an enum has not, readbacks that can never be reached: of
      all values that loops and expressions will produce; where there are too many to look at each,
      of their range, which may tell a warning of what an expression would not really come to.
    - Comparisons of an enum with what is none of its labels.
    - Waits that no value can satisfy; steps that are never reached.
    - Two branches of a `parallel` that put to one channel.
    - What compiling warned of: unused parameters, loops that miss their end.

    Args:
        program: As compiled.
        metadata: What is known of the channels.
    """
    checker = _Checker(metadata)
    checker.program(program, Reach(parameters=program.arguments))
    compiled = [_of_line(line) for line in program.warnings]
    return list(dict.fromkeys([*checker.found.all, *compiled]))


def check_suspenders(
    suspenders: Iterable[Suspender], metadata: MetadataOf = lambda _name: None
) -> list[Finding]:
    """What is wrong with suspenders: comparisons of an enum with what is none of its labels."""
    return [
        Finding(Level.ERROR, suspender.where, (), f"suspend.{suspender.name}: {text}")
        for suspender in suspenders
        for text in _misspelt(suspender, metadata)
    ]


def _of_line(line: str) -> Finding:
    where, _, text = line.partition(": ")
    return Finding(Level.WARNING, where, (), text)


class _Checker:
    """Walks through a program; gathers findings."""

    def __init__(self, metadata: MetadataOf) -> None:
        self._metadata = metadata
        self.found = Findings()
        self._marked = False
        """Whether there is a checkpoint to go back to: in a sequence or in one around it."""
        self._beside: tuple[Node, ...] = ()
        """The branches of the outermost `parallel` around a step: what may run at the same time."""

    def program(self, program: Runnable, reach: Reach) -> bool:
        """A program and its finalisers; whether its steps never end."""
        around = self._marked
        # No way leads back into finalisers.
        self._marked |= any(node.marks for node in walk(program.steps))
        assigned = {name for node in walk(program.all_steps) for name in node.assigns}
        for name, operand in program.variables:
            reach = reach.unsure(name) if name in assigned else reach.bound(name, operand)
        endless = self._list(program.steps, reach)
        for node in program.finally_:
            self._list((node,), reach)
        self.found.all += check_suspenders(program.suspend, self._metadata)
        for suspender in program.suspend:
            if suspender.rewind and not self._marked:
                text = f"suspend.{suspender.name}.rewind: there is no checkpoint to go back to"
                self.found.all.append(Finding(Level.WARNING, suspender.where, (), text))
        self._marked = around
        return endless

    def _list(self, nodes: Sequence[Node], reach: Reach) -> bool:
        """Steps in order; whether they never end."""
        for index, node in enumerate(nodes):
            if not reach.states:
                return False
            endless = self._node(node, reach)
            away = leads_away((node,))
            if endless or away:
                if index + 1 < len(nodes):
                    does = "leads elsewhere" if away else "never ends"
                    why = f"{path_text(node.path)} ({node.label}) {does}"
                    self.found.warn(nodes[index + 1], f"is never reached: {why}")
                return endless
            reach = _after(node, reach)
        return False

    def _node(self, node: Node, reach: Reach) -> bool:
        """One step; whether it never ends."""
        for text in _misspelt(node, self._metadata):
            self.found.error(node, text)
        if isinstance(node.on_error, Handler):
            for _, steps in node.on_error.cases:
                self._list(steps, reach)
        inside = node.inside
        if isinstance(inside, Passes):
            return self._passes(node, inside, reach)
        for put in node.puts:
            self._put(node, put, reach)
        for operand in node.evaluates:
            self.found.computed(node, operand, reach)
        self._bindings(node, reach)
        vain = node.waits is not None and self._wait(node, node.waits, reach)
        return self._inside(node, inside, reach) or vain

    def _inside(
        self, node: Node, inside: InOrder | Walk | Either | Together | Another, reach: Reach
    ) -> bool:
        """The steps inside one; whether they never end."""
        match inside:
            case InOrder(body, last):
                forever = self._list(body, reach)
                for step in last:
                    self._list((step,), reach)
                return forever
            case Walk(steps=steps):
                return self._list(steps, reach)
            case Either():
                return self._either(node, inside, reach)
            case Together(branches, first):
                endless = self._together(branches, reach)
                return all(endless) if first else any(endless)
            case Another(known=known):
                return known is not None and self._another(node, inside, known, reach)

    def _put(self, node: Node, put: Put, reach: Reach) -> None:
        values = reach.cases(put.value)
        if put.origin is not None:  # what it is added to is known only then
            self.found.computed(node, put.value, reach)
            return
        self.found.first(node, values, lambda value: self._refused(put.pv, value))
        self._taken_otherwise(node, put.pv, values)
        if put.readback is None:
            return
        values = [case for case in values if not case.failed]
        if put.readback_value is not None:
            values = reach.cases(put.readback_value)
            self._taken_otherwise(node, put.readback, values)
        readback = put.readback
        metadata = self._metadata(readback)
        if put.tolerance is None:
            self._loosely_equal(node, readback, values, self._metadata(put.pv))
        tolerance = _constant(put.tolerance, reach)
        if put.tolerance is None or tolerance is not None:
            self.found.first(
                node,
                [case for case in values if not isinstance(case.value, Interval)],
                lambda value: _placed(readback, never_equals(value, metadata, tolerance)),
            )

    def _taken_otherwise(self, node: Node, channel: str, cases: Iterable[Case]) -> None:
        """Warn of the first number that is not taken as one may think."""
        metadata = self._metadata(channel)
        for case in cases:
            values = case.value if isinstance(case.value, list) else [case.value]
            for value in values:
                told = "" if isinstance(value, str) else index_or_label(value, metadata)
                if told := told or not_quite(value, metadata):
                    self.found.warn(node, f"{channel}: {told}{case.told()}")
                    return

    def _loosely_equal(
        self, node: Node, channel: str, cases: Iterable[Case], put: Metadata | None = None
    ) -> None:
        """Warn of the first whole number that others pass for, as no tolerance is given."""
        metadata = self._metadata(channel)
        for case in cases:
            values = case.value if isinstance(case.value, list) else [case.value]
            if told := next((t for v in values if (t := next_is_within(v, metadata, put))), ""):
                self.found.warn(node, f"{channel}: {told}{case.told()}")
                return

    def _refused(self, pv: str, value: object) -> str:
        """Why a channel would not take a value."""
        metadata = self._metadata(pv)
        if metadata is None:
            return ""
        if isinstance(value, Interval):
            return _may_exceed(pv, value, metadata)
        try:
            check_limits(as_channel_value(value, metadata, pv), metadata, pv)
        except OrchestratorError as error:
            return str(error)
        return ""

    def _wait(self, node: Node, waits: Awaited, reach: Reach) -> bool:
        held = self.found.computed(node, waits.hold, reach)
        if waits.comparison is not None:
            vain = self._comparison(node, waits.comparison, reach)
        else:
            vain = self._until(node, waits, reach)
        if waits.timeout is None:
            return vain
        limits = self.found.computed(node, waits.timeout, reach)
        for hold, limit in product(held, limits):
            if _exceeds(hold.value, limit.value):
                text = f"can't hold for {hold.value} s within a timeout of {limit.value} s"
                self.found.error(node, text)
                break
        return False

    def _comparison(self, node: Node, comparison: Comparison, reach: Reach) -> bool:
        """Whether it is in vain whatever the names are; tells if it is for any."""
        metadata = self._metadata(comparison.pv)
        tolerance = _constant(comparison.tolerance, reach)
        if comparison.tolerance is not None and tolerance is None:
            return False
        cases = reach.cases(comparison.operand)
        self._taken_otherwise(node, comparison.pv, cases)
        if comparison.relation in _EQUALITIES and tolerance is None:
            self._loosely_equal(node, comparison.pv, cases)

        def vain(value: object) -> str:
            if isinstance(value, Interval):
                return ""
            reason = never_meets(comparison.relation, value, metadata, tolerance)
            return reason and f"waits in vain: {_placed(comparison.pv, reason)}"

        bad = self.found.first(node, cases, vain)
        return bool(cases) and len(bad) == len(cases)

    def _until(self, node: Node, waits: Awaited, reach: Reach) -> bool:
        assert waits.until is not None  # noqa: S101 - a wait has the one or the other
        operand = waits.until
        cases = reach.cases(operand)
        fixed = "waits in vain: it is false and nothing in it changes while it waits"
        bad = self.found.first(node, cases, lambda value: fixed if value is False else "")
        return bool(cases) and len(bad) == len(cases)

    def _bindings(self, node: Node, reach: Reach) -> None:
        for name, operand in node.binds:
            if operand is not None:
                self.found.computed(node, operand, reach)
            reach = _bound(node, name, operand, reach)

    def _passes(self, node: Node, passes: Passes, reach: Reach) -> bool:
        inner = reach.inside(passes)
        if not inner.states:
            if not any(reach.depends_on_arguments(o) for o in operands_of(passes.points)):
                self.found.warn(passes.steps[0], f"is never reached: {node.label} has no passes")
            return False
        for put in node.puts:
            self._put(node, put, inner)
        leaves = may_leave(passes.steps)
        ends_never = (
            not leaves
            and isinstance(passes.points, While)
            and _always(passes.points.condition, reach)
        )
        if isinstance(passes.points, While) and not leaves:
            self._unchanging(node, passes, passes.points.condition, reach)
        takes_time = passes.every is not None or any(n.takes_time for n in walk(passes.steps))
        if ends_never and not takes_time:
            self.found.warn(
                node, "runs for ever, and nothing in it takes time; put a delay into it"
            )
        return (self._list(passes.steps, inner) and not leaves) or ends_never

    def _unchanging(self, node: Node, passes: Passes, condition: Operand, reach: Reach) -> None:
        """A `while` that no pass can change: a loop that never ends, or has no passes at all."""
        if _is_meant(condition) or _can_change(condition, walk((*passes.steps, *self._beside))):
            return
        names = ", ".join(sorted(_bound_inside(condition, passes)))
        hint = f": what its body binds as {names} ends with each pass" if names else ""
        text = f"no pass can change `{condition.text}`{hint}; once begun, it never ends"
        sure = [case for case in reach.cases(condition) if case.value is True]
        if sure:
            self.found.error(node, f"{text}, and it is true{sure[0].told()}")
        else:
            self.found.warn(node, text)

    def _either(self, node: Node, inside: Either, reach: Reach) -> bool:
        condition = inside.condition
        yes, no = reach.where(condition, True), reach.where(condition, False)
        if not reach.depends_on_arguments(condition):
            for body, states, value in ((inside.then, yes, "false"), (inside.else_, no, "true")):
                if body and not states.states and not _fails(condition, reach):
                    self.found.warn(body[0], f"is never reached: {node.label} is always {value}")
        ends = [self._list(inside.then, yes), self._list(inside.else_, no)]
        reached = [end for end, on in zip(ends, (yes, no), strict=True) if on.states]
        return bool(reached) and all(reached)

    def _together(self, branches: tuple[Node, ...], reach: Reach) -> list[bool]:
        """Which of the branches never end."""
        writers: dict[str, Node] = {}
        for branch in branches:
            own = {pv: inner for inner in walk((branch,)) for pv in inner.claims}
            for pv in own.keys() & writers.keys():
                other = writers[pv]
                self.found.error(
                    own[pv],
                    f"{pv} is put by two branches at the same time, here and by "
                    f"{path_text(other.path)} {other.label} ({other.where})",
                )
            writers = own | writers
        around = self._beside
        self._beside = around or branches
        endless = [self._list((branch,), reach) for branch in branches]
        self._beside = around
        return endless

    def _another(self, node: Node, inside: Another, program: Program, reach: Reach) -> bool:
        if inside.program is not None:
            states: tuple[dict[str, object], ...] = ({},)
        else:
            states = self._arguments(node, inside, reach)
        given = frozenset(name for name, o in inside.args if reach.depends_on_arguments(o))
        inner = Reach(states, program.arguments, given, reach.budget)
        return self.program(program, inner)

    def _arguments(
        self, node: Node, inside: Another, reach: Reach
    ) -> tuple[dict[str, object], ...]:
        """The values of a sub-sequence's parameters; tells of those that it would refuse."""
        later = [name for name, operand in inside.args if not operand.constant]
        states: dict[str, dict[str, object]] = {}
        for state in reach.states:
            at = replace(reach, states=(state,))
            values = {n: at.cases(o)[0].value for n, o in inside.args if not o.constant}
            states.setdefault(repr(values), values)
        result = []
        for values in states.values():
            try:
                result.append(_accepted(inside, later, values))
            except CheckError as error:
                self.found.error(node, error.findings[0])
                break
        return tuple(result)


def _accepted(
    inside: Another, later: Sequence[str], values: dict[str, object]
) -> dict[str, object]:
    """The arguments as the sub-sequence sees them; what is not sure stays so."""
    assert inside.document is not None  # noqa: S101 - a program has a document
    parameters = {name: inside.document.parameters[name] for name in later}
    known = {
        name: value
        for name, value in values.items()
        if value is not UNSURE and not isinstance(value, Interval | Exception)
    }
    unsure = [name for name in later if name not in known]
    bound = bind_parameters(inside.sequence, parameters, known, unsure)
    return bound | {
        name: values[name] if isinstance(values[name], Interval) else UNSURE for name in unsure
    }


def _after(node: Node, reach: Reach) -> Reach:
    """What is known after a step."""
    if isinstance(node.inside, Either) and isinstance(node.on_error, Abort):
        inside = node.inside
        for steps, was in ((inside.then, True), (inside.else_, False)):
            if leads_away(steps):
                reach = reach.where(inside.condition, not was)
    for name, operand in node.binds:
        reach = _bound(node, name, operand, reach)
    return reach


def _bound(node: Node, name: str, operand: Operand | None, reach: Reach) -> Reach:
    """With a name bound; a variable may be assigned by others as well."""
    unsure = operand is None or name in node.assigns
    return reach.unsure(name) if unsure or operand is None else reach.bound(name, operand)


def _placed(channel: str, reason: str) -> str:
    return reason and f"{channel}: {reason}"


def _may_exceed(pv: str, values: Interval, metadata: Metadata) -> str:
    limits = metadata.control
    if metadata.native in (NativeType.ENUM, NativeType.STRING) or not limits.are_set:
        return ""
    if is_allowed(values.low, metadata) and is_allowed(values.high, metadata):
        return ""
    units = f" {metadata.units}" if metadata.units else ""
    return f"{pv}: {values}{units} goes beyond its limits, {limits.low:.10g} … {limits.high:.10g}"


def _constant(operand: Operand | None, reach: Reach) -> float | None:
    """A tolerance that is the same everywhere; None where there is none, or it is not."""
    cases = [] if operand is None else reach.cases(operand)
    values = [case.value for case in cases]
    return values[0] if len(values) == 1 and isinstance(values[0], float) else None


def _exceeds(hold: object, limit: object) -> bool:
    return isinstance(hold, float) and isinstance(limit, float) and hold >= limit > 0 < hold


def _always(condition: Operand, reach: Reach) -> bool:
    cases = reach.cases(condition)
    return bool(cases) and all(case.value is True for case in cases)


def _fails(condition: Operand, reach: Reach) -> bool:
    return any(case.failed for case in reach.cases(condition))


def _misspelt(of: Node | Suspender, metadata: Callable[[str], Metadata | None]) -> Iterator[str]:
    """What is wrong with the comparisons of a step or suspender, those of steps inside it left out.

    A comparison of an enum with a text that none of its values can be is never true, in silence:
    it is told before the run and, where a channel is known only then, when it is evaluated
    (`Operand.evaluate`).

    Args:
        of: The step or suspender.
        metadata: What is known of a channel.
    """
    for operand in operands_in(of):
        for channel, text in sorted(operand.compared):
            if wrong := unknown_label(channel, text, metadata(channel)):
                yield f"`{operand.text}`: {wrong}"


# Loops that no pass can end: nothing that their `while` reads can change while they run.


def _can_change(condition: Operand, meanwhile: Iterable[Node]) -> bool:
    """Whether a condition may be another one after a pass.

    Channels are changed by others too, and time goes by. A name is bound once for the rest of its
    list, and what a body binds is gone after the pass. Samples are taken by steps alone.

    Args:
        condition: Of a `while`.
        meanwhile: All steps that may run between two looks at it.
    """
    if condition.channels or condition.links or condition.timed:
        return True
    meanwhile = tuple(meanwhile)
    if any(node.assigns & condition.variables for node in meanwhile):
        return True
    return bool(condition.data) and any(_samples(node, condition.data) for node in meanwhile)


def _samples(node: Node, wanted: frozenset[str]) -> bool:
    if isinstance(node.inside, Another) and node.inside.known is None:
        return True  # a Python sequence, or one that is not known yet
    return not wanted.isdisjoint(node.samples)


def _is_meant(condition: Operand) -> bool:
    """Whether it is written so that it never changes: `true`, a parameter, or not a parameter."""
    return condition.constant and condition.text.removeprefix("not ").isidentifier()


def _bound_inside(condition: Operand, passes: Passes) -> frozenset[str]:
    """Names of a condition that a loop's passes bind, which are gone after each."""
    bound = {passes.variable}
    for node in walk(passes.steps):
        bound.update(name for name, _ in node.binds)
        if isinstance(node.inside, Passes):
            bound.add(node.inside.variable)
    return condition.variables & bound
