"""I/O interrupt: keys typed on a terminal, or the lines of a pipe, are posted as they come.

Prefix `SIM:KEYS:`:

| PV      | type   | meaning                                                               |
| ------- | ------ | --------------------------------------------------------------------- |
| Key     | int    | Code of the last byte that came; each is posted, a repeated one too.  |
| Count   | int    | Bytes since the start, posted after Key.                              |
| Line    | text   | The last whole line, without its end.                                 |
| Lines   | int    | Whole lines since the start, posted after Line.                       |
| Source  | enum   | Terminal, Pipe, None, Ended: where they come from.                    |
| Type    | text   | What is written here comes as if it had been typed.                   |

    python -m sim_iocs.io_interrupt                      # type
    tail -f log | python -m sim_iocs.io_interrupt        # a line is posted as it is written
    python -m sim_iocs.io_interrupt --source keys.fifo   # then: echo hello > keys.fifo

Keys come one by one, without Enter; Ctrl-C stops it, and the terminal is as it was. With
`--stop-with-stdin` stdin belongs to whoever started it, for the end and for faults; then, as in
`orchestrator sim` and in tests, there is only what `--source` names (made as a named pipe where
there is nothing) and what is written to Type.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import os
import stat
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from orchestrator.ioc import TextPV, TextRO
from sim_iocs.base import SimGroup, post, run_sim  # first: it sets caproto up

# isort: split
from caproto import ChannelType
from caproto.server import pvproperty

LONGEST_LINE = 1000
STDIN = "-"


class IoInterruptIOC(SimGroup):
    """Bytes of one source."""

    key = pvproperty(name="Key", value=0, read_only=True, doc="code of the last byte")
    count = pvproperty(name="Count", value=0, read_only=True, doc="bytes since the start")
    line = pvproperty(name="Line", value="", dtype=TextRO, max_length=LONGEST_LINE + 1)
    lines = pvproperty(name="Lines", value=0, read_only=True, doc="lines since the start")
    source = pvproperty(
        name="Source",
        value="None",
        dtype=ChannelType.ENUM,
        enum_strings=["Terminal", "Pipe", "None", "Ended"],
        read_only=True,
    )
    typed = pvproperty(name="Type", value="", dtype=TextPV, max_length=LONGEST_LINE + 1)

    def __init__(self, *args: Any, source: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._from = source
        self._begun = b""

    @key.startup
    async def key(self, instance: Any, async_lib: Any) -> None:
        """Post what comes until there is no more."""
        del instance, async_lib
        if not self._from:
            return
        with _opened(self._from) as file:
            await post(self.source, "Terminal" if os.isatty(file) else "Pipe")
            while received := await _read(file):
                await self._take(received)
        await post(self.source, "Ended")

    @typed.putter
    async def typed(self, instance: Any, value: str) -> None:
        """Have it come."""
        del instance
        await self._take(value.encode())

    async def _take(self, received: bytes) -> None:
        for code in received:
            await post(self.key, code)
            await post(self.count, self.count.value + 1)
            if code in b"\r\n":
                await self._end_line()
            else:
                self._begun = (self._begun + bytes([code]))[-LONGEST_LINE:]

    async def _end_line(self) -> None:
        await post(self.line, self._begun.decode(errors="replace"))
        await post(self.lines, self.lines.value + 1)
        self._begun = b""


@contextmanager
def _opened(source: str) -> Iterator[int]:
    """The source's file descriptor; a terminal gives each key at once, and is restored."""
    if source == STDIN:
        file = sys.stdin.fileno()
    else:
        if not os.path.exists(source):
            os.mkfifo(source)
        # Also to be written, so that a named pipe does not end when its last writer leaves.
        both = os.O_RDWR if stat.S_ISFIFO(os.stat(source).st_mode) else os.O_RDONLY
        file = os.open(source, both | os.O_NONBLOCK)
    terminal = termios.tcgetattr(file) if os.isatty(file) else None
    try:
        if terminal is not None:
            tty.setcbreak(file)
        yield file
    finally:
        if terminal is not None:
            termios.tcsetattr(file, termios.TCSADRAIN, terminal)
        if source != STDIN:
            os.close(file)


async def _read(file: int) -> bytes:
    """What has come, as soon as there is something; empty at the end."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(file, ready.set)
    except PermissionError:  # a plain file: always ready, but not to be waited for
        return os.read(file, 4096)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(file)
    return os.read(file, 4096)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    given = sys.argv[1:] if argv is None else list(argv)
    if "--stop-with-stdin" not in given and "--source" not in given:
        given = ["--source", STDIN, *given]
    return run_sim(
        IoInterruptIOC,
        given,
        default_prefix="SIM:KEYS:",
        desc=__doc__,
        options={"source": (str, "a named pipe, terminal or file to read; - is stdin")},
    )


if __name__ == "__main__":
    sys.exit(main())
