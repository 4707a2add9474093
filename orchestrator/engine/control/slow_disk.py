"""Where what is kept of a run waits for the disk, the run does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.step_scope import End
from orchestrator.types import Severity

_UNTOLD = 1.0
"""s for which the disk is waited for before that is told."""


class Kept(Protocol):
    """What goes to the disk; a part of `ports.Recorder` and `ports.Journal`."""

    @property
    def lack(self) -> str:
        """Why nothing can be kept at all; empty where the disk is slow."""

    async def room(self) -> None:
        """Return when the disk has taken enough."""


async def has_room(
    kept: Kept,
    control: RunControl,
    tell: Callable[[str, Severity], None],
    waits: str,
    goes_on: str,
) -> bool:
    """Wait until the disk has taken enough; False if that was skipped.

    Args:
        kept: What is far behind.
        control: Of the run. A second abort ends the wait: a little more is kept then.
        tell: Tells the operator, if it takes long.
        waits: What is told then.
        goes_on: What is told in the end.

    Raises:
        StopRun: STOP was asked for.
        StoreFullError: There is no room in the store, and the run is to fail.
    """
    with control.step_scope(moving=False, given_up=True) as scope:
        try:
            async with asyncio.timeout(0 if kept.lack else _UNTOLD):
                await kept.room()
        except TimeoutError:
            lack = kept.lack
            text = f"{lack}; the run waits until there is room, and nothing is lost"
            tell(text if lack else waits, Severity.MAJOR if lack else Severity.MINOR)
            await kept.room()
            tell(goes_on, Severity.NO_ALARM)
    await control.gate()
    return scope.ended is not End.SKIP
