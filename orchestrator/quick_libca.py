"""Loads libca without setuptools."""

from __future__ import annotations

import importlib.util
import sys


def load() -> None:
    """Import what finds libca, in place of its first importer.

    `epicscorelibs.path` needs `setuptools_dso.runtime`, a module that finds shared libraries; the
    package around it imports setuptools and pkg_resources, which takes longer than all the rest of
    a command. So that module is imported without its package.
    """
    if "epicscorelibs.path" in sys.modules or "setuptools_dso" in sys.modules:
        return
    spec = importlib.util.find_spec("setuptools_dso")
    if spec is None:
        return
    sys.modules["setuptools_dso"] = importlib.util.module_from_spec(spec)  # not executed
    try:
        importlib.import_module("epicscorelibs.path")
    finally:
        del sys.modules["setuptools_dso"]  # whoever wants the package gets all of it


load()
