"""The PVs of the whole service, as a libca client sees them: runs, edges, commands."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable

import pytest
from service_rig import PREFIX, Follower, Rig
from sim_helpers import RefusedError, until

MINOR, MAJOR = 1, 2

QUICK = """
    steps:
      - set: {pv: rec.ao, value: 3.5}
      - loop: {count: 3}
        do:
          - sample: [rec.calc, rec.ao]
"""

LONG = """
    steps:
      - set: {pv: rec.ao, value: 1}
      - delay: 60
      - set: {pv: rec.ao, value: 9}
    finally:
      - set: {pv: rec.ao, value: 2}
"""

GATED = "steps: [{wait: {pv: rec.number, equals: 1, timeout: 60}}]"
"""Runs until rec.number, which was 0, is 1."""

FAILING = "steps: [{if: 'rec.ao / 0 > 1', then: [{delay: 0}]}]"
LATE = "steps: [{wait: {pv: rec.ao, above: 99, timeout: 0.1}}]"


# START and its outcome ----------------------------------------------------------------------


def test_a_put_with_callback_on_start_succeeds_when_the_run_has(rig: Rig) -> None:
    outcome = rig.run(QUICK)

    assert outcome["failed"] == ""
    assert outcome["STATUS"] == "Success"
    assert outcome["values"] == [8.0, 3.5]


@pytest.mark.parametrize(("text", "status"), [(FAILING, "Failed"), (LATE, "Timeout")])
def test_a_put_with_callback_on_start_fails_with_a_run_that_fails(
    rig: Rig, text: str, status: str
) -> None:
    outcome = rig.run(text)

    assert outcome["failed"]
    assert outcome["STATUS"] == status
    assert rig.reading("STATUS")["severity"] == MAJOR
    assert "rec.ao" in outcome["message"]
    assert rig.reading("message")["severity"] == MAJOR


@pytest.mark.parametrize(("button", "status"), [("STOP", "Stopped"), ("ABORT", "Aborted")])
def test_a_put_with_callback_on_start_fails_with_a_run_that_is_ended(
    rig: Rig, button: str, status: str
) -> None:
    waiting = rig.start(rig.sequence(LONG))
    rig.until("STATE", "Running")

    rig.put(button, 1)

    with pytest.raises(RefusedError):
        waiting()
    final = rig.reading("STATUS")
    assert (final["value"], final["severity"]) == (status, MINOR)
    assert rig.client.get("SIM:REC:Ao") == 2, "the finaliser has run, the step behind has not"
    assert rig.get(button) == 0, "momentary"


def test_a_put_on_start_completes_behind_every_update_of_the_run(rig: Rig) -> None:
    """A C IOC's put-callback may come before the monitors that it caused; ours does not."""
    rig.put("SEQ", rig.sequence(QUICK))
    rig.put("ARGS", "")
    for _ in range(5):
        watch = rig.watch("BUSY")

        done = rig.put("START", 1)

        last = watch.updates()[-1]
        assert last["value"] == 0
        assert last["at"] <= done["at"]


@pytest.fixture(scope="module")
def edges(module_rig: Rig) -> Follower:
    return module_rig.follow(
        "STATUS", "RUN_ID", "START", "BUSY", "STATE", "message", "PROGRESS", "STEP_NAME", "PAUSE",
        "DATA:NPTS", "DATA:rec:calc", "DATA:rec:ao", "values"
    )  # fmt: skip


def test_the_edges_of_a_run_come_in_the_promised_order(rig: Rig, edges: Follower) -> None:
    rig.run(LATE)
    edges.until("BUSY", 0)
    edges.mark()

    rig.run(QUICK)

    seen = edges.until("BUSY", 0)
    first = seen.index(("STATUS", "Undefined"))
    assert seen[first : first + 4] == [
        ("STATUS", "Undefined"),
        ("RUN_ID", rig.get("RUN_ID")),
        ("START", 1),
        ("BUSY", 1),
    ]
    assert seen[-4:] == [("STATE", "Idle"), ("STATUS", "Success"), ("START", 0), ("BUSY", 0)]
    names = [name for name, _ in seen]
    assert [names.count(name) for name in ("START", "BUSY", "STATUS")] == [2, 2, 2]


def test_a_run_that_fails_at_once_posts_all_edges_too(rig: Rig, edges: Follower) -> None:
    rig.put("SEQ", "no such sequence")
    edges.mark()

    with pytest.raises(RefusedError):
        rig.put("START", 1)

    kept = ("STATUS", "START", "BUSY")
    assert [(n, v) for n, v in edges.until("BUSY", 0) if n in kept] == [
        ("STATUS", "Undefined"),
        ("START", 1),
        ("BUSY", 1),
        ("STATUS", "Failed"),
        ("START", 0),
        ("BUSY", 0),
    ]
    assert "no such sequence" in rig.get("message")


def test_a_client_that_sees_busy_fall_reads_final_values_everywhere(rig: Rig) -> None:
    names = ("STATUS", "message", "STATE", "START", "PAUSE", "STEP", "NSTEPS", "PROGRESS",
             "DATA:NPTS", "DATA:rec:calc", "DATA:rec:ao", "values", "RUN_NAME")  # fmt: skip
    name = rig.sequence(QUICK + "      - log: the last word\n")
    rig.put("SEQ", name)
    for _ in range(5):
        read = rig.client.start(
            "read_at",
            pv=PREFIX + "BUSY",
            value=0,
            pvs=[PREFIX + name for name in names],
            ready=PREFIX + "START",
        )
        got = {pv.removeprefix(PREFIX): each["value"] for pv, each in read().items()}
        assert got == {
            "STATUS": "Success",
            "message": "the last word",
            "STATE": "Idle",
            "START": 0,
            "PAUSE": 0,
            "STEP": got["NSTEPS"],
            "NSTEPS": 6,
            "PROGRESS": 100.0,
            "DATA:NPTS": 3,
            "DATA:rec:calc": [8.0] * 3,
            "DATA:rec:ao": [3.5] * 3,
            "values": [8.0, 3.5],
            "RUN_NAME": name,
        }


def test_a_start_while_busy_fails_at_once_and_leaves_the_run_alone(rig: Rig) -> None:
    rig.give("rec.number", 0)
    waiting = rig.start(rig.sequence(GATED))
    run_id = rig.get("RUN_ID")
    watch = rig.watch("START", "BUSY", "STATUS")

    with pytest.raises(RefusedError):
        rig.put("START", 1)

    assert watch.since() == []
    assert "is running" in rig.get("message")
    rig.give("rec.number", 1)
    waiting()
    assert rig.get("RUN_ID") == run_id
    assert watch.since() == [("STATUS", "Success"), ("START", 0), ("BUSY", 0)]


def test_writing_0_to_start_is_one_abort(rig: Rig) -> None:
    """A second abort would give up on the completion, and the next step would see the old value."""
    text = """
        steps:
          - set: {pv: rec.slow, value: 0}
          - delay: 60
        finally:
          - set: {pv: rec.slow, value: 7}
          - sample: [rec.done]
    """
    waiting = rig.start(rig.sequence(text))
    rig.until("STEP", 1)

    rig.put("START", 0)

    assert rig.get("STATE") == "Aborting"
    with pytest.raises(RefusedError):
        waiting()
    assert rig.get("STATUS") == "Aborted"
    assert rig.get("values") == [7]


def test_an_abort_is_harmless_when_idle(rig: Rig) -> None:
    before = rig.outcome()

    rig.put("ABORT", 1)
    rig.put("START", 0)

    assert rig.outcome() == before


def test_the_file_is_read_anew_at_each_start(rig: Rig) -> None:
    rig.put("SEQ", rig.sequence("steps: [{set: {pv: rec.ao, value: 4}}]", "changing"))
    rig.put("ARGS", "")
    rig.put("START", 1)
    rig.sequence("steps: [{set: {pv: rec.ao, value: 5}}]", "changing")
    rig.put("START", 1)

    assert rig.client.get("SIM:REC:Ao") == 5


def test_a_broken_file_fails_the_start_and_names_its_line(rig: Rig) -> None:
    outcome = rig.run("steps:\n  - delay: 1\n  - dealy: 1\n")

    assert outcome["failed"]
    assert outcome["STATUS"] == "Failed"
    assert f"{rig.get('SEQ')}.yaml:3" in outcome["message"]
    assert "delay" in outcome["message"].partition("did you mean")[2]


def test_what_the_check_finds_fails_the_start_before_anything_is_written(rig: Rig) -> None:
    rig.client.put("SIM:REC:Ao", 6)

    outcome = rig.run(
        "steps: [{set: {pv: rec.ao, value: 1}}, {set: {pv: rec.mbbo, value: Sideways}}]"
    )

    assert outcome["STATUS"] == "Failed"
    assert "Low" in outcome["message"], "the labels that there are"
    assert rig.client.get("SIM:REC:Ao") == 6


def test_args_are_a_json_object_with_the_parameters(rig: Rig) -> None:
    text = """
        parameters: {to: {default: 1.0}, points: {default: 2, type: int}}
        steps:
          - loop: {pv: rec.ao, from: 0, to: $(to), num: $(points)}
            do: [{sample: [rec.ao]}]
    """
    rig.run(text, {"to": 9, "points": 4})
    assert rig.get("DATA:rec:ao") == [0, 3, 6, 9]

    rig.run(text)
    assert rig.get("DATA:rec:ao") == [0, 1]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("{not json", "JSON"),
        ("[1, 2]", "JSON object"),
        ('{"point": 3}', "did you mean 'points'"),
        ('{"points": "many"}', "points"),
    ],
)
def test_wrong_args_fail_the_start_and_say_why(rig: Rig, args: str, says: str) -> None:
    name = rig.sequence("{parameters: {points: {default: 2, type: int}}, steps: [{delay: 0}]}")
    rig.put("SEQ", name)
    rig.put("ARGS", args)

    with pytest.raises(RefusedError):
        rig.put("START", 1)

    assert rig.get("STATUS") == "Failed"
    assert says in rig.get("message")


def test_the_death_of_the_client_that_started_it_leaves_a_run_alone(rig: Rig) -> None:
    rig.give("rec.number", 0)
    rig.put("SEQ", rig.sequence(GATED.replace("}}]", "}}, {set: {pv: rec.ao, value: 8}}]")))
    rig.put("ARGS", "")
    starter = rig.python(
        f"""
        import asyncio, aioca
        async def main():
            await aioca.caput("{PREFIX}START", 1, wait=True, timeout=60)
        asyncio.run(main())
        """
    )
    rig.until("BUSY", 1)

    starter.kill()
    starter.end()
    assert rig.get("BUSY") == 1

    rig.give("rec.number", 1)
    rig.until("BUSY", 0)
    assert rig.get("STATUS") == "Success"
    assert rig.client.get("SIM:REC:Ao") == 8


# Pause, resume, stop, abort, skip -----------------------------------------------------------


def buttons(rig: Rig, verb: str) -> None:
    name, value = ("PAUSE", 0) if verb == "resume" else (verb.upper(), 1)
    rig.put(name, value)


def commands(rig: Rig, verb: str) -> None:
    rig.put("CMD", verb)


BOTH = pytest.mark.parametrize("ask", [buttons, commands])
Ask = Callable[[Rig, str], None]


@BOTH
def test_a_pause_holds_the_run_until_it_is_resumed(rig: Rig, ask: Ask) -> None:
    rig.give("rec.ao", 0)
    waiting = rig.start(
        rig.sequence("steps: [{wait: {pv: rec.ao, above: 4, timeout: 10}}, {delay: 0.05}]")
    )
    rig.until("STATE", "Running")  # or else this is the first of what is watched
    watch = rig.watch("STATE", "PAUSE")
    ask(rig, "pause")
    rig.until("STATE", "Paused")

    rig.client.put("SIM:REC:Ao", 5)
    until(lambda: rig.get("MON:rec:ao") == 5)
    assert (rig.get("STATE"), rig.get("PAUSE"), rig.get("BUSY")) == ("Paused", 1, 1)

    ask(rig, "resume")
    waiting()
    assert watch.values("PAUSE") == [1, 0]
    assert watch.values("STATE")[:2] == ["Paused", "Running"]


@BOTH
@pytest.mark.parametrize(("verb", "status"), [("stop", "Stopped"), ("abort", "Aborted")])
def test_a_run_is_ended_and_its_finalisers_run(rig: Rig, ask: Ask, verb: str, status: str) -> None:
    waiting = rig.start(rig.sequence(LONG))
    rig.until("STATE", "Running")

    ask(rig, verb)

    with pytest.raises(RefusedError):
        waiting()
    assert rig.get("STATUS") == status
    assert rig.client.get("SIM:REC:Ao") == 2


@BOTH
def test_a_skip_ends_the_running_step_and_is_no_failure(rig: Rig, ask: Ask) -> None:
    waiting = rig.start(rig.sequence(LONG))
    rig.until("STEP", 1)

    ask(rig, "skip")

    waiting()
    assert rig.get("STATUS") == "Success"


def test_an_abort_interrupts_a_paused_run(rig: Rig) -> None:
    waiting = rig.start(rig.sequence(LONG))
    rig.put("PAUSE", 1)
    rig.until("STATE", "Paused")

    rig.put("CMD", "abort the beam is gone")

    with pytest.raises(RefusedError):
        waiting()
    assert rig.get("STATUS") == "Aborted"
    assert "the beam is gone" in rig.get("message")
    assert (rig.get("PAUSE"), rig.get("STATE")) == (0, "Idle")


def test_an_aborted_move_stops_the_motor_by_its_stop_channel(rig: Rig) -> None:
    rig.client.put("SIM:STAGE:X", 0)
    waiting = rig.start(rig.sequence("steps: [{set: {pv: stage.x, value: 9, timeout: 20}}]"))
    until(lambda: rig.client.get("SIM:STAGE:X.RBV") > 0.1)

    rig.put("ABORT", 1)

    with pytest.raises(RefusedError):
        waiting()
    until(lambda: rig.client.get("SIM:STAGE:X.DMOV") == 1)
    assert rig.client.get("SIM:STAGE:X.RBV") < 5


# CMD, ACK, message --------------------------------------------------------------------------


def test_cmd_takes_a_plain_string_of_40_characters(rig: Rig) -> None:
    """What `caput PV text` sends: DBR_STRING, at most 39 characters and a NUL."""
    rig.sequence(
        "{parameters: {to: {type: float}}, steps: [{set: {pv: rec.ao, value: $(to)}}]}", "go"
    )
    text = "run go to=7" + " " * 28
    assert len(text) == 39

    rig.put("CMD", text, kind="string")

    rig.until("BUSY", 0)
    assert rig.get("STATUS") == "Success"
    assert rig.client.get("SIM:REC:Ao") == 7


def test_cmd_takes_a_long_string(rig: Rig) -> None:
    rig.sequence("{parameters: {text: {type: str}}, steps: [{log: $(text)}, {delay: 60}]}", "say")
    said = "a reason of more than forty characters, with blanks"
    rig.put("CMD", f"run say text='{said}'", kind="long")

    rig.until("message", said)

    rig.put("CMD", "abort")
    rig.until("BUSY", 0)
    assert rig.get("CMD") == "abort"


def test_cmd_takes_a_whole_sequence(rig: Rig) -> None:
    rig.put("CMD", "steps:\n- set: {pv: rec.ao, value: 2.25}\n", kind="long")
    rig.until("BUSY", 0)
    assert rig.client.get("SIM:REC:Ao") == 2.25

    rig.put("CMD", json.dumps({"steps": [{"set": {"pv": "rec.ao", "value": 4.5}}]}), kind="long")
    rig.until("BUSY", 0)
    assert rig.client.get("SIM:REC:Ao") == 4.5


def test_a_put_with_callback_on_cmd_completes_when_the_command_is_accepted(rig: Rig) -> None:
    rig.put("CMD", f"run {rig.sequence(LONG)}")

    assert rig.get("BUSY") == 1


def test_ack_falls_with_each_command_and_rises_when_it_is_accepted(rig: Rig) -> None:
    rig.put("CMD", "ping")
    watch = rig.watch("ACK")

    rig.put("CMD", "ping")
    rig.put("CMD", f"run {rig.sequence(QUICK)}")

    assert watch.values("ACK") == [0, 1, 0, 1]
    assert rig.reading("ACK")["severity"] == 0


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("runn x", "did you mean 'run'"),
        ("run nothing-of-that-name", "nothing-of-that-name"),
        ("run 'x", "quotation"),
        ("pause now", "no arguments"),
        ("__import__('os')", "unknown command"),
        ("{steps: [{dealy: 1}]}", "did you mean 'delay'"),
    ],
)
def test_a_refused_command_fails_its_put_and_leaves_ack_in_alarm(
    rig: Rig, command: str, says: str
) -> None:
    watch = rig.watch("ACK", "BUSY")

    with pytest.raises(RefusedError):
        rig.put("CMD", command, kind="long")

    ack = rig.reading("ACK")
    assert (ack["value"], ack["severity"]) == (0, MAJOR)
    assert says in rig.get("message")
    assert set(watch.since()) == {("ACK", 0)}, "and there was no run"

    rig.put("CMD", "ping")
    assert (rig.get("ACK"), rig.reading("ACK")["severity"]) == (1, 0)


def test_a_run_by_cmd_while_busy_is_refused(rig: Rig) -> None:
    rig.give("rec.number", 0)
    waiting = rig.start(rig.sequence(GATED))

    with pytest.raises(RefusedError):
        rig.put("CMD", f"run {rig.sequence(QUICK)}")

    assert rig.reading("ACK")["severity"] == MAJOR
    rig.give("rec.number", 1)
    waiting()
    assert rig.get("STATUS") == "Success"


def test_log_steps_appear_in_message(rig: Rig) -> None:
    watch = rig.watch("message")

    rig.run("steps: [{set: {pv: rec.ao, value: 1}}, {log: 'ao is $(rec.ao)'}, {delay: 0.1}]")

    assert any(text.startswith("ao is 1") for text in watch.values("message"))


# What else is published ---------------------------------------------------------------------


def test_sequences_follows_the_directory(rig: Rig) -> None:
    name = rig.sequence(QUICK)
    until(lambda: name in json.loads(rig.get("SEQUENCES")))

    (rig.directory / "sequences" / f"{name}.yaml").unlink()

    until(lambda: name not in json.loads(rig.get("SEQUENCES")))


def test_data_grows_point_by_point_and_npts_comes_last(rig: Rig, edges: Follower) -> None:
    text = """
        steps:
          - loop: {pv: rec.ao, values: [1, 2, 3, 4]}
            do: [{sample: [rec.ao, rec.calc]}, {delay: 0.1}]
    """
    rig.run(QUICK)
    edges.until("BUSY", 0)
    edges.mark()

    rig.run(text)

    kept = ("DATA:rec:calc", "DATA:rec:ao", "DATA:NPTS")
    seen = [(name, value) for name, value in edges.until("BUSY", 0) if name in kept]
    rows = [seen[i : i + 3] for i in range(0, len(seen), 3)]
    assert [dict(row) for row in rows] == [
        {
            "DATA:rec:calc": [3.0, 5.0, 7.0, 9.0][:n],
            "DATA:rec:ao": [1.0, 2.0, 3.0, 4.0][:n],
            "DATA:NPTS": n,
        }
        for n in range(5)
    ]
    assert {row[-1][0] for row in rows} == {"DATA:NPTS"}


def test_progress_and_position_follow_the_run(rig: Rig) -> None:
    watch = rig.watch("PROGRESS", "LOOP_INDEX", "STEP_NAME", "ELAPSED")

    rig.run("{steps: [{loop: {count: 4}, do: [{delay: 0.3}]}]}")

    assert watch.values("PROGRESS")[-1] == 100
    assert len(set(watch.values("PROGRESS"))) > 2, "live"
    indices = [value[0] for value in watch.values("LOOP_INDEX") if value]
    assert [key for key, _ in itertools.groupby(indices)] == [0, 1, 2, 3]
    assert any(text.startswith("steps[0].do[0] delay") for text in watch.values("STEP_NAME"))
    assert watch.values("ELAPSED")[-1] >= 1.2
    assert rig.get("HUNG_SEC") < 1


def test_owner_is_who_asked_for_the_run(rig: Rig) -> None:
    outcome = rig.run(QUICK)

    user, at, host = outcome["OWNER"].partition("@")
    assert user
    assert at
    assert host


def test_values_hold_the_last_row_an_enum_by_its_index_and_text_as_nan(rig: Rig) -> None:
    rig.client.put("SIM:REC:Mbbo", 2)
    rig.run("steps: [{sample: [rec.ao, rec.string, rec.mbbo, rec.wave]}]")

    ao, string, mbbo, wave = rig.get("values")
    assert (ao, mbbo) == (rig.client.get("SIM:REC:Ao"), 2)
    assert math.isnan(string)
    assert math.isnan(wave)


@pytest.mark.parametrize("name", ["BUSY", "STATUS", "message", "RUN_ID", "DATA:NPTS", "MON:rec:ao"])
def test_what_only_tells_can_not_be_written(rig: Rig, name: str) -> None:
    before = rig.get(name)

    with pytest.raises(RefusedError):
        rig.put(name, 1)

    assert rig.get(name) == before


def test_the_heartbeat_counts_from_the_working_loop(rig: Rig) -> None:
    first = rig.get("HEARTBEAT")

    until(lambda: rig.get("HEARTBEAT") > first)

    assert rig.get("LOOP_LAG") < 1
    assert rig.get("PULL:RATE") > 0
