"""Whether setpoints and their readbacks agree as they are now: warnings before a run."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.engine.readings.environment import NOTHING
from orchestrator.engine.readings.trust import shown
from orchestrator.errors import told_at
from orchestrator.language.foresight.verdicts import Finding, Level
from orchestrator.language.program.nodes import Runnable, walk
from orchestrator.language.program.parts import Put
from orchestrator.language.values.conditions import default_tolerance, is_within
from orchestrator.ports import ChannelView, View
from orchestrator.types import Metadata, NativeType, Severity, path_text


def inconsistent(program: Runnable, view: View) -> Iterator[Finding]:
    """Readbacks that are not where their setpoint is, count in other units, or are INVALID.

    Each pair is told once, at the first step that has it. A readback with a value of its own to
    come to is not compared with the setpoint.
    """
    told = set()
    for node in walk(program.all_steps):
        for put in node.puts:
            if put.readback is None or (put.pv, put.readback) in told:
                continue
            told.add((put.pv, put.readback))
            setpoint, readback = view.channel(put.pv), view.channel(put.readback)
            for text in _disagreements(put, setpoint, readback):
                step = f"{path_text(node.path)} {node.label}"
                yield Finding(Level.WARNING, node.where, node.path, told_at(step, text))


def _disagreements(put: Put, setpoint: ChannelView, readback: ChannelView) -> Iterator[str]:
    if not (setpoint.connected and readback.connected):
        return  # which is told by itself
    if setpoint.metadata is None or readback.metadata is None or readback.reading is None:
        return
    if readback.reading.severity is Severity.INVALID:
        if not put.accept_invalid:
            yield f"{readback.name} is INVALID now, and so satisfies no readback"
        return
    if put.readback_value is not None or put.pv == put.readback:
        return
    units = setpoint.metadata.units, readback.metadata.units
    if all(units) and units[0] != units[1]:
        yield f"{setpoint.name} is in {units[0]}, its readback {readback.name} in {units[1]}"
    elif apart := _apart(put, setpoint, readback):
        yield apart


def _apart(put: Put, setpoint: ChannelView, readback: ChannelView) -> str:
    wanted, read = _number(setpoint), _number(readback)
    if wanted is None or read is None or not (put.tolerance is None or put.tolerance.constant):
        return ""
    tolerance = _tolerance(put, wanted, setpoint.metadata, readback.metadata)
    native = readback.metadata.native if readback.metadata is not None else NativeType.DOUBLE
    if is_within(read, wanted, tolerance, native):
        return ""
    places = [f"{c.name} is at {shown(c, c.reading)}" for c in (setpoint, readback) if c.reading]
    return (
        f"{', but its readback '.join(places)}: unless it moves just now, a put of where it is "
        f"would fail, as the tolerance is {tolerance:.4g}"
    )


def _number(channel: ChannelView) -> float | None:
    """Its value, where that is a number that counts."""
    reading, metadata = channel.reading, channel.metadata
    if reading is None or metadata is None or metadata.native is NativeType.ENUM:
        return None
    if reading.severity is Severity.INVALID or not isinstance(reading.value, int | float):
        return None
    return float(reading.value)


def _tolerance(
    put: Put, wanted: float, setpoint: Metadata | None, readback: Metadata | None
) -> float:
    if put.tolerance is not None:
        value = put.tolerance.evaluate(NOTHING)
        return float(value) if isinstance(value, int | float) else 0.0
    return default_tolerance(wanted, readback, setpoint)
