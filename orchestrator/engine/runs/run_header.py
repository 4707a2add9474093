"""Gathers what is known of a run at its start."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib.metadata import version

from orchestrator.engine.sequences.library import Library
from orchestrator.language.program.nodes import Another, Passes, Runnable, walk
from orchestrator.ports import View
from orchestrator.types import MAIN_LANE, Metadata, RunHeader, RunRequest, SourceText, fields


@dataclass(frozen=True, slots=True)
class Loaded:
    """A program as it was read and compiled, with what of its run is known by then."""

    program: Runnable
    sources: tuple[SourceText, ...]
    """See `RunHeader`."""
    versions: Mapping[str, str]
    """See `RunHeader`."""
    claims: frozenset[str] = frozenset()
    """What it is known to put to, see `claims.Claims.wanted`."""

    def header(
        self,
        run_id: str,
        request: RunRequest,
        view: View,
        now: datetime,
        metadata: Mapping[str, object],
    ) -> RunHeader:
        """The header of a run of it that begins `now`; `metadata` is that of all runs."""
        program = self.program

        def known(names: Iterable[str]) -> dict[str, Metadata | None]:
            return {name: view.channel(name).metadata for name in names}

        return RunHeader(
            run_id,
            program.name or request.name,
            owner=request.owner,
            how=request.how,
            repeats=request.repeats,
            lane=request.lane or MAIN_LANE,
            started=now,
            sources=self.sources,
            arguments=program.arguments,
            metadata={**metadata, **program.metadata, **request.metadata},
            versions=self.versions,
            channels=known(sampled(program)),
            baseline=known(program.baseline),
            recorded=known(recorded(program)),
            axes=axes(program),
        )


def load(library: Library, request: RunRequest, configuration: str) -> Loaded:
    """Load the program of a request. Reads files and computes: not for the event loop.

    Args:
        library: Where it is looked for.
        request: What is asked for.
        configuration: The digest of its file.

    Raises:
        InputError: There is no such sequence, or it or its arguments are wrong.
    """
    program = library.load(request)
    own = {"configuration": configuration} if configuration else {}
    sources = _sources(program, program.name or request.name, library)
    return Loaded(program, sources, {**_packages(), **own})


def header_of_refused(run_id: str, request: RunRequest, now: datetime) -> RunHeader:
    """The header of a run that could not be loaded: what was asked for."""
    own = (SourceText(request.name, request.text, request.origin),) if request.text else ()
    args = request.args if isinstance(request.args, Mapping) else {fields.ARGS.name: request.args}
    return RunHeader(
        run_id,
        request.name or request.origin,
        owner=request.owner,
        how=request.how,
        repeats=request.repeats,
        lane=request.lane or MAIN_LANE,
        started=now,
        sources=own,
        arguments=args,
        metadata=request.metadata,
    )


@cache
def _packages() -> Mapping[str, str]:
    python = ".".join(map(str, sys.version_info[:3]))
    return {"orchestrator": version("ioc-orchestrator"), "python": python}


def _sources(program: Runnable, name: str, library: Library) -> tuple[SourceText, ...]:
    """See `RunHeader.sources`; what a Python sequence runs is not known before it does."""
    found: dict[tuple[str, str], SourceText] = {}
    for node in walk(program.all_steps):
        match node.inside:
            case Another(sequence=inner, document=None):
                found["run", inner] = library.python_source(inner)
            case Another(sequence=inner, document=document) if document is not None:
                found["run", inner] = SourceText(inner, document.text, document.origin)
            case _:
                pass
        found |= {("file", file[0]): SourceText(*file) for file in node.files}
        for function in node.calls:
            found["call", function] = library.function_source(function)
    own = replace(program.source(library), name=name)
    return (own, *found.values())


def sampled(program: Runnable) -> tuple[str, ...]:
    """The channels that a program is known to sample, in the order of the document."""
    nodes = walk(program.all_steps)
    return tuple(dict.fromkeys(name for node in nodes for name in node.samples))


def recorded(program: Runnable) -> tuple[str, ...]:
    """The channels of which a program is known to record each update."""
    nodes = walk(program.all_steps)
    return tuple(dict.fromkeys(name for node in nodes for name in node.records))


def axes(program: Runnable) -> tuple[str, ...]:
    """See `RunHeader.axes`."""
    found: list[str] = []
    known = sampled(program)
    for node in walk(program.all_steps):
        if isinstance(node.inside, Passes):
            moved = (name for put in node.puts for name in (put.readback, put.pv) if name)
            found += [name for name in moved if name in known][:1]
    return tuple(dict.fromkeys(reversed(found)))
