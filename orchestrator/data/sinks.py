"""What becomes of the data of a run: a sink for each form in which they are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from orchestrator.types import Metadata, Place, Reading, RunHeader, RunStatus


class Row(NamedTuple):
    """What one `sample` has taken."""

    point: int
    """Its number, from 0."""
    at: Place
    readings: Mapping[str, Reading | None]
    """By channel, in the order of the `sample`; None where one did not answer."""
    taken: int = 0
    """When, by our own clock: Unix ns."""
    superseded: bool = False
    """Whether the run has gone on from before it, and takes its points anew."""


class Baseline(NamedTuple):
    """What channels held at one moment of the run."""

    when: str
    """`start` or `end`."""
    readings: Mapping[str, Reading | None]
    """By channel; None where one did not answer."""
    taken: int
    """As of a row."""


def nanoseconds(reading: Reading) -> int:
    """Its time as Unix ns, those of the IOC: a float of today holds every 240th."""
    if reading.nanoseconds is None:
        return round(reading.timestamp * 1e9)
    # Not the float's whole seconds: it may have been rounded up to the next one.
    seconds = round(reading.timestamp - reading.nanoseconds / 1e9)
    return seconds * 1_000_000_000 + reading.nanoseconds


def stamp(reading: Reading) -> str:
    """Unix s with nine digits, those of the IOC: a float of today holds seven."""
    if reading.nanoseconds is None:
        return f"{reading.timestamp:.9f}"
    # Not the float's whole seconds: it may have been rounded up to the next one.
    seconds = round(reading.timestamp - reading.nanoseconds / 1e9)
    return f"{seconds}.{reading.nanoseconds:09d}"


class Identity(NamedTuple):
    """By which a file is known again."""

    device: int
    inode: int

    @classmethod
    def of(cls, file: os.stat_result) -> Identity:
        """That of a file."""
        return cls(file.st_dev, file.st_ino)


def new_file(path: Path) -> Path:
    """Make an empty file, with a number in its name where there is one already: none is lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, own = 1, path
    while True:
        try:
            own.open("xb").close()
        except FileExistsError:
            number += 1
            own = path.with_name(f"{path.stem}-{number}{path.suffix}")
        else:
            return own


def named(file: Path, path: Path) -> Path:
    """Give a file that is whole its name, with a number where there is such a file already."""
    number, own = 1, path
    while True:
        try:
            own.hardlink_to(file)  # a rename would replace what is there
        except FileExistsError:
            number += 1
            own = path.with_name(f"{path.stem}-{number}{path.suffix}")
        except OSError:  # not all file systems have links
            file.replace(own if not own.exists() else new_file(own))
            return own
        else:
            file.unlink()
            return own


class SpoiltError(Exception):
    """Somebody else has changed what a sink has written, or it is `gone`."""

    def __init__(self, text: str, *, gone: bool = False) -> None:
        super().__init__(text)
        self.gone = gone


class Sink(Protocol):
    """One form in which the data of one run are kept.

    Its methods are called one after the other by the thread that writes. What one raises ends this
    sink and no other: the rows that it lacks are told, and the run is one that failed.
    """

    @property
    def file(self) -> Path:
        """Where the rows are. Any thread may ask."""

    @property
    def rows(self) -> int:
        """Those that are in the file, as far as the operating system is concerned."""

    def open(self, header: RunHeader) -> None:
        """Called first, when there is a row."""

    def describe(self, channels: Mapping[str, Metadata]) -> None:
        """What channels are from now on; called before the first row that has one of them."""

    def go_on(self, header: RunHeader, superseded_from: int) -> int:
        """Called first, in place of `open`, where the run goes on that has rows already.

        Those from that number on are marked. What was not whole at the end is removed.

        Returns:
            How many rows there are: those that are lacking come next.
        """

    def row(self, row: Row) -> None:
        """Take a row; it need not be kept before `flush`."""

    def baseline(self, baseline: Baseline) -> None:
        """Take what channels hold at the start or the end of the run."""

    def update(self, reading: Reading) -> None:
        """Take an update of a channel that is recorded."""

    def flush(self) -> None:
        """Return when all rows so far are with the operating system.

        Raises:
            SpoiltError: Somebody else has changed what was written before.
        """

    def end(self, status: RunStatus, message: str) -> None:
        """Called last, behind a `flush`, if nothing has failed: how the run has ended, and why."""

    def give_up(self) -> None:
        """Called last, if something has failed: leave no part of a row behind the whole ones.

        What somebody else has written stays.
        """
