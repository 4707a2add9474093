"""When the sequence of a lane is started again by itself."""

from __future__ import annotations

from orchestrator.config import LaneConfig
from orchestrator.types import RunRequest, RunStatus

FIRST = 1.0
"""s before it is started again, at first; each time twice as long …"""
LONGEST = 60.0
"""… but no longer than this; one that ran longer than this begins anew with the first."""

_AGAIN = {
    "never": (),
    "on_failure": (RunStatus.FAILED, RunStatus.TIMEOUT),
    "always": (RunStatus.FAILED, RunStatus.TIMEOUT, RunStatus.SUCCESS),
}
"""After which outcomes. Whoever stops or aborts a run wants it to have ended."""


class Restarts:
    """Decides for one lane."""

    def __init__(self, config: LaneConfig) -> None:
        """`config`: of the lane."""
        self._config = config
        self.sequence = config.sequence
        """What the lane runs by itself; empty = nothing."""
        self._wait = FIRST
        self.count = 0
        """Times so far."""

    def own(self, how: str) -> RunRequest | None:
        """What the lane runs by itself; None = nothing."""
        config = self._config
        if not config.sequence:
            return None
        return RunRequest(
            0,
            config.sequence,
            args=config.args,
            always_a_run=True,
            how=how,
            lane=config.name,
            waits=True,
        )

    def wait(self, request: RunRequest, status: RunStatus, lasted: float) -> float | None:
        """S until it is started again; None = it is not.

        Args:
            request: What has run.
            status: How it ended.
            lasted: s that it ran.
        """
        own = request.name == self._config.sequence and not request.text
        if not own or status not in _AGAIN[self._config.restart]:
            return None
        wait = FIRST if lasted > LONGEST else self._wait
        self._wait = min(2 * wait, LONGEST)
        self.count += 1
        return wait
