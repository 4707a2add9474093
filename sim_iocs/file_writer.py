"""Text that is put to it goes into a file, of a directory that is its own.

Prefix `SIM:FILE:`:

| PV        | type | unit | meaning                                                          |
| --------- | ---- | ---- | ---------------------------------------------------------------- |
| Directory | text |      | Where it writes: `--directory`, made if it is not there; without |
|           |      |      | that, a temporary one, which is removed when the IOC stops.      |
| FileName  | text |      | Of the next file: letters, digits, `.`, `_`, `-`, 64 at the      |
|           |      |      | most, a letter or digit first. Any other name is refused.        |
| Content   | text |      | 9999 bytes: a put writes the file, in place of an older one of   |
|           |      |      | the name. A put-callback completes when it is on the disk, and   |
|           |      |      | fails if it can't be written; Message says why.                  |
| Written   | int  |      | Files written since the start.                                   |
| Message   | text |      | What was written last, or why not: then MAJOR.                   |

Nothing that a client sends can lead out of the directory: a name holds no `/`, all is done
relative to the directory as it was opened at the start, and a link of that name is replaced, not
followed. Readers see the old file or the new one, never half of one. There are at most 100 files.
"""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.ioc import TextPV, TextRO
from sim_iocs.base import SimGroup, post, run_sim  # first: it sets caproto up

# isort: split
from caproto import AlarmSeverity, AlarmStatus
from caproto.server import pvproperty

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST_FILES = 100
FAILED = (AlarmStatus.WRITE, AlarmSeverity.MAJOR_ALARM)

_PARTIAL = ".partial"
"""The file while it is written; `NAME` allows none that begins with a dot."""


def write_file(directory: int, name: str, content: str) -> None:
    """Write a file at once or not at all.

    Args:
        directory: its descriptor; what happens to its path meanwhile makes no difference.
        name: matches `NAME`.
        content: the text, as UTF-8.

    Raises:
        OSError: it can't be written, or there are `MOST_FILES` already.
    """
    there = [entry for entry in os.listdir(directory) if entry != _PARTIAL]
    if name not in there and len(there) >= MOST_FILES:
        raise OSError(f"there are {len(there)} files already, which is the most")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    file = os.open(_PARTIAL, flags, 0o600, dir_fd=directory)
    with os.fdopen(file, "w", encoding="utf-8", newline="") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(file)
    os.replace(_PARTIAL, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


class FileWriterIOC(SimGroup):
    """One directory."""

    directory = pvproperty(name="Directory", value="", dtype=TextRO, doc="where it writes")
    file_name = pvproperty(
        name="FileName", value="note.txt", dtype=TextPV, max_length=500, doc="of the next file"
    )
    content = pvproperty(
        name="Content", value="", dtype=TextPV, max_length=10_000, doc="written when it is put"
    )
    written = pvproperty(name="Written", value=0, read_only=True, doc="files written")
    message = pvproperty(name="Message", value="", dtype=TextRO, doc="what became of the last put")

    def __init__(self, *args: Any, directory: Path | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._passing = directory is None
        self._path = directory or Path(tempfile.mkdtemp(prefix="file-writer-"))
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise InputError(f"--directory {self._path}: {error.strerror}") from error
        self._one_at_a_time = asyncio.Lock()

    @directory.startup
    async def directory(self, instance: Any, async_lib: Any) -> None:
        """Tell where it is."""
        del async_lib
        await post(instance, str(self._path))

    @directory.shutdown
    async def directory(self, instance: Any, async_lib: Any) -> None:
        """Leave nothing behind that nobody asked for."""
        del instance, async_lib
        os.close(self._descriptor)
        if self._passing:
            shutil.rmtree(self._path, ignore_errors=True)

    @file_name.putter
    async def file_name(self, instance: Any, value: str) -> None:
        """Take a name that can't be a path."""
        del instance
        if not NAME.fullmatch(value):
            await self._failed(f"FileName: {value!r} is no plain file name")

    @content.putter
    async def content(self, instance: Any, value: str) -> None:
        """Write the file; returns when it is on the disk."""
        del instance
        async with self._one_at_a_time:
            name = self.file_name.value
            try:
                # A disk may take its time, and the other PVs are not to wait for it.
                await asyncio.to_thread(write_file, self._descriptor, name, value)
            except OSError as error:
                await self._failed(f"{name}: {error.strerror or error}")
            await post(self.written, self.written.value + 1)
            await post(self.message, f"{name}: {len(value.encode())} bytes")

    async def _failed(self, reason: str) -> None:
        await post(self.message, reason, FAILED)
        raise ValueError(reason)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    options = {"directory": (Path, "where to write; without it, into a temporary one")}
    return run_sim(FileWriterIOC, argv, default_prefix="SIM:FILE:", desc=__doc__, options=options)


if __name__ == "__main__":
    sys.exit(main())
