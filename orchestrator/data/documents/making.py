"""Makes documents of a run in the form of event-model, the package that defines them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias
from uuid import uuid4

import numpy as np

from orchestrator.data.sinks import Baseline, Row, nanoseconds
from orchestrator.types import Metadata, Reading, RunHeader, RunStatus

Document: TypeAlias = tuple[str, dict[str, Any]]
"""Its name, `start`, `descriptor`, `event` or `stop`, and what it says."""

_EXIT = {
    RunStatus.SUCCESS: "success",
    RunStatus.ABORTED: "abort",
    RunStatus.STOPPED: "abort",
}
"""By how the run ended; of all others `fail`."""


class _Kind(NamedTuple):
    """What the values of a channel are."""

    dtype: str
    shape: tuple[int, ...] = ()


_NUMBER = _Kind("number")


class _Stream:
    """Events of one kind, with the same keys."""

    def __init__(self) -> None:
        self.uid = str(uuid4())
        self.events = 0


class DocumentMaker:
    """Makes the documents of one run, in their order."""

    def __init__(self, header: RunHeader) -> None:
        """Nothing is made yet."""
        self._header = header
        self._uid = str(uuid4())
        self._metadata = {**header.recorded, **header.baseline, **header.channels}
        self._kinds: dict[str, _Kind] = {}
        self._streams: dict[tuple[object, ...], _Stream] = {}
        self._names: dict[str, list[tuple[str, ...]]] = {}
        """The sets of channels that rows have had, by stream: each is a stream of its own."""
        self._counts: dict[str, int] = {}

    def start(self) -> Document:
        """The first one."""
        header = self._header
        own = {
            "uid": self._uid,
            "time": time.time() if header.started is None else header.started.timestamp(),
            "plan_name": header.name,
            "plan_type": "sequence",
            "plan_args": _plain(header.arguments),
            "run_id": header.run_id,
            "owner": header.owner,
            "versions": dict(header.versions),
            "motors": [key_of(axis) for axis in header.axes],
            "detectors": [key_of(n) for n in header.channels if n not in header.axes],
            "hints": {"dimensions": [[[key_of(a)], "primary"] for a in header.axes[:1]]},
        }
        return "start", {**_plain(header.metadata), **own}

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """See `Sink.describe`."""
        self._metadata.update(channels)

    def row(self, row: Row) -> Iterator[Document]:
        """An event of the stream `primary`; of rows with other channels `primary_2` and so on."""
        names = self._names.setdefault("primary", [])
        if (channels := tuple(row.readings)) not in names:
            names.append(channels)
        number = names.index(channels) + 1
        stream = "primary" if number == 1 else f"primary_{number}"
        yield from self._event(stream, row.readings, row.taken / 1e9)

    def baseline(self, baseline: Baseline) -> Iterator[Document]:
        """An event of the stream `baseline`."""
        yield from self._event("baseline", baseline.readings, baseline.taken / 1e9)

    def update(self, reading: Reading) -> Iterator[Document]:
        """An event of a stream of the channel's own."""
        name = f"{key_of(reading.channel)}_monitor"
        yield from self._event(name, {reading.channel: reading}, nanoseconds(reading) / 1e9)

    def stop(self, status: RunStatus, message: str) -> Document:
        """The last one."""
        return "stop", {
            "uid": str(uuid4()),
            "time": time.time(),
            "run_start": self._uid,
            "exit_status": _EXIT.get(status, "fail"),
            "reason": message or str(status),
            "num_events": dict(self._counts),
        }

    def _event(
        self,
        name: str,
        readings: Mapping[str, Reading | None],
        at: float,
    ) -> Iterator[Document]:
        for channel, reading in readings.items():
            if reading is not None:
                self._kinds[channel] = self._kind(reading)
        kinds = {channel: self._kinds.get(channel, _NUMBER) for channel in readings}
        key = (name, *kinds.items())
        if key not in self._streams:
            self._streams[key] = _Stream()
            yield "descriptor", self._descriptor(name, kinds, self._streams[key].uid)
        self._counts[name] = self._counts.get(name, 0) + 1
        yield (
            "event",
            {
                "uid": str(uuid4()),
                "descriptor": self._streams[key].uid,
                "seq_num": self._counts[name],
                "time": at,
                "data": {key_of(c): self._value(c, kinds[c], r) for c, r in readings.items()},
                "timestamps": {
                    key_of(c): at if r is None else nanoseconds(r) / 1e9
                    for c, r in readings.items()
                },
                "filled": {},
            },
        )

    def _descriptor(self, name: str, kinds: Mapping[str, _Kind], uid: str) -> dict[str, Any]:
        keys = {key_of(channel): self._data_key(channel, kind) for channel, kind in kinds.items()}
        return {
            "uid": uid,
            "run_start": self._uid,
            "time": time.time(),
            "name": name,
            "data_keys": keys,
            "object_keys": {key: [key] for key in keys},
            "configuration": {},
            "hints": {key: {"fields": [key]} for key in keys},
        }

    def _data_key(self, channel: str, kind: _Kind) -> dict[str, Any]:
        metadata = self._metadata.get(channel)
        key: dict[str, Any] = {
            "source": f"ca://{channel}",
            "dtype": kind.dtype,
            "shape": list(kind.shape),
            "object_name": key_of(channel),
        }
        if metadata is not None:
            key["units"] = metadata.units or None
            key["precision"] = metadata.precision
            if metadata.labels:
                key["choices"] = list(metadata.labels)
        return key

    def _kind(self, reading: Reading) -> _Kind:
        metadata = self._metadata.get(reading.channel)
        match reading.value:
            case np.ndarray() as array:
                return _Kind("array", array.shape)
            case tuple() as texts:
                return _Kind("array", (len(texts),))
            case str():
                return _Kind("string")
            case float():
                return _NUMBER
        return _Kind("string") if metadata is not None and metadata.labels else _Kind("integer")

    def _value(self, channel: str, kind: _Kind, reading: Reading | None) -> Any:
        if reading is None:
            return {"string": "", "array": []}.get(kind.dtype, math.nan)
        if kind.dtype == "string" and isinstance(reading.value, int):
            metadata = self._metadata[channel]
            return "" if metadata is None else metadata.label(reading.value)
        return list(reading.value) if isinstance(reading.value, tuple) else reading.value


def key_of(channel: str) -> str:
    """The key of a channel: event-model allows neither dots nor slashes."""
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in channel)


def _plain(values: Mapping[str, object]) -> dict[str, Any]:
    return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
