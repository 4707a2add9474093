"""Two runs side by side: what they were given, what they came to, how long their steps took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from orchestrator.data.past.account import Account, StepDone
from orchestrator.data.past.finder import PastRun
from orchestrator.data.past.table import RunTable


@dataclass(frozen=True, slots=True)
class Compared:
    """One fact of both."""

    kind: str
    """`run`, `argument`, `step`, `data` or `value`."""
    name: str
    first: object
    second: object
    """None where one has no such thing."""

    @property
    def differs(self) -> bool:
        """Whether they are not the same."""
        return bool(self.first != self.second)


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of one."""

    run: PastRun
    account: Account
    """With all steps."""
    table: RunTable


def compare(first: Known, second: Known) -> list[Compared]:
    """What both are, item by item."""
    return [
        *_pairs("run", _of_run(first), _of_run(second)),
        *_pairs("argument", _arguments(first), _arguments(second)),
        *_pairs("step", _steps(first.account.steps), _steps(second.account.steps)),
        *_pairs("data", _data(first.table), _data(second.table)),
        *_pairs("value", _values(first), _values(second)),
    ]


def _pairs(
    kind: str, first: Mapping[str, object], second: Mapping[str, object]
) -> Iterator[Compared]:
    for name in dict.fromkeys((*first, *second)):
        yield Compared(kind, name, first.get(name), second.get(name))


def _of_run(known: Known) -> dict[str, object]:
    run, account = known.run, known.account
    document = [source["text"] for source in account.header.get("sources", ())]
    return {
        "id": run.run_id,
        "name": run.name,
        "outcome": run.outcome,
        "message": run.message,
        "started": run.started and run.started.astimezone().isoformat(timespec="seconds"),
        "seconds": None if run.seconds is None else round(run.seconds, 1),
        "owner": run.owner,
        "document": f"{hash_of(document)}",
        "steps": account.entered,
        "puts": account.puts,
        "points": run.points,
        "failures": account.failed,
    }


def hash_of(texts: Iterable[str]) -> str:
    """By which two documents are told apart."""
    from hashlib import sha256

    return sha256("\0".join(texts).encode()).hexdigest()[:8]


def _arguments(known: Known) -> Mapping[str, object]:
    return dict(known.account.header.get("arguments", {}))


def _values(known: Known) -> Mapping[str, object]:
    given = _arguments(known)
    return {name: value for name, value in known.account.values.items() if name not in given}


def _steps(steps: Iterable[StepDone]) -> dict[str, object]:
    """By path and name: how often it was left, how, and how long it took on the average, s."""
    taken: dict[str, list[float]] = defaultdict(list)
    ends: dict[str, dict[str, int]] = defaultdict(dict)
    for step in sorted(steps, key=lambda step: step.number):
        name = f"{step.path} {step.name}"
        if step.ended is not None:
            taken[name].append(step.ended - step.began)
        ends[name][step.how] = ends[name].get(step.how, 0) + 1
    return {name: {"seconds": round(fmean(taken[name] or [0.0]), 3), **ends[name]} for name in ends}


def _data(table: RunTable) -> dict[str, object]:
    """Of each channel: how many numbers, the smallest, mean and largest."""
    found: dict[str, object] = {}
    for name in table.columns:
        numbers = table.numbers(name)
        finite = numbers[np.isfinite(numbers)]
        if finite.size:
            low, mean, high = (float(f"{n(finite):.6g}") for n in (np.min, np.mean, np.max))
            found[name] = {"points": int(finite.size), "min": low, "mean": mean, "max": high}
    return found
