"""`recover --server`, `finalise --server`: a running service goes on with a run of before."""

from __future__ import annotations

import shlex
from pathlib import Path

from orchestrator.cli.remote.follow import follow
from orchestrator.cli.settings import settings
from orchestrator.cli.terminal.codes import code_of_recovery
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.types import Recovery


def send(recovery: Recovery, prefix: str, file: Path | None, verbose: int, *, as_json: bool) -> int:
    """Have the service with this prefix go on, and follow that; gives the exit code.

    Raises:
        OrchestratorError: The service isn't there, or was lost during the run.
    """
    set_up_logs(level_of(verbose))
    return follow(
        settings(file), command_text(recovery), prefix, code=code_of_recovery, as_json=as_json
    )


def command_text(recovery: Recovery) -> str:
    """What is written to CMD."""
    if recovery.finalise:
        return shlex.join(["finalise", recovery.run_id])
    start = ["--from", recovery.start, *map(str, recovery.loops)] if recovery.start else []
    current = ["--current"] if recovery.current else []
    return shlex.join(["recover", recovery.run_id, *start, *current])
