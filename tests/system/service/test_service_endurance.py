"""What a service holds does not grow with the runs that it has done."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from service_rig import Process, config_text, environment, held_udp_port

from sim_iocs.fleet import Fleet
from sim_iocs.free_ports import PortHold

RUNNER = Path(__file__).with_name("endurance_runner.py")

SHORT = """
parameters: {points: {default: 2, type: int}}
steps:
  - set: {pv: rec.ao, value: 1, readback: rec.ao}
  - loop: {pv: rec.ao, from: 2, to: 4, num: $(points), timeout: 5}
    do:
      - wait: {pv: rec.calc, above: 4, timeout: 5}
      - sample: [rec.calc, rec.ao, dio.word]
  - let: {best: "max(data('rec.calc'))"}
  - log: "the best is $(best)"
  - set: {pv: dio.do0, value: High}
  - if: "dio.word > 0"
    then: [{delay: 0.01}]
finally:
  - set: {pv: dio.do0, value: Low}
"""

MARKS = ("20", "110", "200")


@pytest.fixture(scope="module")
def counts(steady_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a service holds after runs 20, 110 and 200."""
    directory = tmp_path_factory.mktemp("endurance")
    (directory / "sequences").mkdir()
    (directory / "sequences" / "short.yaml").write_text(SHORT)
    config = directory / "orchestrator.toml"
    command = [sys.executable, str(RUNNER), str(config), "short", *MARKS]
    with held_udp_port() as repeater, closing(PortHold()) as hold:
        config.write_text(config_text(steady_fleet, hold.port))
        process = Process(command, environment(repeater=repeater), cwd=directory)
        try:
            assert process.end(100) == 0, process.errors
            return [json.loads(line) for line in process.output.splitlines()]
        finally:
            process.close()


def test_200_runs_leave_no_task_thread_or_descriptor_behind(counts: list[dict[str, Any]]) -> None:
    first, *_, last = counts

    assert last["tasks"] == first["tasks"]
    assert last["threads"] == first["threads"]
    assert last["native"] == first["native"]
    assert last["descriptors"] == first["descriptors"]


def test_200_runs_take_at_most_2_mb_more_of_memory(counts: list[dict[str, Any]]) -> None:
    first, *_, last = counts

    assert last["resident"] - first["resident"] <= 2_000_000
    assert last["objects"] - first["objects"] < 2000, "a few for each run would be 180 × a few"
