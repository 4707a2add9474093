"""At the start of a service: what is left of those before it, and what is told of that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
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
    """Restores the queue of runs, and tells of interrupted ones."""

    def __init__(
        self,
        records: RunRecords,
        offer: Callable[[QueueLeft | RunInterrupted | Told], None],
        *,
        foreground: bool,
    ) -> None:
        """See `running`.

        Args:
            records: What is kept of runs.
            offer: Takes what there is to be told: what the device pulls.
            foreground: For one run, which tells its user of `interrupted` itself.
        """
        self._records = records
        self._offer = offer
        self._foreground = foreground
        self._in_time = True
        self.interrupted: tuple[Interrupted, ...] = ()
        """Runs that were killed, and that this service or run is to tell of, the oldest first."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look back; what is found is offered before the block is entered, if the disk lets it.

        The queue is in any case.
        """
        queue = await asyncio.to_thread(self._left_queue)
        looking = asyncio.create_task(self._look(queue), name="look back")
        try:
            await asyncio.wait({looking}, timeout=_PATIENCE)
            self._in_time = looking.done()
            yield
        finally:
            looking.cancel()
            await asyncio.wait({looking})

    def _left_queue(self) -> QueueLeft | None:
        try:
            queue = self._records.left_queue()
        except InputError as error:
            log.error("the queue of runs is lost", error=str(error))
            self._offer(Told(str(error), Severity.MAJOR))
            return None
        if queue is not None:
            log.warning("the queue of runs is back, held", runs=len(queue.waiting))
            self._offer(queue)
        return queue

    async def _look(self, queue: QueueLeft | None) -> None:
        waits = "" if queue is None else _waiting(queue)
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
        lanes = {run.lane: run for run in found}  # the last one of each
        others = [run for run in found if lanes[run.lane] is not run]
        for run in lanes.values():
            self._offer(_told(run, [o for o in others if o.lane == run.lane], waits))
        if waits and not found:
            self._offer(Told(waits, Severity.MINOR))


def interrupted_in(store: Path) -> list[Interrupted]:
    """The runs in a store that were killed, since the last run of their kind was begun there.

    Reads and writes files: not for an event loop that others wait for.
    """
    if not store.is_dir():
        return []
    return RunRecords(store, log.warning, foreground=True).untold()


def _waiting(queue: QueueLeft) -> str:
    runs = len(queue.waiting)
    some = "1 run of the queue waits" if runs == 1 else f"{runs} runs of the queue wait"
    return f"{some}, held: the service before this one has left it"


def _told(run: Interrupted, others: Sequence[Interrupted], waits: str) -> RunInterrupted:
    texts = [run.text]
    if others:
        named = ", ".join(f"{other.name} {other.run_id}" for other in others[-_NAMED:])
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        texts.append(f"interrupted before: {named}{more}")
    if waits:
        texts.append(waits)
    return RunInterrupted(run.run_id, run.name, run.owner, f"interrupted {'; '.join(texts)}")
