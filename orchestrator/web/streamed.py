"""Files on their way to a client: piece by piece, however long they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_PIECE = 1 << 18


def lines_of_file(*files: Path) -> Iterator[bytes]:
    """The whole lines of files, one file after the other, in pieces.

    Each only as far as it goes when it is opened: one that grows has an end. Reads: to be called
    in a thread.
    """
    for path in files:
        with path.open("rb") as file:
            left = file.seek(0, 2)
            file.seek(0)
            kept = b""
            while left and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                lines, end, kept = (kept + piece).rpartition(b"\n")
                if end:
                    yield lines + end


def pieces_of_file(path: Path) -> Iterator[bytes]:
    """A file in pieces. Reads: to be called in a thread."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
