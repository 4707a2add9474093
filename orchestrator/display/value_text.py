"""Values, stamps and alarms as text, as camonitor of EPICS base prints them."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from orchestrator.language.values.conditions import DIGITS
from orchestrator.language.values.number_types import shortest
from orchestrator.types import LinkChange, Metadata, NativeType, Reading, Value, alarm_name

_NAME_WIDTH = 30
_MOST_IN_DIGITS = 1e16
"""Beyond, a number has no digits after its point; all of those before it would be a long line."""


def format_value(value: Value, metadata: Metadata | None = None, *, most: int = 10) -> str:
    """A value for people: the label of an enum, as many digits as the server says, its units.

    Args:
        value: As a reading has it.
        metadata: What the server says of it; None where that is not known.
        most: Elements of an array that are shown; how many there are is said in front.
    """
    if isinstance(value, np.ndarray | tuple):
        return _format_elements(value, metadata, most)
    text = _format_one(value, metadata)
    return f"{text} {metadata.units}" if metadata is not None and metadata.units else text


def _format_one(value: float | int | str, metadata: Metadata | None) -> str:
    if metadata is None or isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return metadata.label(value)
    # Without digits in the record (PREC = 0, the default) a number is shown as it is; EPICS takes
    # any int16 for PREC.
    if metadata.precision not in DIGITS or not abs(value) < _MOST_IN_DIGITS:
        shown = shortest(value) if metadata.native is NativeType.FLOAT else value
        return f"{shown:.10g}"
    return f"{value:.{metadata.precision}f}"


def _format_elements(
    value: np.ndarray[tuple[int, ...], np.dtype[np.generic]] | tuple[str, ...],
    metadata: Metadata | None,
    most: int,
) -> str:
    shown = value[:most]
    elements = shown.tolist() if isinstance(shown, np.ndarray) else [repr(text) for text in shown]
    texts = [_format_one(element, metadata) for element in elements]
    if len(value) > most:
        texts.append("…")
    return f"{len(value)} [{' '.join(texts)}]"


def format_stamp(timestamp: float) -> str:
    """A server's stamp as local time, with microseconds; `<undefined>` where it set none."""
    if timestamp <= _EPICS_EPOCH:
        return "<undefined>"
    return datetime.fromtimestamp(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")


_EPICS_EPOCH = 631152000.0
"""1990-01-01 in Unix seconds: the stamp of a record that was never processed."""


def format_update(
    update: Reading | LinkChange, metadata: Metadata | None = None, *, most: int = 10
) -> str:
    """A line for an update: `name  date time  value  STATUS SEVERITY`, the last two in alarm only.

    Args:
        update: A reading, or a channel's loss: `*** disconnected`.
        metadata: Of its channel.
        most: As in `format_value`.
    """
    name = f"{update.channel:<{_NAME_WIDTH}}"
    if isinstance(update, LinkChange):
        return f"{name} *** {'connected' if update.connected else 'disconnected'}"
    value = format_value(update.value, metadata, most=most)
    line = f"{name} {format_stamp(update.timestamp)} {value}"
    if not update.severity and not update.status:
        return line
    return f"{line} {alarm_name(update.status)} {update.severity.name}"
