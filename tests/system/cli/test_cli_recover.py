"""`recover` and `finalise`: a foreground run whose process was killed goes on."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import pytest
from cli_rig import Shell

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
