"""The page in Debian's Chromium: `scripts/browser` installs what this needs, and runs it.

With ORCHESTRATOR_PICTURES=FOLDER it leaves photographs there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from http_rig import HTTP, Http
from service_rig import Rig, rig_of, until

from sim_iocs.fleet import Fleet

playwright = pytest.importorskip("playwright.sync_api", reason="scripts/browser installs it")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("no chromium: scripts/browser installs it", allow_module_level=True)
expect = playwright.expect

SCAN = """\
name: scan
description: Sines <b>bold</b>
parameters: {points: {default: 5, type: int, min: 1}}
steps:
  - loop: {pv: rec.ao, from: 0, to: 6.28, num: $(points)}
    do: [{sample: [rec.ao, {wave: "sin(rec.ao)"}]}, {delay: 0.05}]
  - ask: {text: "Go <i>on</i>?"}
  - delay: 300
"""
FAILS = "name: fails\nsteps: [{fail: no beam}]\n"


@pytest.fixture(scope="module")
def rig(steady_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("page") / "rig"
    with rig_of(steady_fleet, folder, more=f"{HTTP}[lane.guard]\n") as rig:
        rig.until("CHAIN:rec:STATUS", "Connected")
        rig.sequence(SCAN, "scan")
        rig.sequence(FAILS, "fails")
        yield rig


@pytest.fixture
def page(rig: Rig) -> Iterator[object]:
    """The page, at once after it was opened; what fails in its scripts fails the test."""
    wrong: list[str] = []
    with closing(Http(rig)) as http, playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"http://127.0.0.1:{http.port}/")
        yield page
        browser.close()
    assert not wrong


def photograph(page: object, name: str) -> None:
    if folder := os.environ.get("ORCHESTRATOR_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def points(page: object) -> int:
    return int(page.locator("#plot").get_attribute("data-points") or 0)


def test_a_shift_at_the_page(page, rig: Rig) -> None:
    """Start by the form, watch, answer, pause, queue, abort, see why one failed, lose it."""
    state = page.locator("#state")
    expect(state).to_contain_text("Idle")
    page.locator("#sequence").select_option("fails")
    page.locator("#go").focus()
    page.keyboard.press("Enter")
    expect(state).to_contain_text("Failed")
    page.locator("#sequence").select_option("scan")
    page.get_by_label("points").fill("60")
    page.locator("#go").click()
    expect(state).to_contain_text("Running")
    until(lambda: points(page) > 5, what="points on the plot")
    seen = points(page)
    until(lambda: points(page) > seen, what="more of them")
    expect(page.locator("#question-text")).to_have_text("Go <i>on</i>?", timeout=15_000)
    page.get_by_label("Against").select_option("rec.ao")
    page.locator("#plot-y").select_option("wave")
    photograph(page, "page")
    page.locator("#answers button").click()
    expect(page.locator("#question")).to_be_hidden()
    page.locator("#pause").click()
    expect(state).to_contain_text("Paused")
    page.locator("#resume").click()
    expect(state).to_contain_text("Running")
    for count, wanted in enumerate(("60", "7"), 1):
        page.get_by_label("points").fill(wanted)
        page.locator("#submit").click()
        expect(page.locator("#queue li")).to_have_count(count)
    page.get_by_role("button", name=re.compile("Later")).first.click()
    expect(page.locator("#queue li").first).to_contain_text("7")
    page.locator("#queue li").first.drag_to(page.locator("#queue li").last)
    expect(page.locator("#queue li").first).to_contain_text("60")
    page.locator("#abort").click()
    page.locator("#confirm button[value=no]").click()
    expect(state).to_contain_text("Running")
    page.locator("#abort").click()
    page.locator("#confirm button[value=yes]").click()
    expect(page.locator("#history li").first).to_contain_text("Aborted")
    page.locator("#history li", has_text="fails").locator("button").click()
    expect(page.locator("#trace")).to_contain_text("no beam")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    photograph(page, "page-phone")
    rig.service.kill()
    expect(page.locator("#lost")).to_be_visible()
