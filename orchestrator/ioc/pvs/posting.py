"""Posting a value into a PV from inside: in the PV's terms, with its time and alarm."""

from __future__ import annotations

import math
from typing import Any

import caproto as ca
import numpy as np
from caproto import AlarmSeverity, AlarmStatus

from orchestrator.ioc.pvs.choice import ChoiceChannel
from orchestrator.ioc.pvs.text import TextChannel

Alarm = tuple[int, int]
"""Status and severity (EPICS alarm.h)."""

NO_ALARM: Alarm = (AlarmStatus.NO_ALARM, AlarmSeverity.NO_ALARM)
UNDEFINED: Alarm = (AlarmStatus.UDF, AlarmSeverity.INVALID_ALARM)
UNREADABLE: Alarm = (AlarmStatus.READ, AlarmSeverity.INVALID_ALARM)
NOT_HEARD: Alarm = (AlarmStatus.COMM, AlarmSeverity.INVALID_ALARM)

_WHOLE = {
    ca.ChannelType.CHAR: (0, 255),
    ca.ChannelType.INT: (-(2**15), 2**15 - 1),
    ca.ChannelType.LONG: (-(2**31), 2**31 - 1),
}


async def post(pv: Any, value: Any, alarm: Alarm = NO_ALARM, at: float | None = None) -> None:
    """Publish a value past the PV's own putter, stamped `at` (Unix time; None = now).

    The value must be in the PV's terms already: see `fitting`.

    >>> import asyncio
    >>> from caproto.server import pvproperty
    >>> from orchestrator.ioc import Group, limit_alarm, post
    >>> class Beam(Group):
    ...     current = pvproperty(value=0.0, upper_warning_limit=300, lower_warning_limit=10)
    >>> pv = Beam(prefix="BEAM:").current
    >>> asyncio.run(post(pv, 5.0, limit_alarm(pv, 5.0)))
    >>> pv.value, pv.severity.name
    (5.0, 'MINOR_ALARM')
    """
    stamp = {} if at is None else {"timestamp": at}
    await pv.write(value, verify_value=False, status=alarm[0], severity=alarm[1], **stamp)


def limit_alarm(pv: Any, value: Any) -> Alarm:
    """The alarm that a value has by the PV's limits, as in an EPICS analog record.

    NaN is undefined, as it is there. Anything but a number is in no alarm.
    """
    if not isinstance(value, int | float):
        return NO_ALARM
    if math.isnan(value):
        return UNDEFINED
    for limits, low, high, severity in (
        ("alarm", AlarmStatus.LOLO, AlarmStatus.HIHI, AlarmSeverity.MAJOR_ALARM),
        ("warning", AlarmStatus.LOW, AlarmStatus.HIGH, AlarmSeverity.MINOR_ALARM),
    ):
        lowest = getattr(pv, f"lower_{limits}_limit", 0)
        highest = getattr(pv, f"upper_{limits}_limit", 0)
        if lowest < highest and value >= highest:
            return high, severity
        if lowest < highest and value <= lowest:
            return low, severity
    return NO_ALARM


def fitting(pv: Any, value: Any) -> Any:
    """The value in the PV's own terms.

    A label or an index for an enum, text for a text, an array (of any shape: it is flattened) or
    a sequence for a waveform, else one number. caproto keeps anything, and fails only when a
    client reads it.

    >>> from caproto.server import pvproperty
    >>> from orchestrator.ioc import Group, fitting
    >>> class Valve(Group):
    ...     state = pvproperty(value="Closed", enum_strings=["Closed", "Open"], dtype=bool)
    >>> fitting(Valve(prefix="V:").state, 1)
    'Open'

    Raises:
        ValueError: It does not fit: names the PV, what it takes, and the value.
    """
    if type(value) is float and pv.data_type == ca.ChannelType.DOUBLE and pv.max_length == 1:
        return value  # nearly always
    try:
        return _fitting(pv, value)
    except (ValueError, TypeError, OverflowError) as error:
        name = getattr(pv, "pvname", "this PV")  # a mirror knows no name
        shown = " ".join(repr(value).split())
        raise ValueError(f"{name} takes {_wanted(pv)}, not {shown:.80}") from error


def _fitting(pv: Any, value: Any) -> Any:
    match pv:
        case ca.ChannelString() if pv.max_length > 1:
            return _texts(pv, value)
        case TextChannel() | ca.ChannelString() | ca.ChannelChar() if not isinstance(value, str):
            raise TypeError
        case TextChannel() | ca.ChannelString() | ca.ChannelChar():
            return value
        case ChoiceChannel():
            return pv.index(value)
        case ca.ChannelEnum():
            return _label(pv, value)
        case _ if pv.max_length == 1:
            return _number(pv, value)
        case _:
            return _array(pv, np.asarray(value))


def _texts(pv: Any, value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else list(value)
    if len(texts) > pv.max_length or not all(isinstance(text, str) for text in texts):
        raise ValueError
    return texts


def _label(pv: Any, value: Any) -> str | int:
    labels = pv.enum_strings
    if isinstance(value, str):
        return str(labels[labels.index(value)])
    index = int(value)
    if index != value or not 0 <= index < len(labels):
        raise ValueError
    # Records may give two states one label: then only the index tells which.
    return str(labels[index]) if labels.count(labels[index]) == 1 else index


def _number(pv: Any, value: Any) -> int | float:
    number = value if type(value) in (int, float) else _of_numpy(value)
    limits = _WHOLE.get(pv.data_type)
    if limits is None:
        return float(number)
    least, most = limits
    if int(number) != number or not least <= number <= most:
        raise ValueError
    return int(number)


def _of_numpy(value: Any) -> int | float:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.size != 1:
        raise ValueError
    number: int | float = array.item()
    return number


def _array(pv: Any, array: Any) -> Any:
    if array.dtype.kind not in "biuf" or array.size > pv.max_length:
        raise ValueError
    flat = array if array.ndim == 1 else array.ravel()
    if pv.data_type != ca.ChannelType.CHAR:
        return flat
    # caproto can't read an empty array of CHAR: whoever reads or posts would fail.
    return flat.astype(np.uint8) if flat.size else b""


def _wanted(pv: Any) -> str:
    match pv:
        case ca.ChannelString() if pv.max_length > 1:
            return f"at most {pv.max_length} texts"
        case TextChannel() | ca.ChannelString() | ca.ChannelChar():
            return "text"
        case ChoiceChannel():
            return f"{', '.join(pv.labels)} or an index"
        case ca.ChannelEnum():
            return f"{', '.join(pv.enum_strings)} or an index"
        case _ if pv.max_length > 1:
            return f"at most {pv.max_length} numbers"
        case _ if pv.data_type in _WHOLE:
            return "a whole number from {} to {}".format(*_WHOLE[pv.data_type])
        case _:
            return "a number"
