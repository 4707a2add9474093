"""What is drawn is served, every button does what it says, and lists name what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from orchestrator.config import Config, load_config
from orchestrator.screens import screens_of
from orchestrator.screens.layout import WIDTH
from orchestrator.transports.ca.reference import pv_names
from orchestrator.types import fields

EXAMPLE = Path(__file__).parents[3] / "examples/orchestrator.toml"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    file = tmp_path_factory.mktemp("screens") / "orchestrator.toml"
    file.write_text(EXAMPLE.read_text() + "\n[lane.night]\n")
    return load_config(file)


@pytest.fixture(scope="module")
def served(config: Config) -> set[str]:
    """All PVs: those from the start, and the mirrors."""
    mirrored = (name for name, channel in config.remote_channels.items() if channel.mirror)
    return {*pv_names(config), *(config.prefix + fields.MON.pv(name) for name in mirrored)}


def tree(text: str) -> Xml.Element:
    return Xml.fromstring(text)  # noqa: S314 - we have written it ourselves


def in_bob(text: str) -> list[str]:
    tags = ("pv_name", "x_pv", "y_pv")
    found = [e.text or "" for e in tree(text).iter() if e.tag in tags]
    return [pv for pv in found if pv not in ("", "$(pv_name)")]


def in_ui(text: str) -> list[str]:
    root, found = tree(text), []
    for element in root.iter("property"):
        if element.get("name") == "channel":
            found.append(element.findtext("string") or "")
        if element.get("name") == "curves":
            found += [json.loads(e.text or "")["y_channel"] for e in element.iter("string")]
    return [pv.removeprefix("ca://") for pv in found]


@pytest.mark.parametrize("kind", ["bob", "ui"])
@pytest.mark.parametrize("name", ["orchestrator", "channels", "data"])
def test_each_pv_on_a_screen_is_served(
    config: Config, served: set[str], kind: str, name: str
) -> None:
    text = screens_of(config, kind)[f"{name}.{kind}"]
    drawn = in_bob(text) if kind == "bob" else in_ui(text)
    assert len(drawn) > 10
    assert set(drawn) <= served


def test_all_of_the_service_can_be_seen_and_done(config: Config, served: set[str]) -> None:
    drawn = set(in_bob(screens_of(config, "bob")["orchestrator.bob"]))
    for lane in ("", "night"):
        for field in (fields.STATE, fields.STATUS, fields.MESSAGE, fields.QUESTION, fields.ANSWER):
            assert config.prefix + field.pv(lane=lane) in drawn
    assert {config.prefix + fields.CHAIN_STATUS.pv(ioc) for ioc in config.chain} <= drawn
    channels = set(in_bob(screens_of(config, "bob")["channels.bob"]))
    assert channels == {pv for pv in served if pv.startswith(f"{config.prefix}MON:")} - {
        pv for pv in served if re.search(r":(BUF|MEAN|STD|RATE)$", pv)
    }


def test_buttons_write_what_they_say_and_ask_before_they_end_something(config: Config) -> None:
    root = tree(screens_of(config, "bob")["orchestrator.bob"])
    buttons = {}
    for widget in root.iter("widget"):
        if widget.get("type") == "action_button":
            pv, value = widget.findtext("pv_name"), widget.findtext("actions/action/value")
            asks = widget.findtext("confirm_message")
            assert (widget.findtext("show_confirm_dialog") == "true") is (asks is not None)
            buttons.setdefault(widget.findtext("text"), (pv, value, asks))
    p = config.prefix
    assert buttons == {
        "Start": (f"{p}START", "1", None),
        "Pause": (f"{p}PAUSE", "1", None),
        "Resume": (f"{p}PAUSE", "0", None),
        "Skip": (f"{p}SKIP", "1", None),
        "Stop": (f"{p}STOP", "1", "Stop?"),
        "Abort": (f"{p}ABORT", "1", "Abort?"),
    }


@pytest.mark.parametrize("name", ["orchestrator", "channels", "data"])
def test_nothing_lies_over_another_or_beyond_the_edge(config: Config, name: str) -> None:
    root = tree(screens_of(config, "bob")[f"{name}.bob"])
    places = [
        tuple(int(w.findtext(key) or 0) for key in ("x", "y", "width", "height"))
        for w in root.iter("widget")
    ]
    for number, (x, y, width, height) in enumerate(places):
        assert 0 <= x <= x + width <= WIDTH
        for other_x, other_y, other_width, other_height in places[:number]:
            beside = x >= other_x + other_width or other_x >= x + width
            assert beside or y >= other_y + other_height or other_y >= y + height


def test_an_alarm_server_and_an_archiver_are_given_pvs_that_are_served(
    config: Config, served: set[str]
) -> None:
    root = tree(screens_of(config, "alarms")["alarms.xml"])
    watched = [pv.get("name") for pv in root.iter("pv")]
    archived = screens_of(config, "archive")["archive.txt"].split()
    for listed in (watched, archived):
        assert len(set(listed)) == len(listed) > 10
        assert set(listed) <= served
