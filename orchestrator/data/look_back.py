"""At the start of a service: what is left of those before it, and what is told of that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from orchestrator.data.journal import Interrupted
from orchestrator.data.records import RunRecords
from orchestrator.errors import InputError
from orchestrator.types import QueueLeft, RunInterrupted, Severity, Told

log = structlog.get_logger(__name__)

_PATIENCE = 5.0
"""s that a start waits for what is told of interrupted runs; a large store may take longer."""
_NAMED = 3
"""Runs that a text names; more are counted."""


class LookBack:
    """Restores the queues of runs, and tells of interrupted ones, in each lane of its own."""

    def __init__(
        self,
        records: RunRecords,
        offer: Callable[[QueueLeft | RunInterrupted | Told], None],
        *,
        foreground: bool,
        lanes: Collection[str] = (),
    ) -> None:
        """See `running`.

        Args:
            records: What is kept of runs.
            offer: Takes what there is to be told: what the device pulls.
            foreground: For one run, which tells its user of `interrupted` itself.
            lanes: Those that there are beside the main one, which tells of all others.
        """
        self._lanes = lanes
        self._records = records
        self._offer = offer
        self._foreground = foreground
        self._in_time = True
        self.interrupted: tuple[Interrupted, ...] = ()
        """Runs that were killed, and that this service or run is to tell of, the oldest first."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look back; what is found is offered before the block is entered, if the disk lets it.

        The queues are in any case.
        """
        waits = await asyncio.to_thread(self._left_queues)
        looking = asyncio.create_task(self._look(waits), name="look back")
        try:
            await asyncio.wait({looking}, timeout=_PATIENCE)
            self._in_time = looking.done()
            yield
        finally:
            looking.cancel()
            await asyncio.wait({looking})

    def _left_queues(self) -> dict[str, str]:
        """Offers them; gives what is to be told of them, by lane."""
        waits: dict[str, str] = {}
        for queue in self._records.left_queues():
            if isinstance(queue, InputError):
                log.error("the queue of runs is lost", error=str(queue))
                self._offer(Told(str(queue), Severity.MAJOR))
            elif queue.lane and queue.lane not in self._lanes:
                text = f"the lane {queue.lane}, which the configuration has no more: {_runs(queue)}"
                log.warning("runs wait for a lane that is no more", lane=queue.lane)
                self._offer(Told(f"{text}; they stay where they are", Severity.MINOR))
            else:
                self._tell_lost(queue)
                if not queue.waiting:
                    continue
                of = {"lane": queue.lane} if queue.lane else {}
                log.warning("the queue of runs is back, held", runs=len(queue.waiting), **of)
                self._offer(queue)
                left = "held: the service before this one has left it"
                waits[queue.lane] = f"{_runs(queue)}, {left}"
        return waits

    def _tell_lost(self, queue: QueueLeft) -> None:
        for run in queue.lost:
            text = f"run {run.number} of the queue, {run.name} by {run.owner or 'nobody known'}"
            text += ", is lost: what was to be run is not in the journal; submit it again"
            log.error("a run of the queue is lost", number=run.number, name=run.name)
            self._offer(Told(text, Severity.MAJOR, lane=queue.lane))

    async def _look(self, waits: dict[str, str]) -> None:
        try:
            found = await asyncio.to_thread(self._records.interrupted)
        except Exception:  # the top of a task: a service starts all the same
            log.exception("interrupted runs can't be looked for")
            found = []
        self.interrupted = tuple(found)
        if self._foreground:
            if not self._in_time:
                for run in found:
                    self._offer(Told(run.title, Severity.MAJOR))
            return
        for run in found:
            log.warning("interrupted", run=run.run_id, sequence=run.name, was=run.text)
        by_lane: dict[str, list[Interrupted]] = {}
        for run in found:
            by_lane.setdefault(run.lane if run.lane in self._lanes else "", []).append(run)
        for lane, runs in by_lane.items():
            self._offer(_told(lane, runs, waits.pop(lane, "")))
        for lane, text in waits.items():
            self._offer(Told(text, Severity.MINOR, lane=lane))


def interrupted_in(store: Path) -> list[Interrupted]:
    """The runs in a store that were killed, since the last run of their kind was begun there.

    Reads and writes files: not for an event loop that others wait for.
    """
    if not store.is_dir():
        return []
    return RunRecords(store, log.warning, foreground=True).untold()


def _runs(queue: QueueLeft) -> str:
    runs = len(queue.waiting)
    return "1 run of the queue waits" if runs == 1 else f"{runs} runs of the queue wait"


def _told(lane: str, runs: Sequence[Interrupted], waits: str) -> RunInterrupted:
    """What a lane shows: the last one."""
    *others, run = runs
    texts = [run.text]
    if others:
        named = ", ".join(f"{other.name} {other.run_id}" for other in others[-_NAMED:])
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        texts.append(f"interrupted before: {named}{more}")
    if waits:
        texts.append(waits)
    told = f"interrupted {'; '.join(texts)}"
    return RunInterrupted(run.run_id, run.name, run.owner, told, lane=lane)
