"""`scripts/faults`: faults of chained IOCs at each moment of a run, all on loopback."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path

from orchestrator.bench.matrix.cells import Cell, Result, all_cells
from orchestrator.bench.matrix.injections import INJECTIONS
from orchestrator.bench.matrix.moments import MOMENTS
from orchestrator.bench.matrix.victims import VICTIMS
from orchestrator.bench.matrix.workers import tried


def main(argv: Sequence[str] | None = None) -> int:
    """Try cells, print a line each; 1 if one is not as it should be."""
    parser = argparse.ArgumentParser(
        description="Strikes chained IOCs of its own on loopback, at each moment of a run.",
        epilog=_known(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        nargs="+",
        default=["*"],
        metavar="VICTIM/FAULT/MOMENT",
        help="those cells alone; * stands for any text",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4, help="cells at the same time")
    parser.add_argument("--some", type=int, help="so many of them, as the seed has it")
    parser.add_argument("--list", action="store_true", help="name the cells and try none")
    parser.add_argument("--json", type=Path, help="write the results, a line each")
    options = parser.parse_args(argv)
    cells = chosen(options.only)
    if not cells:
        parser.error(f"no cell is named {' '.join(options.only)}")
    if options.some is not None:
        dice = random.Random(options.seed)  # noqa: S311 - to be repeated, not to be secret
        cells = dice.sample(cells, min(options.some, len(cells)))
    if options.list:
        sys.stdout.write("".join(f"{cell.name}\n" for cell in cells))
        return 0
    results = []
    for result in tried(cells, seed=options.seed, workers=options.workers):
        results.append(result)
        sys.stdout.write(line(result) + "\n")
        sys.stdout.flush()
    if options.json:
        options.json.write_text(
            "".join(json.dumps(asdict(each)) + "\n" for each in sorted(results, key=_place))
        )
    wrong = sum(bool(result.findings) for result in results)
    sys.stdout.write(f"{len(results)} cells, {wrong} of them not as they should be\n")
    return int(wrong > 0)


def chosen(patterns: Sequence[str]) -> list[Cell]:
    """The cells that one of the patterns names."""
    return [cell for cell in all_cells() if any(fnmatch(cell.name, each) for each in patterns)]


def line(result: Result) -> str:
    """One result as a line of text."""
    name = f"{result.victim}/{result.fault}/{result.moment}"
    verdict = "; ".join(result.findings) or "ok"
    return f"{name:42} {result.status:8} {result.seconds:5.1f} s  {verdict}"


def _place(result: Result) -> tuple[int, int, int]:
    """Where it stands in the tables."""
    return (
        list(VICTIMS).index(result.victim),
        list(INJECTIONS).index(result.fault),
        list(MOMENTS).index(result.moment),
    )


def _known() -> str:
    return "\n".join(
        f"{title}:\n" + "".join(f"  {name:19} {each.doc}\n" for name, each in table.items())
        for title, table in (
            ("victims", VICTIMS),
            ("faults", INJECTIONS),
            ("moments", MOMENTS),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
