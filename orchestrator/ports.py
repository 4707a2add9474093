"""The seams: every Protocol between two modules, on one page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias, TypeVar

from orchestrator.errors import InputError
from orchestrator.types import (
    Abandoned,
    FormerRun,
    Metadata,
    Path,
    Place,
    Point,
    Reading,
    RunEvent,
    RunHeader,
    RunStatus,
    Value,
)

T_contra = TypeVar("T_contra", contravariant=True)

PointOf: TypeAlias = Callable[[Path, tuple[int, ...]], Point | None]
"""Where a run may begin again that was at a place, by the loops around it; None = nowhere."""


class Offer(Protocol[T_contra]):
    """The near end of a queue."""

    def offer(self, item: T_contra) -> None:
        """Take an item at once; never raises, never waits."""


class ChannelView(Protocol):
    """One channel as the device knows it now; read only."""

    @property
    def name(self) -> str:
        """Our name of it."""

    @property
    def connected(self) -> bool:
        """Whether it is connected, as far as examined."""

    @property
    def metadata(self) -> Metadata | None:
        """The last known; None before the first connection."""

    @property
    def reading(self) -> Reading | None:
        """The last one; None before the first of a connection, kept while disconnected."""

    @property
    def links(self) -> int:
        """Times that it connected; tells one connection from the next."""


class View(Protocol):
    """The world as the device has examined it; read only. The device is its only writer."""

    def channel(self, name: str) -> ChannelView:
        """The channel of this name; one not heard of yet is disconnected and has no reading."""

    def watch(
        self,
        names: Iterable[str],
        changed: Callable[[ChannelView], None],
        *,
        every: bool = False,
    ) -> Callable[[], None]:
        """Call `changed` right after each reading or link change of these channels was examined.

        It is called from the device's loop, in order, once an item, and must not raise or wait.
        With `every`, no update is replaced by a newer one before it was examined.
        Returns the function that ends it.
        """


def always() -> None:
    """A put that may leave at any time."""


class Channels(Protocol):
    """The engine's port to Channel Access (implemented by `client`)."""

    async def connect(self, names: Iterable[str], timeout: float) -> list[str]:
        """Monitor these too, and wait until each is connected and its first value was offered.

        Returns:
            The names that are not connected after `timeout` s.
        """

    async def put(
        self,
        name: str,
        value: Value,
        *,
        completion: bool,
        timeout: float,
        permit: Callable[[], None] = always,
    ) -> None:
        """Write a channel; with `completion`, return when its put-callback has.

        `permit` is called at the moment at which the put leaves, after all waiting; what it raises
        is raised here, and nothing is written. It may come from another task than the caller's.

        The value is in the channel's own terms (an enum is its index); it was checked before.
        Two puts to one channel never overlap: one whose predecessor is still outstanding waits
        for it within `timeout` s. Cancelling leaves an outstanding put-callback as an orphan
        (see `outstanding`); Channel Access can't recall it.

        Raises:
            NotConnectedError: It isn't connected, or was lost before the completion.
            PutError: The server refused it, or the put failed.
            StepTimeoutError: No completion within `timeout` s, or an earlier put still outstanding.
        """

    async def get(
        self, names: Sequence[str], timeout: float, *, beside: bool = False
    ) -> dict[str, Reading | Exception]:
        """Read these channels from their servers, all at the same time.

        Args:
            names: What to read.
            timeout: s that the servers have.
            beside: Read beside what updates tell, in case that they don't: a replay of a run that
                did not ask goes on with the last update.

        Returns:
            By name, in the order asked: the reading, or the error (NotConnectedError,
            StepTimeoutError, ReadError) that its place has.
        """

    async def doubled(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Which of these channels' PVs two servers have: which one is meant is not known.

        Returns once a second server has had time to answer since the last of them connected.

        Returns:
            By name: the server that is connected, and another that has the PV now, `host:port`.
        """

    def outstanding(self, name: str) -> float | None:
        """Age in s of the put-callback that this channel still owes, None = none."""


class Journal(Protocol):
    """What happens in one run, kept before anybody is told of it (implemented by `data`).

    Each call takes a line at once: from then on a process that is killed does not lose it.
    """

    @property
    def full(self) -> bool:
        """Whether the disk is so far behind that no step should begin."""

    @property
    def lack(self) -> str:
        """Why nothing can be kept at all, where it is not that the disk is slow; else empty."""

    async def room(self) -> None:
        """Return when it is not full.

        Raises:
            StoreFullError: Nothing can be kept, and the run is to fail.
        """

    def entered(self, at: Place, label: str) -> int:
        """The calling task enters a step, or tries it again; gives the number of that."""

    def left(self, step: int, how: str = "done", why: str = "") -> None:
        """The step of that number is left; `how` is one word, `why` what an error says."""

    def met(self, condition: str, by: Iterable[Reading]) -> None:
        """What the calling task waited for has come true, with these readings."""

    def binds(self, at: Place, name: str, value: object, *, variable: bool) -> None:
        """The step at a place has bound a name, or given a variable of its document a value."""

    def passed(self, at: Place, name: str = "", state: Mapping[str, object] | None = None) -> None:
        """A checkpoint is passed: have all so far put on the disk, soon.

        `state`: what a Python sequence wants to have there, if its run is gone on with.
        """

    def rewound(self, path: Path, loops: tuple[int, ...]) -> None:
        """The run goes on from the checkpoint there, which it has passed before."""

    def bound(self, values: Mapping[str, object]) -> None:
        """What names are bound to when the steps have ended."""

    def finalised(self, failed: Sequence[str]) -> None:
        """Finalisers that were asked for by themselves have run; why some have failed."""

    def channels(self, outside: Channels) -> Channels:
        """The same channels; what is put by them is written down before it leaves."""


class NoJournal:
    """Implements `Journal` where nothing is kept."""

    full = False
    lack = ""

    async def room(self) -> None:
        """See `Journal.room`."""

    def entered(self, at: Place, label: str) -> int:
        """See `Journal.entered`."""
        del at, label
        return 0

    def left(self, step: int, how: str = "done", why: str = "") -> None:
        """See `Journal.left`."""

    def met(self, condition: str, by: Iterable[Reading]) -> None:
        """See `Journal.met`."""

    def binds(self, at: Place, name: str, value: object, *, variable: bool) -> None:
        """See `Journal.binds`."""

    def passed(self, at: Place, name: str = "", state: Mapping[str, object] | None = None) -> None:
        """See `Journal.passed`."""

    def rewound(self, path: Path, loops: tuple[int, ...]) -> None:
        """See `Journal.rewound`."""

    def bound(self, values: Mapping[str, object]) -> None:
        """See `Journal.bound`."""

    def finalised(self, failed: Sequence[str]) -> None:
        """See `Journal.finalised`."""

    def channels(self, outside: Channels) -> Channels:
        """See `Journal.channels`."""
        return outside


class Recorder(Protocol):
    """The data of one run, on its way to a file (implemented by `data`)."""

    @property
    def journal(self) -> Journal:
        """What else is kept of the run."""

    @property
    def file(self) -> str:
        """The path of the file with the rows; empty before the first, and if some are lost."""

    @property
    def full(self) -> bool:
        """Whether the disk is so far behind that no row should be taken; one more is kept still."""

    @property
    def lack(self) -> str:
        """As `Journal.lack`."""

    async def room(self) -> None:
        """Return when it is not full; by then rows may have been lost instead, see `close`.

        Raises:
            StoreFullError: Nothing can be kept, and the run is to fail.
        """

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """What channels are from now on; called before the first row that has one of them."""

    def baseline(self, when: str, readings: Mapping[str, Reading | None]) -> None:
        """Keep what channels hold at the `start` or `end` of the run; None as in `row`."""

    def update(self, reading: Reading) -> None:
        """Keep an update of a channel, beside the rows."""

    def row(self, at: Place, readings: Mapping[str, Reading | None]) -> None:
        """Keep a row; None where a channel did not answer. At once; written by a thread."""

    async def close(self, status: RunStatus, message: str = "") -> str:
        """All rows are on disk when this returns; gives what went wrong, or an empty text.

        `message` tells why the run has ended so.
        """


class Store(Protocol):
    """Where the data of runs goes."""

    def open(self, header: RunHeader) -> Recorder:
        """A recorder for a new run; no file before the first row."""

    def former(self, run_id: str) -> FormerRun:
        """A run that has ended. Reads files: not for the event loop.

        Raises:
            InputError: There is no such run, it is under way, or its journal can't be read.
        """

    def abandoned(self, run_id: str, point_of: PointOf | None, *, by_marks: bool) -> Abandoned:
        """What a run was like where it can begin again. Reads files: not for the event loop.

        Args:
            run_id: One that `former` has found.
            point_of: Says it of each place at which it was; None: what held at its end is wanted,
                wherever it was bound.
            by_marks: Whether the last checkpoint goes before.

        Raises:
            InputError: The journal does not tell it.
        """

    def go_on(self, header: RunHeader, before: FormerRun, abandoned: Abandoned) -> Recorder:
        """A recorder for another attempt at a run, in the same files.

        Raises:
            InputError: Somebody runs it meanwhile.
        """


class NothingKept:
    """The part of `Store` about runs that have ended, where there are none."""

    def former(self, run_id: str) -> FormerRun:
        """See `Store.former`."""
        raise InputError(f"there is no run {run_id!r}: nothing is kept of runs")

    def abandoned(self, run_id: str, point_of: PointOf | None, *, by_marks: bool) -> Abandoned:
        """See `Store.abandoned`."""
        del run_id, point_of, by_marks
        return Abandoned(None)

    def go_on(self, header: RunHeader, before: FormerRun, abandoned: Abandoned) -> Recorder:
        """See `Store.go_on`."""
        del before, abandoned
        raise InputError(f"there is no run {header.run_id!r}: nothing is kept of runs")


class OwnValues(Protocol):
    """The service's own PVs, as whoever puts them from outside knows them (see `own_pvs`)."""

    async def write(self, name: str, value: object) -> None:
        """Put one, for a client; returns when it is taken and, if it is to be, kept.

        Args:
            name: Its channel, `own.best`.
            value: In the terms of sequences: an enum is a label or an index.

        Raises:
            InputError: There is none of that name.
            PutError: Clients may not put it, it can't hold the value, or the value can't be kept.
        """


class RunEvents(Protocol):
    """Where the engine's events go: the pull queue."""

    def offer(self, item: RunEvent) -> None:
        """Take an event at once."""
