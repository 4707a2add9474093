"""The sequence server of the IOC kit, with an unmodified system object behind it."""

import json
import math
from contextlib import suppress

import pytest
from chained_rig import MASTER, SCRIPT, calls, chained
from sim_helpers import RefusedError, running, until, values

from sim_iocs.fleet import Member

TOP = "TOP:Nested_Indices"
SEQ = "SRV:seq."
ALL = "linear(start=0, end=10, step=1)"


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chained")
    with chained(folder, stage="SRV:") as (iocs, client):
        until(lambda: client.text(f"{SEQ}message") == "", what="the server has found its master")
        yield folder / "stage.log", iocs, client


@pytest.fixture
def loaded(rig):
    log, _, client = rig
    client.put(f"{SEQ}CMD", ALL)
    ask(client, stage=0)  # so that it has taken what its queue held
    client.put(f"{SEQ}CMD", ALL)
    log.write_text("")
    return log, client


_seqs = iter(range(100, 10_000))


def ask(client, wait=True, **servers):
    seq = next(_seqs)
    client.put(TOP, json.dumps({"seq": seq, **servers}))
    if wait:
        until(lambda: list(client.get(f"{SEQ}INDEX")) == [seq, servers["stage"]], what="reached")
    return seq


def now(client, name):
    """None while it does not answer."""
    with suppress(RefusedError):
        return client.get(f"{SEQ}{name}")


def told(client):
    return client.reading(f"{SEQ}ACK"), client.text(f"{SEQ}message")


def refused(client, text):
    until(lambda: client.reading(f"{SEQ}ACK")["severity"] == 2, what="refused")
    ack, message = told(client)
    assert ack["value"] == 0
    assert text in message
    assert client.reading(f"{SEQ}message")["severity"] == 2


def test_a_trajectory_is_loaded_and_shown(rig):
    _, _, client = rig
    acks = client.monitor(f"{SEQ}ACK")
    before = len(acks())
    client.put(f"{SEQ}CMD", '[1, "up", {"x": 2}, 4.5]')
    until(lambda: values(acks())[before:] == [0, 1], what="ACK 0, 1")
    shown = list(client.get(f"{SEQ}values"))[:4]
    assert (shown[0], shown[3]) == (1, 4.5)
    assert math.isnan(shown[1])
    assert list(client.get(f"{SEQ}INDEX")) == [-1, -1]


@pytest.mark.parametrize("text", ["linear(start=0, end=10, step=-1)", "[1, 2", "range(4)"])
def test_a_bad_one_is_refused_and_the_one_before_stays(loaded, text):
    _, client = loaded
    with pytest.raises(RefusedError):
        client.put(f"{SEQ}CMD", text)
    refused(client, "")
    assert len(client.text(f"{SEQ}message")) > 20
    assert list(client.get(f"{SEQ}values"))[:11] == list(range(11))
    ask(client, stage=3)
    ack = told(client)[0]
    assert (ack["value"], ack["severity"]) == (1, 0)
    assert client.text(f"{SEQ}message") == "on my way"


def test_an_index_moves_the_system_in_a_thread_and_is_told_before_ack(loaded):
    log, client = loaded
    seen = client.monitor(f"{SEQ}INDEX"), client.monitor(f"{SEQ}ACK"), client.monitor("SRV:VAL")
    counts = [len(each()) for each in seen]
    seq = ask(client, stage=7, laser=2)

    def news():
        return [values(updates())[n:] for updates, n in zip(seen, counts, strict=True)]

    until(lambda: news()[1] == [0, 1], what="ACK 0, 1")
    assert news() == [[[seq, 7]], [0, 1], [7.0]]
    stamps = [each()[-1]["timestamp"] for each in seen]
    assert stamps[2] <= stamps[0] <= stamps[1]
    assert calls(log) == [["VAL", 7, False, [{"CMD": ALL}, {"INDEX": [seq, 7]}]]]


def test_the_older_form_is_understood(loaded):
    log, client = loaded
    client.put(TOP, "{'stage': 4, 'laser': 1}")
    until(lambda: list(client.get(f"{SEQ}INDEX")) == [-1, 4], what="reached")
    client.put(TOP, "{'stage': 4, 'laser': 2}")
    until(lambda: len(calls(log)) == 2, what="each one of the older form is new")


def test_what_asks_others_or_is_repeated_changes_nothing(loaded):
    log, client = loaded
    seq = ask(client, stage=2)
    acks = client.monitor(f"{SEQ}ACK")
    client.put(TOP, json.dumps({"seq": seq, "stage": 2}))
    client.put(TOP, json.dumps({"seq": seq + 1, "laser": 2}))
    client.put(TOP, json.dumps({"seq": seq + 2}))
    ask(client, stage=5)
    assert [call[1] for call in calls(log)] == [2, 5]
    assert values(acks())[:3] == [1, 0, 1][: len(acks())]


def test_a_smaller_seq_is_that_of_a_restarted_master(loaded):
    log, client = loaded
    ask(client, stage=2)
    client.put(TOP, json.dumps({"seq": 1, "stage": 3}))
    until(lambda: list(client.get(f"{SEQ}INDEX")) == [1, 3], what="reached")
    assert [call[1] for call in calls(log)] == [2, 3]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"seq": 9, "stage": 11}', "no index 11: 0 … 10"),
        ('{"seq": 9, "stage": -1}', "no index -1"),
        ('{"seq": 9, "stage": 1.5}', "'stage' has to be a whole number"),
        ("{'stage': __import__('os')}", "at character"),
        ("nonsense", "expected '{'"),
    ],
)
def test_a_bad_index_is_refused_and_the_next_is_taken(loaded, text, why):
    log, client = loaded
    client.put(TOP, text)
    refused(client, why)
    assert calls(log) == []
    ask(client, stage=1)
    until(lambda: told(client)[0]["value"] == 1, what="ACK 1")


def test_an_index_without_a_trajectory_is_refused_and_taken_once_it_is_loaded(rig):
    _, iocs, client = rig
    client.put(f"{SEQ}CMD", "[1, 2, 3]")
    seq = ask(client, stage=1)
    iocs["stage"].kill()
    iocs["stage"].start()
    # What the master shows when the server comes is an index for it as well.
    until(lambda: list(now(client, "INDEX") or [0]) == [-1, -1], 30, "the client is back")
    refused(client, f"index 1 (seq {seq}): no trajectory is loaded")
    client.put(f"{SEQ}CMD", "[5, 6, 7]")
    client.put(TOP, json.dumps({"seq": seq, "stage": 1}))  # the same once more
    until(lambda: list(client.get(f"{SEQ}INDEX")) == [seq, 1], what="reached")


def test_what_io_execute_raises_is_told(rig):
    """To the master without ado, to who writes the system with the place where it was raised."""
    _, iocs, client = rig
    client.put(f"{SEQ}CMD", '[1, "the stage is stuck"]')
    seq = ask(client, wait=False, stage=1)
    call = "io_execute('VAL', 'the stage is stuck')"
    refused(client, f"index 1 (seq {seq}): {call} failed: ValueError: the stage is stuck")
    errors = iocs["stage"].errors
    assert f"{SEQ} index 1 (seq {seq}): {call} failed" in errors
    assert ", in io_execute" in errors
    assert list(client.get(f"{SEQ}INDEX")) == [-1, -1]
    ask(client, stage=0)


def test_an_index_that_comes_during_a_move_is_done_after_it_and_only_the_last_is_acknowledged(rig):
    log, _, client = rig
    client.put(f"{SEQ}CMD", '[{"seconds": 3}, 1, 2, 3]')
    log.write_text("")
    acks, reached = client.monitor(f"{SEQ}ACK"), client.monitor(f"{SEQ}INDEX")
    n = len(reached())
    first = [ask(client, wait=False, stage=i) for i in range(3)]
    last = ask(client, stage=3)
    until(lambda: values(acks())[-1] == 1, what="ACK 1")
    assert [call[1] for call in calls(log)] == [{"seconds": 3}, 1, 2, 3]
    assert values(reached())[n:] == [[s, i] for i, s in enumerate([*first, last])]
    assert values(acks()) == [1, 0, 0, 0, 0, 1]  # never 1 while a newer one waits


def test_an_index_from_before_a_lost_connection_is_not_taken_again(loaded, rig):
    log, client = loaded
    master = rig[1]["master"]
    ask(client, stage=2)
    client.put(f"{SEQ}CMD", "[1, 2, 3]")
    log.write_text("")
    master.freeze()
    try:
        until(lambda: "not connected" in client.text(f"{SEQ}message"), 20, "lost")
    finally:
        master.thaw()
    until(lambda: client.text(f"{SEQ}message") == "", 20, "back")
    ask(client, stage=1)
    assert [call[1] for call in calls(log)] == [2]


def test_it_works_under_caproto_s_own_run(tmp_path):
    options = ("caproto", str(tmp_path / "log"))
    plain = Member(name="plain", prefix="CAP:", script=SCRIPT, options=options)
    with running(MASTER, plain) as (_, client):
        client.put("CAP:seq.CMD", "[3, 2, 1]", timeout=15)
        until(lambda: client.text("CAP:seq.message") == "", 15, "found")
        client.put(TOP, '{"seq": 1, "stage": 2}')
        until(lambda: list(client.get("CAP:seq.INDEX")) == [1, 2], 15, "reached")
        assert client.get("CAP:VAL") == 1
