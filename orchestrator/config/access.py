"""Who may write: rules `user@host`, in which a `*` stands for any text."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address


def may_write(rules: Sequence[str], user: str, host: str) -> bool:
    """Whether a client that claims to be `user@host` may write; without rules everyone may."""
    return not rules or any(_matches(rule, user, host) for rule in rules)


def useless(rules: Sequence[str], host: str = "") -> Iterator[str]:
    """Why rules match nobody, a line each: clients tell the name of their host, as `hostname` does.

    Args:
        rules: As configured.
        host: The name of this host, for the hint; by default as the system has it.
    """
    host = host or socket.gethostname()
    for rule in rules:
        user, _, place = rule.rpartition("@")
        if place != host and (place.casefold() == "localhost" or _is_address(place)):
            yield (
                f"{rule!r} matches nobody: clients tell the name of their host, not {place!r}; "
                f"those of this one are {user}@{host}"
            )


def _matches(rule: str, user: str, host: str) -> bool:
    their_user, _, their_host = rule.rpartition("@")
    return _fits(their_user, user) and _fits(their_host, host)


def _fits(pattern: str, text: str) -> bool:
    """Whether a text is of a pattern; looked for piece by piece, so that it takes linear time."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *middle, last = others
    if not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        at = text.find(piece, at, max(end, 0))
        if at < 0:
            return False
        at += len(piece)
    return at <= end


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
