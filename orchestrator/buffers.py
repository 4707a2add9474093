"""Numpy buffers: a circular one for monitored channels, a growing one for samples."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]


class CircularBuffer:
    """The newest `capacity` values of a channel, oldest first."""

    __slots__ = ("_capacity", "_end", "_filled", "_values")

    def __init__(self, capacity: int) -> None:
        """`capacity` is at least 1."""
        self._values: Floats = np.empty(capacity)
        self._capacity = capacity
        self._end = 0
        self._filled = 0

    def __len__(self) -> int:
        return self._filled

    def append(self, value: float) -> None:
        """Add one value; the oldest goes where it is full."""
        end = self._end
        self._values[end] = value
        end += 1
        if end > self._filled:
            self._filled = end
        self._end = 0 if end == self._capacity else end

    def extend(self, values: Floats) -> None:
        """Add values, oldest first, shape (n,)."""
        start = self._end
        end = start + len(values)
        if end >= self._capacity:
            self._extend_around(values)
            return
        self._values[start:end] = values
        self._end = end
        if end > self._filled:
            self._filled = end

    def _extend_around(self, values: Floats) -> None:
        """The same where the end of the memory is reached."""
        new = values[-self._capacity :]
        first = self._capacity - self._end
        self._values[self._end :] = new[:first]
        rest = new[first:]
        self._values[: len(rest)] = rest
        self._end = (self._end + len(new)) % self._capacity
        self._filled = self._capacity

    def window(self) -> Floats:
        """All values, shape (len(self),), oldest first.

        A view where they don't wrap, a copy where they do: use it before the next append, or
        copy it.
        """
        start = self._end - self._filled
        if start >= 0:
            return self._values[start : self._end]
        if self._end == 0:  # full, and the oldest stands first
            return self._values[:]
        return np.concatenate((self._values[start:], self._values[: self._end]))


class Column:
    """Values that only grow; a prefix once handed out never changes."""

    def __init__(self) -> None:
        self._values: Floats = np.empty(64)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, value: float) -> None:
        """Add one value, in constant time on average."""
        if self._length == len(self._values):
            grown = np.empty(2 * self._length)
            grown[: self._length] = self._values
            self._values = grown
        self._values[self._length] = value
        self._length += 1

    def values(self) -> Floats:
        """All values so far, shape (len(self),); a read-only view, valid for ever."""
        view = self._values[: self._length]
        view.flags.writeable = False
        return view
