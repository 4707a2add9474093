"""The sequence that a command is given."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.cli.settings import Chosen
from orchestrator.config import Config
from orchestrator.engine import Library, library_of
from orchestrator.errors import InputError
from orchestrator.language.program.nodes import Runnable
from orchestrator.types import RunRequest


def load(
    config: Config, chosen: Chosen, args: Mapping[str, object], library: Library | None = None
) -> Runnable:
    """Parse, bind and compile a sequence; `library`: the configuration's, where it is there.

    Raises:
        InputError: Whatever is wrong with it or with its arguments.
    """
    library = library or library_of(config)
    if not chosen.text and config.sequences is None and not config.python:
        nowhere = f"{config.file} names no" if config.file else "no orchestrator.toml names a"
        raise InputError(f"there is no file {chosen.name!r}, and {nowhere} [sequences] directory")
    request = RunRequest(0, chosen.name, chosen.text, chosen.origin, args)
    return library.load(request)
