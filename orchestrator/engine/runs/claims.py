"""Which run may put to which channels, where several go on at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.config import ChannelConfig
from orchestrator.errors import PutError
from orchestrator.language.names import Names, some_of
from orchestrator.language.program.nodes import Another, Runnable, walk
from orchestrator.ports import Channels, always
from orchestrator.types import MAIN_LANE, Value

_LOOK = 0.5
"""s between two looks at what runs that have ended still owe: no event tells when it comes."""


@dataclass(eq=False, slots=True)
class Claim:
    """What one run may put to; no other lane's may, as long as it is held."""

    lane: str
    """Empty = the main one."""
    name: str
    """Of its sequence."""
    run_id: str = ""
    """Empty as long as it has not begun."""
    records: set[str] = field(default_factory=set)
    """What it holds, by `names.Names.record`."""

    @property
    def title(self) -> str:
        """What people call the run."""
        run = f"{self.name or 'a sequence'} {self.run_id}".strip()
        return f"{run} in the lane {self.lane or MAIN_LANE}"


class Claims:
    """The claims of all lanes of a service.

    What a run is known to put to it gets before it begins: all of it, or nothing. What it comes to
    only later (a sequence in Python) it gets at the put, or that put fails. Nobody waits while he
    holds something, so that two runs never wait for each other.
    """

    def __init__(
        self,
        configs: Mapping[str, ChannelConfig],
        names: Names,
        channels: Channels,
        needed: bool,
    ) -> None:
        """Nothing is held yet.

        Args:
            configs: The channels of the configuration, by alias.
            names: By what a channel is one and the same.
            channels: Tells what is still outstanding.
            needed: Whether several ask: where there is but one lane and no door by which channels
                are put to, nothing needs to be claimed.
        """
        self._configs = configs
        self._names = names
        self._channels = channels
        self._needed = needed
        self._held: dict[str, list[Claim]] = {}
        """By record, who holds it: several may where the channel is shared."""
        self._owed: dict[str, Claim] = {}
        """By channel, the run that has ended and whose put has no completion yet."""
        self._freed = asyncio.Event()

    # What a run needs ---------------------------------------------------------------------------

    def wanted(self, program: Runnable, declared: Callable[[str], Iterable[str]]) -> frozenset[str]:
        """What a program is known to put to, stop channels and finalisers included. Computes.

        Args:
            program: What is to be run.
            declared: What a Python sequence of a name says that it writes.
        """
        if not self._needed:
            return frozenset()
        own = set(program.writes)
        for node in walk(program.all_steps):
            own.update(node.claims)
            if isinstance(node.inside, Another) and node.inside.document is None:
                own.update(map(self._names.resolve, declared(node.inside.sequence)))
        if not program.is_known:
            own.update(map(self._names.resolve, declared(program.name)))
        return frozenset(record for name in own for record in self._with_stop(name))

    def _with_stop(self, name: str) -> list[str]:
        """The record of a channel and that of what stops it; nothing where it is shared."""
        record = self._names.record(name)
        config = self._configs.get(record)
        if config is None:
            return [record]
        stop = config.stop
        stops = [] if stop is None else self._with_stop(self._names.resolve(stop.pv))
        return stops if config.share else [record, *stops]

    # Taking and giving back -----------------------------------------------------------------------

    def take(self, claim: Claim, records: Iterable[str]) -> str:
        """Hold all of these, or none of them: then why not, with the runs and the channels."""
        records = set(records) - claim.records
        against: dict[str, list[str]] = {}
        for record in sorted(records):
            if why := self._taken(claim, record):
                against.setdefault(why, []).append(record)
        if against:
            return "; ".join(f"{_listed(names)} {why}" for why, names in against.items())
        for record in records:
            self._held.setdefault(record, []).append(claim)
        claim.records |= records
        return ""

    def _taken(self, claim: Claim, record: str) -> str:
        others = [other for other in self._held.get(record, ()) if other is not claim]
        if others:
            return f"claimed by the run {others[0].title}"
        owed = self._owed.get(record)
        if owed is None:
            return ""
        age = self._channels.outstanding(record)
        if age is None:
            del self._owed[record]
            return ""
        if owed.lane == claim.lane:
            return ""  # as ever: within a lane the next put waits for it
        return f"still owed to the run {owed.title}, which has ended"

    def release(self, claim: Claim) -> None:
        """Give all of it back, but for what has no completion yet; harmless a second time."""
        for record in claim.records:
            left = [other for other in self._held[record] if other is not claim]
            if left:
                self._held[record] = left
            else:
                del self._held[record]
            if self._channels.outstanding(record) is not None:
                self._owed[record] = claim
        if claim.records:
            claim.records = set()
            self._freed.set()
            self._freed = asyncio.Event()

    def held(self, name: str) -> str:
        """Which run may put to a channel alone, as people call it; empty if none does so."""
        record = self._names.record(name)
        config = self._configs.get(record)
        shared = config is not None and config.share
        return "" if shared or record not in self._held else self._held[record][0].title

    async def freed(self) -> None:
        """Return when it is worth while to try again."""
        freed = self._freed
        if not self._owed:
            await freed.wait()
            return
        try:
            async with asyncio.timeout(_LOOK):
                await freed.wait()
        except TimeoutError:
            pass

    def channels(self, claim: Claim, outside: Channels) -> Channels:
        """The same channels; what is not held yet is claimed at the put, or that fails."""
        return _Claimed(self, claim, outside) if self._needed else outside

    def take_at_put(self, claim: Claim, name: str) -> None:
        """Claim a channel that the run is about to put to.

        Raises:
            PutError: Another run holds it.
        """
        if why := self.take(claim, self._with_stop(name)):
            raise PutError(why)


class _Claimed:
    """Implements `ports.Channels` for one run."""

    def __init__(self, claims: Claims, claim: Claim, outside: Channels) -> None:
        self._claims = claims
        self._claim = claim
        self._outside = outside
        self._known: set[str] = set()
        self.connect = outside.connect
        self.get = outside.get
        self.doubled = outside.doubled
        self.outstanding = outside.outstanding

    async def put(
        self,
        name: str,
        value: Value,
        *,
        completion: bool,
        timeout: float,
        permit: Callable[[], None] = always,
    ) -> None:
        """See `ports.Channels.put`."""
        if name not in self._known:
            self._claims.take_at_put(self._claim, name)
            self._known.add(name)
        await self._outside.put(name, value, completion=completion, timeout=timeout, permit=permit)


def _listed(names: list[str]) -> str:
    return f"{some_of(names)} {'are' if len(names) > 1 else 'is'}"
