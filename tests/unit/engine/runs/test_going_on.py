"""A run that was killed at any line of its journal goes on: each point once, and nothing lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.types import RunEnded, RunRefused, RunStatus, Told
from tests.unit.engine.bench import Bench
from tests.unit.engine.killed import (
    bound,
    go_on,
    in_csv,
    killed_again,
    killed_at,
    lines_of,
    taken,
    whole_run,
    written,
)

EACH = int(os.environ.get("ORCHESTRATOR_KILL_EACH", "5"))
"""A run is killed behind each line of its journal that is so far from the last; 1 takes minutes."""

DOCUMENTS = {
    "a loop in a loop": """
steps:
  - set: {pv: sim.shutter, value: 1}
  - let: {offset: "=sim.shutter + 1"}
  - loop: {pv: sim.y, values: [10, 20]}
    do:
      - loop: {pv: sim.x, from: 0, to: 1, step: 1, serpentine: true}
        do:
          - let: {total: "=sim.x + sim.y + offset"}
          - set: {pv: sim.counts, value: =total}
          - sample: [sim.x, sim.y, sim.counts]
  - let: {best: "max(data('sim.counts'))"}
  - set: {pv: sim.text, value: =best}
finally: [{set: {pv: sim.fin, value: 1}}]
""",
    "points that hang on channels": """
variables: {total: 0}
steps:
  - set: {pv: sim.x, value: 5}
  - loop: {pv: sim.x, from: =sim.x, to: "=sim.x + 2", step: 1}
    do:
      - set: {pv: sim.y, value: 1, relative: true}
      - sample: [sim.x, sim.y]
      - let: {total: "total + sim.x"}
  - set: {pv: sim.text, value: =total}
finally: [{set: {pv: sim.fin, value: =total}}]
""",
    "a while, an if, a group": """
variables: {n: 0}
steps:
  - loop: {while: n < 3}
    do:
      - let: {n: n + 1}
      - if: n == 2
        then: [{set: {pv: sim.x, value: 2}}, {sample: [sim.x, sim.y]}]
        else:
          - group:
              - set: {pv: sim.y, value: =n}
              - sample: [sim.x, sim.y]
finally: [{set: {pv: sim.fin, value: =n}}]
""",
    "checkpoints": """
variables: {n: 0}
steps:
  - loop: {pv: sim.x, values: [1, 2]}
    do:
      - let: {own: "n + 10"}
      - checkpoint
      - loop: {pv: sim.y, values: [1, 2]}
        do:
          - let: {n: n + 1}
          - sample: [sim.x, sim.y]
      - set: {pv: sim.det, value: =own}
      - sample: [sim.det]
finally: [{set: {pv: sim.fin, value: =n}}]
""",
    "sub-sequences": """
steps:
  - loop: {pv: sim.x, values: [1, 2]}
    do:
      - run: {sequence: inner, args: {to: =sim.x}}
      - sample: [sim.x]
  - run: inner
finally: [{set: {pv: sim.fin, value: 1}}]
""",
    "restore": """
restore: [sim.x]
steps:
  - loop: {count: 2}
    do:
      - group:
          - set: {pv: sim.x, value: 7}
          - set: {pv: sim.y, value: 8}
          - sample: [sim.x, sim.y]
        restore: [sim.y]
finally: [{set: {pv: sim.fin, value: 1}}]
""",
    "rows of a table": """
steps:
  - loop: {table: rows.csv}
    do:
      - sample: [sim.x, sim.y]
      - set: {pv: $(axis), value: $(to)}
finally: [{set: {pv: sim.fin, value: 1}}]
""",
    "a parallel": """
steps:
  - loop: {pv: sim.x, values: [1, 2]}
    do:
      - parallel:
          - set: {pv: sim.y, value: 5}
          - group: [{set: {pv: sim.det, value: 6}}, {set: {pv: sim.counts, value: 7}}]
      - sample: [sim.x, sim.y, sim.det, sim.counts]
finally: [{set: {pv: sim.fin, value: 1}}]
""",
}


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    return written(tmp_path / "sequences")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_point_is_there_once_wherever_it_was_killed(tmp_path, sequences, name):
    whole = tmp_path / "whole"
    ended, before = whole_run(whole, sequences, DOCUMENTS[name])
    assert ended.status is RunStatus.SUCCESS, ended
    expected, names = taken(whole), bound(whole)
    count = len(lines_of(whole))
    for line in range(1 + len(name) % EACH, count - 1, EACH):
        store = tmp_path / f"store{line}"
        left = killed_at(whole, line, store)
        again, it = go_on(store, sequences, left)
        where = f"killed behind line {line}: {left[-1]}"
        assert isinstance(again, RunEnded), (where, again)
        assert again.status is RunStatus.SUCCESS, (where, again)
        assert again.run_id == ended.run_id
        assert taken(store) == expected, where
        assert bound(store) == names, where
        assert it.puts("fin") == before.puts("fin"), where
        for channel in ("x", "y", "det", "counts", "text"):
            assert it.sim.channels[f"sim.{channel}"].value == pytest.approx(
                before.sim.channels[f"sim.{channel}"].value
            ), (where, channel)
        rows = in_csv(store)
        assert [int(row["point"]) for row in rows] == list(range(len(rows))), where
        assert len([row for row in rows if row.get("superseded") != "1"]) == len(expected), where
        shutil.rmtree(store)


SMALL = """
variables: {n: 0}
steps:
  - set: {pv: sim.shutter, value: 1}
  - loop: {pv: sim.x, values: [1, 2]}
    do:
      - let: {n: n + 1}
      - loop: {pv: sim.y, values: [1, 2], as: y}
        do:
          - sample: [sim.x, sim.y]
      - set: {pv: sim.det, value: =n}
finally: [{set: {pv: sim.fin, value: =n}}]
"""


@pytest.mark.parametrize(
    ("start", "loops", "rows"),
    [
        ("steps[0]", (), 0),
        ("steps[1]", (), 0),
        ("steps[1]", (0,), 0),
        ("steps[1]", (1,), 2),
        ("steps[1].do[0]", (0,), 0),
        ("steps[1].do[1]", (1,), 2),
        ("steps[1].do[1]", (0, 1), 1),
        ("steps[1].do[1].do[0]", (0, 1), 1),
        ("steps[1].do[1].do[0]", (1, 1), 3),
        ("steps[1].do[2]", (0,), 2),
        ("steps[1].do[2]", (1,), 4),
    ],
)
def test_it_goes_on_wherever_it_was(tmp_path, sequences, start, loops, rows):
    store, left = killed_in(tmp_path, sequences, SMALL, "steps[1].do[2]")
    again, it = go_on(store, sequences, left, start, *loops)
    assert isinstance(again, RunEnded), again
    assert again.status is RunStatus.SUCCESS, again
    (attempt,) = (line for line in lines_of(store) if line["event"] == "attempt")
    assert attempt["rows"] == attempt["superseded"] == rows
    assert taken(store) == taken(tmp_path / "whole")
    assert bound(store) == bound(tmp_path / "whole")
    assert it.puts("fin") == [2.0]


def killed_in(tmp_path: Path, sequences: Path, text: str, path: str) -> tuple[Path, Any]:
    """A run that was killed when it was in a step for the last time."""
    whole, store = tmp_path / "whole", tmp_path / "store"
    whole_run(whole, sequences, text)
    lines = enumerate(lines_of(whole))
    last = max(number for number, line in lines if line.get("path") == path)
    return store, killed_at(whole, last + 1, store)


@pytest.mark.parametrize(
    ("start", "loops", "why"),
    [
        ("steps[1].do[2]", (), "takes 1 indices of loops, got 0"),
        ("steps[1].do[2]", (1, 1), "takes 1 indices of loops, got 2"),
        ("steps[1]", (2,), "has not come to steps[1] 2: --list tells where it was"),
        ("steps[9]", (), "there is no step steps[9]"),
        ("finally[0]", (), "there is no step finally[0]"),
        ("steps[", (), "there is no step"),
    ],
)
def test_where_it_was_not_is_refused(tmp_path, sequences, start, loops, why):
    store, left = killed_in(tmp_path, sequences, SMALL, "steps[1].do[2]")
    refused, it = go_on(store, sequences, left, start, *loops)
    assert isinstance(refused, RunRefused)
    assert why in refused.reason
    assert not it.puts("x")
    assert "attempt" not in {line["event"] for line in lines_of(store)}


def test_a_branch_is_not_entered_by_itself(tmp_path, sequences):
    text = DOCUMENTS["a parallel"]
    store, left = killed_in(tmp_path, sequences, text, "steps[0].do[0].parallel[1].group[1]")
    refused, _ = go_on(store, sequences, left, "steps[0].do[0].parallel[1].group[1]", 1)
    assert "can't be entered by itself: go on from steps[0].do[0] (parallel)" in refused.reason


@pytest.mark.parametrize("name", ["checkpoints", "sub-sequences"])
def test_it_may_be_killed_again(tmp_path, sequences, name):
    """At some lines, and then at some lines of the second attempt."""
    text, whole = DOCUMENTS[name], tmp_path / "whole"
    whole_run(whole, sequences, text)
    expected, names = taken(whole), bound(whole)
    for line in range(3, len(lines_of(whole)) - 1, 11):
        once = tmp_path / f"once{line}"
        left = killed_at(whole, line, once)
        go_on(once, sequences, left)
        for second in range(line % 3, len(lines_of(once)) - line - 1, 7):
            twice = tmp_path / "twice"
            left = killed_again(once, second, twice)
            again, _ = go_on(twice, sequences, left)
            where = f"killed behind line {line}, and {second} of the next attempt: {left[-1]}"
            assert isinstance(again, RunEnded), (where, again)
            assert again.status is RunStatus.SUCCESS, (where, again)
            assert taken(twice) == expected, where
            assert bound(twice) == names, where
            assert len([row for row in in_csv(twice) if row.get("superseded") != "1"]) == len(
                expected
            ), where
            shutil.rmtree(twice)
        shutil.rmtree(once)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_its_finalisers_run_by_themselves(tmp_path, sequences, name):
    """Those of the document, and of sub-sequences and groups that were under way; nothing else."""
    whole = tmp_path / "whole"
    _, before = whole_run(whole, sequences, DOCUMENTS[name])
    lines = lines_of(whole)
    for line in range(2, len(lines) - 2, 5):
        store = tmp_path / f"store{line}"
        left = killed_at(whole, line, store)
        if not any(own["event"] == "step_entered" for own in left):
            continue
        ended, it = go_on(store, sequences, left, finalise=True)
        where = f"killed behind line {line}: {left[-1]}"
        assert isinstance(ended, RunEnded), (where, ended)
        assert ended.status is RunStatus.INTERRUPTED, (where, ended)
        assert "have run" in ended.message, (where, ended)
        assert len(it.puts("fin")) == 1, where
        assert len(it.puts("text")) == owed(left, ".run"), where
        if name == "restore":
            assert it.sim.channels["sim.x"].value == 0.0, where
            assert it.sim.channels["sim.y"].value == 0.0, where
        again, _ = go_on(store, sequences, left, finalise=True)
        assert isinstance(again, RunRefused), where
        assert "have run already" in again.reason, where
        done, it = go_on(store, sequences, left)
        assert done.status is RunStatus.SUCCESS, (where, done)
        assert it.puts("fin") == before.puts("fin"), where
        assert taken(store) == taken(whole), where
        shutil.rmtree(store)


def owed(left: list[dict[str, Any]], kind: str) -> int:
    """How many sub-sequences were entered and not left."""
    opened = {line["step"]: line for line in left if line["event"] == "step_entered"}
    for line in left:
        if line["event"] == "step_left":
            opened.pop(line["step"], None)
    return sum(line["name"].startswith(kind.removeprefix(".")) for line in opened.values())


FAILS = """
steps:
  - loop: {pv: sim.x, values: [1, 2, 3]}
    do:
      - sample: [sim.x]
      - if: sim.gate > 0 and sim.x == 2
        then: [{fail: the gate is closed}]
  - set: {pv: sim.det, value: "=len(data('sim.x'))"}
finally: [{set: {pv: sim.fin, value: 1}}]
"""


def test_a_run_that_failed_goes_on_with_the_pass_that_failed(tmp_path, sequences):
    store = tmp_path / "store"

    def closed(it: Bench) -> None:
        it.sim.post("sim.gate", 1.0)

    ended, _ = whole_run(store, sequences, FAILS, closed)
    assert ended.status is RunStatus.FAILED
    again, it = go_on(store, sequences, [])
    assert (again.status, again.run_id) == (RunStatus.SUCCESS, ended.run_id)
    assert it.puts("x") == [2.0, 3.0]
    assert it.puts("det") == [3.0]
    assert [row["superseded"] for row in in_csv(store)] == ["", "1", "", ""]
    assert [line["status"] for line in lines_of(store) if line["event"] == "run_ended"] == [
        "Failed",
        "Success",
    ]
    refused, _ = go_on(store, sequences, [])
    assert "has succeeded" in refused.reason


def test_what_is_not_put_again_is_told(tmp_path, sequences):
    store, left = killed_in(tmp_path, sequences, SMALL, "steps[1].do[2]")
    _, it = go_on(store, sequences, left)
    told = [event.text for event in it.events if isinstance(event, Told)]
    assert "goes on from steps[1] 1, attempt 2; 2 rows are superseded" in told
    assert any("not put again, as it stands before that: sim.shutter = 1" in text for text in told)


def test_a_failed_try_is_left_out_of_a_later_one(tmp_path, sequences):
    """A checkpoint in a try that failed is none of the next try."""
    text = """
variables: {n: 0}
steps:
  - group:
      - let: {n: n + 1}
      - sample: [sim.x]
      - checkpoint
      - sample: [sim.y]
      - if: n < 2
        then: [{fail: again}]
      - set: {pv: sim.det, value: =n}
    on_error: {retry: 2, delay: 1}
"""
    whole = tmp_path / "whole"
    whole_run(whole, sequences, text)
    lines = lines_of(whole)
    failed = next(i for i, line in enumerate(lines) if line.get("how") == "failed")
    second = next(i for i in range(failed, len(lines)) if lines[i]["event"] == "bound")
    for line in range(second + 1, len(lines) - 1):
        store = tmp_path / f"store{line}"
        again, it = go_on(store, sequences, killed_at(whole, line, store))
        assert again.status is RunStatus.SUCCESS, (line, again)
        assert it.puts("det") == [2.0] or "put_leaves" in str(lines[line - 1]), line
        assert bound(store)["n"] == 2, (line, lines[line - 1])
