"""A run while it runs: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orchestrator.display.output import unread
from orchestrator.display.progress import RunProgress
from orchestrator.types import (
    Progressed,
    RowTaken,
    RunEnded,
    RunEvent,
    RunRefused,
    RunStarted,
    RunState,
    Severity,
    StateChanged,
    StepStarted,
    Told,
)

_PLAIN_PERIOD = 1.0
"""s between two plain lines that tell of steps; all else is told at once."""
_BAR_WIDTH = 40

_SELF_EVIDENT = (RunState.RUNNING, RunState.IDLE)
"""States that need no line of their own, but for the end of a pause."""
_HELD = (RunState.PAUSING, RunState.PAUSED, RunState.SUSPENDED)

_STATE_STYLES = {
    RunState.RUNNING: "green",
    RunState.PAUSING: "yellow",
    RunState.PAUSED: "yellow",
    RunState.STOPPING: "red",
    RunState.ABORTING: "red",
}


class Screen(Console):
    """A console that tells by BrokenPipeError that its reader is gone; rich's ends the program."""

    def on_broken_pipe(self) -> None:
        """See `Console`; called where the error is handled."""
        raise


class RunDisplay:
    """Keeps count of a run and shows nothing; the base of those that do."""

    def __init__(self) -> None:
        self.progress = RunProgress()

    def take(self, event: RunEvent) -> None:
        """Take the next event of the run; returns at once."""
        self.progress.take(event)

    def note(self, text: str) -> None:
        """Tell something that isn't an event."""


@contextmanager
def open_display(*, quiet: bool = False) -> Iterator[RunDisplay]:
    """The display that fits stdout, for the time of one run.

    Args:
        quiet: Show nothing.
    """
    if quiet:
        yield RunDisplay()
    elif sys.stdout.isatty():
        console = Screen(highlight=False)
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield LiveDisplay(live)
    else:
        yield PlainDisplay(Screen(highlight=False, soft_wrap=True))


class PlainDisplay(RunDisplay):
    """A line for what is worth one."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._last = 0.0
        self._shown = ""

    @unread()
    def take(self, event: RunEvent) -> None:
        """See `RunDisplay`."""
        goes_on = self.progress.state in _HELD
        super().take(event)
        match event:
            case RunStarted():
                self.note(f"{self.progress.name or 'sequence'}: run {event.run_id}")
            case StateChanged(state) if goes_on or state not in _SELF_EVIDENT:
                self.note(f"{state.value}")
            case Told(text):
                self.note(text)
            case StepStarted() | Progressed():
                self._step()
            case _:
                pass

    @unread()
    def note(self, text: str) -> None:
        """See `RunDisplay`."""
        self._console.print(f"{self.progress.elapsed:7.1f} s  {text}", markup=False)
        self._console.file.flush()

    def _step(self) -> None:
        now = time.monotonic()
        position = self.progress.position
        if position != self._shown and now - self._last >= _PLAIN_PERIOD:
            self._shown, self._last = position, now
            self.note(f"{position} [{self.progress.counted}]")


class LiveDisplay(RunDisplay):
    """A few lines that are redrawn, and above them what was told."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self._spinner = Spinner("dots")

    @unread()
    def take(self, event: RunEvent) -> None:
        """See `RunDisplay`."""
        super().take(event)
        match event:
            case Told(text, severity):
                style = "yellow" if severity is Severity.MINOR else "red" if severity else ""
                self._live.console.print(Text(text, style=style))
            case RowTaken() | RunEnded() | RunRefused():
                return  # rows can be many; the end is shown by what comes after
            case _:
                pass
        self._live.update(self._render(), refresh=True)

    @unread()
    def note(self, text: str) -> None:
        """See `RunDisplay`."""
        self._live.console.print(Text(text, style="yellow"))

    def _render(self) -> RenderableType:
        return live_panel(self.progress, self._spinner)


def live_panel(progress: RunProgress, spinner: Spinner | None = None) -> RenderableType:
    """Name and state, a bar, the step: three lines."""
    state = Text(progress.state.value, style=_STATE_STYLES.get(progress.state, ""))
    head = Table.grid(padding=(0, 1))
    head.add_row(spinner or "", Text(progress.name or "sequence", style="bold"), state)
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(total=100, completed=progress.percent, width=_BAR_WIDTH),
        f"{progress.percent:3.0f} %",
        progress.counted,
        progress.timing,
    )
    points = f"  {progress.points} points" if progress.points else ""
    step = Text(f"{progress.position}{points}", no_wrap=True, overflow="ellipsis", style="dim")
    return Group(head, bar, step)
