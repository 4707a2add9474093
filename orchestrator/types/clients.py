"""Clients of a server: what they may ask for, and what became of what they asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What clients may ask of a server; no client in its right mind comes near.

    What is beyond a limit is refused as Channel Access has it, or not read until there is room.
    The limit is told by its name, with the client, in one line of the log.
    """

    circuits: int = 1000
    """Clients connected. Above it, one that has no channel makes room; else the new one goes."""
    channels: int = 20_000
    """Of one client; twice the PVs that are served, where that is more."""
    subscriptions: int = 20_000
    """Of one client; twice the PVs that are served, where that is more."""
    puts: int = 1000
    """Unanswered puts of one client; it is not read on until one has ended."""
    all_puts: int = 10_000
    """Unanswered puts of all clients; beyond, none is read on that has ten or more."""
    unread_bytes: int = 256_000_000
    """Kept for all clients: answers that they do not read, and requests that are not complete.
    Above it, the client for which most is kept is disconnected."""
    commands_per_second: int = 20_000
    """Of one client; it is read no faster."""


@dataclass(frozen=True, slots=True)
class SubscriberFigures:
    """The updates of one PV to one client, in one type.

    posts = delivered + merged + dropped + waiting.
    """

    posts: int = 0
    """Updates that were for it, its first value included."""
    delivered: int = 0
    """Sent to it, or held back by a filter that it asked for."""
    merged: int = 0
    """Not sent, since its subscription ended before."""
    dropped: int = 0
    """Replaced by newer ones because it did not read."""
    waiting: int = 0
    """Not sent yet."""


@dataclass(frozen=True, slots=True)
class ClientFigures:
    """One client's connection."""

    who: str
    """user@host, as it claims; empty before it has said."""
    address: str
    """host:port, as the connection has it."""
    since: float
    """Unix time at which it connected."""
    channels: int
    puts: int
    """Unanswered."""
    subscriptions: int
    lost: Mapping[str, int]
    """Updates dropped, by PV; of those with the most."""
    updates: SubscriberFigures
    """Of all its subscriptions so far, those that it has ended included."""
    unread_bytes: int
    """Sent, but not read by it; what the kernel holds is not seen."""
