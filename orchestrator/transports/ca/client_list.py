"""Who is connected, told to everybody."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from orchestrator.ioc import IocServer
from orchestrator.types import ClientFigures, Update, fields

_MOST_BYTES = 65_000
"""Of the text; a PV holds 65,536."""

_SUMMED = ("posts", "delivered", "merged", "dropped", "waiting")


def client_updates(server: IocServer) -> Iterator[Update]:
    """What the PVs about clients are to show now."""
    yield Update(fields.CLIENTS_COUNT, server.clients)
    yield Update(fields.PUSH_DROPPED, server.dropped % 2**31)
    yield Update(fields.TASKS, len(asyncio.all_tasks()))
    yield Update(fields.CLIENTS, clients_text(server.client_figures))


def clients_text(figures: Iterable[ClientFigures]) -> str:
    """The clients as a JSON list, those first of whom most was dropped; as many as fit.

    Circuits of one user from one address are one client: a library has one for each priority.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one in sorted(figures, key=lambda one: one.since):
        host, _, _ = one.address.rpartition(":")
        key = (one.who, host)
        rows[key] = _together(rows[key], one) if key in rows else _row(one, host)
    texts, size = [], 0
    ordered = sorted(rows.values(), key=lambda row: (-row["dropped"], -row["unread_bytes"]))
    for number, row in enumerate(ordered):
        text = json.dumps(row)
        size += len(text) + 2
        if size > _MOST_BYTES:
            texts.append(json.dumps({"left_out": len(ordered) - number}))
            break
        texts.append(text)
    return f"[{', '.join(texts)}]"


def _row(one: ClientFigures, host: str) -> dict[str, Any]:
    return {
        "who": one.who,
        "address": host,
        "since": datetime.fromtimestamp(one.since, UTC).isoformat(timespec="seconds"),
        "circuits": 1,
        "channels": one.channels,
        "subscriptions": one.subscriptions,
        "puts": one.puts,
        **{name: getattr(one.updates, name) for name in _SUMMED},
        "unread_bytes": one.unread_bytes,
        "lost": dict(one.lost),
    }


def _together(row: dict[str, Any], one: ClientFigures) -> dict[str, Any]:
    other = _row(one, row["address"])
    names = ("circuits", "channels", "subscriptions", "puts", *_SUMMED, "unread_bytes")
    lost = Counter(row["lost"]) + Counter(other["lost"])
    return row | {name: row[name] + other[name] for name in names} | {"lost": dict(lost)}
