"""What the device decides, item by item; no loop, no clock."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from orchestrator.config import ChainConfig, ChannelConfig, Config
from orchestrator.device import Device
from orchestrator.ioc.pvs.text import encode
from orchestrator.queues import pull_queue
from orchestrator.types import (
    Alarm,
    Answered,
    Asked,
    Cause,
    Command,
    Control,
    LinkChange,
    Metadata,
    MirrorOpened,
    NativeType,
    QueueChanged,
    QueuedRun,
    Reading,
    Reply,
    RowTaken,
    RunEnded,
    RunRefused,
    RunRequest,
    RunStarted,
    RunState,
    RunStatus,
    SequencesListed,
    Severity,
    StateChanged,
    StepStarted,
    Tick,
    Update,
    Verb,
)
from tests.doubles import run_virtual

DOUBLE = Metadata(NativeType.DOUBLE, units="mm")


def config() -> Config:
    channels = {
        "s.a": ChannelConfig("s.a", "S:A", buffer=3),
        "s.b": ChannelConfig("s.b", "S:B"),
        "s.hidden": ChannelConfig("s.hidden", "S:H", mirror=False),
        "s.quiet": ChannelConfig("s.quiet", "S:Q", monitor=False),
    }
    return Config(chain={"s": ChainConfig("s", "S:", channels=channels)})


@pytest.fixture
def device() -> Device:
    return Device(config())


def up(device: Device, *names: str) -> list[object]:
    return [d for n in names for d in device.examine(LinkChange(n, True, DOUBLE))]


def values(decisions, field, key=""):
    return [
        d.value for d in decisions if isinstance(d, Update) and (d.field, d.key) == (field, key)
    ]


def test_all_that_is_not_connected_is_named_as_far_as_the_pv_holds():
    """Who waits for one of them to go from the list must not miss it for want of room."""

    def named(count: int) -> str:
        channels = {n: ChannelConfig(n, n) for n in (f"ioc.{i:06}" for i in range(count))}
        device = Device(Config(chain={"ioc": ChainConfig("ioc", "S:", channels=channels)}))
        (text,) = values(device.examine(Tick(1, 0.0, 0.2, {})), "chain_disconnected")
        return text

    assert named(2000).endswith("ioc.001998, ioc.001999")
    text = named(10_000)
    listed, _, more = text.rpartition(" and ")
    assert len(text) < 2**16
    assert more == f"{10_000 - len(listed.split(', '))} more"


def test_first_connection_opens_the_mirror(device):
    assert MirrorOpened("s.a", DOUBLE) in up(device, "s.a")


def test_reading_is_passed_on_with_its_own_stamp_and_alarm(device):
    up(device, "s.a")
    reading = Reading("s.a", 1.5, 1234.5, Severity.MINOR, 4)
    assert Update("mon", 1.5, "s.a", Severity.MINOR, 4, 1234.5) in device.examine(reading)


def test_unmirrored_channel_is_seen_but_not_published(device):
    up(device, "s.hidden")
    assert list(device.examine(Reading("s.hidden", 1.0, 0.0))) == []
    assert device.table.channel("s.hidden").reading.value == 1.0


def test_channel_of_no_config_is_seen_but_not_published(device):
    assert up(device, "OTHER:PV") == []
    assert list(device.examine(Reading("OTHER:PV", 1.0, 0.0))) == []
    assert device.table.channel("OTHER:PV").connected


def test_lost_channel_shows_its_last_value_as_link_invalid(device):
    up(device, "s.a")
    device.examine(Reading("s.a", 1.5, 0.0))
    lost = device.examine(LinkChange("s.a", False))
    assert Update("mon", 1.5, "s.a", Severity.INVALID, Alarm.LINK) in lost


def test_chain_counts_what_it_monitors(device):
    first = list(device.first_decisions())
    assert values(first, "chain_count") == [3]
    assert values(first, "chain_status", "s") == ["Disconnected"]
    partial = up(device, "s.a", "s.b")
    assert values(partial, "chain_connected") == [1, 2]
    assert values(partial, "chain_status", "s")[-1] == "Partial"
    assert values(up(device, "s.hidden"), "chain_status", "s") == ["Connected"]


def test_ioc_that_came_back_whole_is_counted_once(device):
    names = ("s.a", "s.b", "s.hidden")
    assert values(up(device, *names), "chain_reconnects", "s") == []
    for name in names:
        device.examine(LinkChange(name, False))
    assert values(up(device, *names), "chain_reconnects", "s") == [1]


def test_an_ioc_of_which_a_channel_was_never_there_is_counted_with_those_that_were(device):
    """A name that is misspelt; CHAIN:DISCONNECTED tells of it."""
    up(device, "s.a", "s.b")
    for name in ("s.a", "s.b"):
        device.examine(LinkChange(name, False))
    assert values(up(device, "s.a"), "chain_reconnects", "s") == []
    assert values(up(device, "s.b"), "chain_reconnects", "s") == [1]
    assert values(up(device, "s.hidden"), "chain_reconnects", "s") == []


def test_new_metadata_of_a_connected_channel_is_no_second_connection(device):
    up(device, "s.a")
    again = up(device, "s.a")
    assert values(again, "chain_connected") == []
    assert [d for d in again if isinstance(d, MirrorOpened)]


def test_names_of_the_disconnected_are_told_with_the_change(device):
    """Who sees a run fail of a lost channel finds that channel among them."""
    assert values(device.examine(Tick(1, 0.0)), "chain_disconnected") == ["s.a, s.b, s.hidden"]
    last = up(device, "s.a", "s.hidden")[-1]
    assert (last.field, last.value) == ("chain_disconnected", "s.b")
    assert last.severity is Severity.INVALID
    assert values(device.examine(Tick(2, 0.0)), "chain_disconnected") == []
    assert values(up(device, "s.b"), "chain_disconnected") == [""]
    assert values(device.examine(LinkChange("s.a", False)), "chain_disconnected") == ["s.a"]


def test_names_of_many_are_told_at_the_pulse():
    """Each of 10,000 that go together would have the list of all."""
    channels = {n: ChannelConfig(n, n) for n in (f"ioc.{i:03}" for i in range(200))}
    device = Device(Config(chain={"ioc": ChainConfig("ioc", "S:", channels=channels)}))
    first, *others = channels
    assert values(up(device, first), "chain_disconnected") == []
    assert values(device.examine(Tick(1, 0.0)), "chain_disconnected") == [", ".join(others)]
    assert len(values(up(device, *others), "chain_disconnected")) == 101


def test_buffer_and_its_statistics_are_published_at_the_pulse(device):
    up(device, "s.a")
    for value in (1.0, 2.0, 3.0, 4.0):
        device.examine(Reading("s.a", value, 0.0))
    decisions = device.examine(Tick(1, 0.0, period=2.0))
    np.testing.assert_array_equal(values(decisions, "mon_buf", "s.a")[0], [2, 3, 4])
    assert values(decisions, "mon_mean", "s.a") == [3.0]
    assert values(decisions, "mon_std", "s.a") == [pytest.approx(np.std([2, 3, 4]))]
    assert values(decisions, "mon_rate", "s.a") == [2.0]


@pytest.mark.parametrize("held", [np.inf, -np.inf, np.nan, 1e308])
def test_statistics_of_what_an_ioc_holds_warn_of_nothing(device, held):
    up(device, "s.a")
    for value in (held, 1.0, held):
        device.examine(Reading("s.a", value, 0.0))
    decisions = list(device.examine(Tick(1, 0.0, period=2.0)))
    assert (
        len(values(decisions, "mon_mean", "s.a")) == len(values(decisions, "mon_std", "s.a")) == 1
    )


def test_run_by_cmd_is_acknowledged_once_it_has_started(device):
    asked = list(device.examine(Command(Verb.COMMAND, 7, "run align start=1")))
    assert asked[0] == Update("ack", 0)
    (request,) = [d for d in asked if isinstance(d, RunRequest)]
    assert (request.name, request.args) == ("align", {"start": "1"})
    started = list(device.examine(RunStarted("id", "align", "", 7, 0)))
    assert started[-2:] == [Update("ack", 1), Reply(7)]


def test_steps_and_passes_are_counted_on_where_an_integer_pv_ends(device):
    """The server shows them as it can; a loop of 2^31 passes ended the service here."""
    started = device.examine(RunStarted("id", "align", "", 0, 2**31))
    assert values(started, "nsteps") == [2**31]
    entered = device.examine(StepStarted(("steps", 0), "x", 2**31, (2**31, 2**40, 7)))
    assert values(entered, "step") == [2**31]
    assert list(values(entered, "loop_index")[0]) == [2**31, 2**40, 7]


def test_of_more_loops_than_the_pv_holds_the_outermost_are_shown(device):
    entered = device.examine(StepStarted(("steps", 0), "x", 1, tuple(range(100))))
    assert list(values(entered, "loop_index")[0]) == list(range(64))


def test_refused_run_by_cmd_leaves_ack_0_major_and_says_why(device):
    device.examine(Command(Verb.COMMAND, 7, "run align"))
    refused = list(device.examine(RunRefused(7, "no such sequence")))
    assert Update("ack", 0, severity=Severity.MAJOR, status=Alarm.WRITE) in refused
    assert Update("message", "no such sequence") in refused
    assert refused[-1] == Reply(7, "no such sequence")


def test_second_run_is_refused_while_one_is_being_prepared_or_runs(device):
    device.examine(Command(Verb.START, 1, "a"))
    early = list(device.examine(Command(Verb.START, 2, "b")))
    assert early[-1].error.startswith("a run is being prepared")
    device.examine(RunStarted("id", "a", "", 1, 0))
    late = list(device.examine(Command(Verb.COMMAND, 3, "run b")))
    assert late[-1].error.startswith("a is running")
    device.examine(RunEnded("id", RunStatus.SUCCESS, "", 1))
    assert any(isinstance(d, RunRequest) for d in device.examine(Command(Verb.START, 4, "b")))


@pytest.mark.parametrize(
    ("status", "error"),
    [(RunStatus.SUCCESS, ""), (RunStatus.FAILED, "Failed: no beam"), (RunStatus.STOPPED, None)],
)
def test_start_is_answered_at_the_very_end_and_fails_for_all_but_success(device, status, error):
    device.examine(Command(Verb.START, 1, "a"))
    device.examine(RunStarted("id", "a", "", 1, 0))
    end = list(device.examine(RunEnded("id", status, "no beam", 1)))
    assert [d.field for d in end if isinstance(d, Update)][-3:] == ["status", "start", "busy"]
    assert isinstance(end[-1], Reply)
    assert end[-1].error == (f"{status}: no beam" if error is None else error)


def test_what_was_told_last_stays_when_a_success_has_nothing_to_add(device):
    device.examine(RunStarted("id", "a", "", 0, 0))
    plain = list(device.examine(RunEnded("id", RunStatus.SUCCESS, "", 0)))
    assert not [d for d in plain if isinstance(d, Update) and d.field == "message"]
    more = list(device.examine(RunEnded("id", RunStatus.SUCCESS, "1 error was tolerated", 0)))
    assert Update("message", "1 error was tolerated") in more


@pytest.mark.parametrize("control", ["stop", "pause", "resume", "skip", "answer"])
def test_a_control_that_comes_too_late_leaves_the_reason_why_the_run_has_ended(device, control):
    device.examine(RunStarted("id", "a", "", 0, 0))
    device.examine(RunEnded("id", RunStatus.FAILED, "s.a: no beam", 0, Cause.DURING))
    reason = Update("message", "s.a: no beam", "", Severity.MAJOR, Cause.DURING.alarm)
    for _again in range(2):  # it does not grow
        [late] = [
            d
            for d in device.examine(Command(Verb.COMMAND, 1, control))
            if isinstance(d, Update) and d.field == "message"
        ]
        assert late.value.startswith("s.a: no beam; nothing is ")
        assert (late.severity, late.status) == (reason.severity, reason.status)
    device.examine(RunStarted("id", "a", "", 0, 0))
    device.examine(RunEnded("id", RunStatus.SUCCESS, "", 0))
    plain = values(device.examine(Command(Verb.COMMAND, 1, control)), "message")
    assert plain[0].startswith("nothing is ")


@pytest.mark.parametrize(
    ("cause", "alarm"),
    [
        (Cause.INPUT, Alarm.SOFT),
        (Cause.NOT_CONNECTED, Alarm.LINK),
        (Cause.DURING, Alarm.STATE),
    ],
)
def test_the_alarm_of_status_says_whether_a_failed_run_had_begun(device, cause, alarm):
    device.examine(RunStarted("id", "a", "", 0, 0))
    end = list(device.examine(RunEnded("id", RunStatus.FAILED, "why", 0, cause)))
    assert Update("status", "Failed", severity=Severity.MAJOR, status=alarm) in end


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "CMD is empty"),
        ("rnu align", "did you mean 'run'?"),
        ("frobnicate", "the commands are"),
        ("run", "run needs the name"),
        ("run align 5", "'5' is not of the form key=value"),
        ("run align a=1 a=2", "'a' is given twice"),
        ("pause now", "pause takes no arguments"),
        ("run 'align", "no closing quotation"),
        ("__import__('os').system('x')", "unknown command"),
    ],
)
def test_text_that_is_no_command_is_refused_with_what_would_be(device, text, said):
    decisions = list(device.examine(Command(Verb.COMMAND, 5, text)))
    assert said in decisions[-1].error
    assert not [d for d in decisions if isinstance(d, RunRequest | Control)]


def test_abort_by_cmd_carries_its_reason(device):
    device.examine(Command(Verb.START, 1, "a"))
    decisions = list(device.examine(Command(Verb.COMMAND, 5, "abort beam lost")))
    assert Control(Verb.ABORT, "beam lost") in decisions
    assert decisions[-1] == Reply(5)


def test_whole_document_is_passed_on_as_it_is(device):
    text = "name: x\nsteps: [{delay: 1}]\n"
    decisions = list(device.examine(Command(Verb.COMMAND, 5, text)))
    assert decisions[-1].text == text.strip()


def test_bad_readings_are_decisions_never_exceptions(device):
    up(device, "s.a")
    for value in (float("nan"), "text", np.zeros(0), ("a", "b"), 2**70):
        device.examine(Reading("s.a", value, float("nan"), Severity.INVALID, 99))


def row(points: int) -> RowTaken:
    return RowTaken({"s.a": np.arange(float(points)), "other": np.zeros(points)}, (7.0,), points)


def shown(decisions: list[object]) -> list[tuple[str, str, int]]:
    """DATA:* in their order, with how many points."""
    return [
        (d.field, d.key, np.size(d.value) if d.key else d.value)
        for d in decisions
        if isinstance(d, Update) and d.field.startswith("data")
    ]


def test_a_row_is_shown_at_once_and_its_number_last(device):
    taken = list(device.examine(row(3)))
    assert shown(taken) == [("data", "s.a", 3), ("data_npts", "", 3)]
    assert list(values(taken, "values")[0]) == [7.0]
    assert shown(device.examine(Tick(1, 0.0))) == []


def test_beyond_a_thousand_rows_columns_are_shown_at_the_pulse_and_at_the_end(device):
    """Each costs its length: a long scan must not become slower with each point."""
    for points in (1001, 1002):
        taken = list(device.examine(row(points)))
        assert shown(taken) == []
        assert list(values(taken, "values")[0]) == [7.0]
    newest = [("data", "s.a", 1002), ("data_npts", "", 1002)]
    assert shown(device.examine(Tick(1, 0.0))) == newest
    assert shown(device.examine(Tick(1, 0.0))) == []
    device.examine(row(1003))
    ended = list(device.examine(RunEnded("r", RunStatus.SUCCESS, "", 0)))
    assert shown(ended) == [("data", "s.a", 1003), ("data_npts", "", 1003), ("data_file", "", "")]
    fields = [d.field for d in ended if isinstance(d, Update)]
    assert fields.index("data_npts") < fields.index("start") < fields.index("busy")


# Lists that a PV does not hold ------------------------------------------------------------------


def held(text) -> list[Any]:
    """What a client reads from a PV of 65,536 bytes, one of them for the NUL."""
    found: list[Any] = json.loads(encode(text, 65_535))
    return found


@pytest.mark.parametrize("size", [10, 2000])
def test_a_list_of_sequences_is_valid_json_and_counts_what_it_leaves_out(device, size):
    names = tuple(f"séquence-{n:030}" for n in range(size))
    (update,) = device.examine(SequencesListed(names))
    *shown, last = held(update.value)
    if size == 10:
        assert (*shown, last) == names
    else:
        assert tuple(shown) == names[: len(shown)]
        assert last == f"… and {size - len(shown)} more"
        assert len(update.value) > 65_000, "as many as fit"


@pytest.mark.parametrize("size", [0, 3, 2000])
def test_a_long_queue_is_valid_json_and_counts_what_it_leaves_out(device, size):
    runs = tuple(QueuedRun(n, "scan", {"note": "é" * 50}, "me@here") for n in range(size))
    decisions = list(device.examine(QueueChanged(runs, False, True)))
    (text,) = values(decisions, "queue")
    shown = held(text)
    left_out = shown.pop()["left_out"] if size > 3 else 0
    assert [run["number"] for run in shown] == list(range(size - left_out))
    assert values(decisions, "queue_len") == [size]


def test_a_run_that_is_longer_than_the_pv_is_left_out(device):
    run = QueuedRun(1, "scan", {"note": "é" * 20_000}, "me@here")
    assert held(values(device.examine(QueueChanged((run,), False, True)), "queue")[0]) == [
        {"left_out": 1}
    ]


# Answers --------------------------------------------------------------------------------------


def answered(device: Device) -> list[object]:
    return list(device.examine(Command(Verb.COMMAND, 9, text="answer")))


def test_an_answer_resumes_a_question_once_and_no_other_pause(device: Device) -> None:
    refused = Reply(9, "nothing is asked that could be answered")
    assert refused in answered(device)  # nothing runs at all
    list(device.examine(Command(Verb.START, 1, text="align")))
    list(device.examine(RunStarted("id", "align", "me@here", 1, 5)))
    list(device.examine(StateChanged(RunState.PAUSED)))
    assert refused in answered(device)  # somebody paused it
    list(device.examine(StateChanged(RunState.RUNNING)))
    list(device.examine(Asked("Is the sample in?", number=1)))
    list(device.examine(StateChanged(RunState.PAUSED)))
    goes_on = Control(Verb.RESUME, run_id="id", question=1)
    assert answered(device) == [Update("ack", 0), goes_on, Update("ack", 1), Reply(9)]
    second = Reply(9, "'Is the sample in?' has an answer already: to go on")
    assert second in answered(device)  # the next question may be another's
    list(device.examine(Answered(1, "", "answered")))
    assert refused in answered(device)
    list(device.examine(Asked("And the gas?", number=2)))
    list(device.examine(Answered(2, "", "ended")))
    assert refused in answered(device)


def test_a_channel_that_is_given_up_leaves_nothing_behind():
    """Ten documents that name 2000 unknown PVs each: 55 MB, for ever."""

    class Nobody:
        def offer(self, _item: object) -> None:
            """Take it."""

    taken = Device(config())
    pull = pull_queue()

    async def work():
        task = asyncio.create_task(taken.run(pull, Nobody(), Nobody()))
        for number in range(100):
            name = f"NO:SUCH:{number}"
            taken.table.watch([name], lambda _state: None)()
            pull.offer(LinkChange(name, True, DOUBLE))
            pull.offer(Reading(name, 1.0, 0.0))
            pull.offer(LinkChange(name, False, forgotten=True))
        watched = taken.table.watch(["STILL:USED"], lambda _state: None)
        pull.offer(LinkChange("STILL:USED", False, forgotten=True))
        pull.offer(LinkChange("s.a", False, forgotten=True))
        await pull.idle()
        task.cancel()
        await asyncio.wait([task])
        watched()

    run_virtual(work())
    assert set(taken.table._channels) == {*config().channels, "STILL:USED"}


def test_a_run_that_is_asked_for_by_name_and_json_is_answered_when_it_has_begun(device):
    asked = Command(Verb.RUN, 7, text="scan", args={"points": [1, 2]}, owner="me", how="HTTP")
    (request,) = device.examine(asked)
    assert request == RunRequest(7, "scan", args={"points": [1, 2]}, owner="me", how="HTTP")
    decisions = device.examine(RunStarted("id", "scan", "me", 7, 3))
    assert Reply(7) in decisions
    assert values(decisions, "ack") == []


def test_a_run_that_can_not_be_run_is_refused_and_is_none(device):
    device.examine(Command(Verb.RUN, 7, text="scan"))
    decisions = device.examine(RunRefused(7, "there is no sequence 'scan'"))
    assert Reply(7, "there is no sequence 'scan'") in decisions
    (request,) = device.examine(Command(Verb.RUN, 8, text="other"))
    assert isinstance(request, RunRequest)


def test_a_whole_document_with_arguments_is_submitted(device):
    asked = Command(Verb.SUBMIT, 7, document="steps: []", args={"a": 1}, origin="document")
    (request,) = device.examine(asked)
    assert request.action == "submit"
    assert (request.run.text, request.run.args) == ("steps: []", {"a": 1})
    assert (request.run.origin, request.run.how) == ("document", "queue")


@pytest.mark.parametrize("verb", [Verb.ABORT, Verb.PAUSE, Verb.ANSWER])
def test_a_control_of_another_run_than_that_under_way_is_refused(device, verb):
    device.examine(Command(Verb.RUN, 7, text="scan"))
    device.examine(RunStarted("second", "scan", "me", 7, 3))
    decisions = device.examine(Command(verb, 8, run_id="first"))
    (reply,) = [each for each in decisions if isinstance(each, Reply)]
    assert reply.error == "the run first is not under way"
    assert not [each for each in decisions if isinstance(each, Control)]


def test_a_control_of_the_run_under_way_reaches_it(device):
    device.examine(Command(Verb.RUN, 7, text="scan"))
    device.examine(RunStarted("second", "scan", "me", 7, 3))
    decisions = device.examine(Command(Verb.ABORT, 8, text="smoke", run_id="second", owner="me"))
    assert Control(Verb.ABORT, "smoke", "me", "second") in decisions
