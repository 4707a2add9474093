"""Where stdout leads, and what becomes of it when nobody takes what is written there.

Only the standard library: every command stands on it, `--help` too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def leave_stdout() -> None:
    """Write what still comes, and what waits in the buffer, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    sys.stdout.flush()


@contextmanager
def unread() -> Iterator[None]:
    """Let a display never end what it shows: a run outlives its reader, or a full disk."""
    try:
        yield
    except OSError as error:
        tell_unwritten(error)


def tell_unwritten(error: OSError) -> None:
    """Write nothing more to stdout, and say why if its reader has not just gone."""
    leave_stdout()
    if not isinstance(error, BrokenPipeError):
        with suppress(OSError):  # stderr may be the same file
            print(f"stdout: {error.strerror}: no more is shown", file=sys.stderr)  # noqa: T201


def open_missing_streams() -> None:
    """Give a process that was started without stdin, stdout or stderr (`>&-`) those of nowhere.

    Otherwise the next file or socket that it opens would be taken for the missing one.
    """
    number = 0
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115 - stays open
            setattr(sys, name, stream)
