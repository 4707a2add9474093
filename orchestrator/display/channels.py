"""Channels as lines for people and as JSON for programs."""

from __future__ import annotations

import math

import numpy as np

from orchestrator.display.value_text import format_update, format_value
from orchestrator.types import Limits, LinkChange, Metadata, Reading, Value, alarm_name

_NAME_WIDTH = 30


def value_line(reading: Reading, metadata: Metadata | None) -> str:
    """A line for a value that was read: name, value, and the alarm where there is one."""
    value = format_value(reading.value, metadata)
    alarm = "" if not reading.severity else f" {alarm_name(reading.status)} {reading.severity.name}"
    return f"{reading.channel:<{_NAME_WIDTH}} {value}{alarm}"


def update_line(update: Reading | LinkChange, metadata: Metadata | None) -> str:
    """A line for an update, as camonitor prints it."""
    return format_update(update, metadata)


def info_lines(name: str, pv: str, metadata: Metadata | None) -> list[str]:
    """What a server says of a PV, a line a fact."""
    facts = info_facts(metadata) if metadata is not None else {}
    title = name if name == pv else f"{name} ({pv})"
    return [title, *(f"    {key + ':':<12} {_fact(value)}" for key, value in facts.items())]


def info_facts(metadata: Metadata) -> dict[str, object]:
    """What a server says of a PV; limits that are not set are left out."""
    facts: dict[str, object] = {
        "type": metadata.native.name,
        "count": metadata.count,
        "host": metadata.host,
        "access": _access(metadata),
    }
    if metadata.units:
        facts["units"] = metadata.units
    if metadata.precision is not None:
        facts["precision"] = metadata.precision
    if metadata.labels:
        facts["labels"] = list(metadata.labels)
    for kind in ("control", "display", "warning", "alarm"):
        limits: Limits = getattr(metadata, kind)
        if limits.are_set:
            facts[kind] = [_plain(limits.low), _plain(limits.high)]
    return facts


def update_facts(update: Reading | LinkChange, metadata: Metadata | None) -> dict[str, object]:
    """An update for programs."""
    if isinstance(update, LinkChange):
        return {"name": update.channel, "connected": update.connected}
    return {"name": update.channel, "connected": True, **_reading_facts(update, metadata)}


def answer_facts(
    name: str,
    pv: str,
    metadata: Metadata | None,
    reading: Reading | None,
    error: Exception | None,
) -> dict[str, object]:
    """What came of one channel, for programs."""
    facts: dict[str, object] = {"name": name, "pv": pv}
    if error is not None:
        facts["error"] = str(error)
    if reading is not None:
        facts |= _reading_facts(reading, metadata)
    if metadata is not None:
        facts["info"] = info_facts(metadata)
    return facts


def _reading_facts(reading: Reading, metadata: Metadata | None) -> dict[str, object]:
    facts: dict[str, object] = {"value": json_value(reading.value)}
    labels = metadata.labels if metadata is not None else ()
    if isinstance(reading.value, int) and 0 <= reading.value < len(labels):
        facts["label"] = labels[reading.value]
    facts["timestamp"] = reading.timestamp
    facts["severity"] = reading.severity.name
    facts["status"] = alarm_name(reading.status)
    return facts


def json_value(value: Value) -> object:
    """A value as JSON has it: null for NaN and the infinities, lists for arrays."""
    if isinstance(value, np.ndarray | tuple):
        elements = value.tolist() if isinstance(value, np.ndarray) else value
        return [_plain(element) for element in elements]
    return _plain(value)


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _access(metadata: Metadata) -> str:
    granted = [
        word for word, given in (("read", metadata.readable), ("write", metadata.writable)) if given
    ]
    return ", ".join(granted) or "none"


def _fact(value: object) -> str:
    match value:
        case [low, high] if not isinstance(low, str):
            return f"{_end(low, '-inf')} … {_end(high, 'inf')}"
        case list():
            return ", ".join(f"{index} {label}" for index, label in enumerate(value))
        case _:
            return str(value)


def _end(limit: object, infinite: str) -> str:
    return infinite if limit is None else f"{limit:g}"
