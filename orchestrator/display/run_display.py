"""A run while it runs: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from orchestrator.display.background import background_stdout
from orchestrator.display.output import unread
from orchestrator.display.progress import RunProgress
from orchestrator.display.screen import Screen
from orchestrator.language.text.answers import right_answers
from orchestrator.types import (
    Asked,
    Controlled,
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

_ANSWERS = "Enter answers"
_ANSWER = "orchestrator answer"

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


class RunDisplay:
    """Keeps count of a run and shows nothing; the base of those that do."""

    def __init__(self) -> None:
        self.progress = RunProgress()
        self.keys = ""
        """What keys do, where there are any."""
        self.typed = ""
        """What was typed so far as an answer to the question that is asked."""

    def take(self, event: RunEvent) -> None:
        """Take the next event of the run; returns at once."""
        if isinstance(event, Asked):
            self.typed = ""  # that was for another question
        self.progress.take(event)

    def note(self, text: str) -> None:
        """Tell something that isn't an event."""

    def hint(self, text: str) -> None:
        """Show this in the place of what keys do; empty = that again."""

    def type(self, text: str) -> None:
        """Show this as what was typed as an answer."""
        self.typed = text

    def hide(self) -> None:
        """Draw nothing: the terminal is somebody else's for a while."""

    def show(self) -> None:
        """Draw again."""


@contextmanager
def open_display(*, quiet: bool = False) -> Iterator[RunDisplay]:
    """The display that fits stdout, for the time of one run.

    Args:
        quiet: Show nothing.
    """
    if quiet:
        yield RunDisplay()
        return
    with background_stdout() as file:
        given: Any = file  # as far as rich needs a file
        if not sys.stdout.isatty():
            yield PlainDisplay(Screen(file=given, highlight=False, soft_wrap=True))
            return
        hand_over = file.hand_over if file is not None else sys.stdout.flush
        display = LiveDisplay(Screen(file=given, highlight=False), hand_over)
        display.show()
        try:
            yield display
        finally:
            display.hide()


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
        goes_on = self.progress.run.state in _HELD
        super().take(event)
        match event:
            case RunStarted():
                self.note(f"{self.progress.run.name or 'sequence'}: run {event.run_id}")
            case StateChanged(state) if goes_on or state not in _SELF_EVIDENT:
                self.note(f"{state.value}")
            case Controlled() if event.by:
                self.note(event.text)
            case Told():
                self.note(event.text)
            case Asked():
                self.note(asked_text(event))
                value = " VALUE" if event.takes_a_value else ""
                self.note(f"it waits; in another terminal, in this folder: {_ANSWER}{value}")
            case StepStarted() | Progressed():
                self._step()
            case _:
                pass

    @unread()
    def note(self, text: str) -> None:
        """See `RunDisplay`."""
        self._console.print(f"{self.progress.run.figures.elapsed:7.1f} s  {text}", markup=False)
        self._console.file.flush()

    def _step(self) -> None:
        now = time.monotonic()
        position = self.progress.position
        if position != self._shown and now - self._last >= _PLAIN_PERIOD:
            self._shown, self._last = position, now
            self.note(f"{position} [{self.progress.counted}]")


class LiveDisplay(RunDisplay):
    """A few lines that are redrawn, and above them what was told."""

    def __init__(self, console: Console, hand_over: Callable[[], None]) -> None:
        """`hand_over` lets what was drawn be there, before the terminal is somebody else's."""
        super().__init__()
        self._console = console
        self._hand_over = hand_over
        self._live: Live | None = None
        self._spinner = Spinner("dots")
        self._hint = ""

    @unread()
    def take(self, event: RunEvent) -> None:
        """See `RunDisplay`."""
        super().take(event)
        match event:
            case Controlled() if event.by:
                self.note(event.text)
            case Told():
                self._console.print(Text(event.text, style=_style_of(event)))
            case Asked():
                self._console.print(Text(asked_text(event), style="bold"))
            case RowTaken() | RunEnded() | RunRefused():
                return  # rows can be many; the end is shown by what comes after
            case _:
                pass
        self._draw()

    @unread()
    def note(self, text: str) -> None:
        """See `RunDisplay`."""
        self._console.print(Text(text, style="yellow"))

    @unread()
    def hint(self, text: str) -> None:
        """See `RunDisplay`."""
        self._hint = text
        self._draw()

    @unread()
    def type(self, text: str) -> None:
        """See `RunDisplay`."""
        super().type(text)
        self._draw()

    @unread()
    def hide(self) -> None:
        """See `RunDisplay`; what is told is still printed, a line each."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
            self._hand_over()

    @unread()
    def show(self) -> None:
        """See `RunDisplay`."""
        if self._live is None:  # a new one: it erases nothing of what came in between
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._draw()

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self._render(), refresh=True)

    def _render(self) -> RenderableType:
        panel = live_panel(self.progress, self._spinner)
        if self._hint:
            return Group(panel, Text(self._hint, style="bold yellow", no_wrap=True))
        if not self.keys:
            return panel
        question = self.progress.run.question
        if question is not None and question.takes_a_value:
            return Group(panel, _answer_line(question, self.typed))
        keys = f"{_ANSWERS} · {self.keys}" if question is not None else self.keys
        return Group(panel, Text(keys, style="dim", no_wrap=True, overflow="ellipsis"))


def asked_text(question: Asked) -> str:
    """A question, and what answers it."""
    right = right_answers(question)
    default = "" if question.default is None else f"; {question.default} unless told otherwise"
    return f"{question.text} ({right}{default})" if right else question.text


def _answer_line(question: Asked, typed: str) -> Text:
    """What is typed as an answer, and what would be one."""
    line = Text("answer: ", style="bold yellow", no_wrap=True, overflow="ellipsis")
    line.append(f"{typed}_", style="bold")
    return line.append(f"  {right_answers(question)} · Enter sends it", style="dim")


def _style_of(told: Told) -> str:
    return "yellow" if told.severity is Severity.MINOR else "red" if told.severity else ""


def live_panel(progress: RunProgress, spinner: Spinner | None = None) -> RenderableType:
    """Name and state, a bar, the step: three lines.

    In colours of the terminal's own, so that they mean the same where there are 16: rich's bar is
    red on the way there, and grey when it is full.
    """
    run = progress.run
    state = Text(run.state.value, style=_STATE_STYLES.get(run.state, ""))
    head = Table.grid(padding=(0, 1))
    head.add_row(spinner or "", Text(run.name or "sequence", style="bold"), state)
    bar = Table.grid(padding=(0, 2))
    bar.add_row(
        ProgressBar(
            total=100,
            completed=run.figures.percent,
            width=_BAR_WIDTH,
            style="bright_black",
            complete_style="cyan",
            finished_style="green",
        ),
        f"{run.figures.percent:3.0f} %",
        progress.counted,
        progress.timing,
    )
    points = f"  {run.points} points" if run.points else ""
    step = Text(f"{progress.position}{points}", no_wrap=True, overflow="ellipsis", style="dim")
    return Group(head, bar, step)
