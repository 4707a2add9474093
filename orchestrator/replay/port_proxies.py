"""The engine's ports with an interceptor between: what is asked of the outside passes through it.

A recording writes down what passes; a replay answers from what was written down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from orchestrator.engine import Library, RunFunction
from orchestrator.errors import InputError
from orchestrator.ports import Channels, PointOf, Recorder, Store, always
from orchestrator.types import (
    Abandoned,
    FormerRun,
    Metadata,
    Place,
    Reading,
    RunHeader,
    RunStatus,
    Value,
)

T = TypeVar("T")


class Interceptor(Protocol):
    """Where the engine's questions to the outside arrive."""

    async def ask(
        self, kind: str, about: Mapping[str, object], work: Callable[[], Awaitable[T]]
    ) -> T:
        """The answer to a question; `work` gets it, where there is an outside."""

    def look(self, kind: str, about: Mapping[str, object], see: Callable[[], T]) -> T:
        """The answer to a question that is answered at once."""

    def note(self, line: Mapping[str, object]) -> None:
        """Something went out that is not answered."""


class ChannelsProxy:
    """Implements `ports.Channels`."""

    def __init__(self, interceptor: Interceptor, outside: Channels) -> None:
        self._interceptor = interceptor
        self._outside = outside

    async def connect(self, names: Iterable[str], timeout: float) -> list[str]:
        """See `ports.Channels.connect`."""
        wanted = list(names)
        about = {"pvs": wanted, "timeout": timeout}
        return await self._interceptor.ask(
            "connect", about, lambda: self._outside.connect(wanted, timeout)
        )

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
        permit()  # outside it is asked again, when the put leaves
        about = {"pv": name, "value": value, "completion": completion, "timeout": timeout}
        await self._interceptor.ask(
            "put",
            about,
            lambda: self._outside.put(
                name, value, completion=completion, timeout=timeout, permit=permit
            ),
        )

    async def get(
        self, names: Sequence[str], timeout: float, *, beside: bool = False
    ) -> dict[str, Reading | Exception]:
        """See `ports.Channels.get`."""
        about = {"pvs": list(names), "timeout": timeout}
        kind = "look" if beside else "get"
        return await self._interceptor.ask(
            kind, about, lambda: self._outside.get(names, timeout, beside=beside)
        )

    async def doubled(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """See `ports.Channels.doubled`."""
        return await self._interceptor.ask(
            "doubled", {"pvs": list(names)}, lambda: self._outside.doubled(names)
        )

    def outstanding(self, name: str) -> float | None:
        """See `ports.Channels.outstanding`."""
        return self._interceptor.look("owed", {"pv": name}, lambda: self._outside.outstanding(name))


class StoreProxy:
    """Implements `ports.Store`."""

    def __init__(self, interceptor: Interceptor, outside: Store) -> None:
        self._interceptor = interceptor
        self._outside = outside

    def open(self, header: RunHeader) -> RecorderProxy:
        """See `ports.Store.open`."""
        return RecorderProxy(self._interceptor, self._outside.open(header))

    def former(self, run_id: str) -> FormerRun:
        """See `ports.Store.former`; a recording holds none of it."""
        raise InputError(f"{run_id} can't go on while all is recorded: serve without --record")

    def abandoned(self, run_id: str, point_of: PointOf | None, *, by_marks: bool) -> Abandoned:
        """See `ports.Store.abandoned`; never called, as no run is found."""
        return self._outside.abandoned(run_id, point_of, by_marks=by_marks)

    def go_on(self, header: RunHeader, before: FormerRun, abandoned: Abandoned) -> Recorder:
        """See `ports.Store.go_on`; never called, as no run is found."""
        return self._outside.go_on(header, before, abandoned)


class RecorderProxy:
    """Implements `ports.Recorder`."""

    def __init__(self, interceptor: Interceptor, outside: Recorder) -> None:
        self._interceptor = interceptor
        self._outside = outside
        self.journal = outside.journal  # nothing comes back from it

    @property
    def file(self) -> str:
        """See `ports.Recorder.file`."""
        return self._outside.file

    @property
    def full(self) -> bool:
        """See `ports.Recorder.full`; None, where an older recording is replayed, is as good."""
        return self._interceptor.look("full", {}, lambda: self._outside.full)

    @property
    def lack(self) -> str:
        """See `ports.Recorder.lack`; None, as there."""
        return self._interceptor.look("lack", {}, lambda: self._outside.lack)

    async def room(self) -> None:
        """See `ports.Recorder.room`."""
        await self._interceptor.ask("room", {}, self._outside.room)

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """See `ports.Recorder.describe`."""
        self._outside.describe(channels)

    def baseline(self, when: str, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.baseline`."""
        self._outside.baseline(when, readings)

    def update(self, reading: Reading) -> None:
        """See `ports.Recorder.update`."""
        self._outside.update(reading)

    def row(self, at: Place, readings: Mapping[str, Reading | None]) -> None:
        """See `ports.Recorder.row`."""
        values = {name: r and r.value for name, r in readings.items()}
        self._interceptor.note({"row": {"loops": list(at.loops), "values": values}})
        self._outside.row(at, readings)

    async def close(self, status: RunStatus, message: str = "") -> str:
        """See `ports.Recorder.close`."""
        return await self._interceptor.ask(
            "close", {}, lambda: self._outside.close(status, message)
        )


class LibraryProxy(Library):
    """A library that has its functions called outside."""

    interceptor: Interceptor
    """Set by who made it, before its first use."""

    async def invoke(self, name: str, args: Mapping[str, object], run: RunFunction) -> object:
        """See `Library.invoke`."""
        about = {"function": name, "args": dict(args)}
        return await self.interceptor.ask(
            "call", about, lambda: super(LibraryProxy, self).invoke(name, args, run)
        )
