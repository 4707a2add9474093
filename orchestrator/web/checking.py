"""The check of a sequence, in a process for each: it imports user code and connects to IOCs."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

from orchestrator.api.frames import Frame
from orchestrator.web.problems import ProblemError

_PROGRAM = "orchestrator.web.check_program"
_PATIENCE = 120.0
"""s that one may take."""
_AT_ONCE = 2
_MOST_WAITING = 10


class Checks:
    """Runs checks, few at a time."""

    def __init__(self, config: Any) -> None:
        """`config`: the service's, as JSON."""
        self._config = config
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def check(self, asked: Frame) -> Frame:
        """What a check finds.

        Raises:
            ProblemError: It could not be done.
        """
        if self._waiting >= _MOST_WAITING:
            raise ProblemError(503, "too many checks are waiting", {"Retry-After": "5"})
        self._waiting += 1
        try:
            async with self._places:
                return await self._in_a_process({"config": self._config, **asked})
        finally:
            self._waiting -= 1

    async def _in_a_process(self, asked: Frame) -> Frame:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _PROGRAM),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                out, err = await process.communicate(json.dumps(asked).encode())
        except TimeoutError:
            raise ProblemError(504, f"the check did not end within {_PATIENCE:g} s") from None
        finally:
            with suppress(ProcessLookupError):
                process.kill()  # also where nobody waits for it any more
            await process.wait()
        if process.returncode:
            text = err.decode(errors="replace").strip().rpartition("\n")[2]
            raise ProblemError(500, f"the check has failed: {text}; the service's log has more")
        found: Frame = json.loads(out)
        return found
