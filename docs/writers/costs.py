"""What it costs: the figures as they were last taken."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from writers.markdown import table

FIGURES = Path(__file__).resolve().parent.parent / "figures.json"
"""What `scripts/bench --json docs/figures.json` wrote when the figures were last taken."""

# Costs ----------------------------------------------------------------------------------------


def figures() -> Iterator[str]:
    """The table of costs."""
    report = json.loads(FIGURES.read_text(encoding="utf-8"))
    versions = ", ".join(f"{name} {text}" for name, text in report["versions"].items())
    yield "# Figures"
    yield ""
    yield "Medians of interleaved rounds, from the lowest to the highest; how to read them, and"
    yield "what limits each: [what it costs](../explanations/performance.md)."
    yield ""
    busy = f", load {report['load']}" if "load" in report else ""
    yield f"Python {report['python']} on {report['machine']}{busy}; {versions}."
    yield ""
    for row in report["rows"]:
        yield f"## `{row['name']}`: {row['title']}"
        yield ""
        if row["error"]:
            yield f"Could not be measured: {row['error'].splitlines()[0]}"
            yield ""
        yield from table(
            ("figure", "median", "lowest … highest", "bar", "", "made of"),
            (_figure(figure) for figure in row["figures"]),
        )


def _figure(figure: Mapping[str, Any]) -> tuple[str, ...]:
    bars = (("≤", figure["at_most"]), ("≥", figure["at_least"]))
    bar = "".join(f"{sign} {value:g}" for sign, value in bars if value is not None)
    met = {None: "", True: "met", False: "**not met**"}[figure["met"]]
    if "missing" in figure:
        return figure["what"], "–", "", bar, met, figure["missing"]
    median = f"{figure['median']:.3g} {figure['unit']}"
    parts = ", ".join(f"{name} {text}" for name, text in figure["parts"].items())
    return figure["what"], median, f"{figure['low']:.3g} … {figure['high']:.3g}", bar, met, parts
