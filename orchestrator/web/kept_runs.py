"""What is kept of runs, read from the store: not for the event loop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from orchestrator.data import Summary, summary_of
from orchestrator.errors import InputError
from orchestrator.web.problems import ProblemError

_ID = re.compile(r"[0-9A-Za-z.\-]{1,64}")


class KeptRun(BaseModel):
    """A run, as it is kept."""

    run_id: str = Field(description="Sorts by the time at which it began.")
    name: str = Field(description="Of its sequence.")
    lane: str = Field(description="Which of the runs that go on side by side it is.")
    owner: str = Field(description="Who asked for it: user@host.")
    how: str = Field(description="By what it was started.")
    started: str | None = Field(description="Local time with its offset to UTC.")
    ended: float | None = Field(description="Unix s.")
    status: str | None = Field(
        description="null while it is under way; Interrupted where its service has died in it."
    )
    message: str = Field(description="How it has ended, in words.")
    cause: str = Field(description="What kind of thing has ended it: input, not connected, during.")
    arguments: dict[str, Any] = Field(description="Those that it was given, defaults included.")
    data_file: str = Field(description="Empty where it has sampled nothing.")

    def journals(self, store: Path) -> list[Path]:
        """The files of its journal, in order."""
        return sorted(_folder(store, self.run_id).glob("journal*.jsonl"), key=_order)

    def data(self, store: Path, form: str) -> Path:
        """The file with its rows, as `csv` or `hdf5`.

        Raises:
            ProblemError: There is none, or none that could be read yet.
        """
        if form == "hdf5" and self.status is None:
            text = f"the run {self.run_id} is under way: its HDF5 file is whole when it has ended"
            raise ProblemError(409, text)
        found = sorted(_folder(store, self.run_id).glob(f"*{_ENDS[form]}"))
        if not found:
            text = f"the run {self.run_id} has sampled nothing that is kept as {form}"
            raise ProblemError(404, text)
        return found[0]


_ENDS = {"csv": ".csv", "hdf5": ".h5"}


def _order(file: Path) -> int:
    digits = re.sub(r"\D", "", file.stem)
    return int(digits) if digits else 1


def _folder(store: Path, run_id: str) -> Path:
    return store / "runs" / run_id


def find_run(store: Path, run_id: str) -> KeptRun:
    """The run of that id.

    Raises:
        ProblemError: There is none.
    """
    if _ID.fullmatch(run_id) and run_id.strip("."):
        try:
            return _kept(run_id, summary_of(_folder(store, run_id)))
        except (InputError, OSError):
            pass
    raise ProblemError(404, f"there is no run {run_id!r:.80} in {store}")


def list_runs(store: Path, limit: int, before: str) -> tuple[list[KeptRun], bool]:
    """The newest runs before one, and whether there are more."""
    folders = store / "runs"
    names = sorted((p.name for p in folders.iterdir()), reverse=True) if folders.is_dir() else []
    names = [name for name in names if not before or name < before]
    runs: list[KeptRun] = []
    for place, name in enumerate(names):
        if len(runs) == limit:
            return runs, place < len(names)
        try:
            runs.append(_kept(name, summary_of(folders / name)))
        except (InputError, OSError):
            continue  # no run, or one that is removed just now
    return runs, False


def _kept(run_id: str, summary: Summary) -> KeptRun:
    header, end = summary.header, summary.end or {}
    status = end.get("status") or (None if summary.under_way else "Interrupted")
    return KeptRun(
        run_id=header.get("run_id", run_id),
        name=header.get("name", ""),
        lane=header.get("lane", ""),
        owner=header.get("owner", ""),
        how=header.get("how", ""),
        started=header.get("started"),
        ended=end.get("t"),
        status=status,
        message=end.get("message", ""),
        cause=end.get("cause", ""),
        arguments=dict(header.get("arguments", {})),
        data_file=end.get("data_file", ""),
    )
