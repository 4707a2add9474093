"""In which store a command looks for runs."""

from __future__ import annotations

from pathlib import Path

from orchestrator.cli.settings import settings
from orchestrator.data.past import PastRuns


def past_runs(file: Path | None, store: Path | None) -> PastRuns:
    """The runs of a store, or of that which the configuration names.

    Raises:
        InputError: The configuration can't be read, or something in it is wrong.
    """
    return PastRuns(settings(file).store if store is None else store)
