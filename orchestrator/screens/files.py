"""What each format becomes: files by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.config import Config
from orchestrator.screens.bob import bob
from orchestrator.screens.layout import Screen, channels_screen, data_screen, run_screen
from orchestrator.screens.lists import alarms, archive
from orchestrator.screens.ui import ui


def _drawn(config: Config, draw: Callable[[Screen], str], suffix: str) -> dict[str, str]:
    screens = (run_screen(config), channels_screen(config), data_screen(config))
    return {f"{screen.name}.{suffix}": draw(screen) for screen in screens}


FORMATS: Mapping[str, Callable[[Config], dict[str, str]]] = {
    "bob": lambda config: _drawn(config, bob, "bob"),
    "ui": lambda config: _drawn(config, ui, "ui"),
    "alarms": lambda config: {"alarms.xml": alarms(config)},
    "archive": lambda config: {"archive.txt": archive(config)},
}
"""By name, what makes the files of a configuration: texts by file name."""


def screens_of(config: Config, wanted: str) -> dict[str, str]:
    """The files of a format, by name.

    Raises:
        KeyError: There is no such format.
    """
    return FORMATS[wanted](config)
