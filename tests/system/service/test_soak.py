"""A short soak, by the program that has the long one, and its parts."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

from orchestrator.bench.soak.__main__ import line, main
from orchestrator.bench.soak.programs import PROGRAMS
from orchestrator.bench.soak.rounds import CONTROLS, FAULTS, Result, Round, conducted, drawn
from orchestrator.bench.soak.testbed import Resources, Testbed, growth
from sim_iocs.testing import until


def test_a_short_soak_comes_out_clean(capsys) -> None:
    code = main(["--minutes", "1", "--rounds", "8", "--seed", "11"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert said.splitlines()[-1] == "8 rounds, 0 of them not as they should be"


def test_a_run_that_ends_as_nobody_asked_for_is_a_finding() -> None:
    with Testbed() as bed, ThreadPoolExecutor() as threads:
        somebody = threads.submit(abort_when_it_runs, bed)
        result = conducted(bed, Round(1, "endless"), 1)
        assert somebody.result() == 0
    assert result.status == "Aborted"
    assert result.findings == ("Aborted where nothing was done to it",)


def abort_when_it_runs(bed: Testbed) -> int:
    events = bed.service.directory / "events.jsonl"
    until(lambda: "step_started" in events.read_text(), 20, "a run")
    return bed.service.command("abort").code


def test_every_program_control_and_fault_is_drawn() -> None:
    dice = random.Random(1)  # noqa: S311 - to be repeated, not to be secret
    rounds = [drawn(dice, number) for number in range(2000)]
    assert {each.program for each in rounds} == set(PROGRAMS)
    assert {control for each in rounds for _, control in each.controls} == set(CONTROLS)
    assert {each.fault for each in rounds} == {"", *FAULTS}


def test_growth_is_told_and_its_absence_is_not() -> None:
    flat = [Resources(90 + number % 7, 30, 20, 23) for number in range(30)]
    grows = [Resources(90 + 3 * number, 30 + number, 20, 23) for number in range(30)]
    assert growth(flat) == []
    assert growth(grows) == [
        "memory_mb: 134 in the second third, 164 in the last",
        "descriptors: 44 in the second third, 54 in the last",
    ]


def test_a_finding_stands_in_its_line_with_the_message_of_the_run() -> None:
    what = Round(7, "scan", ((1.25, "stop"),), "killed", "rec", 0.5, 1.0, "echoes")
    result = Result(what, "Success", 2.0, "well", ("Success though it was stopped",))
    assert " ".join(line(result).split()) == (
        "7 Success 2.0 s scan, stop at 1.2, rec killed at 0.5, attack echoes "
        "Success though it was stopped (well)"
    )
