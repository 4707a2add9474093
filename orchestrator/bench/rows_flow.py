"""Rows about updates on their way: reactions, many channels, floods, waveforms, subscribers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from orchestrator.bench.figures import Figure, interleaved, percentile, ratio
from orchestrator.bench.measured_process import Worker
from orchestrator.bench.rig import PREFIX, Channel, Rig

_MIRROR = "ORCH:MON:b:"


def reactions(rig: Rig) -> Iterator[Figure]:
    """From the post of an IOC to the callback of another client, by us and by the bare chain."""
    seconds = rig.some(20, 3) / 10
    with ExitStack() as stack:
        enter = stack.enter_context
        source = enter(rig.source(numbers={"N": 2}))
        enter(rig.ours([Channel("N0")]))
        port, mirrors = rig.port("chain"), {f"{PREFIX}N1": "CHAIN:N1"}
        enter(rig.program("chain", port=port, mirrors=mirrors))
        watcher = enter(rig.program("watcher", pvs=[f"{_MIRROR}N0", "CHAIN:N1"]))
        for rate in (100, 1000):
            yield from _reactions(rig, source, watcher, rate, seconds)


def _reactions(
    rig: Rig, source: Worker, watcher: Worker, rate: float, seconds: float
) -> Iterator[Figure]:
    delays: dict[str, list[list[float]]] = {"ours": [], "bare": []}

    def median_of(name: str, pv: str, mirror: str) -> float:
        delays[name].append(_delays(source, watcher, pv, mirror, rate, seconds))
        return percentile(delays[name][-1], 50)

    taken = interleaved(
        rig.rounds,
        {
            "ours": lambda: median_of("ours", "N0", f"{_MIRROR}N0"),
            "bare": lambda: median_of("bare", "N1", "CHAIN:N1"),
        },
    )
    late = {name: [percentile(found, 99) for found in all_] for name, all_ in delays.items()}
    for what, rounds, bar in (("median", taken, 1.25), ("99th percentile", late, 2.0)):
        text = f"{what} at {rate:g}/s / bare chain"
        yield ratio(text, rounds, "ours", "bare", scale=1e3, unit="ms", at_most=bar)


def thousand_channels(rig: Rig) -> Iterator[Figure]:
    """1000 channels at 10 Hz, mirrored and buffered: CPU per update, and whether one is lost."""
    count, seconds = rig.some(1000, 50), rig.some(30, 10) / 10
    names = [f"C{i}" for i in range(count)]
    lost: list[float] = []
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(rig.source(counters=count))
        ours = enter(rig.ours([Channel(name, buffer=1000) for name in names]))
        bare = enter(rig.program("bare", monitor=[f"{PREFIX}{name}" for name in names]))
        chain = enter(rig.program("chain", port=rig.port("chain"), pvs=count))

        def missed() -> int:
            return int(ours.ask("figures")["merged"] + ours.ask("gaps")["missing"])

        def our_cpu() -> float:
            before = missed()
            used = _cpu(ours, lambda: int(ours.ask("figures")["total"]), seconds)
            lost.append(missed() - before)
            return used

        def bare_cpu() -> float:
            callback = _cpu(bare, lambda: int(bare.ask("count")["updates"]), seconds)
            return callback + chain.seconds("writes", count=10)

        taken = interleaved(rig.rounds, {"ours": our_cpu, "bare": bare_cpu})
    what = "CPU per update / callback + write"
    yield ratio(what, taken, "ours", "bare", scale=1e6, unit="µs", at_most=2.0)
    yield Figure("updates merged, values missing in buffers", tuple(lost), "", at_most=0.0)


def flood(rig: Rig) -> Iterator[Figure]:
    """One channel flat out: the loop's lag, and how quickly another channel still comes through."""
    seconds, rate = rig.some(40, 8) / 10, 12_000
    mirrors = [f"{_MIRROR}N0", "ORCH:LOOP_LAG"]
    quiet: list[float] = []
    busy: list[float] = []
    lags: list[float] = []
    still: list[float] = []
    rates: list[float] = []
    merged: list[float] = []
    with ExitStack() as stack:
        enter = stack.enter_context
        source = enter(rig.source(numbers={"N": 2}))
        ours = enter(rig.ours([Channel("N0"), Channel("N1")]))
        watcher = enter(rig.program("watcher", pvs=mirrors))
        for _ in range(rig.rounds):
            quiet.append(
                percentile(_delays(source, watcher, "N0", mirrors[0], 50, seconds / 2), 50)
            )
            still += watcher.ask("collect", pv=mirrors[1])["values"]
            before = ours.ask("figures")
            source.ask("begin", name="N1", rate=rate)
            found = _delays(source, watcher, "N0", mirrors[0], 50, seconds)
            lags += watcher.ask("collect", pv=mirrors[1])["values"]
            rates.append(source.ask("end", name="N1")["posted"] / seconds)
            after = ours.ask("figures")
            busy.append(percentile(found, 50))
            merged.append((after["merged"] - before["merged"]) / seconds)
    taken = {"flooded": busy, "quiet": quiet}
    what = "another channel's reaction / when quiet"
    yield ratio(what, taken, "flooded", "quiet", scale=1e3, unit="ms", at_most=3.0)
    lag, resting = (percentile(values, 99) * 1e3 for values in (lags, still))
    parts = {"when quiet": f"{resting:.3g} ms"}  # what of it is the machine's
    yield Figure("LOOP_LAG, 99th percentile", (lag,), "ms", at_most=20.0, parts=parts)
    yield Figure("posts of the IOC", tuple(rates), "/s", at_least=0.0 if rig.quick else 10_000.0)
    yield Figure("merged and counted (PULL:MERGED)", tuple(merged), "/s")


def waveforms(rig: Rig) -> Iterator[Figure]:
    """A waveform of a million doubles at 20 Hz, mirrored, with one client."""
    length, seconds = rig.some(1_000_000, 50_000), rig.some(20, 8) / 10
    with ExitStack() as stack:
        enter = stack.enter_context
        source = enter(rig.source(wave=length))
        source.ask("begin", name="WAVE", rate=20, length=length)
        enter(rig.ours([Channel("WAVE")]))
        mirrors = {f"{PREFIX}WAVE": "WAVE"}
        chain = rig.program("chain", port=rig.port("chain"), length=length, mirrors=mirrors)
        pvs = {"ours": f"{_MIRROR}WAVE", "bare": "WAVE"}

        def one(name: str) -> float:
            """MB/s; the client takes only one of the two mirrors at a time."""
            with rig.program("watcher", pvs=[pvs[name]]) as watcher:
                began = watcher.ask("reset")["now"]
                time.sleep(seconds)
                found = watcher.ask("collect", pv=pvs[name])
            return float(found["bytes"] / (found["now"] - began) / 1e6)

        enter(chain)
        contestants = {"ours": lambda: one("ours"), "bare": lambda: one("bare")}
        taken = interleaved(rig.rounds, contestants)
    what = "throughput / bare chain"
    yield ratio(what, taken, "ours", "bare", unit="MB/s", at_least=0.8)


def subscribers(rig: Rig) -> Iterator[Figure]:
    """What each further subscriber to a mirror costs the server."""
    many, rate, seconds = rig.some(100, 10), 100, rig.some(20, 8) / 10
    with ExitStack() as stack:
        enter = stack.enter_context
        source = enter(rig.source(numbers={"N": 2}))
        ours = enter(rig.ours([Channel("N0")]))
        mirrors = {f"{PREFIX}N1": "CHAIN:N1"}
        bare = enter(rig.program("chain", port=rig.port("chain"), mirrors=mirrors))
        clients = enter(rig.program("sockets"))

        def cost(server: Worker, pv: str, mirror: str, port: int) -> float:
            """CPU s of the server per update and further subscriber."""
            used = []
            for count in (1, many):
                clients.ask("subscribe", pv=mirror, port=port, count=count)
                used.append(_served(source, clients, server, pv, rate, seconds))
                clients.ask("leave")
            (one_cpu, one_sent), (many_cpu, many_sent) = used
            return float((many_cpu - one_cpu) / (many_sent - one_sent))

        taken = interleaved(
            rig.rounds,
            {
                "ours": lambda: cost(ours, "N0", f"{_MIRROR}N0", rig.port("ours")),
                "bare": lambda: cost(bare, "N1", "CHAIN:N1", rig.port("chain")),
            },
        )
    what = f"CPU per update of subscribers 2 to {many} / caproto"
    yield ratio(what, taken, "ours", "bare", scale=1e6, unit="µs", at_most=1.0)


def _delays(
    source: Worker, watcher: Worker, pv: str, mirror: str, rate: float, seconds: float
) -> list[float]:
    """Seconds from each post of a record to its arrival at the watcher."""
    watcher.ask("reset")
    source.ask("begin", name=pv, rate=rate, stamped=True)
    time.sleep(seconds)
    source.ask("end", name=pv)
    time.sleep(0.1)
    found: list[float] = watcher.ask("collect", pv=mirror)["delays"]
    return found


def _cpu(worker: Worker, updates: Callable[[], int], seconds: float) -> float:
    """CPU s per update, over some time."""
    before, counted = worker.ask("usage")["cpu"], updates()
    time.sleep(seconds)
    used, count = worker.ask("usage")["cpu"] - before, updates() - counted
    return float(used) / max(count, 1)


def _served(
    source: Worker, clients: Worker, server: Worker, pv: str, rate: float, seconds: float
) -> tuple[float, float]:
    """CPU s of a server while a record posts, and the updates that its clients got."""
    clients.ask("updates")
    before = server.ask("usage")["cpu"]
    source.ask("begin", name=pv, rate=rate)
    time.sleep(seconds)
    source.ask("end", name=pv)
    time.sleep(0.1)
    used = float(server.ask("usage")["cpu"]) - before
    return used, clients.ask("updates")["updates"]
