"""Where sequences come from: the configured directory, or the text of a request."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from orchestrator import verbs
from orchestrator.config import Config, key_place, names_of
from orchestrator.engine.sequences.python_program import PythonProgram
from orchestrator.engine.sequences.registry import Registry, SequenceFunction, load, writes_of
from orchestrator.errors import InputError
from orchestrator.language.names import Names, suggestion
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.program.nodes import Program, Runnable
from orchestrator.language.program.sequence_library import PythonSignature
from orchestrator.language.text.arguments import bind_parameters
from orchestrator.language.text.document import Document, parse
from orchestrator.language.text.json_text import read_json
from orchestrator.language.text.table_text import text_of_table
from orchestrator.types import Path as StepPath
from orchestrator.types import RunRequest, SourceText, fields
from orchestrator.verbs.own import register_verbs

RunFunction: TypeAlias = Callable[[Callable[..., object], Mapping[str, object]], Awaitable[object]]
"""Calls a function where user code runs."""

_SUFFIXES = (".yaml", ".yml", ".json")


def library_of(config: Config) -> Library:
    """The library that a configuration describes; imports its Python modules."""
    return Library(config.sequences, names_of(config), registry_of(config))


def registry_of(config: Config) -> Registry:
    """What the Python modules of a configuration have marked; imports them, and those of its verbs.

    Those that can't be are `broken`, each told with the line of the configuration that names it.
    """
    register_verbs(config)
    registry = load(config.python, config.folder)
    broken = {}
    for index, name in enumerate(config.python):
        if name in registry.broken:
            where = key_place(config, ("sequences", "python", index))
            broken[name] = f"{where}: sequences.python: {registry.broken[name]}"
    return replace(registry, broken=broken)


class Library:
    """Finds, reads and compiles sequences; a file is read anew each time.

    Implements `language.program.sequence_library.SequenceLibrary`.
    """

    def __init__(self, directory: Path | None, names: Names, registry: Registry) -> None:
        """`directory` holds the named sequences, None = none; `registry` those in Python."""
        # Here rather than at the first document: that is read while channels report, and one call
        # in this holds Python for 50 ms, in whatever thread.
        verbs.build()
        self._directory = directory
        self._names = names
        self._registry = registry
        self._kept: Mapping[str, tuple[str, str]] = {}

    @property
    def broken(self) -> tuple[str, ...]:
        """Why Python modules could not be taken, each with file and line."""
        return tuple(self._registry.broken.values())

    def as_kept(self, sources: Iterable[SourceText]) -> Library:
        """The same with documents as they were when a run was started; Python is that of today."""
        kept = copy.copy(self)
        texts = {own.name: (own.text, own.origin) for own in sources if not own.module}
        kept._kept = {**self._kept, **texts}  # noqa: SLF001 - another of the same
        return kept

    def names(self) -> tuple[str, ...]:
        """The names that can be run, sorted. Reads the directory."""
        return tuple(sorted({*self._registry.sequences, *self.files()}))

    def load(self, request: RunRequest) -> Runnable:
        """The program of a request. Reads a file and computes: not for the event loop.

        Raises:
            InputError: There is no such sequence, or it or its arguments are wrong.
        """
        arguments = _arguments(request.args)
        if not request.text and request.name in self._registry.sequences:
            arguments = _with_first(arguments, request, self._signature(request.name).parameters)
            return self.python_program(request.name, arguments)
        if request.text:
            document = parse(request.text, request.origin or fields.CMD.name)
        else:
            document = self.document(request.name)
        arguments = _with_first(arguments, request, document.parameters)
        return compile_program(document, arguments, self._names, self)

    def compile_inner(
        self, document: Document, path: StepPath, values: Mapping[str, object]
    ) -> Program:
        """The program of a document that the step at `path` runs. Computes: as `load`.

        Raises:
            InputError: Its arguments are wrong, or it is wrong with these arguments.
        """
        return compile_program(document, values, self._names, self, base=(*path, "run"))

    def python_program(self, name: str, values: Mapping[str, object]) -> PythonProgram:
        """A Python sequence with its arguments.

        Raises:
            InputError: Its arguments are wrong.
        """
        signature = self._signature(name)
        arguments = bind_parameters(name, signature.parameters, values)
        function = self._registry.sequences[name]
        return PythonProgram(name, signature.description, arguments, function=function)

    def function(self, name: str) -> SequenceFunction:
        """The function that is the Python sequence of that name."""
        return self._registry.sequences[name]

    def writes(self, name: str) -> tuple[str, ...]:
        """What the Python sequence of that name says that it puts to; channels as it names them."""
        return writes_of(self._registry.sequences[name])

    def _signature(self, name: str) -> PythonSignature:
        signature = self._registry.signature(name)
        if signature is None:
            raise InputError(f"there is no Python sequence {name!r}")
        return signature

    def python_source(self, name: str) -> SourceText:
        """How a Python sequence is written."""
        return self._registry.source(name, self._registry.sequences[name])

    def function_source(self, name: str) -> SourceText:
        """How a registered function is written."""
        return self._registry.source(name, self._registry.functions[name])

    # language.program.sequence_library.SequenceLibrary --------------------------------------------

    def document(self, name: str) -> Document:
        """A sequence by its name. Reads its file."""
        return parse(*self.source(name))

    def source(self, name: str) -> tuple[str, str]:
        """The text of a sequence, and its file's name. Reads the file.

        Raises:
            InputError: There is no such sequence, or its file can't be read.
        """
        if name in self._kept:
            return self._kept[name]
        file = self._find(name)
        try:
            return file.read_text(encoding="utf-8"), file.name
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file.name}: can't be read: {error}") from error

    def file(self, name: str) -> tuple[str, str]:
        """The text of a CSV file of the directory, and its name. Reads it.

        Raises:
            InputError: There is none of that name, or it can't be read.
        """
        if name in self._kept:
            return self._kept[name]
        if self._directory is None:
            raise InputError(
                f"there is no table {name!r}: the configuration names no [sequences] directory; "
                "take it as a parameter of type table, and give it as @FILE.csv"
            )
        file = Path(name)
        if file.is_absolute() or ".." in file.parts:
            raise InputError(f"the table {name!r} is not in the directory {self._directory}")
        return text_of_table(self._directory / file), name

    def functions(self) -> Mapping[str, Callable[..., object]]:
        """The registered functions, by name."""
        return self._registry.functions

    def left_out(self) -> str:
        """Which Python modules could not be taken, as the end of a message; empty = all were."""
        return "".join(f"; {text}" for text in self._registry.broken.values())

    async def invoke(self, name: str, args: Mapping[str, object], run: RunFunction) -> object:
        """What a registered function returns when `run` calls it."""
        return await run(self._registry.functions[name], args)

    def python(self, name: str) -> PythonSignature | None:
        """What the Python sequence of that name takes; None = there is none."""
        return self._registry.signature(name)

    def files(self) -> set[str]:
        """The names in the directory. Reads it."""
        if self._directory is None or not self._directory.is_dir():
            return set()
        return {f.stem for f in self._directory.iterdir() if f.suffix in _SUFFIXES}

    def _find(self, name: str) -> Path:
        if not name:
            raise InputError("no sequence is named: write its name to SEQ, or use `run NAME`")
        if name in self.files() and self._directory is not None:
            for suffix in _SUFFIXES:
                file = self._directory / (name + suffix)
                if file.exists():
                    return file
        known = self.names()
        hint = suggestion(name, known, kind="sequences") if known else self._nowhere()
        raise InputError(f"there is no sequence {name!r}{hint}{self.left_out()}")

    def _nowhere(self) -> str:
        if self._directory is None:
            return "; the configuration names no [sequences] directory"
        holds = "holds none" if self._directory.is_dir() else "is no directory"
        return f"; {self._directory} {holds}"


def _with_first(
    arguments: Mapping[str, object], request: RunRequest, parameters: Mapping[str, object]
) -> Mapping[str, object]:
    """The arguments with a bare value as that of the first parameter."""
    if request.value is None:
        return arguments
    if not parameters:
        raise InputError(f"{request.name} takes no parameters, but is given {request.value!r}")
    return {next(iter(parameters)): request.value, **arguments}


def _arguments(args: Mapping[str, object] | str) -> Mapping[str, object]:
    if not isinstance(args, str):
        return args
    if not args.strip():
        return {}
    parsed = read_json(args, fields.ARGS.name)
    if not isinstance(parsed, dict):
        given = args if len(args) <= 80 else f"{args[:80]}…"
        raise InputError(f'ARGS must be a JSON object like {{"points": 5}}, not {given!r}')
    return parsed
