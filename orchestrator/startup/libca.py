"""Loads libca without what its packages do on the way, which takes longer than all the rest."""

from __future__ import annotations

import importlib.util
import sys

_FINDER = "epicscorelibs.path"


def load() -> None:
    """Import what finds libca, and its functions, in place of their first importer.

    `epicscorelibs.path` needs `setuptools_dso.runtime`, a module that finds shared libraries. The
    package around it imports setuptools and pkg_resources: so that module is imported without its
    package. And it finds out who asks by `inspect.stack`, which reads the source of every module
    on the way, for each library: so it is told.
    """
    if "epicscorelibs.path" in sys.modules or "setuptools_dso" in sys.modules:
        return
    spec = importlib.util.find_spec("setuptools_dso")
    if spec is None:
        return
    sys.modules["setuptools_dso"] = importlib.util.module_from_spec(spec)  # not executed
    try:
        names = vars(importlib.import_module("setuptools_dso.runtime"))
        find_out = names.get("_auto_pkg", _who_asks)
        names["_auto_pkg"] = _who_asks
        try:
            importlib.import_module("epicscorelibs.ca.cadef")
        finally:
            names["_auto_pkg"] = find_out
    finally:
        del sys.modules["setuptools_dso"]  # whoever wants the package gets all of it


def _who_asks() -> str:
    return _FINDER


def library(name: str) -> str:
    """The path of one of EPICS's shared libraries, such as `Com`."""
    path = importlib.import_module(_FINDER)
    return str(path.find_dso(f"..lib.{name}", package=_FINDER))


load()
