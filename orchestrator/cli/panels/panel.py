"""A panel of `orchestrator --help`: commands that are told together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from orchestrator.cli.terminal.guard import Answer, guarded
from orchestrator.language.names import nearest

Work = TypeVar("Work", bound=Callable[..., int])


class _TakesParameters(TyperCommand):
    """A command whose sequence has parameters of its own, which are no options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer's; an option that there is not is perhaps meant as a parameter."""
        self._look_at(args, ctx)
        return super().parse_args(ctx, args)

    def _look_at(self, args: Sequence[str], ctx: Any) -> None:
        known = {option for param in self.params for option in param.opts} | {"--help"}
        for number, word in enumerate(args):
            option, equals, value = word.partition("=")
            if word == "--":
                return
            if not option.startswith("--") or option in known or nearest(option, known):
                continue
            value = value if equals else "".join(args[number + 1 : number + 2])
            name = option.removeprefix("--").replace("-", "_")
            raise typer.BadParameter(
                f"{option} is no option; a parameter is written {name}={value or 'VALUE'}", ctx=ctx
            )


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
            kind = _TakesParameters if "arguments" in signature(work).parameters else None
            app.command(rich_help_panel=self._title, help=text, context_settings=context, cls=kind)(
                guarded(work, answer)
            )
