"""`notify`: who is told of what, and whether a message reaches them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from orchestrator.cli.settings import settings
from orchestrator.cli.terminal.codes import Code
from orchestrator.cli.terminal.guard import complain
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.config import Config, NotifyConfig
from orchestrator.errors import InputError
from orchestrator.notify import look_for_the_extra, send


def notify(file: Path | None, verbose: int, *, test: bool) -> int:
    """Show the rules; with `test` send a message to all, 1 if one does not get it.

    Raises:
        InputError: The configuration is wrong, has no [notify], or the extra is not installed.
    """
    set_up_logs(level_of(verbose))
    config = settings(file)
    if config.notify is None:
        raise InputError(
            'the configuration has no [notify]: urls = ["mailto://…"], on = ["failed"]'
        )
    look_for_the_extra()
    return _test(config, config.notify) if test else _show(config.notify)


def _show(rules: NotifyConfig) -> int:
    for rule in rules.on:
        typer.echo(f"{rule.kind} > {rule.above:g} s" if rule.above else rule.kind)
    typer.echo(f"to {len(rules.urls)}: --test sends them a message")
    return Code.SUCCESS


def _test(config: Config, rules: NotifyConfig) -> int:
    title = f"{config.prefix} test"
    sent = asyncio.run(send(rules.urls, title, "This is what a message will look like."))
    for each in sent:
        if each.error:
            complain(f"{each.to}: {each.error}")
        else:
            typer.echo(f"{each.to}: sent")
    return Code.FAILED if any(each.error for each in sent) else Code.SUCCESS
