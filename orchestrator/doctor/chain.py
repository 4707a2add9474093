"""The chained IOCs: who answers, who does not, and what may be the matter."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from orchestrator.client import Client
from orchestrator.config import ChainConfig, Config
from orchestrator.doctor.symptom import Symptom, error, ok, warning
from orchestrator.language.names import some_of
from orchestrator.types import LinkChange, Reading, Severity

_TIMEOUT = 2.0
"""s that a host has to answer a connection."""
_SECOND_VALUE = 1.0
"""s in which what is updated has a second value."""
_SKEW = 2.0
"""s by which a stamp of an update that has just come may differ from our clock."""


@dataclass(slots=True)
class _Heard:
    """Takes what the client reports."""

    alarmed: set[str] = field(default_factory=set)
    """Channels that are INVALID."""
    ahead: dict[str, float] = field(default_factory=dict)
    """By channel, s by which the stamp of an update was ahead of our clock; below 0 = behind."""
    values: Counter[str] = field(default_factory=Counter)

    def offer(self, item: Reading | LinkChange) -> None:
        """See `ports.Offer`."""
        if isinstance(item, LinkChange):
            return
        self.values[item.channel] += 1
        if item.severity is Severity.INVALID:
            self.alarmed.add(item.channel)
        else:
            self.alarmed.discard(item.channel)
        skew = item.timestamp - time.time()
        # The first value may be as old as it likes; none can be from the future.
        if skew > 0 or self.values[item.channel] > 1:
            known = self.ahead.get(item.channel)
            self.ahead[item.channel] = skew if known is None else min(known, skew, key=abs)


async def chained(config: Config) -> AsyncIterator[Symptom]:
    """Connect all channels of the configuration; writes nothing."""
    if not config.chain:
        yield warning(
            "chain",
            "the configuration names no IOC: sequences have full PV names only",
            "add [chain.NAME] with its prefix, address and channels",
        )
        return
    heard = _Heard()
    channels = config.remote_channels
    async with Client(channels, heard) as client:
        missing = set(await client.connect(channels, config.ca.connect_timeout))
        there = [name for name in channels if name not in missing]
        doubled = await client.doubled(there)
        await asyncio.sleep(_SECOND_VALUE)
        known = {name: client.metadata(name) for name in there}
    hosts = {name: metadata.host for name, metadata in known.items() if metadata is not None}
    for ioc in config.chain.values():
        async for symptom in _one(ioc, missing, heard):
            yield symptom
    for name, (first, second) in sorted(doubled.items()):
        yield error(
            name,
            f"{channels[name].pv} is served at {first} and at {second}: which answers is chance",
            "stop one of them, or give the right one's address and leave the other out of the list",
        )
    for symptom in _clocks(heard, hosts):
        yield symptom


async def _one(ioc: ChainConfig, missing: set[str], heard: _Heard) -> AsyncIterator[Symptom]:
    about, names = f"chain.{ioc.name}", list(ioc.channels)
    lost = [name for name in names if name in missing]
    if not lost:
        yield ok(about, f"all {len(names)} channels are connected")
    elif len(lost) < len(names):
        yield error(
            about,
            f"{_listed([ioc.channels[n].pv for n in lost])} not found, the other "
            f"{len(names) - len(lost)} channels are connected",
            "compare the names with the IOC's (dbl, --list-pvs)",
        )
    elif names:
        yield await _silent(ioc, about)
    if invalid := [name for name in names if name in heard.alarmed]:
        yield warning(
            about,
            f"{_listed(invalid)} in INVALID alarm: no wait is met by it, and no readback",
            "look after the device behind it, or say accept_invalid",
        )


async def _silent(ioc: ChainConfig, about: str) -> Symptom:
    """What may be the matter with an IOC of which nothing is connected."""
    first = next(iter(ioc.channels.values())).pv
    if not ioc.address:
        return error(
            about,
            f"no answer to any search for {first} or others",
            'is it started, and in the network that is searched? Else say address = "host:port"',
        )
    host, _, port = ioc.address.partition(":")
    place = f"{host}:{port or 5064}"
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, int(port or 5064))
    except TimeoutError:
        return error(
            about,
            f"silence at {place}: neither accepted nor refused",
            f"is {host} up, and does a firewall let TCP and UDP to that port pass?",
        )
    except ConnectionRefusedError:
        return error(
            about,
            f"{host} is there, and nothing listens at {place}",
            "start the IOC, or correct its port",
        )
    except OSError as failed:
        return error(about, f"{place}: {failed.strerror}", "correct the address")
    writer.close()
    return error(
        about,
        f"a server listens at {place}, and answers no search for {first}",
        f"compare the prefix {ioc.prefix!r} with the IOC's names (dbl). If they are right, UDP "
        f"does not pass: have it let through, or search by TCP: EPICS_CA_NAME_SERVERS={place}",
    )


def _clocks(heard: _Heard, hosts: dict[str, str]) -> Iterator[Symptom]:
    """Each host whose stamps are not of our time; by its channel that is the nearest to it."""
    nearest: dict[str, float] = {}
    for name, ahead in heard.ahead.items():
        host = hosts.get(name, "").partition(":")[0]
        nearest[host] = min(nearest.get(host, ahead), ahead, key=abs)
    for host, ahead in sorted(nearest.items()):
        if abs(ahead) > _SKEW:
            which = "ahead of" if ahead > 0 else "behind"
            yield warning(
                "clocks",
                f"the time stamps of {host or 'an IOC'} are {abs(ahead):.1f} s {which} this host's",
                "have both hosts keep their time by NTP: data of several IOCs are compared by it",
            )
    if nearest and all(abs(ahead) <= _SKEW for ahead in nearest.values()):
        yield ok(
            "clocks", f"stamps of {len(nearest)} host{'s' * (len(nearest) > 1)} are of our time"
        )


def _listed(names: Sequence[str]) -> str:
    return f"{some_of(names)} {'are' if len(names) > 1 else 'is'}"
