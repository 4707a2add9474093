"""What the device has for the log: chained IOCs that come and go, commands that are refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from orchestrator.device.mirrors import Mirrors
from orchestrator.language.names import some_of
from orchestrator.types import Command, PullItem, Reply, Tick, Update, Verb, fields

log = structlog.get_logger(__name__)

_SHOWN = 120
"""Characters of a command that a line shows."""
_REFUSALS = 20
"""Refused commands that are logged in a minute; the others are counted."""
_MINUTE = 60


@dataclass(slots=True)
class _Told:
    """What was last told of one IOC."""

    up: int = 0
    reconnects: int = 0
    whole: bool = False
    lost: bool = False
    """Some of it, told as such: no news until it is whole again, or more is lost."""


class News:
    """Looks at what happened, at each pulse, and logs it; decides nothing.

    An IOC's thousand channels go within a moment, one by one: told is how it stands at the pulse.
    """

    def __init__(self, mirrors: Mirrors, wait: float) -> None:
        """`wait`: s after the start when an IOC that is not there is missing."""
        self._mirrors = mirrors
        self._wait = wait
        self._waited = False
        self._told = {ioc: _Told() for ioc in mirrors.iocs}
        self._minute = 0
        self._refused = 0

    def take(self, item: PullItem, decisions: Iterable[object]) -> None:
        """Log what was decided about an item; called for all but readings."""
        match item:
            case Command():
                self._take_command(item, decisions)
            case Tick():
                self._take_tick(item)
            case _:
                pass

    # Chained IOCs -----------------------------------------------------------------------------

    def _take_tick(self, tick: Tick) -> None:
        if tick.beat // _MINUTE > self._minute:
            self._minute = tick.beat // _MINUTE
            self._tell_unlogged()
        late = not self._waited and tick.beat >= self._wait
        self._waited = self._waited or late
        for ioc, told in self._told.items():
            up, reconnects = self._mirrors.up(ioc), self._mirrors.reconnects(ioc)
            if late or up != told.up or reconnects != told.reconnects:
                self._tell(ioc, told, up, reconnects)

    def _tell(self, ioc: str, told: _Told, up: int, reconnects: int) -> None:
        size = self._mirrors.size(ioc)
        back = reconnects > told.reconnects
        facts = {"ioc": ioc, "connected": up, "channels": size}
        if up == size and (back or not told.whole):
            log.info("IOC back" if back or told.whole else "IOC connected", **facts)
        elif up < size and told.up > up:
            log.info("IOC lost" if up == 0 else "channels lost", **facts, lost=self._down(ioc))
            told.lost = True
        elif up < size and self._waited and not told.lost:
            text = "IOC missing" if up == 0 else "channels missing"
            log.info(text, **facts, missing=self._down(ioc))
        told.up, told.reconnects, told.whole = up, reconnects, up == size
        told.lost = told.lost and not told.whole

    def _down(self, ioc: str) -> str:
        return some_of(self._mirrors.down(ioc))

    # Commands ---------------------------------------------------------------------------------

    def _take_command(self, command: Command, decisions: Iterable[object]) -> None:
        refused = ""
        for decision in decisions:
            match decision:
                case Reply(error=error) if error:
                    refused = error
                case Update(field=fields.MESSAGE, value=str(text)):
                    refused = refused or text  # of one that changes nothing too
                case _:
                    pass
        if refused:
            self._tell_refusal(command, refused)
        else:
            log.debug("command", what=_what(command), by=command.owner)

    def _tell_refusal(self, command: Command, reason: str) -> None:
        self._refused += 1
        if self._refused <= _REFUSALS:
            log.info("refused", what=_what(command), by=command.owner, reason=reason)

    def _tell_unlogged(self) -> None:
        unlogged, self._refused = max(self._refused - _REFUSALS, 0), 0
        if unlogged:
            log.info("more commands were refused", not_logged=unlogged)


def _what(command: Command) -> str:
    text = command.text if command.verb is Verb.COMMAND else f"{command.verb} {command.text}"
    text = f"@{command.lane} {text}" if command.lane else text
    line = str(text).strip().partition("\n")[0]
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
