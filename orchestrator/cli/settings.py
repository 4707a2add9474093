"""From the command line to a configuration, and to the sequence that is meant."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config import Config, load_config
from orchestrator.errors import InputError
from orchestrator.language.names import suggestion

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The sequence that a command names."""

    name: str = ""
    """A name from the configuration, or that of the file."""
    text: str = ""
    """The file's text; empty where it is a name."""
    origin: str = ""
    """The file's name, for messages; empty where it is a name."""
    repeats: str = ""
    """The id of the run that is to be run again."""


def settings(file: Path | None, macros: Iterable[str] = ()) -> Config:
    """The configuration that holds for a command.

    Raises:
        InputError: It can't be read, or something in it is wrong.
    """
    return load_config(file, _pairs(macros))


def choose(sequence: str) -> Chosen:
    """Tell a file from a name: what exists, has a suffix of ours or a slash in it is a file.

    Raises:
        InputError: The file can't be read.
    """
    path = Path(sequence)
    if not (path.suffix in _SUFFIXES or os.sep in sequence or path.is_file()):
        return Chosen(name=sequence)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"can't read the sequence {sequence}: {error.strerror}{_beside(path)}"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{sequence}: not UTF-8 text (byte {error.start})") from error
    if not text.strip():  # it would be taken for a name
        raise InputError(f"{sequence}:1:1: the file is empty; it needs 'steps:' at least")
    return Chosen(path.stem, text, sequence)


def _beside(path: Path) -> str:
    """The file in the same folder that is perhaps meant."""
    try:
        files = [str(file) for file in path.parent.iterdir() if file.suffix in _SUFFIXES]
    except OSError:
        return ""
    return "" if path.exists() else suggestion(str(path), files)


def _pairs(texts: Iterable[str]) -> Mapping[str, str]:
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--macro {text}: expected NAME=VALUE")
        values[name] = value
    return values


def owner() -> str:
    """user@host, as Channel Access clients tell it."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
