"""One attack after the other on one target, with a healthy client beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator.bench.hostile.attacks import ATTACKS
from orchestrator.bench.hostile.targets import Running, as_json, running
from sim_iocs.free_ports import PortHold

_ANSWER_S = 60.0
_MORE_MB = 20
_MORE_TASKS = 5
"""Tasks come and go: that of whoever asks for their number among them."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one attack did to one target."""

    target: str
    attack: str
    seconds: float
    sent: int
    quiet: dict[str, Any]
    """The healthy client before it, as `healthy.Phase.told`."""
    during: dict[str, Any]
    memory_mb: tuple[float, float, float]
    """Before it, at its end, and when the target had had its rest."""
    descriptors: tuple[int, int]
    """Before it and after the rest."""
    tasks: tuple[int | None, int | None]
    log_lines: int
    log_end: str
    """The last of them."""
    survived: bool

    def faults(self) -> list[str]:
        """What is worse than is promised; empty where the attack was withstood.

        A healthy client's p99 is at most three times that of a quiet time, none of its reads takes
        longer than 0.1 s, it hears each heartbeat, and stays connected; memory comes back to within
        20 MB a minute later at most, no descriptor and no task stays; at most 100 lines of log.
        """
        quiet, during = self.quiet, self.during
        found = {
            "died": not self.survived,
            f"p99 {during['p99_ms']:.1f} ms": during["p99_ms"] > 3 * quiet["p99_ms"],
            f"max {during['max_ms']:.0f} ms": during["max_ms"] > 100,
            f"no heartbeat for {during['longest_gap_s']:.1f} s": during["longest_gap_s"] > 2.2,
            f"disconnected {during['disconnects']} times": during["disconnects"] > 0,
            f"{self.memory_mb[2] - self.memory_mb[0]:.0f} MB more": self.memory_mb[2]
            > self.memory_mb[0] + _MORE_MB,
            f"{self.descriptors[1] - self.descriptors[0]} descriptors more": self.descriptors[1]
            > self.descriptors[0] + 2,
            f"{(self.tasks[1] or 0) - (self.tasks[0] or 0)} tasks more": (self.tasks[1] or 0)
            > (self.tasks[0] or 0) + _MORE_TASKS,
            f"{self.log_lines} lines of log": self.log_lines > 100,
        }
        return [text for text, wrong in found.items() if wrong]


class Healthy:
    """The program `healthy`, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def phase(self) -> dict[str, Any]:
        """Begin a new phase; what the one before was like."""
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 - pipes
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline() or "{}")
        return told


@contextmanager
def healthy(on: Running) -> Iterator[Healthy]:
    """A healthy client of a target."""
    what = [str(on.target.port), on.target.pv, on.target.heartbeat]
    with subprocess.Popen(  # noqa: S603 - a program of ours
        [sys.executable, "-P", "-m", "orchestrator.bench.hostile.healthy", *what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Healthy(process)
        process.kill()


def campaign(
    name: str,
    attacks: Sequence[str],
    *,
    seed: int,
    seconds: float,
    quiet_s: float,
    rest_s: float,
) -> Iterator[Result]:
    """Attack a target that is started for each attack: what one leaves is not the next one's.

    Args:
        name: One of `targets.TARGETS`.
        attacks: Some of `attacks.ATTACKS`.
        seed: Of the dice.
        seconds: The longest that one attack may take.
        quiet_s: How long the healthy client reads before.
        rest_s: How long the target has to give back what it took, at most.
    """
    for attack in attacks:
        with (
            closing(PortHold()) as port,
            closing(PortHold()) as source,
            running(name, port.port, source.port) as target,
            healthy(target) as client,
        ):
            yield _one(target, client, attack, seed, seconds, quiet_s, rest_s)


def _one(
    target: Running,
    client: Healthy,
    attack: str,
    seed: int,
    seconds: float,
    quiet_s: float,
    rest_s: float,
) -> Result:
    time.sleep(1.0)  # until it has settled
    client.phase()
    time.sleep(quiet_s)
    before = target.memory_mb, target.descriptors, target.tasks, target.log_lines
    quiet = client.phase()
    begun = time.monotonic()
    sent = _attack(target, attack, seed, seconds)
    took = time.monotonic() - begun
    during = client.phase()
    at_end = target.memory_mb
    time.sleep(2.0)  # the number of tasks is told once a second
    until = time.monotonic() + rest_s
    while time.monotonic() < until and not _has_rested(target, *before[:3]):
        time.sleep(0.5)
    return Result(
        target=target.name,
        attack=attack,
        seconds=took,
        sent=sent,
        quiet=quiet,
        during=during,
        memory_mb=(before[0], at_end, target.memory_mb),
        descriptors=(before[1], target.descriptors),
        tasks=(before[2], target.tasks if target.alive else None),
        log_lines=target.log_lines - before[3],
        log_end="".join(target.log.read_text(errors="replace").splitlines(keepends=True)[-3:]),
        survived=target.alive,
    )


def _has_rested(target: Running, memory_mb: float, descriptors: int, tasks: int | None) -> bool:
    """Whether it has given back what it took."""
    back = target.memory_mb <= memory_mb + _MORE_MB and target.descriptors <= descriptors
    return back and (target.tasks or 0) <= (tasks or 0) + _MORE_TASKS


def _attack(target: Running, attack: str, seed: int, seconds: float) -> int:
    command = [sys.executable, "-P", "-m", "orchestrator.bench.hostile.attacks"]
    what = [attack, str(seed), str(seconds), json.dumps(as_json(target.target))]
    done = subprocess.run(  # noqa: S603 - a program of ours
        [*command, *what], capture_output=True, text=True, timeout=seconds + _ANSWER_S, check=False
    )
    told = json.loads(done.stdout or "{}")
    if not told:
        raise RuntimeError(f"the attack {attack} has failed:\n{done.stderr}")
    return int(told["sent"]) + int(told["circuits"])


def names(chosen: Sequence[str]) -> list[str]:
    """All attacks, or those that are chosen."""
    return [name for name in ATTACKS if not chosen or name in chosen]
