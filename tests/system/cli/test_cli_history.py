"""Past runs: found, told of, as a user does it in another terminal on another day."""

from __future__ import annotations

import signal

import pytest
from cli_rig import Served, Shell

from sim_iocs.testing import until

FAILS = """\
parameters: {far: 1.0}
steps:
  - wait: {until: "stage.x_rbv > 99", timeout: 0.1}
    on_error: continue
  - set: {pv: det.exposure, value: 0.05}
  - sample: [stage.x_rbv]
  - set: {pv: stage.y, value: $(far), readback: stage.y_rbv, tolerance: 0.001, timeout: 0.2}
finally:
  - set: {pv: shutter.state, value: Closed}
"""


def test_runs_are_listed_the_newest_first_and_one_is_told_of(shell: Shell) -> None:
    shell.write("sequences/fails.yaml", FAILS)
    assert shell.run("run", "quick", "a=7").code == 0
    assert shell.run("run", "fails", "far=3").code == 1
    listed = shell.run("history")
    assert (listed.code, listed.err) == (0, "")
    head, failed, good = listed.lines
    assert head.split()[:6] == ["id", "time", "name", "outcome", "duration", "points"]
    assert (" fails " in failed, " Timeout " in failed, " quick " in good) == (True, True, True)
    of_quick = shell.run("history", "--name", "quick", "--since", "1h", "--json").json
    assert [(run["outcome"], run["points"]) for run in of_quick] == [("Success", 1)]
    assert shell.run("history", "--until", "yesterday").out.startswith("no such run in ")
    told = shell.run("show", failed.split()[0][:20])
    assert told.code == 0
    for text in (
        "What it failed of\n",
        "set stage.y: timeout",
        "put stage.y = 3",
        "What it survived\n",
        "waited 0.1 s for stage.x_rbv > 99",
        "Finalisers\n",
        "finally[0] set shutter.state: done",
        "far=3",
    ):
        assert text in told.out
    facts = shell.run("show", "last", "--json").json
    assert facts["failed_at"]["path"] == "steps[3]"
    assert facts["finalisers"][0]["how"] == "done"
    assert shell.run("show", "last:fails", "--document").out == FAILS


def test_a_run_of_a_killed_service_is_told_with_what_was_under_way(own_served: Served) -> None:
    own_served.ask("run slow")
    own_served.until("STEP_NAME", "steps[1] long delay")
    running = own_served.shell.run("history", "--json").json
    assert [run["outcome"] for run in running] == ["Running"]
    own_served.service.interrupt(signal.SIGKILL)
    until(lambda: not own_served.service.runs)
    assert " Interrupted " in own_served.shell.run("history").out
    told = own_served.shell.run("show", "last")
    assert "What was under way\n" in told.out
    assert "steps[1] long delay: not ended" in told.out
    assert "Finalisers\n  none has run" in told.out


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("show", "last"), "no run"),
        (("history", "--status", "failled"), "did you mean Failed?"),
        (("history", "--since", "soon"), "expected a time such as"),
    ],
)
def test_what_is_not_there_or_not_understood_is_an_error(
    shell: Shell, arguments: tuple[str, ...], answer: str
) -> None:
    finished = shell.run(*arguments)
    assert (finished.code, finished.out, answer in finished.err) == (2, "", True)
    assert not finished.noise


PEAK = """\
parameters: {points: {default: 9, type: int}, stop: 1.0}
steps:
  - set: {pv: shutter.state, value: Open, readback: shutter.state_rbv, timeout: 5}
  - set: {pv: det.exposure, value: 0.01}
  - loop: {pv: stage.x, from: -1, to: $(stop), num: $(points), readback: stage.x_rbv, timeout: 30}
    do:
      - set: {pv: det.acquire, value: 1}
      - sample: [stage.x_rbv, det.counts]
"""


def test_yesterdays_run_is_drawn_over_todays_compared_exported_and_repeated(shell: Shell) -> None:
    shell.write("sequences/peak.yaml", PEAK)
    first = shell.run("run", "peak", "points=9")
    assert first.code == 0
    shown = first.lines[-1].removeprefix("see it again: orchestrator ").split(",")[0].split()
    drawn = shell.run(*shown)
    assert (drawn.code, "det.counts" in drawn.out) == (0, True)
    yesterday = shown[1]
    shell.write("sequences/peak.yaml", "steps: [{log: another one}]")
    repeated = shell.run("again", yesterday, "points=11", "--json", timeout=60)
    assert (repeated.code, repeated.json["points"]) == (0, 11)
    facts = shell.run("show", "last:peak", "--json").json
    assert (facts["repeats"], facts["arguments"]) == (yesterday, {"points": 11, "stop": 1.0})
    assert f"repeats     {yesterday}" in shell.run("show", "last").out
    over = shell.run("plot", "last", "--over", yesterday, "--fit", "gauss", "--json").json
    assert [len(series["x"]) for series in over[0]["series"]] == [11, 9]
    assert over[0]["x_label"] == "stage.x_rbv (mm)"
    assert all(-1.5 < series["center"] < 1.5 for series in over[0]["series"])
    both = shell.run("plot", "last", "--over", yesterday, "--png", "a.png", "--html", "a.html")
    assert (both.code, both.lines) == (0, ["written: a.png", "written: a.html"])
    assert (shell.folder / "a.png").read_bytes().startswith(b"\x89PNG")
    compared = shell.run("compare", yesterday, "last")
    assert (compared.code, "≠ points" in compared.out) == (0, True)
    assert shell.run("export", yesterday, "--format", "json", "--out", "rows.json").code == 0
    assert '"det.counts"' in (shell.folder / "rows.json").read_text()


def test_a_run_under_way_is_followed_to_its_end(shell: Shell) -> None:
    shell.write("sequences/peak.yaml", PEAK)
    running = shell.start("run", "peak", "points=31")
    running.until_says("(index 0)")
    followed = shell.run("plot", "last", "--follow", "--json", timeout=60)
    assert running.finish().code == 0
    assert [len(series["x"]) for series in followed.json[0]["series"]] == [31]


def test_what_can_not_be_run_again_is_told_before_anything_is_started(shell: Shell) -> None:
    assert shell.run("run", "quick").code == 0
    finished = shell.run("again", "last", "b=1")
    assert (finished.code, "'b'" in finished.err or " b" in finished.err) == (2, True)
    assert len(shell.run("history", "--json").json) == 1
