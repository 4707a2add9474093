"""What hostile clients do to the service and to others, as it was last tried."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from orchestrator.bench.hostile.attacks import ATTACKS
from orchestrator.bench.hostile.campaign import Result
from orchestrator.bench.hostile.targets import TARGETS
from writers.markdown import code, part, table

RESULTS = Path(__file__).resolve().parent.parent / "hostile.json"
"""What `scripts/hostile --json docs/hostile.json` wrote, a line each."""


def withstands() -> Iterator[str]:
    """The tables of attacks."""
    yield from part("withstands")
    results = {(one.target, one.attack): one for one in map(_result, _lines())}
    yield "## Each attack"
    yield ""
    yield from table(
        ("attack", "what it is", "requests", "reads p50, p99, longest", "memory", "lines of log"),
        (
            (code(name), doc, *_row(results["service", name]))
            for name, (doc, _) in ATTACKS.items()
            if ("service", name) in results
        ),
    )
    yield "## Beside other servers"
    yield ""
    yield "What was worse than promised above; – where nothing was."
    yield ""
    yield from table(
        ("attack", *TARGETS.values()),
        (
            (code(name), *(_verdict(results.get((target, name))) for target in TARGETS))
            for name in ATTACKS
        ),
    )


def _lines() -> list[dict[str, Any]]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def _result(line: Mapping[str, Any]) -> Result:
    return Result(**{field.name: line.get(field.name, "") for field in fields(Result)})


def _row(result: Result) -> tuple[str, str, str, str]:
    quiet, during = result.quiet, result.during
    reads = f"{during['p50_ms']:.1f}, {during['p99_ms']:.1f}, {during['max_ms']:.0f} ms "
    reads += f"(quiet {quiet['p50_ms']:.1f}, {quiet['p99_ms']:.1f}, {quiet['max_ms']:.0f})"
    before, most, after = result.memory_mb
    return (
        f"{result.sent:,}",
        reads,
        f"{before:.0f}, {most:.0f}, {after:.0f} MB",
        str(result.log_lines),
    )


def _verdict(result: Result | None) -> str:
    return "not tried" if result is None else "; ".join(result.faults()) or "–"
