"""The journal of one run, as the engine writes it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar

from orchestrator.data.journal import entries
from orchestrator.data.journal.file import JournalFile
from orchestrator.data.journal.quick_passes import QuickPasses
from orchestrator.data.store_room import StoreRoom
from orchestrator.errors import NotConnectedError, OrchestratorError, StepTimeoutError
from orchestrator.ports import Channels, always
from orchestrator.types import (
    Answered,
    Asked,
    Controlled,
    IndicesSet,
    Metadata,
    Path,
    Place,
    Reading,
    RunEnded,
    RunEvent,
    StateChanged,
    Told,
    Value,
)

KEPT = (Answered, Asked, Controlled, IndicesSet, RunEnded, StateChanged, Told)
"""Events that are written down; others follow from what else is."""

_step: ContextVar[int] = ContextVar("journal_step", default=0)
"""The number of the step that the calling task is in."""


class RunJournal:
    """Implements `ports.Journal`."""

    def __init__(self, file: JournalFile, first: bytes, room: StoreRoom, points: int = 0) -> None:
        """Begin it, or go on with it.

        Args:
            file: Takes the lines.
            first: The line that tells what is known of the run, or of this attempt at it.
            room: For what is kept.
            points: Rows that attempts before have taken.
        """
        self._file = file
        self._room = room
        self._steps = itertools.count(1)
        self._points = points
        self._passes = QuickPasses(file.append)
        file.begin(first)

    @property
    def full(self) -> bool:
        """See `ports.Journal.full`."""
        return self._file.full

    @property
    def lack(self) -> str:
        """See `ports.Journal.lack`."""
        return self._room.lack

    async def room(self) -> None:
        """See `ports.Journal.room`."""
        await self._file.room()
        await self._room.wait()

    @property
    def fault(self) -> str:
        """What is wrong with it; empty = nothing."""
        return self._file.fault

    def _append(self, line: bytes) -> None:
        if self._passes.waits:
            self._passes.flush()
        self._file.append(line)

    def entered(self, at: Place, label: str) -> int:
        """See `ports.Journal.entered`."""
        step = next(self._steps)
        _step.set(step)
        self._append(entries.step_entered(step, at, label))
        return step

    def left(self, step: int, how: str = "done", why: str = "") -> None:
        """See `ports.Journal.left`."""
        self._append(entries.step_left(step, how, why))

    def met(self, condition: str, by: Iterable[Reading]) -> None:
        """See `ports.Journal.met`."""
        self._append(entries.condition_met(_step.get(), condition, by))

    def bound(self, values: Mapping[str, object]) -> None:
        """See `ports.Journal.bound`."""
        self._append(entries.names_bound(values))

    def binds(self, at: Place, name: str, value: object, *, variable: bool) -> None:
        """See `ports.Journal.binds`."""
        self._passes.bound(at, name, value, variable=variable)

    def passed(self, at: Place, name: str = "", state: Mapping[str, object] | None = None) -> None:
        """See `ports.Journal.passed`."""
        self._append(entries.checkpoint_passed(at, name, state))
        self._file.sync()

    def rewound(self, path: Path, loops: tuple[int, ...]) -> None:
        """See `ports.Journal.rewound`."""
        self._append(entries.rewound_to(path, loops))

    def finalised(self, failed: Sequence[str]) -> None:
        """See `ports.Journal.finalised`."""
        self._append(entries.finalisers_ended(failed))

    def channels(self, outside: Channels) -> Channels:
        """See `ports.Journal.channels`."""
        return _KeptChannels(self._append, outside)

    # What the store has of it ------------------------------------------------------------------

    def known(self, channels: Mapping[str, Metadata]) -> None:
        """Channels are what they are from now on."""
        self._append(entries.channels_known(channels))

    def baseline(self, when: str, readings: Mapping[str, Reading | None]) -> None:
        """What channels hold at the start or the end."""
        self._append(entries.baseline(when, readings))

    def row(self, point: int, at: Place, readings: Mapping[str, Reading | None]) -> None:
        """A row was taken."""
        self._points = point + 1
        self._append(entries.row(point, at, readings))

    def close(self) -> None:
        """Nothing follows."""
        self._passes.flush()
        self._file.close()

    def heard(self, event: RunEvent) -> None:
        """The engine tells something of the run."""
        if isinstance(event, RunEnded):
            self._append(entries.run_ended(event, self._points))
        elif isinstance(event, KEPT):
            self._append(entries.run_event(event))


class _KeptChannels:
    """Implements `ports.Channels`: each put is written down before it leaves."""

    def __init__(self, append: Callable[[bytes], None], outside: Channels) -> None:
        self._append = append
        self._outside = outside
        self._numbers = itertools.count(1)
        self.connect = outside.connect
        self.get = outside.get
        self.doubled = outside.doubled
        self.outstanding = outside.outstanding

    async def put(
        self,
        name: str,
        value: Value,
        *,
        completion: bool,
        timeout: float,
        permit: Callable[[], None] = always,
    ) -> None:
        """See `ports.Channels.put`."""
        append, number, step = self._append, 0, _step.get()

        def leaves() -> None:
            nonlocal number
            permit()
            if not number:  # with a recording between it is asked a second time
                number = next(self._numbers)
                line = entries.put_leaves(number, step, name, value, completion=completion)
                append(line)

        try:
            await self._outside.put(
                name, value, completion=completion, timeout=timeout, permit=leaves
            )
        except BaseException as error:
            if number:
                append(entries.put_ended(number, *_of_put(error)))
            raise
        append(entries.put_ended(number, "completed" if completion else "written", ""))


def _of_put(error: BaseException) -> tuple[str, str]:
    """How and why a put ended that was not done."""
    match error:
        case StepTimeoutError():
            return "orphaned", str(error)
        case NotConnectedError():
            return "lost", str(error)
        case OrchestratorError():
            return "refused", str(error)
    return "orphaned", ""
