"""`scripts/crash`: a service that is killed at random moments, on loopback."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from orchestrator.bench.crash.campaign import Campaign, Kill


def main(argv: Sequence[str] | None = None) -> int:
    """Kill a service so many times, print a line each; 1 if something is not as it should be."""
    parser = argparse.ArgumentParser(
        description="Kills a service of its own on loopback (kill -9) at random moments of random "
        "runs, and looks at what is left: files, rows, puts, the queue, what the next one tells."
    )
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a directory for its files, which stay")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="orchestrator-crash-") as temporary:
        directory = options.keep or Path(temporary)
        wrong = 0
        with Campaign(options.seed, directory) as campaign:
            for kill in campaign.kills(options.kills):
                wrong += bool(kill.findings)
                sys.stdout.write(line(kill) + "\n")
                sys.stdout.flush()
    sys.stdout.write(f"{options.kills} kills, {wrong} of them left what they should not\n")
    return int(wrong > 0)


def line(kill: Kill) -> str:
    """One as a line of text."""
    verdict = "; ".join(kill.findings) or "ok"
    where = kill.where if len(kill.where) < 100 else f"{kill.where[:100]}…"
    return f"{kill.number:4} {kill.after:5.2f} s {kill.runs:2} runs  {verdict}  ({where})"


if __name__ == "__main__":
    raise SystemExit(main())
