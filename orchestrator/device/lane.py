"""What the device knows of a lane: its run, and whether another one may be asked for."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.errors import InputError
from orchestrator.language.text.answers import answer_of
from orchestrator.types import (
    Asked,
    Control,
    QueueChanged,
    RunEnded,
    RunEvent,
    RunLoading,
    RunRefused,
    RunRestarting,
    RunSnapshot,
    RunStarted,
    Verb,
    reduce,
    run_of,
)

_ENDS = (Verb.STOP, Verb.ABORT)
"""What is obeyed as well where a sequence waits to be started again."""


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
        self._answered = ""
        """The answer that the question has which is asked; empty: it has none yet."""
        self.restarts = 0
        """Times that its sequence was started again by itself."""
        self._restarting = False
        """It will be, in some time."""
        self.waiting = 0
        """Runs in its queue."""

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

    def takes(self, verb: Verb) -> bool:
        """Whether there is something of which this can be asked."""
        if self.reserved:
            return True
        ends = self._restarting and verb in _ENDS
        self._restarting = self._restarting and not ends
        return ends

    def reserve(self, request: int) -> None:
        """A run is asked for."""
        self.reserved, self._preparing = True, request

    def answer(self, text: str, by: str) -> Control:
        """Somebody answers what is asked; gives what is asked of the engine by that.

        Raises:
            InputError: Nothing is asked, somebody else was first, or it is no answer to that.
        """
        question = self.run.question
        if question is None:
            raise InputError("nothing is asked that could be answered")
        if self._answered:
            raise InputError(f"{question.text!r} has an answer already: {self._answered}")
        answer_of(question, text)
        given = text.strip() or ("the default" if question.takes_a_value else "to go on")
        self._answered = f"{given}{f' by {by}' if by else ''}"
        verb = Verb.ANSWER if question.takes_a_value else Verb.RESUME
        reason = text if question.takes_a_value else ""
        return Control(verb, reason, by, self.running_id, question.number)

    def take(self, event: RunEvent) -> RunSnapshot:
        """Note an event; gives the snapshot, after it, of the run that it is about."""
        if isinstance(event, Asked):
            self._answered = ""
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
                self.reserved, self._loading, self._restarting = True, True, False
            case RunStarted():
                self.reserved, self._preparing, self._loading = True, None, False
                self._restarting = False
            case RunRestarting(count):
                self.restarts, self._restarting = count, True
            case QueueChanged(waiting):
                self.waiting = len(waiting)
            case RunRefused(request) if request == self._preparing:
                self.reserved, self._preparing = self._loading, None
            case RunEnded():
                self.reserved = False
            case _:
                pass

    def _is_of_the_former(self, event: RunEvent) -> bool:
        run_id = run_of(event)
        return run_id != "" and run_id == self.former.run_id and run_id != self.run.run_id
