"""What stands on the screens, and where: the same for every program that draws them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.config import Config
from orchestrator.types import MAIN_LANE, Field, NativeType, fields

ROW = 26
"""Pixels from one row to the next."""
HEIGHT = 22
MARGIN = 10
WIDTH = 940
_LABEL = 170
_BUTTON = 100
_PLOT = 300

Kind = Literal["title", "label", "value", "text", "entry", "bar", "button", "plot"]


@dataclass(frozen=True, slots=True)
class Item:
    """Something on a screen."""

    kind: Kind
    """`text`: a PV that is a text in an array of CHAR."""
    x: int
    y: int
    width: int
    pv: str = ""
    """Of a plot its x, empty = the number of the point."""
    text: str = ""
    height: int = HEIGHT
    confirm: str = ""
    """What is asked before a button does something; empty = nothing."""
    value: str = "1"
    """What a button writes."""
    curves: tuple[tuple[str, str], ...] = ()
    """Of a plot: name and PV of each."""


@dataclass(slots=True)
class Screen:
    """A screen under construction, from the top downwards."""

    name: str
    title: str
    items: list[Item] = field(default_factory=list)
    bottom: int = MARGIN

    @property
    def height(self) -> int:
        """All of it."""
        return self.bottom + MARGIN

    def heading(self, text: str) -> None:
        """A line of its own."""
        self.items.append(Item("title", MARGIN, self.bottom, WIDTH - 2 * MARGIN, text=text))
        self.bottom += ROW

    def row(self, label: str, *items: tuple[Kind, str, int, str]) -> None:
        """A label, and beside it kind, PV, width and text of each."""
        self.items.append(Item("label", MARGIN, self.bottom, _LABEL, text=label))
        x = MARGIN + _LABEL + MARGIN
        for kind, pv, width, text in items:
            confirm = f"{text}?" if text in _CONFIRMED else ""
            value = "0" if text == _RESUME else "1"
            item = Item(kind, x, self.bottom, width, pv, text, confirm=confirm, value=value)
            self.items.append(item)
            x += width + MARGIN
        self.bottom += ROW


_CONFIRMED = ("Abort", "Stop")
_RESUME = "Resume"
_WIDE = WIDTH - _LABEL - 3 * MARGIN
_HALF = (_WIDE - MARGIN) // 2
_OF_RUN = (
    ("Sequence", fields.RUN_NAME, fields.RUN_ID),
    ("Asked by", fields.OWNER, fields.STEP_NAME),
)
_NUMBERS = (fields.ELAPSED, fields.REMAINING, fields.HUNG_SEC)


def run_screen(config: Config) -> Screen:
    """What the service does: each lane, the queue, which IOCs are there."""
    screen = Screen("orchestrator", f"Orchestrator {config.prefix}")
    for lane in ("", *config.lanes):
        _lane(screen, config.prefix, lane)
    pv = config.prefix
    screen.heading("Queue")
    screen.row(
        "Waiting",
        ("value", pv + fields.QUEUE_LEN.pv(), 80, ""),
        _text(pv, fields.QUEUE, _WIDE - 90),
    )
    screen.heading("IOCs")
    screen.row("Disconnected", _text(pv, fields.CHAIN_DISCONNECTED, _WIDE))
    for ioc in config.chain:
        status, back = fields.CHAIN_STATUS.pv(ioc), fields.CHAIN_RECONNECTS.pv(ioc)
        screen.row(ioc, ("value", pv + status, _HALF, ""), ("value", pv + back, 80, ""))
    return screen


def _lane(screen: Screen, prefix: str, lane: str) -> None:
    def pv(of: Field) -> str:
        return prefix + of.pv(lane=lane)

    def shown(of: Field, width: int) -> tuple[Kind, str, int, str]:
        return _text(prefix, of, width, lane)

    screen.heading(lane or MAIN_LANE)
    screen.row(
        "State",
        ("value", pv(fields.STATE), 140, ""),
        ("value", pv(fields.STATUS), 140, ""),
        ("bar", pv(fields.PROGRESS), _WIDE - 300, ""),
    )
    for label, left, right in _OF_RUN:
        screen.row(label, shown(left, _HALF), shown(right, _HALF))
    width = (_WIDE - 2 * MARGIN) // 3
    screen.row("Elapsed, left, hung", *(("value", pv(each), width, "") for each in _NUMBERS))
    screen.row("Message", shown(fields.MESSAGE, _WIDE))
    screen.row("Question", shown(fields.QUESTION, _HALF), ("entry", pv(fields.ANSWER), _HALF, ""))
    screen.row(
        "Start",
        ("entry", pv(fields.SEQ), 200, ""),
        ("entry", pv(fields.ARGS), _WIDE - 200 - 2 * MARGIN - _BUTTON, ""),
        ("button", pv(fields.START), _BUTTON, "Start"),
    )
    verbs = {
        "Pause": fields.PAUSE,
        _RESUME: fields.PAUSE,
        "Skip": fields.SKIP,
        "Stop": fields.STOP,
        "Abort": fields.ABORT,
    }
    screen.row("", *(("button", pv(of), _BUTTON, text) for text, of in verbs.items()))


def _text(prefix: str, of: Field, width: int, lane: str = "") -> tuple[Kind, str, int, str]:
    return "text", prefix + of.pv(lane=lane), width, ""


def channels_screen(config: Config) -> Screen:
    """The value of each channel that is mirrored, by IOC."""
    screen = Screen("channels", f"Channels of {config.prefix}")
    for ioc in config.chain.values():
        screen.heading(ioc.name)
        for name, channel in ioc.channels.items():
            if channel.mirror:
                pv = config.prefix + fields.MON.pv(name)
                kind: Kind = "text" if channel.text else "value"
                screen.row(name, (kind, pv, _HALF, ""))
    return screen


def data_screen(config: Config) -> Screen:
    """The samples of the run in each lane: how many, into which file, drawn by IOC."""
    screen = Screen("data", f"Data of {config.prefix}")
    for lane in ("", *config.lanes):
        screen.heading(lane or MAIN_LANE)
        file, points = fields.DATA_FILE.pv(lane=lane), fields.DATA_NPTS.pv(lane=lane)
        screen.row(
            "Points, file",
            ("value", config.prefix + points, 80, ""),
            ("text", config.prefix + file, _WIDE - 90, ""),
        )
        for ioc, curves in _curves(config, lane):
            width = WIDTH - 2 * MARGIN
            screen.items.append(
                Item("plot", MARGIN, screen.bottom, width, text=ioc, height=_PLOT, curves=curves)
            )
            screen.bottom += _PLOT + MARGIN
    return screen


def _curves(config: Config, lane: str) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    for ioc in config.chain.values():
        curves = tuple(
            (name, config.prefix + fields.DATA.pv(name, lane))
            for name, channel in ioc.channels.items()
            if not channel.text and channel.type is not NativeType.STRING
        )
        if curves:
            yield ioc.name, curves
