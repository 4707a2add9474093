"""Puts whose record ends in INVALID alarm: an OUT link that leads nowhere, a device that is off.

A put-callback completes there as it does elsewhere; only the alarm of the record tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.ports import Channels, ChannelView, View
from orchestrator.types import Reading, Severity, alarm_name

_OF_THE_PUT = 1.0
"""s after its end within which an alarm is taken for that of a put."""
_ANSWER = 0.5
"""s that servers have at the end of a run to tell what became of its last puts."""


@dataclass(slots=True)
class _Put:
    """The last put to a channel."""

    text: Callable[[], str]
    """What was put, for people; made only where it is told, as of a waveform it takes long."""
    before: Reading | None
    """The channel's reading when the put was issued."""
    ended: float
    """When, by the loop's clock."""
    seen: bool = False
    """Whether an update has come since."""


class PutAlarms:
    """Tells, for one run, of puts that completed while their record is INVALID.

    Nothing is waited for: completions come before the updates that they caused. `last_look` asks
    for what no update has told.
    """

    def __init__(
        self, channels: Channels, view: View, tell: Callable[[str, Severity], None]
    ) -> None:
        """`tell` gets what an operator should know, once until the record is well again."""
        self._channels = channels
        self._view = view
        self._tell = tell
        self._clock = asyncio.get_running_loop().time
        self._puts: dict[str, _Put] = {}
        self._ends: dict[str, Callable[[], None]] = {}
        self._invalid: dict[str, str] = {}

    @property
    def texts(self) -> list[str]:
        """Of each channel whose last put left its record INVALID, what to tell."""
        return [self._invalid[name] for name in sorted(self._invalid)]

    def watch(self, channel: ChannelView, text: Callable[[], str], before: Reading | None) -> None:
        """A put to a channel has ended; `before` is its reading from when the put was issued.

        `text` makes what was put, for people.
        """
        self._puts[channel.name] = _Put(text, before, self._clock())
        if channel.name not in self._ends:
            self._ends[channel.name] = self._view.watch([channel.name], self._changed)
        self._changed(channel)

    def _changed(self, channel: ChannelView) -> None:
        put, reading = self._puts[channel.name], channel.reading
        if reading is None or reading is put.before or not channel.connected:
            return
        put.seen = put.seen or reading.received >= put.ended
        if self._clock() - put.ended <= _OF_THE_PUT:
            self._look(channel.name, put, reading)

    def _look(self, name: str, put: _Put, reading: Reading) -> None:
        if reading.severity is not Severity.INVALID:
            self._invalid.pop(name, None)
            return
        is_new = name not in self._invalid
        self._invalid[name] = text = invalid_text(name, put.text(), reading)
        if is_new:
            self._tell(text, Severity.MINOR)

    async def last_look(self) -> None:
        """Ask for the channels that have posted nothing since their last put."""
        unseen = {name: put for name, put in self._puts.items() if not put.seen}
        names = [name for name in unseen if self._view.channel(name).connected]
        if not names:
            return
        replies = await self._channels.get(names, _ANSWER, beside=True)
        for name, reply in replies.items():
            if isinstance(reply, Reading):
                self._look(name, unseen[name], reply)

    def close(self) -> None:
        """The run is over."""
        for end in self._ends.values():
            end()
        self._ends.clear()


def invalid_text(name: str, put: str, reading: Reading) -> str:
    """What to tell of a put whose record is INVALID."""
    alarm = alarm_name(reading.status)
    return f"{name}: the put of {put} was done, but its record is in INVALID alarm ({alarm})"
