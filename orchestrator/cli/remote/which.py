"""Which service or foreground run a command is to talk to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.config import Config
from orchestrator.errors import InputError
from orchestrator.present import Present, find_present


@dataclass(frozen=True, slots=True)
class Which:
    """One that a command talks to."""

    prefix: str
    """Of its PVs."""
    address: str = ""
    """host:port, the only place to look at; empty = where the configuration and EPICS_CA_* say."""
    run: str = ""
    """Of a foreground run, what people call it: it is gone once it has ended."""


def which(config: Config, server: str, run: str = "", *, runs: bool = True) -> Which:
    """Find what is meant.

    Args:
        config: Says which store, and which service is meant if nothing else is there.
        server: The prefix that was given with `--server`; empty if none was.
        run: What was given with `--run`: a foreground run's id, the beginning of it, or its name.
        runs: Whether foreground runs are meant too.

    Raises:
        InputError: There are several, or there is no such run.
    """
    if server and run:
        raise InputError("--server is for a service, --run for a foreground run: give one of them")
    here = [p for p in find_present(config.store) if runs or p.kind == "service"]
    if run:
        return _only(_named(here, run, config))
    if server:
        here = [p for p in here if p.kind == "service" and server in (p.prefix, *p.lanes)]
        return replace(_only(here), prefix=server) if here else Which(server)
    return _only(here) if here else Which(config.prefix)


def _named(here: Sequence[Present], run: str, config: Config) -> Sequence[Present]:
    runs = [present for present in here if present.kind == "run"]
    found = [p for p in runs if p.name == run] or [p for p in runs if p.run_id.startswith(run)]
    if not found:
        there = f"there: {', '.join(p.title for p in runs)}" if runs else "none is under way there"
        raise InputError(f"no foreground run {run!r} uses the store {config.store}; {there}")
    return found


def _only(here: Sequence[Present]) -> Which:
    if len(here) > 1:
        several = "\n".join(f"  {present.title}: {_choice(present, here)}" for present in here)
        raise InputError(f"which is meant? There are\n{several}")
    (present,) = here
    return Which(present.prefix, present.address, present.title if present.kind == "run" else "")


def _choice(present: Present, here: Sequence[Present]) -> str:
    """The option that chooses it, by its name where that is enough."""
    if present.kind == "service":
        return f"--server {present.prefix}"
    twice = [p for p in here if p.kind == "run" and p.name == present.name]
    return f"--run {present.name if len(twice) == 1 else present.run_id}"
