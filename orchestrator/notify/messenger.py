"""Sends one message, in a process of its own: what hangs or crashes there is nobody's trouble."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

TIMEOUT = 30.0
"""s for a message to all who get it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a message for one receiver."""

    to: str
    """Its URL, without what is secret in it."""
    error: str = ""
    """Why it did not get it; empty = it did."""


async def send(urls: Sequence[str], title: str, body: str) -> list[Sent]:
    """Send a message to each of these; never raises but when cancelled, which ends it."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "orchestrator.notify"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for who asks for it
        )
    except OSError as error:  # no descriptor or no memory is left: the service goes on
        return [Sent("all", f"no process could be started: {error.strerror}")]
    asked = json.dumps({"urls": list(urls), "title": title, "body": body}).encode()
    try:
        async with asyncio.timeout(TIMEOUT):
            told, _ = await process.communicate(asked)
        return [Sent(**each) for each in json.loads(told)]
    except TimeoutError:
        return [Sent("all", f"no answer within {TIMEOUT:g} s")]
    except ValueError:
        return [Sent("all", f"the process that sends has ended ({process.returncode})")]
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
