"""Where text is printed."""

from __future__ import annotations

from rich.console import Console


class Screen(Console):
    """A console that tells by BrokenPipeError that its reader is gone; rich's ends the program."""

    def on_broken_pipe(self) -> None:
        """See `Console`; called where the error is handled."""
        raise
