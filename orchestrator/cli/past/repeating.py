"""`again`: a past run once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import typer

from orchestrator.cli.local.embedded import run_chosen
from orchestrator.cli.past.stores import past_runs
from orchestrator.cli.settings import Chosen, settings
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.data.past import account_of
from orchestrator.errors import InputError
from orchestrator.language.text.arguments import parse_assignments, with_files


def again(
    run: str,
    arguments: Sequence[str],
    file: Path | None,
    store: Path | None,
    verbose: int,
    *,
    as_json: bool,
) -> int:
    """Run it again, with a service of its own.

    Raises:
        InputError: There is no such run, or it can't be run with these arguments.
    """
    set_up_logs(level_of(verbose))
    found = past_runs(file, store).find(run)
    header = account_of(found.folder).header
    sources: Sequence[Mapping[str, str]] = header["sources"]
    if not sources:
        raise InputError(f"{found.name} {found.run_id} could not be loaded: its text is not known")
    own, changed = sources[0], with_files(parse_assignments(arguments))
    python = bool(own["module"])
    for name in _changed(sources if python else sources[1:]):
        typer.secho(f"{name} has changed since: it is run as it is now", fg="yellow", err=True)
    if not as_json:
        typer.echo(f"{found.name} again, as in {found.run_id}{_told(changed)}")
    text, origin = ("", "") if python else (own["text"], own["origin"])
    chosen = Chosen(found.name, text, origin, repeats=found.run_id)
    args = {**header["arguments"], **changed}
    metadata = header.get("metadata", {})
    return run_chosen(chosen, args, metadata, settings(file), verbose, as_json=as_json)


def _told(changed: Mapping[str, str]) -> str:
    if not changed:
        return ""
    return ", but for " + ", ".join(f"{name}={value}" for name, value in changed.items())


def _changed(sources: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """What is read from a file anew, and is no longer what it was."""
    for source in sources:
        try:
            now = Path(source["origin"]).read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue  # whether there is one at all is told when it is loaded
        if now != source["text"]:
            yield source["origin"]
