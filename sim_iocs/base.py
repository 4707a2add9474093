"""What the simulated IOCs share: their command line, a seeded chance, posts and their alarms."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from orchestrator import ioc  # first: caproto reads its settings when it is imported

# isort: split
from caproto import AlarmSeverity, AlarmStatus

from orchestrator.ioc.pvs.posting import NO_ALARM, Alarm, limit_alarm, post

__all__ = ["LINK_LOST", "NO_ALARM", "Alarm", "SimGroup", "limit_alarm", "post", "run_sim", "wait"]

LINK_LOST: Alarm = (AlarmStatus.LINK, AlarmSeverity.INVALID_ALARM)


class SimGroup(ioc.Group):
    """A group of PVs with a source of chance that repeats if it is given a seed.

    Its clock is the running event loop's, so that a test may run it on virtual time.
    """

    def __init__(self, prefix: str, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.random = np.random.default_rng(seed)


def run_sim(
    group: ioc.GroupFactory,
    argv: Sequence[str] | None,
    *,
    default_prefix: str,
    desc: str | None,
    options: Mapping[str, tuple[type, str]] | None = None,
    macros: Mapping[str, str] | None = None,
) -> int:
    """Run a simulated IOC: `run_ioc`'s options, `--seed`, and the IOC's own.

    Args:
        group: made with `prefix`, `macros`, `seed` and its own options that were given.
        argv: arguments after the program's name; those of the process by default.
        default_prefix: of its PV names.
        desc: the module's docstring, which is its PV table.
        options: its own options, by keyword of `group`: type and help.
        macros: of its PV names, as for `run_ioc`.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="repeats all chance")
    for name, (kind, text) in (options or {}).items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=kind, default=argparse.SUPPRESS, help=text)
    own, rest = parser.parse_known_args(argv)
    return ioc.run_ioc(
        partial(group, **vars(own)),
        rest,
        default_prefix=default_prefix,
        desc=f"{desc}\nof its own, {parser.format_help()}",
        macros=macros,
    )


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but no longer than this; whether it has come."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
