"""A program's side of the benchmark: requests by stdin, answers by stdout, a line of JSON each."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

Verb: TypeAlias = Callable[..., Awaitable[Mapping[str, Any]]]
PlainVerb: TypeAlias = Callable[..., Mapping[str, Any]]

# What libraries print is not for the reader of the answers.
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


@functools.cache
def settings() -> dict[str, Any]:
    """What the program was started with: the first line of stdin."""
    given: dict[str, Any] = json.loads(sys.stdin.readline())
    return given


def say(answer: Mapping[str, Any]) -> None:
    """Answer, or be ready."""
    _answers.write(json.dumps(dict(answer)) + "\n")
    _answers.flush()


async def answer_all(verbs: Mapping[str, Verb], ready: Mapping[str, Any] = {}) -> None:
    """Say that all is ready, then answer requests until stdin ends."""
    settings()  # stands before the requests
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    say(ready)
    while line := await reader.readline():
        request = json.loads(line)
        try:
            if request["do"] == "usage":
                say(usage())
            else:
                say(await verbs[request.pop("do")](**request))
        except Exception as error:  # noqa: BLE001 - told to who asked
            traceback.print_exc()
            say({"error": repr(error)})


def answer_all_plainly(verbs: Mapping[str, PlainVerb], ready: Mapping[str, Any] = {}) -> None:
    """The same without an event loop."""
    settings()
    say(ready)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            say(verbs[request.pop("do")](**request))
        except Exception as error:  # noqa: BLE001 - told to who asked
            traceback.print_exc()
            say({"error": repr(error)})


def usage() -> dict[str, float]:
    """CPU time of the process so far in s, and its memory in bytes."""
    return {"cpu": time.process_time(), "rss": resident()}


def resident() -> float:
    """Memory of this process in bytes, now; its peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
