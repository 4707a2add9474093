"""Opens a file again whose process was killed, and cuts it to its last whole row.

While a file is followed, HDF5 keeps it such that readers find it whole at every moment; so does
who comes after a kill. But its first bytes say that somebody writes to it, and HDF5 refuses to open
it for anybody but such readers. They are put right here, as `h5clear` does, which comes with no
wheel.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SIZE = 48
"""Bytes of a superblock of version 2 and 3 with addresses of 8 bytes (HDF5 File Format
Specification 3.0, II.A): signature, version, sizes, flags at 11, end of file at 28, checksum."""
_FLAGS, _END, _SUM = 11, 28, 44
_WORD = 0xFFFFFFFF


INTERRUPTED = "Interrupted"
"""The status in the file of a run whose process died in it."""


def mend(path: Path) -> int:
    """Make the file of a killed process whole again, and say in it that its run was Interrupted.

    Returns:
        The rows in it.

    Raises:
        OSError: It is no such file, or can't be read or written.
    """
    was = _beginning(path)
    try:
        return _mended(path)
    except BaseException:
        with suppress(OSError):
            _put_back(path, was)
        raise


def _mended(path: Path) -> int:
    import h5py

    from orchestrator.data.hdf5 import layout

    clear_flags(path)
    ended = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    with h5py.File(path, "r+", libver="latest") as file:
        _check_length(file, path.stat().st_size)
        rows = cut(file)
        if file["entry/run/status"][()].decode() == layout.RUNNING:
            layout.outcome(file, INTERRUPTED, "its process was killed", ended)
    return rows


def _check_length(file: Any, size: int) -> None:
    """See that all that it refers to is in it: HDF5 itself finds out only when it reads it.

    Raises:
        OSError: It was cut off.
    """

    def check(chunk: Any) -> None:
        if chunk.byte_offset + chunk.size > size:
            raise OSError(f"it was cut off: it has {size:,} bytes")

    for dataset in _datasets(file["entry"]):
        if dataset.chunks is None:
            dataset[()]
        else:
            dataset.id.chunk_iter(check)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_SIZE)


def _put_back(path: Path, beginning: bytes) -> None:
    with path.open("r+b") as file:
        file.write(beginning)


def is_whole_file(path: Path) -> bool:
    """Whether it looks as one that any program can open; by its first bytes, without HDF5."""
    try:
        with path.open("rb") as file:
            block = file.read(_SIZE)
            size = os.fstat(file.fileno()).st_size
    except OSError:
        return False
    is_ours = len(block) == _SIZE and block[:8] == _SIGNATURE and block[8] in (2, 3)
    return is_ours and not block[_FLAGS] and struct.unpack_from("<Q", block, _END)[0] <= size


def cut(file: Any) -> int:
    """Cut all that grows to the last row that all of it has; gives the number of rows."""
    for group in file["entry/monitors"].values():
        _cut(_datasets(group))
    _cut(_datasets(file["entry/baseline"]))
    return _cut(_datasets(file["entry/rows"]) + _datasets(file["entry/channels"]))


def _datasets(group: Any) -> list[Any]:
    found = []
    for own in group.values():
        found += [own] if hasattr(own, "shape") else _datasets(own)
    return found


def _cut(growing: list[Any]) -> int:
    rows = int(min(dataset.shape[0] for dataset in growing))
    for dataset in growing:
        if dataset.shape[0] != rows:
            dataset.resize(rows, 0)
    return rows


def clear_flags(path: Path) -> bool:
    """Have the first bytes say that nobody writes to it; whether they said something else."""
    file = os.open(path, os.O_RDWR)
    try:
        block = bytearray(os.pread(file, _SIZE, 0))
        if len(block) < _SIZE or block[:8] != _SIGNATURE or block[8] not in (2, 3):
            raise OSError(f"{path} is no HDF5 file of ours")
        end = os.fstat(file).st_size
        if not block[_FLAGS] and struct.unpack_from("<Q", block, _END)[0] <= end:
            return False
        block[_FLAGS] = 0
        struct.pack_into("<Q", block, _END, end)
        struct.pack_into("<I", block, _SUM, checksum(bytes(block[:_SUM])))
        os.pwrite(file, block, 0)
        os.fsync(file)
        return True
    finally:
        os.close(file)


def checksum(data: bytes) -> int:
    """Of metadata of HDF5: `hashlittle` of Bob Jenkins's lookup3 (public domain), begun with 0."""
    a = b = c = (0xDEADBEEF + len(data)) & _WORD
    while len(data) > 12:
        a, b, c = _add(a, b, c, data)
        a, b, c = _mixed(a, b, c)
        data = data[12:]
    if not data:
        return c
    a, b, c = _add(a, b, c, data.ljust(12, b"\0"))
    for first, second, third, turn in (
        ("c", "b", "b", 14), ("a", "c", "c", 11), ("b", "a", "a", 25), ("c", "b", "b", 16),
        ("a", "c", "c", 4), ("b", "a", "a", 14), ("c", "b", "b", 24),
    ):  # fmt: skip
        words = {"a": a, "b": b, "c": c}
        words[first] = ((words[first] ^ words[second]) - _turned(words[third], turn)) & _WORD
        a, b, c = words["a"], words["b"], words["c"]
    return c


def _add(a: int, b: int, c: int, data: bytes) -> tuple[int, int, int]:
    first, second, third = struct.unpack_from("<III", data)
    return (a + first) & _WORD, (b + second) & _WORD, (c + third) & _WORD


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for turn_c, turn_a, turn_b in ((4, 6, 8), (16, 19, 4)):
        a, c = ((a - c) ^ _turned(c, turn_c)) & _WORD, (c + b) & _WORD
        b, a = ((b - a) ^ _turned(a, turn_a)) & _WORD, (a + c) & _WORD
        c, b = ((c - b) ^ _turned(b, turn_b)) & _WORD, (b + a) & _WORD
    return a, b, c


def _turned(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (32 - bits))) & _WORD
