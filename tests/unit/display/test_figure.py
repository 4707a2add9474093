"""Figures: what is drawn stands in the PNG and in the page, with axes that can be read."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from orchestrator.data.past.fits import fit_curve
from orchestrator.data.past.picture import Curves, Image, Series
from orchestrator.display.figure import COLORS, figure_of, pm, shade, ticks
from orchestrator.display.figure_files import write_html, write_png
from orchestrator.display.plot import curve_lines, image_lines

X = np.linspace(-1, 1, 41)
PEAK = 100 * np.exp(-(((X - 0.25) / 0.2) ** 2)) + 5
CURVES = Curves(
    "stage.x (mm)",
    "det.counts",
    [
        Series("scan <1>", X, PEAK, fit_curve("gauss", X, PEAK)),
        Series("scan 2", X, PEAK / 2),
    ],
)
IMAGE = Image("x", "y", "counts", np.arange(4.0), np.arange(3.0), np.arange(12.0).reshape(3, 4))


def test_a_png_shows_each_curve_in_its_colour(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", figure_of("two scans", [CURVES, IMAGE]))
    with Pillow.open(tmp_path / "a.png") as picture:
        colors = {color for _, color in picture.getcolors(1 << 24) or []}
    for color in (*COLORS[:2], shade(0.0), shade(1.0)):
        assert tuple(int(color[at : at + 2], 16) for at in (1, 3, 5)) in colors


def test_a_page_is_well_formed_and_needs_nothing_else(tmp_path: Path) -> None:
    figure = figure_of("two <scans>", [CURVES, IMAGE])
    write_html(tmp_path / "a.html", figure, [("run", "scan & more")])
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "two &lt;scans&gt;" in text
    assert "scan &amp; more" in text
    links = set(re.findall(r'(?:src|href)=|https?://[^"]*', text))
    assert links == {"http://www.w3.org/2000/svg"}  # a name, nothing that is fetched
    (svg,) = re.findall(r"<svg.*</svg>", text, re.DOTALL)
    root = ElementTree.fromstring(svg)  # noqa: S314 - made by us
    marks = root.findall("{http://www.w3.org/2000/svg}circle")
    assert len(marks) == 2 * X.size
    assert "scan <1>" in "".join(root.itertext())


def test_a_fit_is_told_beside_its_curve() -> None:
    words = " ".join(s.text for s in figure_of("", [CURVES]).shapes if hasattr(s, "text"))
    assert re.search(r"gauss: center 0\.25\d*", words)


@given(low=st.floats(-1e9, 1e9), span=st.floats(1e-3, 1e9))
def test_ticks_are_few_round_and_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 9
    for value, text in found:
        assert low - span * 1e-6 <= value <= low + span * (1 + 1e-6)
        assert math.isclose(float(text.replace(",", "")), value, rel_tol=1e-4, abs_tol=span / 100)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.52561, 0.00123, "0.5256 ± 0.0012"),
        (1234.5, 17.0, "1234 ± 17"),
        (5362.59, 170.0, "5363 ± 170"),
        (1.0, 0.0, "1"),
        (1.0, math.nan, "1"),
        (1.5e12, 2e10, "1.5e+12 ± 2e+10"),
    ],
)
def test_a_number_has_as_many_digits_as_its_error(value: float, error: float, text: str) -> None:
    assert pm(value, error) == text


def test_a_terminal_shows_several_curves_with_their_names() -> None:
    text = "\n".join(curve_lines(CURVES, 60, color=False))
    assert "det.counts over stage.x (mm)" in text
    assert "scan 2" in text


def test_a_terminal_shows_an_image_with_the_lowest_y_below() -> None:
    lines = image_lines(IMAGE, 60, color=False)
    assert lines[0] == "counts: 0 … 11"
    assert lines[1].strip().startswith("2 │")
    assert "█" in lines[1]
    assert "█" not in lines[3]
