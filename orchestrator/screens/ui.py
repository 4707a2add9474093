"""Screens for PyDM: files of Qt Designer (.ui, version 4.0)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from xml.etree import ElementTree as Xml

from orchestrator.screens.layout import WIDTH, Item, Kind, Screen

_AS_TEXT = "PyDMLabel::String"
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")


def ui(screen: Screen) -> str:
    """The text of its file."""
    root = Xml.Element("ui", version="4.0")
    Xml.SubElement(root, "class").text = "Form"
    form = Xml.SubElement(root, "widget", {"class": "QWidget", "name": "Form"})
    _place(form, 0, 0, WIDTH, screen.height)
    _property(form, "windowTitle", "string", screen.title)
    for number, item in enumerate(screen.items):
        kind, fill = _WIDGETS[item.kind]
        widget = Xml.SubElement(form, "widget", {"class": kind, "name": f"{kind}_{number}"})
        _place(widget, item.x, item.y, item.width, item.height)
        fill(widget, item)
    custom = Xml.SubElement(root, "customwidgets")
    for kind, (base, header) in _CUSTOM.items():
        one = Xml.SubElement(custom, "customwidget")
        for name, text in (("class", kind), ("extends", base), ("header", header)):
            Xml.SubElement(one, name).text = text
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(root, encoding="unicode")}\n'


def _place(widget: Xml.Element, x: int, y: int, width: int, height: int) -> None:
    rect = Xml.SubElement(Xml.SubElement(widget, "property", name="geometry"), "rect")
    for name, value in (("x", x), ("y", y), ("width", width), ("height", height)):
        Xml.SubElement(rect, name).text = str(value)


def _property(widget: Xml.Element, name: str, kind: str, text: str) -> None:
    """One of Qt's own."""
    Xml.SubElement(Xml.SubElement(widget, "property", name=name), kind).text = text


def _own(widget: Xml.Element, name: str, kind: str, text: str) -> None:
    """One that PyDM has added: it is no setter of C++."""
    attributes = {"name": name, "stdset": "0"}
    Xml.SubElement(Xml.SubElement(widget, "property", attributes), kind).text = text


def _title(widget: Xml.Element, item: Item) -> None:
    _property(widget, "text", "string", item.text)
    _property(widget, "styleSheet", "string", "font-weight: bold; font-size: 16px")


def _label(widget: Xml.Element, item: Item) -> None:
    _property(widget, "text", "string", item.text)


def _value(widget: Xml.Element, item: Item) -> None:
    _channel(widget, item)
    _own(widget, "showUnits", "bool", "true")


def _channel(widget: Xml.Element, item: Item) -> None:
    _own(widget, "channel", "string", f"ca://{item.pv}")


def _text(widget: Xml.Element, item: Item) -> None:
    _channel(widget, item)
    _own(widget, "displayFormat", "enum", _AS_TEXT)


def _entry(widget: Xml.Element, item: Item) -> None:
    _channel(widget, item)
    _own(widget, "displayFormat", "enum", "PyDMLineEdit::String")


def _button(widget: Xml.Element, item: Item) -> None:
    _property(widget, "text", "string", item.text)
    _channel(widget, item)
    _own(widget, "pressValue", "string", item.value)
    if item.confirm:
        _own(widget, "showConfirmDialog", "bool", "true")
        _own(widget, "confirmMessage", "string", item.confirm)


def _plot(widget: Xml.Element, item: Item) -> None:
    _own(widget, "title", "string", item.text)
    _own(widget, "showLegend", "bool", "true")
    curves = Xml.SubElement(
        Xml.SubElement(widget, "property", name="curves", stdset="0"), "stringlist"
    )
    for number, (name, pv) in enumerate(item.curves):
        curve = {"x_channel": None, "y_channel": f"ca://{pv}", "name": name}
        curve["color"] = _COLOURS[number % len(_COLOURS)]
        Xml.SubElement(curves, "string").text = json.dumps(curve)


_WIDGETS: Mapping[Kind, tuple[str, Callable[[Xml.Element, Item], None]]] = {
    "title": ("QLabel", _title),
    "label": ("QLabel", _label),
    "value": ("PyDMLabel", _value),
    "text": ("PyDMLabel", _text),
    "entry": ("PyDMLineEdit", _entry),
    "bar": ("PyDMLabel", _value),
    "button": ("PyDMPushButton", _button),
    "plot": ("PyDMWaveformPlot", _plot),
}
_CUSTOM = {
    "PyDMLabel": ("QLabel", "pydm.widgets.label"),
    "PyDMLineEdit": ("QLineEdit", "pydm.widgets.line_edit"),
    "PyDMPushButton": ("QPushButton", "pydm.widgets.pushbutton"),
    "PyDMWaveformPlot": ("QGraphicsView", "pydm.widgets.waveformplot"),
}
"""What Qt does not know: what each is derived from, and where it is imported from."""
