"""`scripts/hostile`: attacks on loopback, on servers that it starts itself."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from orchestrator.bench.hostile.attacks import ATTACKS
from orchestrator.bench.hostile.campaign import Result, campaign, names
from orchestrator.bench.hostile.targets import TARGETS


def main(argv: list[str] | None = None) -> int:
    """Attack, print a line each; 1 if the service or the kit has not withstood one."""
    parser = argparse.ArgumentParser(
        description="Attacks servers of its own on loopback, with a healthy client beside it.",
        epilog="Attacks: " + "; ".join(f"{name}: {doc}" for name, (doc, _) in ATTACKS.items()),
    )
    parser.add_argument("attack", nargs="*", choices=[*ATTACKS, []], help="all by default")
    parser.add_argument("--target", nargs="+", choices=list(TARGETS), default=["service"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="an attack takes at most")
    parser.add_argument("--quiet-s", type=float, default=5.0, help="before each")
    parser.add_argument("--rest-s", type=float, default=60.0, help="after each, at most")
    parser.add_argument("--json", type=Path, help="append the results, a line each")
    options = parser.parse_args(argv)
    failed = False
    for target in options.target:
        for result in campaign(
            target,
            names(options.attack),
            seed=options.seed,
            seconds=options.seconds,
            quiet_s=options.quiet_s,
            rest_s=options.rest_s,
        ):
            sys.stdout.write(line(result) + "\n")
            sys.stdout.flush()
            if options.json:
                with options.json.open("a") as file:
                    told = asdict(result)
                    del told["log_end"]  # it names places of this machine, and is for who looks on
                    file.write(json.dumps(told) + "\n")
            failed = failed or (target in ("service", "kit") and bool(result.faults()))
    return int(failed)


def line(result: Result) -> str:
    """One result as a line of text."""
    quiet, during = result.quiet, result.during
    reads = (
        f"p50 {during['p50_ms']:.1f} p99 {during['p99_ms']:.1f} (quiet {quiet['p99_ms']:.1f}) "
        f"max {during['max_ms']:.0f} ms"
    )
    memory = "→".join(f"{mb:.0f}" for mb in result.memory_mb)
    verdict = "; ".join(result.faults()) or "withstood"
    return (
        f"{result.target:9} {result.attack:13} {result.sent:8} sent  {reads}  {memory} MB  "
        f"{result.log_lines} lines  {verdict}"
    )


if __name__ == "__main__":
    sys.exit(main())
