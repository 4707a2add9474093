"""What the device knows of a lane: its run, and whether another one may be asked for."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.types import (
    RunEnded,
    RunEvent,
    RunLoading,
    RunRefused,
    RunSnapshot,
    RunStarted,
    Told,
    reduce,
    run_of,
)


class LaneState:
    """A lane runs one sequence at a time. Written by the device only."""

    def __init__(self) -> None:
        self.run = RunSnapshot()
        """The run that is under way, else the last one."""
        self.former = RunSnapshot()
        """The one before that."""
        self.reserved = False
        """A run is under way, or asked for: no other may be."""
        self._preparing: int | None = None
        """The request for a run of which nothing has been heard yet."""
        self._loading = False
        """A run of the queue is read."""
        self._answered = False
        """The question that is asked has its answer already."""

    @property
    def runs(self) -> Mapping[str, RunSnapshot]:
        """The runs that are remembered, by id: the one under way, and the last one or two."""
        return {run.run_id: run for run in (self.former, self.run) if run.started is not None}

    @property
    def busy_with(self) -> str:
        """What to tell somebody who asks for a second run."""
        if self.run.is_running:
            return f"{self.run.name or 'a sequence'} is running"
        return "a run is being prepared"

    @property
    def why_busy(self) -> str:
        """Why no run can be started now; empty: one can."""
        return f"{self.busy_with}; stop or abort it first" if self.reserved else ""

    @property
    def running_id(self) -> str:
        """The id of the run that is under way; empty where none is, or is known yet."""
        return self.run.run_id if self.run.is_running else ""

    def reserve(self, request: int) -> None:
        """A run is asked for."""
        self.reserved, self._preparing = True, request

    def answer(self) -> bool:
        """Somebody answers; whether there was a question, which has no other answer yet."""
        asked, self._answered = self.run.question and not self._answered, True
        return asked

    def take(self, event: RunEvent) -> RunSnapshot:
        """Note an event; gives the snapshot, after it, of the run that it is about."""
        if isinstance(event, Told) and event.question:
            self._answered = False
        if isinstance(event, RunStarted):
            self.former = self.run
        elif self._is_of_the_former(event):
            self.former = reduce(self.former, event)
            return self.former
        self.run = reduce(self.run, event)
        return self.run

    def follow(self, event: RunEvent) -> None:
        """Note whether another run may be asked for; also where the event could not be shown."""
        match event:
            case RunLoading():
                self.reserved = self._loading = True
            case RunStarted():
                self.reserved, self._preparing, self._loading = True, None, False
            case RunRefused(request) if request == self._preparing:
                self.reserved, self._preparing = self._loading, None
            case RunEnded():
                self.reserved = False
            case _:
                pass

    def _is_of_the_former(self, event: RunEvent) -> bool:
        run_id = run_of(event)
        return run_id != "" and run_id == self.former.run_id and run_id != self.run.run_id
