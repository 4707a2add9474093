"""All of it, in the order in which one thing needs the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from orchestrator.client import configure_environment
from orchestrator.config import Config, prefix_doubts
from orchestrator.doctor.chain import chained
from orchestrator.doctor.host import descriptors, search, store, versions
from orchestrator.doctor.places import own_ports
from orchestrator.doctor.symptom import Symptom, error, ok, warning
from orchestrator.engine import library_of, unfit


async def examine(config: Config) -> AsyncIterator[Symptom]:
    """Look at all that a service with this configuration needs.

    Connects its channels for some seconds, and binds its ports for a moment; writes nothing. May be
    used beside the running service.
    """
    configure_environment(config)
    for look in (versions(), _files(config), store(config), descriptors(config)):
        for symptom in look:
            yield symptom
    for look in (own_ports(config), search()):
        for symptom in look:
            yield symptom
    async for symptom in chained(config):
        yield symptom


def _files(config: Config) -> Iterator[Symptom]:
    about = "configuration"
    for doubt in prefix_doubts(config):
        yield warning(about, doubt, "change prefix")
    library = library_of(config)
    for line in library.broken:
        yield error("sequences", line, "correct it; orchestrator check tells more")
    for where, text in unfit(config, library):
        yield error(where, text, "correct the name or the arguments")
    file = config.file or "none: no orchestrator.toml in this folder, and no --config"
    names = len(list(library.names()))
    yield ok(
        about,
        f"{file}; {len(config.remote_channels)} channels of {len(config.chain)} IOCs, "
        f"{names} sequences",
    )
