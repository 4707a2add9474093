"""The service as a sequence server: indices of a master become runs of SEQ."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from orchestrator.config import Config
from orchestrator.errors import InputError
from orchestrator.language.text.indices import NO_INDEX, NO_SEQ, Indices, parse_indices
from orchestrator.language.text.trajectory import Trajectory, parse_trajectory
from orchestrator.types import (
    Alarm,
    Command,
    PushItem,
    Reading,
    Reply,
    RunEnded,
    RunRefused,
    RunRequest,
    RunStatus,
    Severity,
    Update,
    fields,
)

Decision: TypeAlias = PushItem | RunRequest

_FIRST_REQUEST = 1 << 40
"""Numbers of our own requests; nobody waits for their replies."""
_MOST_WAITING = 1_000


@dataclass(frozen=True, slots=True)
class _Load:
    """A trajectory to be loaded."""

    command: Command


@dataclass(frozen=True, slots=True)
class _Move:
    """An index to be reached, or why it can't be."""

    seq: int
    index: int
    refused: str = ""


class Served:
    """Takes trajectories and indices in their order; the run of one is waited for by the next.

    As `orchestrator.ioc.SequenceServer` does: ACK is 0 from the arrival of the first until the
    last is done, and then tells of that one, whose seq INDEX shows.
    """

    def __init__(self, config: Config, busy: Callable[[], str]) -> None:
        """`busy` tells why no run can be started now, or nothing."""
        self.master = config.server.master
        """The channel that is followed; empty: our own Nested_Indices."""
        self._name = config.server.name
        self._busy = busy
        self._selected = ""
        self._trajectory: Trajectory | None = None
        self._jobs: deque[_Load | _Move] = deque()
        self._running: _Move | None = None
        self._request = 0
        self._numbers = itertools.count(_FIRST_REQUEST)
        self._seen: tuple[object, float] | None = None
        self._taken: tuple[int, int] | None = None

    # What arrives -----------------------------------------------------------------------------

    def select(self, name: str) -> None:
        """SEQ was written."""
        self._selected = name

    def load(self, command: Command) -> Iterator[Decision]:
        """A trajectory was written to CMD, for which ACK is 0 already."""
        yield from self._arrived(_Load(command))

    def take_reading(self, reading: Reading) -> Iterator[Decision]:
        """An update of the master's Nested_Indices."""
        seen = (reading.value, reading.timestamp)
        again, self._seen = seen == self._seen, seen
        if reading.unconfirmed and again:
            return  # what was on its way before the connection was lost
        if isinstance(reading.value, str) and reading.value.strip():
            yield from self.take(reading.value)

    def take(self, text: str) -> Iterator[Decision]:
        """An index object."""
        try:
            indices = parse_indices(text)
        except InputError as error:
            yield from self._arrived(_Move(NO_SEQ, 0, str(error)))
            return
        index = indices.servers.get(self._name)
        if index is None:
            return  # it asks others
        at = (NO_SEQ if indices.seq is None else indices.seq, index)
        if at == self._taken and indices.seq is not None:
            return  # repeated, for one that was restarted
        yield from self._arrived(_Move(*at))

    def is_asked(self, indices: Indices) -> bool:
        """Whether an index object has an index of ours."""
        return self._name != "" and self._name in indices.servers

    @property
    def moving(self) -> bool:
        """Whether the run of an index is under way: until its end ACK tells of nothing else."""
        return self._running is not None

    def has_asked(self, request: int) -> bool:
        """Whether a request for a run is one of an index."""
        return self._running is not None and request == self._request

    def _arrived(self, job: _Load | _Move) -> Iterator[Decision]:
        if isinstance(job, _Move):
            yield Update(fields.ACK, 0)
        if len(self._jobs) >= _MOST_WAITING:
            reason = f"{_MOST_WAITING:,} trajectories and indices wait already"
            yield _told(reason)
            if isinstance(job, _Load) and job.command.request:
                yield Reply(job.command.request, reason)
            return
        if isinstance(job, _Move) and not job.refused:
            self._taken = job.seq, job.index
        self._jobs.append(job)
        yield from self._go_on()

    # What is done -----------------------------------------------------------------------------

    def _go_on(self) -> Iterator[Decision]:
        """Do what waits, until a run has to be waited for."""
        while self._jobs and self._running is None:
            job = self._jobs.popleft()
            try:
                match job:
                    case _Load(command):
                        yield from self._load(command)
                    case _Move():
                        yield self._start(job)
            except InputError as error:
                yield from self._failed(job, str(error))

    def _load(self, command: Command) -> Iterator[Decision]:
        self._trajectory = parse_trajectory(command.text)  # a bad one leaves the one loaded
        self._taken = None
        yield Update(fields.INDEX, np.array(NO_INDEX, dtype=np.int32))
        yield Update(fields.VALUES, np.array(self._trajectory.numbers))
        if self._trajectory.remark:
            yield Update(fields.MESSAGE, self._trajectory.remark)
        yield from self._acknowledge()
        if command.request:
            yield Reply(command.request)

    def _start(self, move: _Move) -> RunRequest:
        what = f"index {move.index} (seq {move.seq})"
        if move.refused:
            raise InputError(move.refused)
        if self._trajectory is None:
            raise InputError(f"{what}: no trajectory is loaded")
        if busy := self._busy():
            raise InputError(f"{what}: {busy}")
        try:
            item = self._trajectory.at(move.index)
        except InputError as error:
            raise InputError(f"{what}: {error}") from error
        self._running, self._request = move, next(self._numbers)
        arguments = isinstance(item, Mapping)
        return RunRequest(
            self._request,
            self._selected,
            args=item if isinstance(item, Mapping) else {},
            value=None if arguments else item,  # type: ignore[arg-type]  # no mapping, as seen
            owner=self.master or self._name,
            always_a_run=True,
            how="index",
        )

    def ended(self, event: RunEnded | RunRefused) -> Iterator[Decision]:
        """A run has ended or was refused: perhaps the one that an index asked for."""
        move = self._running
        if move is None or event.request != self._request:
            return
        self._running = None
        if isinstance(event, RunEnded) and event.status is RunStatus.SUCCESS:
            yield Update(fields.INDEX, np.array((move.seq, move.index), dtype=np.int32))
            yield from self._acknowledge()
        else:
            status = event.status.value if isinstance(event, RunEnded) else "refused"
            reason = event.message if isinstance(event, RunEnded) else event.reason
            text = f"index {move.index} (seq {move.seq}): {status}: {reason}"
            yield from self._failed(move, text)
        yield from self._go_on()

    def _acknowledge(self) -> Iterator[Decision]:
        if not self._jobs:
            yield Update(fields.ACK, 1)

    def _failed(self, job: _Load | _Move, reason: str) -> Iterator[Decision]:
        yield _told(reason)
        if isinstance(job, _Move):
            self._taken = None  # the same one may be tried again
        if not self._jobs:
            yield Update(fields.ACK, 0, severity=Severity.MAJOR, status=Alarm.STATE)
        if isinstance(job, _Load) and job.command.request:
            yield Reply(job.command.request, reason)


def _told(reason: str) -> Update:
    return Update(fields.MESSAGE, reason, severity=Severity.MAJOR, status=Alarm.STATE)
