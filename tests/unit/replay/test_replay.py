"""What a replay tells where something is not as it was: first difference first, at its step."""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.python.decorators import function
from orchestrator.engine.sequences.registry import Registry
from orchestrator.errors import InputError
from orchestrator.replay import Player, RecordingReader, Replay
from orchestrator.types import Verb
from tests.doubles import run_virtual

from .recorded import RecordedBench, recorded_bench, replayed

BEFORE = """
steps:
  - set: {pv: sim.x, value: 1, readback: sim.x}
  - delay: 2
  - sample: [sim.x, sim.y]
  - group:
      - set: {pv: sim.x, value: 2}
      - log: moved
finally:
  - set: {pv: sim.shutter, value: 0}
"""


class Night:
    """A recording of the sequence `scan`, and replays of it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "night.jsonl"
        self.sequences = folder / "sequences"
        self.sequences.mkdir()
        self._other = folder / "other.yaml"

    def record(
        self,
        text: str,
        during: Callable[[RecordedBench], Any] = lambda it: None,
        registry: Registry = Registry(),  # noqa: B008 - frozen
        times: int = 1,
    ) -> list[Any]:
        async def main() -> list[Any]:
            async with recorded_bench(self.file, registry, directory=self.sequences) as it:
                ends = []
                for _ in range(times):
                    it.events.clear()
                    during(it)
                    ends.append(await it.run_named("scan"))
                    await asyncio.sleep(5)
                return ends

        (self.sequences / "scan.yaml").write_text(textwrap.dedent(text))
        return run_virtual(main())

    def replay(self, text: str = "", registry: Registry = Registry()) -> Replay:  # noqa: B008
        if not text:
            return replayed(self.file, registry)
        self._other.write_text(textwrap.dedent(text))
        return replayed(self.file, registry, sequences={"scan": self._other})

    def edit(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        lines = change([json.loads(line) for line in self.file.read_text().splitlines()])
        self.file.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_the_same_sequence_comes_to_the_same(night: Night) -> None:
    (end,) = night.record(BEFORE)
    (night.sequences / "scan.yaml").write_text("changed since, which is nothing to a recording")
    replay = night.replay()
    assert replay.same, replay.differences
    (run,) = replay.runs
    assert (run.name, run.run_id, run.status, run.rows) == ("scan", end.run_id, "Success", 1)
    assert replay.notes == []


def test_another_value_is_a_difference_at_its_step_and_has_no_answer(night: Night) -> None:
    night.record(BEFORE)
    replay = night.replay(BEFORE.replace("value: 2", "value: 3"))
    assert not replay.same
    unanswered, first, end = replay.differences
    assert "steps[3].group[0] set sim.x: nobody asked for this" in unanswered
    assert "a put of 3.0 to sim.x" in unanswered
    assert "run 1 (scan) at " in first
    assert "2.000 s after its start, steps[3].group[0] set sim.x: " in first
    assert "recorded a put of 2.0 to sim.x; now a put of 3.0 to sim.x" in first
    assert "recorded Success with 1 rows; now Failed with 1 rows" in end
    assert "the recording has no answer" in replay.runs[0].message


def test_a_step_more_that_the_recorded_world_can_t_answer_is_told(night: Night) -> None:
    night.record(BEFORE)
    changed = BEFORE.replace("  - delay: 2", "  - set: {pv: sim.y, value: 7}")
    replay = night.replay(changed)
    assert "steps[1] set sim.y: nobody asked for this" in replay.differences[0]
    assert "a put of 7.0 to sim.y" in replay.runs[0].message


def test_a_step_less_is_told_at_the_step_that_comes_in_its_place(night: Night) -> None:
    night.record(BEFORE)
    replay = night.replay(BEFORE.replace("  - set: {pv: sim.x, value: 1, readback: sim.x}\n", ""))
    assert "recorded a put of 1.0 to sim.x; now a row" in replay.differences[0]
    assert replay.runs[0].status == "Success"


def test_a_delay_that_is_longer_is_told_at_the_first_step_that_comes_late(night: Night) -> None:
    night.record(BEFORE)
    replay = night.replay(BEFORE.replace("delay: 2", "delay: 4"))
    (late, *_) = replay.differences
    assert "steps[2] sample sim.x, sim.y: a row" in late
    assert "later than recorded" in late


def test_a_sample_more_is_answered_by_the_last_update_and_that_is_told(night: Night) -> None:
    night.record(BEFORE)
    replay = night.replay(BEFORE.replace("  - delay: 2", "  - sample: [sim.det]\n  - delay: 2"))
    assert "sim.det read where nobody did then" in replay.differences[0]
    assert replay.runs[0].rows == 2


def test_a_sample_that_waited_for_the_disk_waits_as_long_again(night: Night) -> None:
    def slow(it: RecordedBench) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, lambda: it.store.recorders[0].has_room.clear())
        loop.call_later(20, lambda: it.store.recorders[0].has_room.set())

    night.record(BEFORE, slow)
    replay = night.replay()
    assert replay.same, replay.differences
    assert replay.runs[0].rows == 1


def test_more_patience_than_there_was_ends_where_the_recorded_world_ends(night: Night) -> None:
    def never(it: RecordedBench) -> None:
        it.sim.channels["sim.x"].put_takes = 1e6

    slow = "steps: [{set: {pv: sim.x, value: 1, timeout: 3}}]"
    (end,) = night.record(slow, never)
    assert night.replay().same
    assert night.replay().runs[0].message == end.message
    replay = night.replay(slow.replace("timeout: 3", "timeout: 30"))
    assert "nobody waited any longer when it was recorded" in replay.differences[0]
    assert "a put of 1.0 to sim.x" in replay.differences[0]


def test_what_a_function_returned_is_replayed_and_it_is_not_called(night: Night) -> None:
    calls = []

    @function
    def blocking(n: float) -> list[float]:
        calls.append(n)
        return [n, float("inf")]

    @function
    async def waiting(n: float) -> None:
        calls.append(n)
        await asyncio.sleep(n)
        raise ValueError("no beam")

    registry = Registry(functions={"blocking": blocking, "waiting": waiting})
    text = """
        steps:
          - call: {function: blocking, args: {n: 2}, as: got}
          - set: {pv: sim.x, value: "=got[0] * 2"}
          - call: {function: waiting, args: {n: 3}}
    """
    (end,) = night.record(text, registry=registry)
    assert re.search(r"waiting raised ValueError at .*:\d+: no beam", end.message)
    assert calls == [2, 3]
    replay = night.replay(registry=registry)
    assert replay.same, replay.differences
    assert calls == [2, 3]
    replay = night.replay(text.replace("n: 2", "n: 5"), registry)
    assert 'now a call of blocking with {"n": 5}' in " ".join(replay.differences)
    assert calls == [2, 3]


def test_what_a_function_tells_of_its_own_is_shown_again(night: Night) -> None:
    @function
    async def deaf() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("never heard of it") from None

    registry = Registry(functions={"deaf": deaf})
    night.record(
        "steps: [{call: {function: deaf, timeout: 2}, on_error: continue}, {delay: 1}]",
        registry=registry,
    )
    assert "the clean-up of deaf failed" in night.file.read_text()
    replay = night.replay(registry=registry)
    assert replay.same, replay.differences


def test_a_result_that_can_t_be_recorded_is_told_when_it_is_replayed(night: Night) -> None:
    @function
    def odd() -> object:
        return object()

    registry = Registry(functions={"odd": odd})
    night.record("steps: [{call: {function: odd, as: it}}]", registry=registry)
    replay = night.replay(registry=registry)
    assert not replay.same
    assert "its result is not in the recording: a object can't be recorded" in (
        replay.runs[0].message
    )


def test_a_world_that_behaves_differently_leads_to_another_end(night: Night) -> None:
    """The comparison looks: a recorded answer that is changed is a difference."""
    night.record(BEFORE)

    def fail_first_put(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        numbers = [o["put"]["id"] for line in lines for o in line.get("out", ()) if "put" in o]
        for line in lines:
            for crossed in line.get("in", ()):
                if crossed.get("answer") == numbers[0]:
                    del crossed["value"]
                    crossed["error"] = {"!PutError": "no"}
        return lines

    night.edit(fail_first_put)
    replay = night.replay()
    assert replay.runs[0].status == "Failed"
    assert "recorded a row" in replay.differences[0]


def test_pauses_aborts_losses_and_more_than_one_run_are_replayed(night: Night) -> None:
    def during(it: RecordedBench) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.5, it.ask, Verb.PAUSE)
        loop.call_later(7, it.ask, Verb.RESUME)
        loop.call_later(9.5, it.sim.disconnect, "sim.x")
        loop.call_later(30, it.ask, Verb.ABORT, "enough")
        loop.call_later(32, it.sim.reconnect, "sim.x", 0.0)

    text = BEFORE.replace("log: moved", "wait: {pv: sim.x, equals: 9, timeout: none}")
    ends = night.record(text, during, times=2)
    assert {end.status.value for end in ends} == {"Aborted"}
    replay = night.replay()
    assert replay.same, replay.differences
    assert [run.message for run in replay.runs] == [end.message for end in ends]


def test_one_run_can_be_told_alone(night: Night) -> None:
    first, second = night.record(BEFORE, times=2)
    replay = night.replay(BEFORE.replace("value: 2", "value: 3"))
    one = replay.only("2")
    assert [run.run_id for run in one.runs] == [second.run_id]
    assert one.differences
    assert all("(scan)" in text or "set sim.x" in text for text in one.differences)
    assert replay.only(first.run_id).runs[0].run_id == first.run_id
    with pytest.raises(InputError, match=r"--run 3: the runs are 1 to 2"):
        replay.only("3")


def test_a_sequence_that_is_not_in_the_recording_can_t_be_replaced(night: Night) -> None:
    night.record(BEFORE)
    with pytest.raises(InputError, match="--sequence other: not in the recording; it has scan"):
        replayed(night.file, sequences={"other": night.file})


def test_a_recording_without_its_end_is_the_same_as_far_as_it_goes_and_that_is_told(
    night: Night,
) -> None:
    night.record(BEFORE)
    night.edit(lambda lines: lines[:-6])
    replay = night.replay()
    assert replay.same
    assert replay.notes == [
        "the recording has no end: the service still records, was killed, or its disk was full"
    ]
    with night.file.open("a") as file:
        file.write('{"t": 1004.')
    assert night.replay().notes == [
        "the last line is torn: the service was killed while it was written"
    ]


def test_what_came_at_the_very_end_and_comes_no_more_is_told(night: Night) -> None:
    night.record(BEFORE)

    def one_edge_more(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        last = [line for line in lines if "t" in line][-1]
        last.setdefault("out", []).append({"pv": ["ack", 1]})
        return lines

    night.edit(one_edge_more)
    (difference,) = night.replay().differences
    assert difference.endswith("recorded ACK = 1; now nothing more")


def test_a_python_module_that_has_changed_since_is_told(night: Night) -> None:
    night.record(BEFORE)

    def of_another_module(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        lines[0]["recording"]["modules"] = {"json": "the hash of what it was then"}
        return lines

    night.edit(of_another_module)
    notes = Player(RecordingReader(night.file)).play().notes
    assert "the Python module json has changed since it was recorded" in notes


def test_missing_lines_are_a_difference_never_silent(night: Night) -> None:
    night.record(BEFORE)
    night.edit(lambda lines: [*lines[:5], {"gap": 2}, *lines[7:]])
    replay = night.replay()
    assert not replay.same
    assert "2 lines are missing here" in replay.differences[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: [{}, *lines[1:]], "no recording of orchestrator serve --record"),
        (
            lambda lines: [{"recording": {**lines[0]["recording"], "format": 99}}, *lines[1:]],
            r"its format is 99 \(version .*\); this version reads format 1",
        ),
        (
            lambda lines: [*lines[:2], {"t": 1, "w": 1, "in": [{"items": [{"!Thing": {}}]}]}],
            "no Thing",
        ),
        (lambda lines: [*lines[:2], {"t": 1, "in": 7}], r"night.jsonl:3: this is no line of a"),
    ],
)
def test_what_can_t_be_read_is_an_error_that_says_why(
    night: Night, change: Callable[[Any], Any], told: str
) -> None:
    night.record(BEFORE)
    night.edit(change)
    with pytest.raises(InputError, match=told):
        night.replay()
