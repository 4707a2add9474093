"""What the shell offers when TAB is pressed. Nothing here may print, raise, or run users' code."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import typer

if TYPE_CHECKING:
    from orchestrator.config import Config

_MOST = 200
"""Of runs; a shell asks before it shows so many."""
_SUFFIXES = (".yaml", ".yml", ".py")

Complete: TypeAlias = Callable[[typer.Context, str], list[str]]


def sequences(context: typer.Context, incomplete: str) -> list[str]:
    """Names of sequences, and files."""
    return _fitting(incomplete, lambda: (*_files(incomplete), *_names(_config(context))))


def channels(context: typer.Context, incomplete: str) -> list[str]:
    """Aliases of the configuration."""
    return _fitting(incomplete, lambda: _config(context).channels)


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Ids of runs, the newest first, and words for the last one."""
    return _fitting(incomplete, lambda: ("last", *_ids(context)))


def _fitting(incomplete: str, offered: Callable[[], Iterable[str]]) -> list[str]:
    with suppress(Exception):  # a configuration that is wrong: the command itself says what
        return list(dict.fromkeys(o for o in offered() if o.startswith(incomplete)))
    return []


def _config(context: typer.Context) -> Config:
    from orchestrator.config import load_config

    given = context.params.get("config")
    return load_config(Path(given) if given else None)


def _files(incomplete: str) -> Iterator[str]:
    """Those that may be sequences, and the folders in which more may be."""
    folder, slash, name = incomplete.rpartition("/")
    for path in sorted(Path(folder + slash or ".").glob(f"{name}*")):
        if path.name.startswith((".", "_")):
            continue
        if path.is_dir():
            yield f"{folder}{slash}{path.name}/"
        elif path.suffix in _SUFFIXES[:2]:
            yield f"{folder}{slash}{path.name}"


def _names(config: Config) -> Iterator[str]:
    if config.sequences is not None:
        for path in sorted(config.sequences.iterdir()):
            if path.suffix in _SUFFIXES[:2]:
                yield path.stem
    for module in config.python:
        path = (config.folder or Path()) / module.replace(".", "/")
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                yield from _in_python(file)


def _in_python(file: Path) -> Iterator[str]:
    """The functions and machines that are sequences, as the source says it."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            decorators = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
            if any(isinstance(d, ast.Name) and d.id == "sequence" for d in decorators):
                yield node.name


def _ids(context: typer.Context) -> list[str]:
    store = context.params.get("store") or _config(context).store
    ids = sorted((path.name for path in (Path(store) / "runs").iterdir()), reverse=True)
    return ids[:_MOST]
