"""A display's file whose reader may stand still: the run that is shown does not wait for him."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from orchestrator.display.output import tell_unwritten
from orchestrator.line_writer import LineWriter

_HANDED_OVER_S = 0.5
"""s that what was drawn may take to be there, before the terminal is somebody else's."""


class BackgroundFile:
    """A text file that takes what is written at once; a thread writes it to the real one."""

    def __init__(self, stream: TextIO) -> None:
        """`stream` is that of a terminal, a file or a pipe."""
        self.encoding = stream.encoding
        self.isatty = stream.isatty
        self.fileno = stream.fileno
        dropped = "… {:,} lines are left out here: nobody read them\n".format
        self._writer = LineWriter(
            stream.fileno(), dropped, tell_unwritten, encoding=stream.encoding
        )

    def write(self, text: str) -> int:
        """Take a text; never waits."""
        self._writer.offer(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits here but for the reader."""

    def hand_over(self) -> None:
        """Let what was written be there, if its reader takes it."""
        self._writer.drain(_HANDED_OVER_S)

    def close(self) -> None:
        """Wait until the reader has taken all; nobody else waits for him any more."""
        self._writer.close(None)


@contextmanager
def background_stdout() -> Iterator[BackgroundFile | None]:
    """Stdout for a display; None where it is no file of the system: then as it is."""
    try:
        sys.stdout.fileno()
    except (OSError, ValueError):
        yield None
        return
    file = BackgroundFile(sys.stdout)
    try:
        yield file
    finally:
        file.close()
