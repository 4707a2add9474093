"""Which values count: connected, not INVALID, and confirmed since the last reconnection."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.language.values.number_types import shortest
from orchestrator.ports import ChannelView
from orchestrator.types import NativeType, Reading, Severity, alarm_name
from orchestrator.verbs.awaited import NOTHING_MORE, Accept

UNCONFIRMED = "unconfirmed since the reconnection: perhaps a restarted IOC's default"
"""The doubt that somebody who knows better may set aside."""


class Trust:
    """Knows which channels this run's own puts have confirmed."""

    def __init__(self) -> None:
        self._confirmed: dict[str, int] = {}

    def confirm(self, channel: ChannelView) -> None:
        """A put of this run to the channel has completed, on its present connection."""
        self._confirmed[channel.name] = channel.links

    def reading(self, channel: ChannelView, accept: Accept = NOTHING_MORE) -> Reading | None:
        """The channel's reading, if it may satisfy a condition."""
        return None if self.doubt(channel, accept) else channel.reading

    def doubt(self, channel: ChannelView, accept: Accept = NOTHING_MORE) -> str:
        """Why its reading may not satisfy a condition; empty = it may."""
        reading = channel.reading
        if not channel.connected:
            return "disconnected"
        if reading is None:
            return "no value yet"
        if not is_usable(channel, reading, accept):
            cause = f" ({alarm_name(reading.status)})" if reading.status else ""
            return f"its alarm is INVALID{cause}"
        if reading.unconfirmed and not (accept.restart or self._is_confirmed(channel)):
            return UNCONFIRMED
        return ""

    def is_unconfirmed(self, channel: ChannelView, accept: Accept = NOTHING_MORE) -> bool:
        """Whether nothing that it holds counts yet: it may be a restarted IOC's default."""
        reading = channel.reading
        if reading is None or not reading.unconfirmed:
            return False
        return not (accept.restart or self._is_confirmed(channel))

    def _is_confirmed(self, channel: ChannelView) -> bool:
        return self._confirmed.get(channel.name) == channel.links


def is_usable(channel: ChannelView, reading: Reading, accept: Accept) -> bool:
    """Whether the alarm of a reading lets it count: INVALID does where it is what was asked for."""
    if reading.severity is not Severity.INVALID or accept.invalid:
        return True
    return channel.metadata is not None and channel.metadata.of_alarm


def disconnected(channels: Iterable[ChannelView]) -> list[str]:
    """Which of them are, as doubts are told."""
    return [f"{channel.name}: disconnected" for channel in channels if not channel.connected]


def seen(channel: ChannelView, doubt: str = "") -> str:
    """A channel and the last value seen, for error texts."""
    reading = channel.reading
    if reading is None:
        return f"{channel.name} has delivered no value" + (f" ({doubt})" if doubt else "")
    text = f"{channel.name} was last seen at {shown(channel, reading)}"
    notes = [doubt] if doubt else []
    if reading.severity and not doubt:
        notes.append(f"alarm {reading.severity.name}")
    return text + (f" ({', '.join(notes)})" if notes else "")


def shown(channel: ChannelView, reading: Reading) -> str:
    """A value as people read it: the label of an enum, a number with its units."""
    value, metadata = reading.value, channel.metadata
    if metadata is not None and metadata.labels and isinstance(value, int):
        known = 0 <= value < len(metadata.labels)
        return repr(metadata.labels[value]) if known else f"index {value}"
    if isinstance(value, float):
        is_float = metadata is not None and metadata.native is NativeType.FLOAT
        text = f"{shortest(value) if is_float else value:.10g}"
    else:
        text = repr(value) if isinstance(value, str | int) else f"{len(value)} elements"
    return f"{text} {metadata.units}" if metadata is not None and metadata.units else text
