"""The row about accounts: whether each update that an IOC has sent is told of, all the way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

from orchestrator.bench.figures import Figure
from orchestrator.bench.hostile import wire
from orchestrator.bench.hostile.wire import Circuit, message
from orchestrator.bench.measured_process import BenchError, Worker
from orchestrator.bench.rig import PREFIX, Channel, Rig

_READERS = {"healthy": -1.0, "slow": 200_000.0, "frozen": 0.0}
"""Bytes that they read a second."""
_QUIET_S = 2.5
"""The service tells its figures once a second."""
_PATIENCE_S = 120.0
_SLOWEST = 1000.0
"""Updates a second that a machine posts at least."""
_CASES = (
    (1, False, False),
    (1, True, False),
    (1, False, True),
    (100, False, False),
    (100, True, False),
    (100, False, True),
    (1000, False, False),
    (1000, True, False),
    (1000, False, True),
)
"""Channels, whether each update is kept, whether the IOC hangs up in between."""
_FEW = ((1, True, False), (100, False, True))


def accounts(rig: Rig) -> Iterator[Figure]:
    """Updates of which nobody tells what became of them, for clients of each kind."""
    updates = rig.some(1_000_000, 20_000)
    for channels, keep_all, lost in _FEW if rig.quick else _CASES:
        yield _case(rig, updates, channels, keep_all=keep_all, lost=lost)


def _case(rig: Rig, updates: int, channels: int, *, keep_all: bool, lost: bool) -> Figure:
    names = [f"C{number}" for number in range(channels)]
    with ExitStack() as stack:
        enter = stack.enter_context
        port = rig.port("source")
        source = enter(rig.program("poster", port=port, prefix=PREFIX, count=channels))
        enter(rig.ours([Channel(name, keep_all=keep_all) for name in names]))
        readers = enter(rig.program("readers"))
        for name, per_s in _READERS.items():
            pvs = [f"ORCH:MON:b:{pv}" for pv in names]
            readers.ask("subscribe", name=name, pvs=pvs, port=rig.port("ours"), per_s=per_s)
        before = _Books.at_rest(rig.port("ours"), source)
        source.ask("begin", updates=updates)
        if lost:
            _hang_up_in_between(source, before.sent, updates)
        source.ask("end", within=_PATIENCE_S + updates / _SLOWEST)
        readers.ask("hurry")
        after = _Books.at_rest(rig.port("ours"), source)
        got = readers.ask("updates")
    return _figure(before, after, got, channels, keep_all=keep_all, lost=lost)


def _hang_up_in_between(source: Worker, sent: int, updates: int) -> None:
    while source.ask("figures")["posts"] < sent + updates / 3:
        time.sleep(0.01)
    source.ask("hang_up")


class _Books:
    """What the IOC and the service tell, once nothing is under way."""

    def __init__(self, port: int, source: Mapping[str, int]) -> None:
        self.source = source
        with Circuit(port) as circuit:
            self.merged = sum(
                _number(circuit, name) for name in ("ORCH:PULL:MERGED", "ORCH:PUSH:MERGED:MON")
            )
            self.reconnects = _number(circuit, "ORCH:CHAIN:b:RECONNECTS")
            clients = json.loads(_text(circuit, "ORCH:CLIENTS"))
        self.clients: dict[str, dict[str, Any]] = {
            one["who"].partition("@")[0]: one for one in clients if one.get("who")
        }

    @property
    def sent(self) -> int:
        """Updates that the IOC has posted for the service."""
        return self.source["posts"]

    @classmethod
    def at_rest(cls, port: int, source: Worker) -> _Books:
        """Wait until two of them say the same, and nothing waits.

        Raises:
            BenchError: That does not come.
        """
        until, last = time.monotonic() + _PATIENCE_S, cls(port, source.ask("figures"))
        while time.monotonic() < until:
            time.sleep(_QUIET_S)
            now = cls(port, source.ask("figures"))
            if now.told == last.told and not now.waits:
                return now
            last = now
        raise BenchError(f"updates are still under way after {_PATIENCE_S:g} s: {last.told}")

    @property
    def told(self) -> object:
        """All that counts."""
        figures = {
            who: [one[name] for name in ("posts", "delivered", "merged", "dropped")]
            for who, one in self.clients.items()
        }
        return self.source, self.merged, figures

    @property
    def waits(self) -> bool:
        """Whether something is still under way, but for a client that does not read."""
        return any(
            self.clients[who]["waiting"] or self.clients[who]["unread_bytes"]
            for who, per_s in _READERS.items()
            if per_s  # the frozen one is not at rest before it reads
        )


def _figure(
    before: _Books,
    after: _Books,
    got: Mapping[str, float],
    channels: int,
    *,
    keep_all: bool,
    lost: bool,
) -> Figure:
    sent = {name: after.source.get(name, 0) - before.source.get(name, 0) for name in after.source}
    # Each loss is an update of each mirror, by ourselves.
    losses = channels * (after.reconnects - before.reconnects)
    published = sent["delivered"] + losses - (after.merged - before.merged)
    wrong = abs(sent["posts"] - sum(v for name, v in sent.items() if name != "posts"))
    parts = {"posted": f"{sent['posts']:,}", "merged by us": f"{after.merged - before.merged:,}"}
    if lost:
        parts["lost with the connection"] = f"{sent.get('waiting', 0):,}"
    for who in _READERS:
        one, first = after.clients[who], before.clients[who]
        wrong += abs(
            one["posts"] - sum(one[n] for n in ("delivered", "merged", "dropped", "waiting"))
        )
        wrong += abs(one["posts"] - first["posts"] - published)
        wrong += abs(one["delivered"] - got[who])
        parts[who] = f"{one['delivered']:,} + {one['dropped']:,} dropped"
    what = f"{channels} channel{'s' if channels > 1 else ''}"
    what += ", keep_all" if keep_all else ", lost in between" if lost else ""
    return Figure(f"{what}: unaccounted", (wrong,), "", at_most=0.0, parts=parts)


def _number(circuit: Circuit, name: str) -> int:
    payload = _read(circuit, name, 5).payload
    return int.from_bytes(payload[:4], "big")


def _text(circuit: Circuit, name: str) -> str:
    return _read(circuit, name, wire.CHAR).payload.partition(b"\0")[0].decode()


def _read(circuit: Circuit, name: str, kind: int) -> wire.Message:
    sid = circuit.channel(name, hash(name) & 0xFFFF)
    circuit.send(message(wire.READ_NOTIFY, kind, 0, sid, 1))
    return circuit.answer(wire.READ_NOTIFY)
