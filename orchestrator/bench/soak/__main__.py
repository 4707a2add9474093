"""`scripts/soak`: random sequences, controls, faults, clients; what must be true after each."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from orchestrator.bench.soak.rounds import Result, conducted, drawn
from orchestrator.bench.soak.testbed import Resources, Testbed, growth
from orchestrator.errors import OrchestratorError


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, print a line for each round; 1 if something was not as it should be."""
    parser = argparse.ArgumentParser(
        description="Random runs on a service and IOCs of its own, all on loopback: what they "
        "leave is checked after each of them, what the service holds at the end."
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, help="so many at most")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    results: list[Result] = []
    held: list[Resources] = []
    wrong = 0
    with Testbed() as bed:
        for result in rounds(bed, options.seed, options.minutes * 60, options.rounds):
            results.append(result)
            held.append(bed.resources())
            wrong += bool(result.findings)
            _say(line(result))
    grown = growth(held)
    _say(*summary(results, held), *(f"grown: {each}" for each in grown))
    _say(f"{len(results)} rounds, {wrong} of them not as they should be")
    return int(wrong > 0 or bool(grown))


def rounds(bed: Testbed, seed: int, seconds: float, most: int | None) -> Iterator[Result]:
    """One after the other; the first after which the testbed is of no more use is the last."""
    dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    deadline = time.monotonic() + seconds
    number = 0
    while time.monotonic() < deadline and (most is None or number < most):
        number += 1
        what = drawn(dice, number)
        try:
            result = conducted(bed, what, seed)
        except (AssertionError, OrchestratorError) as error:
            yield Result(what, "none", 0.0, "", (str(error),))
            return
        yield result
        if result.status == "none":
            return


def line(result: Result) -> str:
    """One result as a line of text."""
    verdict = "; ".join(result.findings) or "ok"
    if result.findings and result.message:
        verdict += f" ({result.message})"
    return (
        f"{result.round.number:5} {result.status:8} {result.seconds:5.1f} s  "
        f"{result.round.name:60}  {verdict}"
    )


def summary(results: Sequence[Result], held: Sequence[Resources]) -> Iterator[str]:
    """How they ended, and what the service held at first and in the end."""
    outcomes = Counter(result.status for result in results)
    yield "ended: " + ", ".join(f"{status} {count}" for status, count in outcomes.most_common())
    if held:
        yield "held: " + ", ".join(
            f"{name} {first:.0f} … {last:.0f}"
            for name, first, last in zip(Resources._fields, held[0], held[-1], strict=True)
        )


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{each}\n" for each in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
