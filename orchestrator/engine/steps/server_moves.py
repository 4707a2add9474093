"""What a sequence server has acknowledged: of its trajectory, and on its way to an index."""

from __future__ import annotations

from orchestrator.language.names import ServerChannels
from orchestrator.language.text.indices import NO_INDEX
from orchestrator.ports import ChannelView, View
from orchestrator.types import Reading, Severity

Pair = tuple[int, int]
"""seq and index."""


class Acks:
    """The acknowledgements of a server from now on, each of which counts."""

    def __init__(self, view: View, server: ServerChannels) -> None:
        self.last: int | None = None
        """The last one; None before the first."""
        self.risen = False
        """It has gone from 0 to 1: something was taken in hand, and done."""
        self.failed = False
        """It was taken in hand and has failed: an alarm from before is none of ours."""
        self.doubtful = False
        """It was in alarm when it came back: perhaps of this, perhaps because it has nothing."""
        self._heard = False
        self._close = view.watch([server.ack], self._take)

    def _take(self, channel: ChannelView) -> None:
        reading = channel.reading
        if not channel.connected or reading is None or (value := _number(reading.value)) is None:
            return
        self.last = value
        self.risen = value == 1 and self._heard and not reading.unconfirmed
        if reading.unconfirmed:
            self._heard = False
        if value == 0 and not severe(reading):
            self._heard, self.failed = not reading.unconfirmed, False
        elif value == 0:
            self.failed, self.doubtful = self._heard, reading.unconfirmed
        else:
            self.failed = False

    def again(self) -> None:
        """Count anew."""
        self.last, self.risen, self._heard = None, False, False
        self.failed, self.doubtful = False, False

    def close(self) -> None:
        """Nobody asks any more."""
        self._close()


class ServerMove:
    """One server on its way to one index."""

    def __init__(self, server: ServerChannels, pair: Pair, view: View) -> None:
        self.server = server
        self.pair = pair
        """Where it is to go."""
        self.index = view.channel(server.index)
        self.acks = Acks(view, server)
        self.done = False
        """Set by the master, once it was `reached`."""
        self.was_asked = False
        self._ack = view.channel(server.ack)
        self._links = self.index.links
        self._before: Reading | None = None
        """What INDEX showed before its last connection."""
        self._close = view.watch([server.index], self._take)

    def _take(self, channel: ChannelView) -> None:
        if channel.links != self._links:
            self._links, self._before = channel.links, channel.reading

    def close(self) -> None:
        """Nobody asks any more."""
        self._close()
        self.acks.close()

    @property
    def blind(self) -> bool:
        """It has no INDEX, as those of the older kind: only its ACK tells."""
        return self.index.links == 0 and self._ack.links > 0

    @property
    def home(self) -> ChannelView:
        """What is there when the server is."""
        return self._ack if self.blind else self.index

    @property
    def failed(self) -> bool:
        """Whether it can't get there. After a reconnection INDEX has to tell that it could."""
        told = self.index.connected and self.index.reading is not self._before
        return self.acks.failed or (self.acks.doubtful and told)

    @property
    def text(self) -> str:
        """Server and index, for messages."""
        return f"{self.server.name}, index {self.pair[1]} (seq {self.pair[0]})"

    def asked(self) -> None:
        """From here on its acknowledgements are about this index."""
        self.was_asked = True
        self.acks.again()

    def reached(self) -> bool:
        """Whether it is there: INDEX shows it, and ACK is 1; without INDEX ACK has become 1."""
        if self.blind:
            return self.acks.risen
        ack = self._ack.reading
        return (
            self.index.connected
            and self._ack.connected
            and pair_of(self.index) == self.pair
            and ack is not None
            and _number(ack.value) == 1
        )


def home(view: View, server: ServerChannels) -> ChannelView:
    """The channel whose connections are those of a server: INDEX, or ACK where there is none."""
    index = view.channel(server.index)
    return index if index.links else view.channel(server.ack)


def pair_of(channel: ChannelView) -> Pair | None:
    """What an INDEX shows; None while it is disconnected or has shown nothing."""
    reading = channel.reading
    if not channel.connected or reading is None or isinstance(reading.value, str | int | float):
        return None
    if len(reading.value) != 2:
        return NO_INDEX
    try:
        return int(reading.value[0]), int(reading.value[1])
    except (ValueError, OverflowError):  # NaN, an infinity, a text
        return NO_INDEX


def _number(value: object) -> int | None:
    """What an ACK says; as a number, or as text, which has the code of a digit if it is one."""
    match value:
        case int():
            return value - ord("0") if value in (ord("0"), ord("1")) else value
        case str():
            return int(value) if value.isdecimal() else None
        case _:
            return None


def severe(reading: Reading | None) -> bool:
    """Whether it is in MAJOR or INVALID alarm."""
    return reading is not None and reading.severity >= Severity.MAJOR
