"""Of passes that follow each other quickly a journal tells what a run needs that goes on."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.data.journal import entries
from orchestrator.data.journal.abandoned import AbandonedRun
from orchestrator.data.journal.quick_passes import QuickPasses
from orchestrator.types import Abandoned, Place
from tests.unit.data.random_programs import Let, Loop, beginnings, bindings, steps


def told(happened: list[tuple[Place, Let]], stops: set[int], *, quick: bool) -> list[bytes]:
    """The lines of a run that is at an end, or puts something, after so many bindings."""
    lines: list[bytes] = []
    # The clock stands: what is more than is told in a second is told because of what follows.
    passes = QuickPasses(lines.append, lambda: 0.0, listed=0 if quick else len(happened))
    for number, (at, let) in enumerate(happened):
        passes.bound(at, let.name, number, variable=let.variable)
        if number in stops:
            passes.flush()
            lines.append(entries.put_ended(1, "written", ""))
    passes.flush()
    return lines


def recovered(lines: list[bytes], program: tuple[Let | Loop, ...], depth: int) -> Abandoned:
    """Where the run would go on: the pass under way of the loops that so many are around."""
    told = [((1, n), json.loads(line)) for n, line in enumerate(lines)]
    return AbandonedRun(beginnings(program, depth), by_marks=True).follow(told).ended()


@settings(max_examples=150, deadline=None)
@given(steps, st.integers(1, 60), st.sets(st.integers(0, 60), max_size=2), st.integers(0, 2))
def test_a_run_goes_on_as_if_each_value_had_been_told(
    program: tuple[Let | Loop, ...], length: int, stops: set[int], depth: int
) -> None:
    happened = list(bindings(program))[:length]
    of_all, of_some = (
        recovered(told(happened, stops, quick=quick), program, depth) for quick in (False, True)
    )
    assert of_some.position == of_all.position
    assert of_some.entered == of_all.entered


def test_each_second_a_few_are_told_at_once_and_the_newest_of_all_others() -> None:
    now, lines = 0.0, list[bytes]()
    passes = QuickPasses(lines.append, lambda: now)
    for number in range(200_000):
        now = number / 100_000
        at = Place(("steps", 0, "do", 0), (number,))
        passes.bound(at, "a", number, variable=False)
    passes.flush()
    found = [json.loads(line) for line in lines]
    assert [entry.get("value") for entry in found] == [
        *range(100), None, 99_998, 99_999, *range(100_000, 100_100), None, 199_998, 199_999,
    ]  # fmt: skip
    assert [entry["bound"] for entry in found if entry["event"] == "passes"] == [99_898, 99_898]
    assert len(b"".join(lines)) < 40_000


def test_a_value_that_is_changed_later_is_told_as_it_was() -> None:
    lines = list[bytes]()
    passes, at, grows = QuickPasses(lines.append, lambda: 0.0, listed=0), Place(("steps", 0)), [1]
    passes.bound(at, "a", grows, variable=False)
    grows.append(2)
    passes.flush()
    assert json.loads(lines[0])["value"] == [1]
