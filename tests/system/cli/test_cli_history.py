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
