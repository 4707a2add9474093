"""`recover` and `finalise`: a foreground run whose process was killed goes on."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import pytest
from cli_rig import Shell, serving

from sim_iocs.testing import Client, until

SCAN = """
steps:
  - set: {pv: det.exposure, value: 0.05}
  - let: {middle: "=det.exposure * 40"}
  - loop: {pv: stage.x, from: =middle, to: 5, step: 0.25, readback: stage.x_rbv, tolerance: 0.01}
    do:
      - sample: [stage.x_rbv]
  - let: {most: "max(data('stage.x_rbv'))"}
  - set: {pv: stage.x, value: =most - 1}
finally:
  - set: {pv: det.exposure, value: 0.1}
"""


def store_of(shell: Shell) -> Path:
    return shell.folder / "runs"


def rows_of(shell: Shell) -> list[dict[str, str]]:
    files = sorted(store_of(shell).rglob("*.csv"))
    assert len(files) == 1, files
    with files[0].open(newline="") as text:
        return list(csv.DictReader(text))


def journal_of(shell: Shell) -> list[dict[str, object]]:
    (folder,) = (store_of(shell) / "runs").iterdir()
    files = sorted(folder.glob("journal*.jsonl"), key=lambda file: (len(file.name), file.name))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def killed(shell: Shell, rows: int) -> str:
    """A foreground run that is killed after so many rows; gives its id."""
    shell.write("go_on.yaml", SCAN)
    running = shell.start("run", "go_on.yaml")
    until(lambda: _rows_so_far(shell) >= rows or not running.runs, 60, "rows")
    os.kill(running.pid, signal.SIGKILL)
    running.finish()
    return next((store_of(shell) / "runs").iterdir()).name


def _rows_so_far(shell: Shell) -> int:
    files = shell.folder.rglob("*.csv")
    return sum(file.read_text().count("\n") for file in files) - 1  # its header


@pytest.mark.parametrize("rows", [1, 6])
def test_a_foreground_run_that_was_killed_is_gone_on_with(
    shell: Shell, client: Client, rows: int
) -> None:
    run_id = killed(shell, rows)
    shown = shell.run("recover", run_id, "--list")
    assert shown.code == 0, shown.err
    assert "steps[2]" in shown.lines[1]
    again = shell.run("recover", "last", "--json")
    assert again.code == 0, again.err
    assert not again.noise
    assert (again.json["run_id"], again.json["status"]) == (run_id, "Success")

    counted = [float(row["stage.x_rbv"]) for row in rows_of(shell) if row["superseded"] != "1"]
    assert counted == pytest.approx([2 + 0.25 * i for i in range(13)], abs=0.02)
    events = [line["event"] for line in journal_of(shell)]
    assert (events.count("attempt"), events.count("run_ended")) == (1, 1)
    assert client.get("SIM:STAGE:X") == pytest.approx(4.0, abs=0.02)
    assert client.get("SIM:DET:AcquireTime") == 0.1
    refused = shell.run("recover", run_id)
    assert refused.code == 2
    assert "has succeeded" in refused.err


def test_only_its_finalisers_run(shell: Shell, client: Client) -> None:
    run_id = killed(shell, 2)
    done = shell.run("finalise", run_id)
    assert done.code == 0, done.err + done.out
    assert "Interrupted" in done.out + done.err
    assert client.get("SIM:DET:AcquireTime") == 0.1
    again = shell.run("finalise", run_id)
    assert again.code == 2
    assert "have run already" in again.err
    assert shell.run("recover", run_id).code == 0


def killed_service(shell: Shell) -> str:
    """A service that is killed in a run; gives the run's id."""
    shell.write("sequences/go_on.yaml", SCAN)
    with serving(shell) as served:
        served.ask("run go_on")
        until(lambda: served.get("DATA:NPTS") >= 2, what="rows")
        run_id = served.get("RUN_ID")
        os.kill(served.service.pid, signal.SIGKILL)
        served.service.finish()
    return str(run_id)


def test_a_service_goes_on_with_a_run_of_one_that_was_killed(shell: Shell, client: Client) -> None:
    run_id = killed_service(shell)
    with serving(shell) as served:
        assert served.get("BUSY") == 0, "nothing moves by itself"
        assert client.get("SIM:DET:AcquireTime") == 0.05
        again = served.run("recover", run_id, "--server", "T:", "--json")
        assert again.code == 0, again.err
        assert (again.json["run_id"], again.json["status"]) == (run_id, "Success")
        assert client.get("SIM:DET:AcquireTime") == 0.1
        refused = served.run("recover", run_id, "--server", "T:")
        assert refused.code == 2
        assert "has succeeded" in refused.err
        assert "RUN [--from" in served.run("put", "T:CMD", "recover", "--wait").err


def test_with_after_crash_a_service_runs_the_finalisers_when_it_starts(
    shell: Shell, client: Client
) -> None:
    config = shell.folder / "orchestrator.toml"
    config.write_text(config.read_text().replace("[store]", '[store]\nafter_crash = "finalise"'))
    run_id = killed_service(shell)
    position = client.get("SIM:STAGE:X")
    with serving(shell) as served:
        client.until("SIM:DET:AcquireTime", 0.1)
        until(lambda: "its finalisers have run" in served.get("message"), what="message")
        assert client.get("SIM:STAGE:X") == position
        assert f"{run_id} was interrupted: its finalisers run now" in served.service.err
        assert served.get("STATUS") == "Interrupted"
    with serving(shell) as served:
        served.ask("run quick")
        served.until("BUSY", 0)
        assert served.service.err.count("its finalisers run now") == 0, "once"
