"""Verbs of a user's own: forms in modules that the configuration names."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from orchestrator.config import Config, key_place
from orchestrator.engine.sequences.registry import import_module, look_in
from orchestrator.errors import InputError
from orchestrator.language.program.form import Form, undocumented
from orchestrator.language.text.steps import VERBS, register


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
                    _check_documented(form)
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


def _check_documented(form: type[Form]) -> None:
    silent = undocumented(form)
    if silent:
        raise TypeError(
            f"{form.__module__}: {', '.join(silent)}: write below it what it means, as the "
            "reference and editors show it"
        )
