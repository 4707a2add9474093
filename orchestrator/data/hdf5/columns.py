"""What grows in a file: a dataset for each thing that every row has, and the group of a channel.

Numbers and texts are not compressed: a file that is followed has its last chunk written again with
each flush, in place, and a compressed one would leave a hole each time. Arrays are, a row a chunk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from orchestrator.data.sinks import nanoseconds
from orchestrator.types import Metadata, NativeType, Reading, Severity, Value

NOT_SAMPLED = -1
"""The severity where a row does not have the channel."""

_ROWS = 512
"""Of numbers in one chunk."""
_CHUNK = 1 << 20
"""Bytes of an array in one chunk at most: what is written and compressed in one go."""
_TEXTS = 32768
"""Bytes of texts in one chunk, about."""
_TEXT = 40
"""Bytes of a text for which there is room at first: a STRING of EPICS."""
_STRING_ARRAY = 40
"""Bytes of each text of an array."""

Dataset: TypeAlias = Any
"""Of h5py, which carries no type information."""
Group: TypeAlias = Any


class Growing:
    """A dataset with a line for each row; what is added is kept until it is written."""

    def __init__(self, dataset: Dataset) -> None:
        """Goes on with a dataset as it is."""
        self.dataset = dataset
        self.waiting: list[object] = []
        """What was taken and is not written yet; always the same list."""

    @classmethod
    def made(cls, parent: Group, name: str, kind: object, fill: object) -> Growing:
        """A new dataset."""
        make = parent.create_dataset
        shape, most, chunk = (0,), (None,), (_ROWS,)
        return cls(make(name, shape, maxshape=most, chunks=chunk, dtype=kind, fillvalue=fill))

    def add(self, value: object) -> None:
        """Take what the next row has."""
        self.waiting.append(value)

    def write(self, rows: int | None = None) -> None:
        """Write what was taken, behind what there is; with `rows`, make it so many."""
        waiting, dataset = self.waiting, self.dataset
        first = dataset.shape[0]
        if rows is None:
            rows = first + len(waiting)
        dataset.id.set_extent((rows, *dataset.shape[1:]))
        if waiting:
            self._fill(first, waiting)
            waiting.clear()

    def _fill(self, first: int, waiting: Sequence[object]) -> None:
        values = np.array(waiting, self.dataset.dtype)
        _put(self.dataset, first, values)


class GrowingTuples(Growing):
    """The same of numbers of which a row has several, -1 behind the last."""

    @classmethod
    def made_for(cls, parent: Group, name: str, columns: int) -> None:
        """A new dataset, with room for so many; it may get more."""
        shape, most, chunk = (0, columns), (None, None), (_ROWS, columns)
        parent.create_dataset(name, shape, maxshape=most, chunks=chunk, dtype="i4", fillvalue=-1)

    def _fill(self, first: int, waiting: Sequence[Any]) -> None:
        dataset = self.dataset
        width = max(dataset.shape[1], *map(len, waiting))
        if width > dataset.shape[1]:
            dataset.resize(width, 1)
        rows = [[*numbers, *[-1] * (width - len(numbers))] for numbers in waiting]
        _put(dataset, first, np.array(rows, dataset.dtype))


class GrowingTexts(Growing):
    """The same of texts, in UTF-8, of a fixed length: one that is followed can have no other."""

    @classmethod
    def made_for(cls, parent: Group, name: str, width: int) -> GrowingTexts:
        """A new dataset, with room for texts of so many bytes."""
        rows = max(min(_ROWS, _TEXTS // width), 1)
        kind = h5py.string_dtype("utf-8", width)
        packed = None if rows > 1 else "gzip"
        make = parent.create_dataset
        return cls(
            make(name, (0,), maxshape=(None,), chunks=(rows,), dtype=kind, compression=packed)
        )

    @property
    def width(self) -> int:
        """Bytes that a text may have."""
        return int(self.dataset.dtype.itemsize)

    def _fill(self, first: int, waiting: Sequence[object]) -> None:
        _put(self.dataset, first, np.array(waiting, f"S{self.width}"))


def _put(dataset: Dataset, first: int, values: npt.NDArray[Any]) -> None:
    """Write lines; h5py's own indexing takes seven times as long."""
    space = dataset.id.get_space()
    space.select_hyperslab((first, *(0 for _ in values.shape[1:])), values.shape)
    kind = dataset.id.get_type() if values.dtype.kind == "S" else None
    dataset.id.write(h5py.h5s.create_simple(values.shape), space, values, mtype=kind)


class Kind(NamedTuple):
    """What a channel's values are in the file."""

    name: str
    """`float`, `int`, `enum`, `text`, `array`, `texts`."""
    dtype: str = ""
    """Of an array."""
    dimensions: int = 0

    @classmethod
    def of(cls, value: Value, metadata: Metadata | None) -> Kind:
        """That of a value."""
        match value:
            case np.ndarray():
                return cls("array", value.dtype.newbyteorder("=").str, value.ndim)
            case tuple():
                return cls("texts", f"|S{_STRING_ARRAY}", 1)
            case str():
                return cls("text")
            case float():
                return cls("float")
        enum = metadata is not None and metadata.native is NativeType.ENUM
        return cls("enum" if enum else "int")

    @classmethod
    def foreseen(cls, metadata: Metadata) -> Kind | None:
        """That of a channel of which no value is there yet; None of arrays: their type is not."""
        if metadata.text or (metadata.native is NativeType.STRING and metadata.count == 1):
            return cls("text")
        if metadata.count != 1:
            return None
        names = {NativeType.DOUBLE: "float", NativeType.FLOAT: "float", NativeType.ENUM: "enum"}
        return cls(names.get(metadata.native, "int"))


_NUMBERS: Mapping[str, tuple[str, object]] = {
    "float": ("f8", np.nan),
    "int": ("i8", 0),
    "enum": ("i2", -1),
}
"""Type, and what stands where there is no value."""


class ChannelColumns:
    """The group of a channel: value, time and severity of each row; of an array its length too."""

    def __init__(self, group: Group, kind: Kind) -> None:
        """Goes on with a group as it is."""
        self._is_float = kind.name == "float"
        self.where = str(group.name)
        self.kind = kind
        self.rows = self.taken = int(group["time"].shape[0])
        """Those that are in the datasets, and with those that are not yet."""
        self._time = Growing(group["time"])
        self._severity = Growing(group["severity"])
        self._times, self._severities = self._time.waiting, self._severity.waiting
        self._length = Growing(group["length"]) if "length" in group else None
        self._value: Growing | None = None
        self._array: Dataset = None
        self._width = 0
        if kind.name == "text":
            self._value = texts = GrowingTexts(group["value"])
            self._width = texts.width
        elif self._length is None:
            self._value = Growing(group["value"])
            self._values = self._value.waiting
        else:
            self._array = group["value"]

    @classmethod
    def made(
        cls, group: Group, kind: Kind, value: Value | None, metadata: Metadata | None
    ) -> ChannelColumns:
        """New datasets; an array's by its first value."""
        match kind.name:
            case "text":
                GrowingTexts.made_for(group, "value", _room_for(value))
            case "array" | "texts":
                shape = value.shape if isinstance(value, np.ndarray) else (len(value or ()),)  # type: ignore[arg-type]  # of one of these kinds
                _make_array(group, kind, shape, metadata)
                Growing.made(group, "length", "i8", 0)
            case name:
                Growing.made(group, "value", *_NUMBERS[name])
        times = Growing.made(group, "time", "i8", 0).dataset
        times.attrs["units"] = "ns"
        times.attrs["start"] = "1970-01-01T00:00:00Z"
        severities = Growing.made(group, "severity", "i1", NOT_SAMPLED).dataset
        severities.attrs["meaning"] = "0 none, 1 MINOR, 2 MAJOR, 3 INVALID, -1 not in this row"
        return cls(group, kind)

    def takes(self, reading: Reading, metadata: Metadata | None) -> bool:
        """Whether there is room for this one as the datasets are."""
        if self._is_float and type(reading.value) is float:  # nearly all are
            return True
        kind = Kind.of(reading.value, metadata)
        if kind != self.kind:
            return kind.name == "int" and self.kind.name == "float"
        if isinstance(reading.value, str):
            return len(reading.value.encode()) <= self._width
        return True

    def add(self, reading: Reading | None, *, sampled: bool) -> None:
        """Take what the next row has of the channel."""
        row = self.taken
        self.taken += 1
        if reading is not None and self._is_float:  # most by far: half the time of what follows
            self._values.append(reading.value)
            self._times.append(nanoseconds(reading))
            self._severities.append(int(reading.severity))
            return
        value = None if reading is None else reading.value
        if self._value is not None:
            fill = b"" if self.kind.name == "text" else _NUMBERS[self.kind.name][1]
            scalar = value.encode() if isinstance(value, str) else value
            self._value.add(fill if value is None else scalar)
        elif value is not None:
            self._add_array(row, value)
        if self._length is not None:
            self._length.add(0 if value is None else np.size(value))
        self._time.add(0 if reading is None else nanoseconds(reading))
        lost = Severity.INVALID if sampled else NOT_SAMPLED
        self._severity.add(int(lost if reading is None else reading.severity))

    def _add_array(self, row: int, value: Value) -> None:
        """Write it at once: it may be large."""
        dataset = self._array
        if isinstance(value, tuple):
            value = np.array([text.encode()[:_STRING_ARRAY] for text in value], self.kind.dtype)
        assert isinstance(value, np.ndarray)  # noqa: S101 - of this kind
        shape = tuple(map(max, dataset.shape[1:], value.shape))
        dataset.id.set_extent((row + 1, *shape))
        if value.size:
            _put(dataset, row, value[np.newaxis])

    def skip(self, rows: int) -> None:
        """There were so many rows before its first."""
        self.taken = rows
        self.write()

    def write(self) -> None:
        """Write what was taken."""
        rows = self.rows = self.taken
        if self._value is not None:
            self._value.write(rows)
        else:
            self._array.id.set_extent((rows, *self._array.shape[1:]))
        for column in (self._length, self._time, self._severity):
            if column is not None:
                column.write(rows)


def _room_for(value: object) -> int:
    """Bytes that texts of a channel get: twice what this one has where that is much."""
    size = len(value.encode()) if isinstance(value, str) else 0
    return _TEXT if size <= _TEXT else 2 * size


def _make_array(
    group: Group, kind: Kind, shape: tuple[int, ...], metadata: Metadata | None
) -> None:
    dtype = np.dtype(kind.dtype)
    most = metadata.count if metadata is not None and len(shape) == 1 else 1
    *outer, inner = shape
    line = min(max(inner, most, 1), max(_CHUNK // dtype.itemsize, 1))
    lines = max(_CHUNK // (line * dtype.itemsize), 1)
    outer_chunk = [1] * len(outer)
    if outer:
        outer_chunk[-1] = max(min(outer[-1], lines), 1)
    group.create_dataset(
        "value",
        (0, *shape),
        maxshape=(None,) * (len(shape) + 1),
        chunks=(1, *outer_chunk, line),
        dtype=dtype,
        fillvalue=np.nan if dtype.kind == "f" else b"" if dtype.kind == "S" else 0,
        compression="gzip",
        compression_opts=1,
        shuffle=dtype.kind != "S",
    )
