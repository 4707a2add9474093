"""Verbs of a user's own: forms in modules that the configuration names."""

from __future__ import annotations

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from orchestrator.config import Config, key_place
from orchestrator.errors import InputError
from orchestrator.language.program.form import Form, undocumented
from orchestrator.language.text.steps import VERBS, register

_OTHERS = (str(Path(__file__).parents[1]), *map(sysconfig.get_path, ("stdlib", "purelib")))
"""Where code is that is not the user's."""

PYTHON_ONLY = frozenset(
    {"set_all", "until", "value", "data", "linspace", "arange", "machine", "carry_out"}
    | {"latch", "updates"}
)
"""Names that a run in Python has for what is no verb of documents."""


def register_verbs(config: Config) -> None:
    """Import the modules of `[sequences] verbs`, and make their verbs known to documents.

    A form that is known already is left as it is: several parts of a process ask for this.

    Raises:
        InputError: A module can't be imported or has no verb, or a verb is not whole or has a name
            that is taken; with the line of the configuration.
    """
    if config.verbs:
        look_in(config.folder)
    for index, name in enumerate(config.verbs):
        try:
            for form in _forms(import_module(name)):
                if VERBS.get(form.VERB) is not form:
                    _check(form)
                    register(form)
        except (InputError, TypeError) as error:
            where = key_place(config, ("sequences", "verbs", index))
            raise InputError(f"{where}: sequences.verbs: {error}") from error


def _forms(module: ModuleType) -> Iterator[type[Form]]:
    """The forms that are defined in a module, in its order."""
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Form)
        and value.__module__ == module.__name__
    ]
    if not own:
        raise InputError(f'{module.__name__} has no verb: a class of Form, with verb="…"')
    yield from own


def _check(form: type[Form]) -> None:
    """What a verb of ours is by its tests, one of a user's has to be here."""
    if form.VERB in PYTHON_ONLY:
        raise TypeError(f"{form.__module__}: in Python {form.VERB!r} is something else already")
    silent = undocumented(form)
    if silent:
        raise TypeError(
            f"{form.__module__}: {', '.join(silent)}: write below it what it means, as the "
            "reference and editors show it"
        )


def look_in(folder: Path | None) -> None:
    """Find the user's modules in a folder as well."""
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def import_module(name: str) -> ModuleType:
    """A module of the user's.

    Raises:
        InputError: It can't be imported; names the line.
    """
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # `sys.exit()` in a module must not end the service
        where = _place(error)
        text = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{name} can't be imported: {where}{': ' if where else ''}{text}"
        ) from error


def _place(error: BaseException) -> str:
    """The line of the user's code in which an import failed; empty where it did not get there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(("<", *_OTHERS))]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""
