"""A recording on the disk: JSON, one object a line, appended by a thread; and read again."""

from __future__ import annotations

import gzip
import json
import queue
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from orchestrator.replay.codec import RecordingError, UnrecordableError, encode

log = structlog.get_logger(__name__)

FORMAT = 1
"""Raised when an older version could not read what is written."""

WAITING = 50_000
"""Lines that may wait for the disk, some minutes of a busy service."""
_FLUSH = 1.0
"""s between two moments at which a compressed recording is whole on the disk."""
_FINISH = 10.0
"""s that the last lines may take."""
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 16


class RecordingWriter:
    """Appends lines; takes them at once and never waits for the disk.

    Where more wait than `waiting`, lines are left out and counted, and a line says so where they
    are missing: `{"gap": 17}`.
    """

    def __init__(self, file: Path, waiting: int = WAITING) -> None:
        """A file that exists stays: the name gets a number.

        Raises:
            RecordingError: It can't be made.
        """
        self.path = _free(file)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self.path.open("xb")
        except OSError as error:
            raise RecordingError(f"can't record to {self.path}: {error.strerror}") from error
        self._waiting = waiting
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._missing = 0
        self.left_out = 0
        self.error = ""
        self._thread = threading.Thread(target=self._work, name="recording", daemon=True)
        self._thread.start()

    def write(self, line: dict[str, Any]) -> None:
        """Take a line, from any thread; its values are encoded by the writer's."""
        if self._lines.qsize() >= self._waiting:
            self._missing += 1
            self.left_out += 1
            return
        if self._missing:
            missing, self._missing = self._missing, 0
            self._lines.put({"gap": missing})
        self._lines.put(line)

    def close(self) -> None:
        """Write the end and wait for the disk, `_FINISH` s at most. Blocks: not for the loop."""
        if self._missing:
            self._lines.put({"gap": self._missing})
        self._lines.put({"end": {"left_out": self.left_out}})
        self._lines.put(None)
        self._thread.join(_FINISH)

    # The thread ---------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            with self._file as raw:
                if self.path.suffix == ".gz":
                    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=5, mtime=0) as packed:
                        self._append(packed, raw)
                else:
                    self._append(raw, raw)
        except OSError as error:
            self.error = str(error)
            log.error("the recording has ended early", file=str(self.path), error=self.error)
            while self._lines.get() is not None:  # what waits must not fill the memory
                pass

    def _append(self, out: Any, raw: BinaryIO) -> None:
        flushed = time.monotonic()
        dirty = False
        while True:
            try:
                line = self._lines.get(timeout=_FLUSH if dirty else None)
            except queue.Empty:
                line = {}
            if line is None:
                return
            if line:
                out.write(_text(line))
                dirty = True
            idle = out is raw and self._lines.empty()
            if dirty and (idle or time.monotonic() - flushed > _FLUSH):
                out.flush()
                raw.flush()
                flushed, dirty = time.monotonic(), False


def _text(line: dict[str, Any]) -> bytes:
    try:
        data = encode(line)
    except UnrecordableError as error:
        log.error("a line of the recording is missing", error=str(error))
        data = {"gap": 1, "why": str(error)}
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass") + b"\n"  # half a pair ends no recording


def _free(file: Path) -> Path:
    """The name itself, or the first `night-2.jsonl`, `night-3.jsonl` … that there is not."""
    stem, dot, suffix = file.name.partition(".")
    number, path = 1, file
    while path.exists():
        number += 1
        path = file.with_name(f"{stem}-{number}{dot}{suffix}")
    return path


class RecordingReader:
    """The lines of a recording, as JSON; may be gone through again and again."""

    def __init__(self, file: Path) -> None:
        """Nothing is read before somebody asks."""
        self.path = file
        self.torn = False
        """Its last line is not whole: known once the end has been reached."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each line.

        Raises:
            RecordingError: The file can't be read, or a line but the last is no JSON object.
        """
        self.torn = False
        for number, (text, whole) in enumerate(self._lines(), 1):
            try:
                line = json.loads(text)
            except ValueError as error:
                if not whole:
                    self.torn = True
                    return
                what = ", and so no recording of `serve --record`" if number == 1 else ""
                where = f"{self.path}:{number}"
                raise RecordingError(f"{where}: this is no JSON{what}: {error}") from error
            if not isinstance(line, dict):
                raise RecordingError(f"{self.path}:{number}: expected an object, got {text[:40]!r}")
            yield line

    def _lines(self) -> Iterator[tuple[bytes, bool]]:
        """Each line, and whether it has an end."""
        rest = b""
        for chunk in self._chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from ((line, True) for line in lines if line.strip())
        if rest.strip():
            yield rest, False

    def _chunks(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                packed = file.read(2) == _GZIP
                file.seek(0)
                # 31: a gzip header; what a killed service left unfinished is read as far as it is.
                unpack = zlib.decompressobj(31)
                while chunk := file.read(_CHUNK):
                    yield unpack.decompress(chunk) if packed else chunk
        except OSError as error:
            raise RecordingError(f"can't read {self.path}: {error.strerror}") from error
        except zlib.error as error:
            raise RecordingError(f"{self.path}: this is no gzip file: {error}") from error
