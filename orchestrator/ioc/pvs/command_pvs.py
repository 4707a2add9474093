"""Who puts, and whether they wait: what caproto does not tell a putter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from caproto.server import PvpropertyInteger

from orchestrator.ioc.pvs.text import TextPV


async def _at_once() -> None:
    """Nobody to send anything to."""


@dataclass(frozen=True, slots=True)
class Put:
    """The put that is being served."""

    user: str = ""
    """As the client claims."""
    host: str = ""
    """As the client claims."""
    waiting: bool = False
    """Whether the client waits for its completion (a put-callback)."""
    updates_sent: Callable[[], Awaitable[None]] = _at_once
    """Returns when the client has been sent what was posted before; bounded.

    Without it a put-callback may complete before the updates that led to it arrive, as it
    does with a C IOC.
    """

    @property
    def owner(self) -> str:
        """user@host, as the client claims; empty for a put from inside."""
        return f"{self.user}@{self.host}" if self.user or self.host else ""


_NO_PUT = Put()
_current: ContextVar[Put] = ContextVar("put", default=_NO_PUT)


def current_put() -> Put:
    """The put in whose putter this is called; an empty one outside of any."""
    return _current.get()


def set_current_put(put: Put) -> None:
    """Set what `current_put` gives in this task and in the tasks that it starts from now on."""
    _current.set(put)


class CommandPV(PvpropertyInteger):  # type: ignore[misc] # caproto is untyped
    """An integer PV whose puts go to its putter and nowhere else.

    Unlike any other of caproto's PVs, a put neither posts nor keeps a value, and one that its
    putter refuses leaves no alarm: what clients see of the PV is only what is written from
    inside with `verify_value=False`. caproto itself would post one more update, in alarm,
    after the last one of a run that failed (ChannelData.write).

    >>> from caproto.server import pvproperty
    >>> from orchestrator.ioc import CommandPV, CommandTextPV, Group, current_put
    >>> class Desk(Group):
    ...     stop = pvproperty(dtype=CommandPV, value=0)
    ...     order = pvproperty(dtype=CommandTextPV, max_length=1000)
    ...
    ...     @stop.putter
    ...     async def stop(self, instance, value):
    ...         print(f"stopped by {current_put().owner}")
    >>> list(Desk(prefix="DESK:").pvdb)
    ['DESK:stop', 'DESK:order']
    """

    async def write_from_dbr(
        self, data: Any, data_type: Any, metadata: Any, *, flags: int = 0
    ) -> None:
        """Hand a client's value to the putter; called by caproto."""
        del data_type, metadata, flags
        if self.putter is not None:
            await self.putter(self, int(float(data[0])))


class CommandTextPV(TextPV):
    """A text PV whose puts are shown, and then go to its putter; else as `CommandPV`."""

    async def write_from_dbr(
        self, data: Any, data_type: Any, metadata: Any, *, flags: int = 0
    ) -> None:
        """Show a client's text, and hand it to the putter; called by caproto.

        Raises:
            ValueError: It is longer than the PV.
        """
        del data_type, metadata
        text = self.taken(data)
        await self.write(text, verify_value=False, flags=flags)
        if self.putter is not None:
            await self.putter(self, text)
