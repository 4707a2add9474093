"""Compiles the steps without steps inside."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.language.expressions import template
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compiling import compile_verb
from orchestrator.language.program.nodes import (
    AskNode,
    CheckpointNode,
    Comparison,
    DelayNode,
    GroupNode,
    LetNode,
    LogNode,
    Put,
    SampleNode,
    SetNode,
    WaitNode,
)
from orchestrator.language.program.scope import Context, not_negative, positive, some, two
from orchestrator.language.text import steps as forms
from orchestrator.language.values.relation import Relation
from orchestrator.types import Path


@compile_verb.register
def _(step: forms.SetStep, path: Path, context: Context) -> SetNode:
    here = (*path, "set")
    if isinstance(step.set, forms.SetAll):
        given = [_target(t, (*here, "all", i), context) for i, t in enumerate(step.set.all)]
        _check_distinct(given, (*here, "all"), context)
    else:
        given = [_target(step.set, here, context)]
    targets = tuple(target for target in given if target is not None)
    return SetNode(
        *context.head(step, path, f"set {', '.join(target.pv for target in targets)}"),
        targets=targets,
        timeout=context.amount((*here, "timeout"), step.set.timeout, positive),
    )


def _target(target: forms.Target, path: Path, context: Context) -> Put | None:
    return make_put(target, path, context, context.value((*path, "value"), target.value))


def make_put(
    fields: forms.Target | forms.Loop, path: Path, context: Context, value: Operand
) -> Put | None:
    """What a `set` or a loop puts; None where its channel will be known only later."""

    def optional(name: str, make: Callable[[Path, object], Operand]) -> Operand | None:
        given = getattr(fields, name)
        return None if given is None else make((*path, name), given)

    pv = context.channel((*path, "pv"), fields.pv or "")
    readback = None
    if fields.readback is not None:
        readback = context.channel((*path, "readback"), fields.readback)
    if readback is not None:
        context.notes.reads.add(readback)
    readback_value = optional("readback_value", context.value)
    tolerance = optional("tolerance", lambda p, v: context.amount(p, v, not_negative))
    settle = context.amount((*path, "settle"), fields.settle or 0, not_negative)
    if pv is None:
        return None
    return Put(
        pv=pv,
        value=value,
        completion=fields.completion is not False,
        readback=readback,
        readback_value=readback_value,
        tolerance=tolerance,
        settle=settle,
        accept_restart=bool(fields.accept_restart),
        record=context.names.record(pv),
        accept_invalid=bool(fields.accept_invalid),
        leaves_invalid=fields.accept_invalid,
    )


def _check_distinct(targets: list[Put | None], path: Path, context: Context) -> None:
    seen: set[str] = set()
    for i, target in enumerate(targets):
        if target is not None and target.record in seen:
            context.find((*path, i, "pv"), f"{target.pv} is set twice in one step")
        seen |= {target.record} if target is not None else set()


@compile_verb.register
def _(step: forms.WaitStep, path: Path, context: Context) -> WaitNode | GroupNode:
    here = (*path, "wait")
    wait = step.wait
    comparison = until = None
    if wait.until is not None:
        until = context.operand((*here, "until"), template.compile_condition, wait.until)
        label = f"wait until {str(wait.until).removeprefix('=')}"
    else:
        comparison = _comparison(wait, here, context)
        if comparison is None:
            return GroupNode(*context.head(step, path, "wait"), body=())
        label = f"wait for {comparison.pv}"
    return WaitNode(
        *context.head(step, path, label),
        comparison=comparison,
        until=until,
        timeout=context.timeout((*here, "timeout"), wait.timeout),
        hold=context.amount((*here, "hold"), wait.hold, not_negative),
        edge=wait.edge,
        accept_restart=wait.accept_restart,
        accept_invalid=wait.accept_invalid,
    )


_BY = (Relation.INCREASE_BY, Relation.DECREASE_BY)


def _comparison(wait: forms.Wait, path: Path, context: Context) -> Comparison | None:
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


@compile_verb.register
def _(step: forms.DelayStep, path: Path, context: Context) -> DelayNode:
    return DelayNode(
        *context.head(step, path, f"delay {step.delay}"),
        seconds=context.amount((*path, "delay"), step.delay, not_negative),
    )


@compile_verb.register
def _(step: forms.SampleStep, path: Path, context: Context) -> SampleNode:
    if isinstance(step.sample, forms.Sample):
        sample, here = step.sample, (*path, "sample", "channels")
    else:
        sample, here = forms.Sample(channels=step.sample), (*path, "sample")
    channels: list[str] = []
    for i, text in enumerate(sample.channels):
        channel = _sampled(text, (*here, i), context)
        if channel and context.names.record(channel) in map(context.names.record, channels):
            context.find((*here, i), f"{channel} stands twice in one sample")
        if channel is None:
            context.notes.open_ended = True
        else:
            channels.append(channel)
    shown = ", ".join(channels[:3]) + (", …" if len(channels) > 3 else "")
    return SampleNode(
        *context.head(step, path, f"sample {shown}"),
        channels=tuple(channels),
        fresh=sample.fresh,
        timeout=context.amount((*path, "sample", "timeout"), sample.timeout, positive),
        missing_nan=sample.missing is not None,
    )


def _sampled(text: str, path: Path, context: Context) -> str | None:
    """A channel; one that is unknown and not the first may be the end of `[A:B,C]`."""
    findings = context.notes.findings
    before = len(findings)
    channel = context.channel(path, text)
    if len(findings) > before and path[-1] != 0 and "." not in text:
        position, line = findings.pop()
        findings.append((position, f"{line} (a PV name with a comma needs quotes)"))
    return channel


@compile_verb.register
def _(step: forms.LetStep, path: Path, context: Context) -> LetNode:
    bindings = []
    inner = context
    for name, value in step.let.items():
        place = (*path, "let", name)
        bindings.append((name, inner.operand(place, template.compile_bare, value)))
        inner = inner.bound(name)
    return LetNode(
        *context.head(step, path, f"let {', '.join(step.let)}"), bindings=tuple(bindings)
    )


@compile_verb.register
def _(step: forms.LogStep, path: Path, context: Context) -> LogNode:
    return LogNode(*context.head(step, path, "log"), text=context.text((*path, "log"), step.log))


@compile_verb.register
def _(step: forms.AskStep, path: Path, context: Context) -> AskNode:
    return AskNode(
        *context.head(step, path, f"ask {template.as_text(step.ask)}"),
        text=context.text((*path, "ask"), step.ask),
    )


@compile_verb.register
def _(step: forms.CheckpointStep, path: Path, context: Context) -> CheckpointNode:
    name = context.fixed((*path, "checkpoint"), step.checkpoint) or ""
    return CheckpointNode(*context.head(step, path, f"checkpoint {name}".rstrip()), name=name)
