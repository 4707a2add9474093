"""What sequences do across real IOCs: pulses, orphans, siblings, losses, suspenders, Python."""

from __future__ import annotations

import csv
import json
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from language_rig import LanguageRig, language_rig_of
from service_rig import PREFIX, Rig
from sim_helpers import RefusedError, until

from sim_iocs.fleet import Fleet

RECONNECTION = 40
"""s that libca may take to find a restarted IOC of which it hears no beacon (5 to 10 mostly)."""

POLLER = Path(__file__).with_name("language_poller.py")


@pytest.fixture(scope="module")
def language_rig(
    steady_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LanguageRig]:
    directory = tmp_path_factory.mktemp("language") / "rig"
    with language_rig_of(steady_fleet, directory) as whole:
        yield whole


@pytest.fixture
def rig(language_rig: LanguageRig) -> Iterator[Rig]:
    """The module's service, idle before and after."""
    language_rig.rig.quieten()
    yield language_rig.rig
    language_rig.rig.quieten()


def rows(rig: Rig) -> list[dict[str, str]]:
    """The data file of the last run."""
    file = rig.directory / "runs" / "runs" / rig.get("RUN_ID") / "data.csv"
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def ended(rig: Rig, text: str, args: Any = "") -> dict[str, Any]:
    """Run a document that succeeds; its outcome."""
    outcome = rig.run(text, args)
    assert outcome["failed"] == "", outcome["message"]
    return outcome


def said(rig: Rig, text: str) -> str:
    """Wait until the message holds a text; the message."""
    messages: list[str] = []

    def met() -> bool:
        messages.append(rig.get("message"))
        return text in messages[-1]

    try:
        until(met, 10)
    except AssertionError:
        raise AssertionError(f"no message with {text!r}; last: {messages[-1]!r}") from None
    return messages[-1]


# Pulses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "times"), [(1, 200), (0, 50)])
def test_edge_misses_no_pulse_of_a_channel_that_keeps_all(rig: Rig, width: int, times: int) -> None:
    """Each wait has begun before its pulse is triggered; one more wait than pulses would fail.

    A branch runs to where it waits before the next one begins, and `let` has read the channel
    since the last put, so that the wait needs no reply of the IOC before it begins to watch.
    """
    before = rig.client.get("OWN:Pulses")
    text = """
        parameters: {times: {type: int}, width: {type: int}}
        steps:
          - loop: {count: $(times)}
            do:
              - let: {before: own.pulse}
              - parallel:
                  - wait: {pv: own.pulse, equals: 1, edge: true, timeout: 5}
                  - set: {pv: own.trigger, value: $(width)}
              - wait: {pv: own.pulse, equals: 0, timeout: 5}
    """

    ended(rig, text, {"times": times, "width": width})

    assert rig.client.get("OWN:Pulses") - before == times


def test_edge_misses_no_pulse_of_a_c_record_that_keeps_all(rig: Rig) -> None:
    """A bo record that is Busy for 1 ms: a calcout with that output delay sets and clears it.

    Before it has processed once, it is undefined: INVALID, and nothing rises from there.
    """
    rig.client.put("SIM:REC:Slow:Delay", 0.001)
    text = """
        steps:
          - set: {pv: rec.slow, value: 0}
          - loop: {count: 100}
            do:
              - let: {before: pulses.busy}
              - parallel:
                  - wait: {pv: pulses.busy, equals: Busy, edge: true, timeout: 5}
                  - set: {pv: rec.slow, value: 1}
    """

    ended(rig, text)


def test_a_frozen_service_keeps_all_or_the_last_of_what_came_meanwhile(rig: Rig) -> None:
    """What a channel without `keep_all` lost is counted, to the last one, in PULL:MERGED."""

    def held(name: str) -> list[float]:
        return list(rig.get(f"MON:own:{name}:BUF"))

    first = {name: len(held(name)) for name in ("merged", "kept")}
    merged = rig.get("PULL:MERGED")
    rig.service.signal(signal.SIGSTOP)
    try:
        rig.client.put("OWN:Burst", 300)
    finally:
        rig.service.signal(signal.SIGCONT)

    until(lambda: held("kept")[-1] == 300, what="the last of the burst")
    until(lambda: held("merged")[-1] == 300, what="the last of the burst")
    assert held("kept")[first["kept"] :] == list(range(1, 301))
    taken = held("merged")[first["merged"] :]
    assert taken == sorted(taken)
    assert len(taken) < 300
    until(lambda: rig.get("PULL:MERGED") - merged == 300 - len(taken), what="the count")


# Orphans -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slow", "done"), [("rec.slow", "rec.done"), ("own.slow", "own.slow_done")]
)
def test_a_late_completion_of_one_run_never_satisfies_a_put_of_the_next(
    rig: Rig, slow: str, done: str
) -> None:
    """A C IOC takes puts one after the other, caproto runs them at the same time."""
    rig.client.put("SIM:REC:Slow:Delay", 0.4)
    rig.client.put("OWN:Slow:Time", 0.4)
    begun, _ = rig.client.get("OWN:Slow:Begun"), rig.client.put("OWN:Slow:Most", 0)
    late = f"steps: [{{set: {{pv: {slow}, value: $(to), timeout: 0.1}}}}]"
    good = f"steps: [{{set: {{pv: {slow}, value: $(to), timeout: 5}}}}, {{sample: [{done}]}}]"
    parameters = "parameters: {to: {type: float}}\n"
    for number in (10, 20, 30):
        outcome = rig.run(parameters + late, {"to": number})
        assert outcome["STATUS"] == "Timeout"
        assert f"{slow} still owes" in outcome["message"]

        outcome = ended(rig, parameters + good, args={"to": number + 1})
        assert outcome["values"] == [number + 1], "read when its own put had completed"
    if slow == "own.slow":
        assert rig.client.get("OWN:Slow:Begun") - begun == 6
        assert rig.client.get("OWN:Slow:Most") == 1, "two puts to a channel never overlap"


def test_the_put_of_a_run_after_an_aborted_one_waits_for_its_turn(rig: Rig) -> None:
    rig.client.put("OWN:Slow:Time", 0.6)
    rig.client.put("OWN:Slow:Most", 0)
    begun = rig.client.get("OWN:Slow:Begun")
    waiting = rig.start(rig.sequence("steps: [{set: {pv: own.slow, value: 1}}]"))
    until(lambda: rig.client.get("OWN:Slow:Begun") == begun + 1)
    rig.put("ABORT", 1)
    with pytest.raises(RefusedError):
        waiting()
    assert rig.get("STATUS") == "Aborted"
    assert "own.slow still owes" in rig.get("message")

    outcome = rig.run("steps: [{set: {pv: own.slow, value: 2, timeout: 0.1}}]")
    assert outcome["STATUS"] == "Timeout"
    assert "an earlier put is outstanding" in outcome["message"]

    outcome = ended(rig, "steps: [{set: {pv: own.slow, value: 3}}, {sample: [own.slow_done]}]")
    assert outcome["values"] == [3]
    assert rig.client.get("OWN:Slow:Begun") == begun + 2, "2 was never sent"
    assert rig.client.get("OWN:Slow:Most") == 1


def test_a_field_that_does_not_process_is_read_back_as_it_was_put(rig: Rig) -> None:
    """A put to such a field leaves the record's time stamp as it was: it does not tell the order.

    A completion may come before the monitor of what it completes, and what is read then is newer
    than what the monitor has brought, at the same time stamp.
    """
    text = """
        steps:
          - loop: {count: 300, as: i}
            do:
              - set: {pv: "SIM:REC:Calc.ADEL", value: "=i % 7 + 1"}
              - if: "pv('SIM:REC:Calc.ADEL') != i % 7 + 1"
                then: [{sample: [rec.calc]}]
    """

    ended(rig, text)

    assert rig.get("DATA:NPTS") == 0, "how often it was another value"


# Siblings ----------------------------------------------------------------------------------------


@pytest.fixture
def stage(rig: Rig) -> Iterator[Rig]:
    """A motor at 0 that takes 10 s to 9."""
    rig.client.put("SIM:STAGE:X.VELO", 20)
    rig.client.put("SIM:STAGE:X", 0)
    rig.client.put("SIM:STAGE:X.VELO", 1)
    yield rig
    rig.client.put("SIM:STAGE:X.STOP", 1)
    rig.client.put("SIM:STAGE:X.VELO", 2)


def stood(rig: Rig) -> float:
    """Wait until the motor stands, no longer than it takes to slow down; where."""
    until(lambda: rig.client.get("SIM:STAGE:X.DMOV") == 1, 1, "DMOV")
    return float(rig.client.get("SIM:STAGE:X.RBV"))


def test_a_failed_sibling_stops_a_motor_by_its_stop_channel(stage: Rig) -> None:
    text = """
        steps:
          - parallel:
              - set: {pv: stage.x, value: 9, readback: stage.x_rbv, timeout: 60}
              - group:
                  - wait: {pv: stage.x_rbv, above: 0.3, timeout: 10}
                  - wait: {pv: rec.ao, equals: 9.5, timeout: 0.05}
    """
    stage.give("rec.ao", 0)

    outcome = stage.run(text)

    assert 0.3 < stood(stage) < 2
    assert outcome["STATUS"] == "Timeout"
    assert "rec.ao" in outcome["message"], "the failure of the sibling is the one told"
    assert "9.5" in outcome["message"]


def test_an_abort_stops_a_motor_by_its_stop_channel(stage: Rig) -> None:
    text = """
        steps:
          - parallel:
              - set: {pv: stage.x, value: 9, timeout: 60}
              - delay: 50
        finally:
          - set: {pv: rec.ao, value: 6}
    """
    waiting = stage.start(stage.sequence(text))
    until(lambda: stage.client.get("SIM:STAGE:X.RBV") > 0.3)

    stage.put("ABORT", 1)

    with pytest.raises(RefusedError):
        waiting()
    assert 0.3 < stood(stage) < 2
    assert stage.get("STATUS") == "Aborted"
    assert stage.client.get("SIM:REC:Ao") == 6


def test_a_skip_lets_a_motor_go_where_it_was_sent(stage: Rig) -> None:
    text = "steps: [{set: {pv: stage.x, value: 4, timeout: 60}}, {set: {pv: rec.ao, value: 5}}]"
    waiting = stage.start(stage.sequence(text))
    until(lambda: stage.client.get("SIM:STAGE:X.RBV") > 0.3)

    stage.put("SKIP", 1)
    waiting()

    assert stage.get("STATUS") == "Success"
    assert stage.client.get("SIM:REC:Ao") == 5
    assert stage.client.get("SIM:STAGE:X.RBV") < 3.9, "it goes on while the run is over"
    until(lambda: stage.client.get("SIM:STAGE:X.DMOV") == 1)
    assert stage.client.get("SIM:STAGE:X.RBV") == pytest.approx(4)


# Losses ------------------------------------------------------------------------------------------


@dataclass
class Outage:
    """What an IOC, killed in the middle of a run and started again, was asked to do after that."""

    outcome: str
    message: str
    told: str
    """When the put that was held had come to its timeout."""
    counts: dict[str, int]


@pytest.fixture(scope="module")
def outage(language_rig: LanguageRig) -> Outage:
    rig, victim = language_rig.rig, language_rig.victim
    rig.quieten()
    rig.give("rec.ao", 0)
    rig.client.put("VICTIM:Slow:Time", 60)
    text = """
        steps:
          - parallel:
              - set: {pv: victim.slow, value: 1, timeout: 90}
                on_disconnect: wait
              - group:
                  - wait: {pv: rec.ao, equals: 1, timeout: 30}
                  - set: {pv: victim.held, value: 3, timeout: 0.5}
                    on_disconnect: wait
                    on_error: continue
                  - set: {pv: victim.other, value: 4, timeout: 60}
                    on_disconnect: wait
    """
    waiting = rig.start(rig.sequence(text), timeout=90)
    until(lambda: rig.client.get("VICTIM:Slow:Begun") == 1)
    victim.kill()
    rig.until("CHAIN:victim:STATUS", "Disconnected")
    rig.client.put("SIM:REC:Ao", 1)
    told = said(rig, "tolerated")
    victim.restart()
    rig.until("BUSY", 0, RECONNECTION)
    waiting()
    rig.until("CHAIN:victim:STATUS", "Connected", RECONNECTION)
    counts = {
        name: rig.client.get(f"VICTIM:{name}")
        for name in ("Held:Count", "Other:Count", "Slow:Begun")
    }
    return Outage(rig.get("STATUS"), rig.get("message"), told, counts)


def test_a_put_that_was_held_beyond_its_timeout_is_never_executed(outage: Outage) -> None:
    assert "victim.held: put of 3 was held" in outage.told
    assert "did not come back within 0.5 s" in outage.told
    assert outage.counts["Held:Count"] == 0


def test_a_put_that_was_held_is_executed_once_when_its_ioc_is_back(outage: Outage) -> None:
    assert outage.outcome == "Success", outage.message
    assert outage.counts["Other:Count"] == 1


def test_a_held_put_whose_ioc_died_before_its_completion_is_repeated_once(outage: Outage) -> None:
    assert outage.outcome == "Success", outage.message
    assert outage.counts["Slow:Begun"] == 1, "of the restarted IOC"


@pytest.mark.parametrize(("tries", "status", "puts"), [(2, "Success", 3), (1, "Failed", 2)])
def test_a_refused_put_is_tried_as_often_as_allowed(
    rig: Rig, tries: int, status: str, puts: int
) -> None:
    rig.client.put("OWN:Picky:Count", 0)
    rig.client.put("OWN:Picky:Refuses", 2)

    text = f"""
        steps:
          - set: {{pv: own.picky, value: 1}}
            on_error: {{retry: {tries}, delay: 0.05}}
    """

    outcome = rig.run(text)

    assert outcome["STATUS"] == status
    assert rig.client.get("OWN:Picky:Count") == puts
    if status == "Failed":
        assert "own.picky" in outcome["message"]


# Suspenders --------------------------------------------------------------------------------------

BEAM = "suspend: {beam: {when: CHANNEL < 50, resume: CHANNEL > 80, settle: 0.1}}\n"


def test_a_run_that_is_suspended_at_its_start_puts_nothing_before_the_beam_is_back(
    rig: Rig,
) -> None:
    rig.give("rec.ao", 0)
    rig.give("own.beam", 10)
    steps = "steps: [{set: {pv: rec.ao, value: 4}}]"
    waiting = rig.start(rig.sequence(BEAM.replace("CHANNEL", "own.beam") + steps))
    rig.until("STATE", "Suspended")
    said(rig, "suspended by beam since")
    rig.client.put("OWN:Beam", 60)  # no longer tripped, not yet clear
    mirrored = PREFIX + "MON:own:beam"
    until(lambda: rig.client.get(mirrored) == 60)
    assert rig.get("STATE") == "Suspended"
    assert rig.client.get("SIM:REC:Ao") == 0

    rig.give("own.beam", 100)
    waiting()

    assert rig.client.get("SIM:REC:Ao") == 4


def test_a_suspender_lets_a_put_finish_and_goes_on_where_it_was(rig: Rig) -> None:
    rig.give("own.beam", 100)
    rig.client.put("OWN:Slow:Time", 0.5)
    rig.give("rec.ao", 0)
    begun = rig.client.get("OWN:Slow:Begun")
    steps = "steps: [{set: {pv: own.slow, value: 7}}, {set: {pv: rec.ao, value: 4}}]"
    waiting = rig.start(rig.sequence(BEAM.replace("CHANNEL", "own.beam") + steps))
    until(lambda: rig.client.get("OWN:Slow:Begun") == begun + 1)
    rig.give("own.beam", 10)
    rig.until("STATE", "Suspended")
    until(lambda: rig.client.get("OWN:Slow:Done") == 7)
    rig.until("STEP", 1)
    assert rig.client.get("SIM:REC:Ao") == 0

    rig.give("own.beam", 100)
    waiting()

    assert rig.client.get("OWN:Slow:Begun") == begun + 1, "the put was not repeated"
    assert rig.client.get("SIM:REC:Ao") == 4


def test_a_suspender_that_rewinds_repeats_from_the_last_checkpoint(rig: Rig) -> None:
    rig.give("own.beam", 100)
    rig.give("rec.ao", 0)
    text = """
        suspend: {beam: {when: own.beam < 50, rewind: checkpoint}}
        steps:
          - loop: {pv: rec.number, values: [1, 2]}
            do:
              - checkpoint
              - sample: [rec.number]
              - wait: {pv: rec.ao, equals: $(go), timeout: 30}
        parameters: {go: {default: 1}}
    """
    waiting = rig.start(rig.sequence(text))
    rig.until("DATA:NPTS", 1)
    rig.give("own.beam", 10)
    rig.until("STATE", "Suspended")
    rig.give("own.beam", 100)
    rig.until("DATA:NPTS", 2)
    rig.client.put("SIM:REC:Ao", 1)
    waiting()

    taken = rows(rig)
    assert [row["rec.number"] for row in taken] == ["1", "1", "2"]
    assert [row["loop"] for row in taken] == ["0", "0", "1"]
    assert taken[1] != taken[0] | {"rec.number:timestamp": taken[1]["rec.number:timestamp"]}


def test_a_suspender_holds_the_run_while_its_ioc_is_away_and_until_its_value_is_confirmed(
    language_rig: LanguageRig, rig: Rig, outage: Outage
) -> None:
    """Nobody knows that there is beam; a restarted IOC's default is no proof that there is."""
    assert outage.outcome == "Success"  # the IOC's other outage comes before this one
    rig.give("victim.beam", 100)
    rig.give("rec.ao", 0)
    steps = "steps: [{wait: {pv: rec.ao, equals: 1, timeout: 5}}, {set: {pv: rec.ao, value: 2}}]"
    waiting = rig.start(rig.sequence(BEAM.replace("CHANNEL", "victim.beam") + steps), timeout=60)
    rig.until("STATE", "Running")

    language_rig.victim.kill()
    rig.until("STATE", "Suspended")
    assert "victim.beam: disconnected" in rig.get("message")
    rig.client.put("SIM:REC:Ao", 1)
    language_rig.victim.restart()
    rig.until("CHAIN:victim:STATUS", "Connected", RECONNECTION)
    until(lambda: rig.client.get(PREFIX + "MON:victim:beam") == 100)
    beats = rig.get("HEARTBEAT")
    rig.until("HEARTBEAT", beats + 1)
    assert rig.get("STATE") == "Suspended"
    assert rig.client.get("SIM:REC:Ao") == 1

    rig.client.put("VICTIM:Beam", 99)
    waiting()

    assert rig.client.get("SIM:REC:Ao") == 2


# Asking, calling, running ------------------------------------------------------------------------


def test_ask_pauses_with_its_text_until_somebody_resumes(rig: Rig) -> None:
    rig.give("rec.ao", 0)
    text = """
        steps:
          - let: {sample: 7}
          - ask: "Change sample $(sample)"
          - set: {pv: rec.ao, value: 3}
    """
    waiting = rig.start(rig.sequence(text))
    rig.until("STATE", "Paused")
    assert rig.get("message") == "Change sample 7"
    rig.until("PAUSE", 1)
    assert rig.client.get("SIM:REC:Ao") == 0

    rig.put("PAUSE", 0)
    waiting()

    assert rig.client.get("SIM:REC:Ao") == 3


def test_a_sub_sequence_has_its_own_parameters_and_finalisers(rig: Rig) -> None:
    rig.sequence(
        """
        parameters: {to: {type: float, max: 9}, twice: {default: false, type: bool}}
        steps:
          - set: {pv: rec.ao, value: $(to)}
          - if: twice
            then: [{set: {pv: rec.ao, value: "=to * 2"}}]
          - sample: [rec.ao]
        finally:
          - set: {pv: rec.number, value: "=rec.number + 1"}
        """,
        "inner",
    )
    rig.client.put("SIM:REC:LongOut", 0)
    text = """
        steps:
          - loop: {values: [1, 2], as: to}
            do:
              - run: {sequence: inner, args: {to: $(to), twice: "=to > 1"}}
          - run: {sequence: step_through, args: {points: 2}}
    """

    ended(rig, text)

    assert [float(row["rec.ao"]) for row in rows(rig) if row["rec.ao"]] == [1, 4]
    assert rig.client.get("SIM:REC:LongOut") == 2, "each time"
    assert rig.get("DATA:rec:calc") == [1, 5]


def test_a_blocking_function_holds_up_nobody_but_its_own_step(rig: Rig, tmp_path: Path) -> None:
    """Each call lasts until the test has seen that the rest goes on."""
    gates = [tmp_path / "first", tmp_path / "second"]
    rig.give("rec.ao", 0)
    watch = rig.watch("LOOP_LAG")
    text = f"""
        steps:
          - parallel:
              - call: {{function: hold, args: {{until: "{gates[0]}"}}}}
              - set: {{pv: rec.ao, value: 1}}
          - call: {{function: hold, args: {{until: "{gates[1]}"}}, as: said}}
          - set: {{pv: rec.ao, value: "=said"}}
    """
    waiting = rig.start(rig.sequence(text))
    began = time.monotonic()
    until(lambda: rig.client.get("SIM:REC:Ao") == 1, what="the branch beside it")
    for gate, number in zip(gates, (2, 3), strict=True):
        beats = rig.get("HEARTBEAT")
        rig.until("HEARTBEAT", beats + 2)
        gate.write_text(str(number))
    held = time.monotonic() - began
    waiting()

    assert rig.client.get("SIM:REC:Ao") == 3
    beats = rig.get("HEARTBEAT")
    rig.until("HEARTBEAT", beats + 1)
    assert max(watch.values("LOOP_LAG")) < held / 2, "it would be as late as the function takes"


def test_a_function_that_raises_fails_the_run_with_what_it_said(rig: Rig) -> None:
    outcome = rig.run("steps: [{call: break_off}]")

    assert outcome["STATUS"] == "Failed"
    said = r"break_off raised ZeroDivisionError at .*language_plans\.py:\d+: no beam"
    assert re.search(said, outcome["message"])


# Python sequences --------------------------------------------------------------------------------


def test_a_python_sequence_runs_by_start_with_args(rig: Rig) -> None:
    assert "step_through" in json.loads(rig.get("SEQUENCES"))
    watch = rig.watch("message")
    rig.put("SEQ", "step_through")
    rig.put("ARGS", json.dumps({"start": 1, "stop": 3, "points": 5}))
    rig.put("START", 1, timeout=30)

    outcome = rig.outcome()
    assert outcome["STATUS"] == "Success"
    assert outcome["RUN_NAME"] == "step_through"
    assert outcome["DATA:NPTS"] == 5
    assert "the last was 7.0" in watch.values("message")
    assert rig.get("DATA:rec:calc") == [3, 4, 5, 6, 7]


def test_a_python_sequence_runs_by_cmd_with_its_arguments_as_text(rig: Rig) -> None:
    before = rig.get("RUN_ID")
    rig.put("CMD", "run step_through start=2 points=2")
    until(lambda: rig.get("RUN_ID") != before)
    rig.until("BUSY", 0)
    assert rig.get("STATUS") == "Success"
    assert rig.get("DATA:rec:calc") == [5, 5]

    with pytest.raises(RefusedError):
        rig.put("CMD", "run step_through points=few")
    assert "points" in rig.get("message")
    assert "few" in rig.get("message")


def test_a_python_sequence_can_be_paused_and_goes_on(rig: Rig) -> None:
    rig.put("SEQ", "patient")
    rig.put("ARGS", "")
    waiting = rig.client.put_later(PREFIX + "START", 1, timeout=30)
    rig.until("BUSY", 1)
    until(lambda: rig.client.get("SIM:REC:Ao") == 1)
    rig.put("CMD", "pause")
    rig.until("STATE", "Paused")
    rig.client.put("SIM:REC:Ao", 2)
    until(lambda: rig.client.get(PREFIX + "MON:rec:ao") == 2)
    assert rig.client.get("SIM:REC:Ao") == 2

    rig.put("CMD", "resume")
    waiting()

    assert rig.client.get("SIM:REC:Ao") == 3


def test_an_abort_in_a_python_sequence_runs_its_finally(rig: Rig) -> None:
    rig.client.put("SIM:REC:LongOut", 0)
    rig.give("rec.ao", 0)
    rig.put("SEQ", "patient")
    rig.put("ARGS", "")
    waiting = rig.client.put_later(PREFIX + "START", 1, timeout=30)
    until(lambda: rig.client.get("SIM:REC:Ao") == 1)

    rig.put("CMD", "abort beam lost")

    with pytest.raises(RefusedError):
        waiting()
    assert rig.get("STATUS") == "Aborted"
    assert "beam lost" in rig.get("message")
    assert rig.client.get("SIM:REC:Ao") == 1
    assert rig.client.get("SIM:REC:LongOut") == 77


def test_a_python_sequence_that_blocks_holds_up_nothing_but_itself(
    rig: Rig, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    rig.give("rec.ao", 0)
    rig.put("SEQ", "blocked")
    rig.put("ARGS", json.dumps({"until": str(release)}))
    waiting = rig.client.put_later(PREFIX + "START", 1, timeout=30)
    until(lambda: rig.client.get("SIM:REC:Ao") == 1)
    beats = rig.get("HEARTBEAT")

    rig.put("ABORT", 1)
    rig.until("STATE", "Aborting")  # taken at once
    until(lambda: rig.get("HEARTBEAT") >= beats + 2)
    assert rig.get("BUSY") == 1
    rig.put("ABORT", 1)

    with pytest.raises(RefusedError):
        waiting()
    assert rig.get("STATUS") == "Aborted"
    until(lambda: "it is given up" in rig.service.errors)  # logs are written by a thread
    assert "language_plans.py:" in rig.service.errors
    rig.put("SEQ", "step_through")
    rig.put("ARGS", "")
    rig.put("START", 1)
    assert rig.get("STATUS") == "Success"
    before = rig.client.get("SIM:REC:Ao")
    release.write_text("1")
    assert rig.client.get("SIM:REC:Ao") == before


def test_a_python_sequence_that_exits_fails_and_the_service_goes_on(rig: Rig) -> None:
    rig.put("SEQ", "exits")
    rig.put("ARGS", "")
    with pytest.raises(RefusedError):
        rig.put("START", 1)
    assert rig.get("STATUS") == "Failed"
    assert "exits raised SystemExit at " in rig.get("message")
    rig.put("CMD", "ping")


# The queue ---------------------------------------------------------------------------------------


@pytest.fixture
def queue(rig: Rig) -> Iterator[Rig]:
    """An empty queue that starts nothing by itself."""
    rig.put("CMD", "queue clear")
    rig.put("CMD", "queue hold")
    yield rig
    rig.put("CMD", "queue clear")
    rig.quieten()
    rig.put("CMD", "queue start")


COUNT = 'steps: [{set: {pv: rec.number, value: "=rec.number + 1"}}]'


def test_a_poller_never_finds_the_service_finished_while_runs_are_left(queue: Rig) -> None:
    """It reads QUEUE_LEN, then BUSY: a run is under way before it no longer waits."""
    runs = 100  # some 8 ms each: a poll takes some 10 ms where the machine is busy
    queue.client.put("SIM:REC:LongOut", 0)
    name = queue.sequence(COUNT)
    for _ in range(runs):
        queue.put("CMD", f"submit {name}")
    assert queue.get("QUEUE_LEN") == runs
    followed = queue.follow("BUSY", "QUEUE_LEN")
    poller = queue.spawn(
        sys.executable, str(POLLER), PREFIX + "QUEUE_LEN", PREFIX + "BUSY", "SIM:REC:LongOut"
    )
    until(lambda: "polling" in poller.output or poller.ended, what="the poller")

    queue.put("CMD", "queue start")

    assert poller.end(30) == 0, poller.errors
    polls, done = json.loads(poller.output.splitlines()[-1])
    assert done == runs, f"both were 0 after {done} runs"
    assert polls > 20
    edges = [0, *[1, 0] * runs]  # the first is what it was when the monitor began
    until(lambda: [v for pv, v in followed.lines() if pv == "BUSY"] == edges, what="all edges")
    busy, left, finished = 0, runs, 0
    for pv, value in followed.lines():
        busy, left = (value, left) if pv == "BUSY" else (busy, value)
        finished += (busy, left) == (0, 0)
    assert finished == 1, followed.lines()


def test_queued_runs_run_in_order_and_a_failed_one_holds_those_behind_it(queue: Rig) -> None:
    """The sequence is read again when its run is started again."""
    queue.client.put("SIM:REC:LongOut", 0)
    first, last = queue.sequence(COUNT), queue.sequence(COUNT)
    bad = queue.sequence("steps: [{wait: {pv: rec.ao, above: 9.5, timeout: 0.05}}]")
    queue.give("rec.ao", 0)
    for name in (first, bad, last):
        queue.put("CMD", f"submit {name}")
    waiting = json.loads(queue.get("QUEUE"))
    started = queue.follow("RUN_NAME")

    queue.put("CMD", "queue start")
    queue.until("STATUS", "Timeout")
    queue.until("BUSY", 0)

    assert queue.get("QUEUE_LEN") == 2
    held = json.loads(queue.get("QUEUE"))
    assert "Timeout" in json.dumps(held)
    assert json.dumps(waiting).count(bad) == 1
    assert queue.client.get("SIM:REC:LongOut") == 1
    beats = queue.get("HEARTBEAT")
    queue.until("HEARTBEAT", beats + 1)
    assert queue.get("BUSY") == 0, "it is held"

    queue.sequence(COUNT, bad)
    queue.put("CMD", "queue start")
    until(lambda: queue.client.get("SIM:REC:LongOut") == 3)
    queue.until("QUEUE_LEN", 0)
    queue.until("BUSY", 0)
    names = [value for _, value in started.lines()]
    assert names[-4:] == [first, bad, bad, last]


# Speed -------------------------------------------------------------------------------------------


def test_the_last_of_a_thousand_puts_has_arrived_when_the_run_has_ended(rig: Rig) -> None:
    text = """
        steps:
          - loop: {count: 1000, as: i}
            do: [{set: {pv: rec.ao, value: "=i % 10"}}]
    """

    ended(rig, text)

    assert rig.client.get("SIM:REC:Ao") == 9


# Questions ---------------------------------------------------------------------------------------


def test_a_question_is_answered_by_its_pv_once_and_rightly(rig: Rig) -> None:
    watch = rig.watch("QUESTION", "ANSWER")
    text = "steps: [{ask: {text: Which?, choices: [A, B], as: which}}, {log: it is $(which)}]"
    finish = rig.start(rig.sequence(text))
    until(lambda: rig.get("QUESTION"))
    asked = json.loads(rig.get("QUESTION"))
    assert (asked["text"], asked["type"], asked["choices"]) == ("Which?", "str", ["A", "B"])

    with pytest.raises(RefusedError):
        rig.put("ANSWER", "C", kind="long")
    assert "'Which?' takes one of A, B, not 'C'" in rig.get("message")
    rig.put("ANSWER", "B")
    finish()

    assert said(rig, "it is B")
    assert [value != "" for value in watch.values("QUESTION")][-2:] == [True, False]
    assert rig.get("ANSWER") == "B"
    with pytest.raises(RefusedError):
        rig.put("ANSWER", "A")


# Latches and updates of channels that do not keep all ---------------------------------------------


def test_a_latch_misses_no_pulse_of_a_ms_while_the_steps_are_busy(rig: Rig) -> None:
    """By its PV name, of which the configuration knows nothing: 200 of 200."""
    before = rig.client.get("OWN:Pulses")
    text = """
        latches: {kick: "pv('OWN:Pulse') == 1"}
        steps:
          - loop: {count: 200}
            do:
              - set: {pv: "OWN:Trigger", value: 1}
              - delay: 0.02
              - wait: {latch: kick, timeout: 0.5}
    """

    ended(rig, text)

    assert rig.client.get("OWN:Pulses") - before == 200


def test_each_update_comes_in_its_order(rig: Rig) -> None:
    text = """
        variables: {last: 0, wrong: 0, code: 0}
        steps:
          - parallel:
              - set: {pv: "OWN:Burst", value: 1000, timeout: 20}
              - loop: {count: 1000}
                do:
                  - wait: {next: "OWN:Merged", as: code, timeout: 10}
                  - let: {wrong: wrong + (0 if code == last + 1 else 1)}
                  - let: {last: code}
          - log: last $(last), $(wrong) out of order
    """

    ended(rig, text)

    assert said(rig, "last") == "last 1000, 0 out of order"
