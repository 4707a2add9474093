"""Compares PVs with their mirrors, as a client sees both: a line of JSON for each on stdin.

The line is a list of pairs of PV names; answered by a line that lists the differences.
"""

import asyncio
import itertools
import json
import sys
import time
from typing import Any

import aioca
import numpy as np

TIMEOUT = 8.0
"""Seconds that a mirror may take."""


def facts(got: Any) -> dict[str, str]:
    """All that a reply tells but its PV's name: type, alarm and timestamp, or metadata."""
    return {name: repr(fact) for name, fact in vars(got).items() if name != "name"}


def difference(one: Any, other: Any) -> str:
    """How two replies differ, or empty."""
    values = np.asarray(one), np.asarray(other)
    if not np.array_equal(*values, equal_nan=values[0].dtype.kind == "f"):
        return f"{values[0]!r:.100} … {values[1]!r:.100}"
    ours, theirs = facts(one), facts(other)
    return ", ".join(
        f"{name}: {ours.get(name)} … {theirs.get(name)}"
        for name in ours | theirs
        if ours.get(name) != theirs.get(name)
    )


async def differs(pv: str, mirror: str) -> str:
    """Wait until the mirror is like the PV; how they still differ, or empty.

    The PV is read again now and then, as it may change; not each time, as it may change by that.
    """
    deadline = time.monotonic() + TIMEOUT
    as_text = aioca.DBR_CHAR_STR if pv.endswith("$") else None  # as aioca reads the PV by itself
    for form in (aioca.FORMAT_CTRL, aioca.FORMAT_TIME):
        for attempt in itertools.count():
            if attempt % 10 == 0:
                source = await aioca.caget(pv, format=form, timeout=TIMEOUT)
            image = await aioca.caget(mirror, as_text, format=form, timeout=TIMEOUT)
            if not (found := difference(source, image)):
                break
            if time.monotonic() > deadline:
                return f"{pv} … {mirror}: {found}"
            await asyncio.sleep(0.01)
    return ""


async def answer(pairs: list[list[str]]) -> list[str]:
    """What is wrong with these."""
    found = await asyncio.gather(*(differs(*pair) for pair in pairs), return_exceptions=True)
    return [f"{pair}: {text!s}" for pair, text in zip(pairs, found, strict=True) if text]


async def main() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        sys.stdout.write(json.dumps(await answer(json.loads(line))) + "\n")
        sys.stdout.flush()
    aioca.purge_channel_caches()


if __name__ == "__main__":
    asyncio.run(main())
