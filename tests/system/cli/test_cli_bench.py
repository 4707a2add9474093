"""The benchmark works from end to end; what it measures is judged by people, never here."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_rig import Shell

from orchestrator.bench import ROWS, measure
from orchestrator.bench.figures import Figure, RowResult, interleaved, percentile, ratio
from orchestrator.bench.measured_process import BenchError
from orchestrator.bench.rig import missing
from orchestrator.bench.rows import Row
from orchestrator.cli.local.bench import code_of
from orchestrator.cli.terminal.codes import Code


@pytest.fixture
def anywhere(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell({}, tmp_path)
    yield shell
    shell.close()


NAMES = [row.name for row in ROWS]


@pytest.mark.parametrize("names", [NAMES[:4], NAMES[4:8], NAMES[8:12], NAMES[12:]])
def test_every_row_of_the_table_can_be_measured(
    anywhere: Shell, tmp_path: Path, names: list[str]
) -> None:
    arguments = ["--quick", "--rounds=1", "--json=figures.json", *names]
    done = anywhere.run("bench", *arguments, timeout=170)
    assert done.code == 0, done.err
    report: dict[str, Any] = json.loads((tmp_path / "figures.json").read_text())
    assert [row["name"] for row in report["rows"]] == names
    for row in report["rows"]:
        assert row["error"] == ""
        assert row["figures"], row["name"]
        for figure in row["figures"]:
            if "missing" in figure:
                assert any(missing(peer) == figure["missing"] for peer in ("bluesky", "pysmlib"))
            else:
                assert figure["rounds"], figure
        # No matter of speed: what became of each update is told, however few there are.
        assert row["met"] or row["name"] != "accounts", row


def test_an_unknown_row_is_a_usage_error_that_names_the_nearest(anywhere: Shell) -> None:
    done = anywhere.run("bench", "reactoin")
    assert done.code == 2
    assert "reaction" in done.err


def test_a_file_that_can_not_be_written_is_told_before_anything_is_measured(
    anywhere: Shell,
) -> None:
    done = anywhere.run("bench", "buffer", "--quick", "--json", "nowhere/figures.json")
    assert (done.code, done.out) == (2, "")
    assert done.err == "--json nowhere/figures.json: No such file or directory\n"


def test_strict_fails_by_one_bar_that_is_missed_and_by_one_row_that_could_not_be_measured() -> None:
    def fails(_rig: object) -> Iterator[Figure]:
        yield Figure("before", (1.0,), at_most=2.0)
        raise BenchError("the program has ended")

    good = RowResult("a", "", [Figure("x", (1.0,), at_most=2.0)], 1.0)
    missed = RowResult("b", "", [*good.figures, Figure("y", (3.0,), at_most=2.0)], 1.0)
    broken = measure(Row("c", "", fails), quick=True, rounds=1)
    assert (broken.error, broken.met) == ("the program has ended", False)
    assert code_of([good], strict=True) is Code.SUCCESS
    for bad in (missed, broken):
        assert code_of([good, bad], strict=True) is Code.FAILED
        assert code_of([good, bad], strict=False) is Code.SUCCESS


def test_contestants_take_turns_in_changing_order() -> None:
    calls: list[str] = []

    def contestant(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    taken = interleaved(2, {"a": lambda: contestant("a"), "b": lambda: contestant("b")})
    assert calls == ["a", "b", "b", "a"]
    assert taken == {"a": [1.0, 4.0], "b": [2.0, 3.0]}


def test_a_ratio_is_taken_round_by_round_and_its_median_held_against_the_bar() -> None:
    taken = {"ours": [2.0, 30.0, 4.0], "bare": [1.0, 10.0, 4.0]}
    figure = ratio("x", taken, "ours", "bare", at_most=2.0)
    assert figure.values == (2.0, 3.0, 1.0)
    assert figure.met is True
    assert ratio("x", taken, "ours", "bare", at_least=2.5).met is False


def test_a_missing_peer_is_a_failure_unless_it_has_to_be_quick() -> None:
    assert Figure("x", at_least=2.2, missing="not installed").met is False
    assert Figure("x", at_least=2.2, missing="not installed", skipped=True).met is None


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
