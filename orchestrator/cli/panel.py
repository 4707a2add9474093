"""A panel of `orchestrator --help`: commands that are told together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typer

from orchestrator.cli.guard import Answer, guarded

Work = TypeVar("Work", bound=Callable[..., int])


class Panel:
    """Gathers the commands of one panel, in the order in which they are written down."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._commands: list[tuple[Callable[..., int], Answer | None, dict[str, bool]]] = []

    def command(self, answer: Answer | None = None, **context: bool) -> Callable[[Work], Work]:
        """Take a function as the command of its name; its docstring is the help.

        Args:
            answer: Tells its errors with `--json`, see `guarded`.
            context: Settings of click's context.
        """

        def register(work: Work) -> Work:
            self._commands.append((work, answer, context))
            return work

        return register

    def add_to(self, app: typer.Typer) -> None:
        """Make its commands those of an app."""
        for work, answer, context in self._commands:
            paragraphs = (work.__doc__ or "").split("\n\n")
            text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
            app.command(rich_help_panel=self._title, help=text, context_settings=context)(
                guarded(work, answer)
            )
