"""Rows about steps: puts, scan points, many at once, a million."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from orchestrator.bench.figures import Figure, Rounds, interleaved, ratio
from orchestrator.bench.measured_process import Worker
from orchestrator.bench.rig import PREFIX, Channel, Rig, document, missing


def run_seconds(worker: Worker, steps: Sequence[Mapping[str, Any]]) -> float:
    """Time of a whole run, its check and its end included."""
    return worker.seconds("run", text=json.dumps(document(steps)))


def set_steps(rig: Rig) -> Iterator[Figure]:
    """A `set` step with put-callback, again and again, on a channel as it is by default."""
    count = rig.some(2000, 100)
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(rig.source(numbers={"N": 9}))
        ours = enter(rig.ours([Channel("N0"), Channel("N1", mirror=False)]))
        bare = enter(rig.program("bare"))
        watching = enter(rig.program("bare", monitor=[f"{PREFIX}N8"]))
        # All else is measured on asyncio's loop, on which the peers run as well.
        installed = enter(rig.installed([Channel("N3")]))
        bare_there = enter(rig.program("bare", loop="auto"))
        peers = enter(rig.peers("bluesky", "pyepics", "pysmlib"))
        mirrored, unmirrored = ([_put_loop(f"b.N{i}", count)] for i in range(2))
        contestants = {
            "ours": partial(run_seconds, ours, mirrored),
            "not mirrored": partial(run_seconds, ours, unmirrored),
            "aioca": partial(bare.seconds, "puts", pv=f"{PREFIX}N2", count=count),
            "aioca, watching": partial(watching.seconds, "puts", pv=f"{PREFIX}N8", count=count),
            "as installed": partial(run_seconds, installed, [_put_loop("b.N3", count)]),
            "aioca there": partial(bare_there.seconds, "puts", pv=f"{PREFIX}N4", count=count),
        }
        for number, (name, peer) in enumerate(peers.items()):
            pv = f"{PREFIX}N{5 + number}"
            contestants[name] = partial(peer.seconds, "puts", pv=pv, count=count)
        _once(contestants)
        taken = interleaved(rig.rounds, contestants)
    scale = 1000 / count
    yield ratio(
        "a step / aioca's caput", taken, "ours", "aioca", scale=scale, unit="ms", at_most=1.2
    )
    yield ratio("the same, not mirrored", taken, "not mirrored", "aioca", scale=scale, unit="ms")
    what = "a step / aioca's caput to what it monitors too"
    yield ratio(what, taken, "ours", "aioca, watching", scale=scale, unit="ms")
    what = "the same, both on the loop that is installed"
    yield ratio(what, taken, "as installed", "aioca there", scale=scale, unit="ms")
    what = "as installed / aioca's caput on asyncio's"
    yield ratio(what, taken, "as installed", "aioca", scale=scale, unit="ms")
    yield _peer(rig, taken, "bluesky", scale, ours="as installed", at_least=2.2)
    for name in ("bluesky", "pyepics", "pysmlib"):
        yield _peer(rig, taken, name, scale)


def scan_points(rig: Rig) -> Iterator[Figure]:
    """A positioner with completion and readback, four channels sampled fresh."""
    count = rig.some(500, 30)
    names = [f"N{i}" for i in range(4)]
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(rig.source(numbers={"N": 4}, motor=True))
        ours = enter(rig.ours([Channel("X"), Channel("X_RBV"), *(Channel(n) for n in names)]))
        bare = enter(rig.program("bare"))
        peers = enter(rig.peers("bluesky", "pyepics"))
        move = {"pv": "b.X", "from": 0, "to": count - 1, "num": count}
        loop = {**move, "readback": "b.X_RBV", "tolerance": 0.001, "timeout": 10}
        steps = [{"loop": loop, "do": [{"sample": [f"b.{name}" for name in names]}]}]
        asked: dict[str, Any] = {
            "positioner": f"{PREFIX}X",
            "readback": f"{PREFIX}X_RBV",
            "sampled": [f"{PREFIX}{name}" for name in names],
            "count": count,
        }
        contestants = {
            "ours": partial(run_seconds, ours, steps),
            "aioca": partial(bare.seconds, "scan", **asked),
            **{name: partial(peer.seconds, "scan", **asked) for name, peer in peers.items()},
        }
        _once(contestants)
        taken = interleaved(rig.rounds, contestants)
    scale = 1000 / count
    yield ratio(
        "a point / written by hand", taken, "ours", "aioca", scale=scale, unit="ms", at_most=1.25
    )
    yield _peer(rig, taken, "bluesky", scale, at_least=2.2)
    yield _peer(rig, taken, "pyepics", scale)


def fan_out(rig: Rig) -> Iterator[Figure]:
    """100 channels put at once, by `set: {all}` and by `parallel`."""
    count, wide = rig.some(30, 3), 100
    names = [f"N{i}" for i in range(wide)]
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(rig.source(numbers={"N": wide}))
        ours = enter(rig.ours([Channel(name) for name in names]))
        bare = enter(rig.program("bare"))
        puts = [{"pv": f"b.{name}", "value": "$(i)"} for name in names]
        passes = {"count": count, "as": "i"}
        together = [{"loop": passes, "do": [{"set": {"all": puts}}]}]
        branches = [{"loop": passes, "do": [{"parallel": [{"set": put} for put in puts]}]}]
        pvs = [f"{PREFIX}{name}" for name in names]
        contestants = {
            "set all": partial(run_seconds, ours, together),
            "parallel": partial(run_seconds, ours, branches),
            "gather": partial(bare.seconds, "puts_at_once", pvs=pvs, count=count),
        }
        _once(contestants)
        taken = interleaved(rig.rounds, contestants)
    scale = 1000 / count
    for name in ("set all", "parallel"):
        what = f"{name} / asyncio.gather of caputs"
        yield ratio(what, taken, name, "gather", scale=scale, unit="ms", at_most=1.25)


def million_steps(rig: Rig) -> Iterator[Figure]:
    """A run of a million trivial steps against runs of a thousand."""
    many, few = rig.some(1_000_000, 20_000), 1000
    short_runs = rig.some(20, 3)
    growth = []
    with rig.ours() as ours:
        long, short = ([_count_loop(count)] for count in (many, few))

        def one_long() -> float:
            before = ours.ask("usage")["rss"]
            answer = ours.ask("run", text=json.dumps(document(long)))
            growth.append((answer["rss"] - before) / 1e6)
            return float(answer["seconds"]) / many

        def one_short() -> float:
            """Without what a run costs by itself, which a million steps hide."""
            whole = sum(run_seconds(ours, short) for _ in range(short_runs))
            empty = sum(run_seconds(ours, [_count_loop(1)]) for _ in range(short_runs))
            return (whole - empty) / short_runs / (few - 1)

        _once({"short": one_short})
        run_seconds(ours, [_count_loop(rig.some(100_000, 1000))])
        taken = interleaved(rig.rounds, {"long": one_long, "short": one_short})
    what = "a step of a million / of a thousand"
    yield ratio(what, taken, "long", "short", scale=1e6, unit="µs", at_most=1.05)
    yield Figure("memory that the run of a million takes", tuple(growth), "MB", at_most=2.0)


def python_steps(rig: Rig) -> Iterator[Figure]:
    """A `set` in a Python sequence, its loop in a thread of its own, against one in a document."""
    count = rig.some(5000, 200)
    with rig.program("in_memory", loop="auto") as memory:
        text = json.dumps(document([_put_loop("memory.x", count)]))
        contestants = {
            "document": partial(memory.seconds, "document", text=text),
            "python": partial(memory.seconds, "python", count=count),
        }
        _once(contestants)
        taken = interleaved(rig.rounds, contestants)
    what = "run.set / the step set, on a channel in memory"
    yield ratio(what, taken, "python", "document", scale=1e6 / count, unit="µs")


def journal_steps(rig: Rig) -> Iterator[Figure]:
    """A `set` that is written down before it leaves, against one of which nothing is kept."""
    count = rig.some(5000, 200)
    with ExitStack() as stack:
        enter = stack.enter_context
        store = enter(tempfile.TemporaryDirectory(dir=rig.folder))
        kept = enter(rig.program("in_memory", loop="auto", store=store))
        not_kept = enter(rig.program("in_memory", loop="auto"))
        text = json.dumps(document([_put_loop("memory.x", count)]))
        contestants = {
            "with": partial(kept.seconds, "document", text=text),
            "without": partial(not_kept.seconds, "document", text=text),
        }
        _once(contestants)
        taken = interleaved(rig.rounds, contestants)
    what = "the step set with a journal / without, on a channel in memory"
    yield ratio(what, taken, "with", "without", scale=1e6 / count, unit="µs")


def _count_loop(count: int) -> dict[str, Any]:
    """`count` steps in all: the loop's passes count as those of its body."""
    return {"loop": {"count": count, "as": "i"}, "do": [{"let": {"x": "i + 1"}}]}


def _put_loop(pv: str, count: int) -> dict[str, Any]:
    body = [{"set": {"pv": pv, "value": "=i % 100"}}]
    return {"loop": {"count": count, "as": "i"}, "do": body}


def _once(contestants: Mapping[str, Any]) -> None:
    """Warm up: connections, caches, code."""
    for run in contestants.values():
        run()


def _peer(
    rig: Rig,
    taken: Rounds,
    name: str,
    scale: float,
    ours: str = "ours",
    at_least: float | None = None,
) -> Figure:
    what = f"{name}'s time / {ours}"
    if name not in taken:
        return Figure(what, at_least=at_least, missing=missing(name), skipped=rig.quick)
    return ratio(what, taken, name, ours, scale=scale, unit="ms", at_least=at_least)
