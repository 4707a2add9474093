"""Screens for the display builder of Phoebus (.bob, version 2.0.0 of its XML)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from xml.etree import ElementTree as Xml

from orchestrator.screens.layout import WIDTH, Item, Kind, Screen

_TEXT_FORMAT = "6"
"""`format` of what shows arrays of CHAR as text."""
_COLOURS = ((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189))
"""Of curves: red, green, blue; used again where there are more."""


def bob(screen: Screen) -> str:
    """The text of its file."""
    display = Xml.Element("display", version="2.0.0")
    _add(display, name=screen.title, width=str(WIDTH), height=str(screen.height))
    for number, item in enumerate(screen.items):
        kind, version, fill = _WIDGETS[item.kind]
        widget = Xml.SubElement(display, "widget", type=kind, version=version)
        _add(widget, name=f"{kind} {number}", x=str(item.x), y=str(item.y))
        _add(widget, width=str(item.width), height=str(item.height))
        fill(widget, item)
    Xml.indent(display)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(display, encoding="unicode")}\n'


def _add(widget: Xml.Element, **texts: str) -> None:
    for name, text in texts.items():
        Xml.SubElement(widget, name).text = text


def _title(widget: Xml.Element, item: Item) -> None:
    _add(widget, text=item.text)
    font = Xml.SubElement(widget, "font")
    Xml.SubElement(font, "font", family="Liberation Sans", style="BOLD", size="16.0")


def _label(widget: Xml.Element, item: Item) -> None:
    _add(widget, text=item.text)


def _value(widget: Xml.Element, item: Item) -> None:
    _add(widget, pv_name=item.pv)


def _text(widget: Xml.Element, item: Item) -> None:
    _add(widget, pv_name=item.pv, format=_TEXT_FORMAT)


def _bar(widget: Xml.Element, item: Item) -> None:
    _add(widget, pv_name=item.pv, limits_from_pv="true")


def _button(widget: Xml.Element, item: Item) -> None:
    _add(widget, pv_name=item.pv, text=item.text)
    action = Xml.SubElement(Xml.SubElement(widget, "actions"), "action", type="write_pv")
    _add(action, pv_name="$(pv_name)", value=item.value, description=item.text)
    if item.confirm:
        # A truth value of this widget (ActionButtonWidget of Phoebus), a number of others.
        _add(widget, show_confirm_dialog="true", confirm_message=item.confirm)


def _plot(widget: Xml.Element, item: Item) -> None:
    _add(widget, title=item.text, show_toolbar="true", show_legend="true")
    traces = Xml.SubElement(widget, "traces")
    for number, (name, pv) in enumerate(item.curves):
        trace = Xml.SubElement(traces, "trace")
        _add(trace, name=name, x_pv=item.pv, y_pv=pv)
        colour = _COLOURS[number % len(_COLOURS)]
        parts = dict(zip(("red", "green", "blue"), map(str, colour), strict=True))
        Xml.SubElement(Xml.SubElement(trace, "color"), "color", parts)


_WIDGETS: Mapping[Kind, tuple[str, str, Callable[[Xml.Element, Item], None]]] = {
    "title": ("label", "2.0.0", _title),
    "label": ("label", "2.0.0", _label),
    "value": ("textupdate", "2.0.0", _value),
    "text": ("textupdate", "2.0.0", _text),
    "entry": ("textentry", "3.0.0", _text),
    "bar": ("progressbar", "2.0.0", _bar),
    "button": ("action_button", "3.0.0", _button),
    "plot": ("xyplot", "3.0.0", _plot),
}
"""By kind: the widget of Phoebus, the version of its form, and what it has beside its place."""
