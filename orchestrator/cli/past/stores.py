"""In which store a command looks for runs."""

from __future__ import annotations

from pathlib import Path

from orchestrator.data.past import PastRuns


def past_runs(file: Path | None, store: Path | None) -> PastRuns:
    """The runs of a store, or of that which the configuration names.

    Raises:
        InputError: The configuration can't be read, or something in it is wrong.
    """
    if store is not None:
        return PastRuns(store)
    from orchestrator.cli.settings import settings  # a list is to be there at once

    return PastRuns(settings(file).store)
