"""The orchestrator as master of sequence servers and as a server of another, all real processes."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from chained_rig import calls, orchestrated, run
from sim_helpers import RefusedError, until, values

NAMES = ("a", "b", "c", "d")
SIZES = (2, 5, 5, 4)
INDICES = math.prod(SIZES)


def chain(name: str, server: str = "seq.") -> str:
    return (
        f'[chain.{name}]\nprefix = "{name.upper()}:"\naddress = "{{{name}}}"\n'
        f'sequence_server = "{server}"\n'
    )


def serving(name: str, more: str = "") -> str:
    port = f"{{{name}.port}}"
    return f'server = {{ port = {port}, interfaces = ["127.0.0.1"]{more} }}\n'


# As many as the restart needs: what is before it, during it and after it.
GRID = """
steps:
  - trajectories:
      servers: {a: [7, 8], b: "linear(0, 4, 1)", c: "linear(0, 4, 1)", d: "linear(3, 0, -1)"}
  - nested: {over: [a, b, c, d]}
"""


def test_each_index_is_done_once_though_one_of_four_servers_is_restarted(
    tmp_path: Path,
) -> None:
    config = serving("top") + "".join(map(chain, NAMES))
    masters = dict.fromkeys(NAMES, "TOP:")
    with orchestrated(tmp_path, {"top": config}, {"all": GRID}, **masters) as (iocs, client):
        acks = client.monitor("A:seq.ACK")
        client.put("TOP:SEQ", "all")
        done = client.put_later("TOP:START", 1, timeout=90)
        until(lambda: len(calls(tmp_path / "c.log")) > 60, 60, "it is on its way")
        iocs["c"].kill()
        assert len(calls(tmp_path / "c.log")) < INDICES - 20, "killed too late"
        iocs["c"].start()
        outcome = finished(done, client)
        assert outcome == ""
        until(lambda: values(acks())[-1] == 1, what="the last ACK")
        assert values(acks()).count(1) == 1 + INDICES  # the trajectory, and each index once
        seen = {name: asked(tmp_path / f"{name}.log") for name in NAMES}
    seqs = sorted(seen["a"])
    assert len(seqs) == INDICES
    for name in ("a", "b", "d"):
        assert Counter(seen[name].values()) == {1: INDICES}, f"{name}: some were lost or doubled"
        assert sorted(seq for seq, _ in seen[name]) == sorted(seq for seq, _ in seqs)
    assert len(seen["c"]) == INDICES
    assert sum(seen["c"].values()) <= INDICES + 1  # the one that it was at when it was killed


def finished(done, client) -> str:
    """Why a run has failed, if it has."""
    try:
        done()
    except RefusedError as error:
        return f"{error}: {client.text('TOP:message')}"
    return ""


def asked(log: Path) -> Counter[tuple[int, int]]:
    """What a server was moved by: (seq, index) -> times."""
    requests = [request for call in calls(log) for request in call[3] if "INDEX" in request]
    assert len(requests) == len(calls(log))
    return Counter(tuple(request["INDEX"]) for request in requests)


INNER = """
parameters: {first: 0, note: {type: str, default: ""}}
steps:
  - trajectories: {servers: {stage: ["=first", "=first + 1"]}}
  - nested: {over: [stage]}
  - if: "note == 'fail'"
    then: [{wait: {pv: stage.seq.ACK, equals: 5, timeout: 0.1}}]
    else: [{log: "was at $(first)"}]
"""
OTHERS = """
parameters: {at: 1}
steps:
  - set: {pv: "STAGE:seq.CMD", value: "[7, 8, 9]"}
  - set: {pv: "MID:Nested_Indices", value: '{"seq": $(at)00, "stage": $(at)}'}
  - wait: {pv: "STAGE:seq.INDEX", equals: [100, 1], timeout: 10}
  - set:
      {pv: "MID:Nested_Indices", value: "{'stage': 2}", readback: "MID:Nested_Indices",
       readback_value: '{"stage": 2}'}
  - wait: {pv: "STAGE:seq.INDEX", equals: [-1, 2], timeout: 10}
"""
OUTER = """
steps:
  - set: {pv: mid.seq, value: inner}
  - trajectories: {servers: {mid: [{first: 10}, 20, {first: 30, note: fine}]}}
  - nested: {over: [mid], timeout: 20}
"""

WAITS = """
steps: [{delay: 60}]
finally: [{log: tidied}]
"""
STARTS = """
steps:
  - set: {pv: "MID:SEQ", value: waits}
  - set: {pv: "MID:START", value: 1, timeout: 60}
"""


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    """`TOP:` over `MID:`, which is over the sequence server of stage."""
    folder = tmp_path_factory.mktemp("tower")
    lower = serving("mid", ', master = "TOP:", name = "mid"') + chain("stage")
    upper = serving("top") + chain("mid", "") + 'channels.seq = { pv = "SEQ", text = true }\n'
    sequences = {
        "inner": INNER,
        "outer": OUTER,
        "others": OTHERS,
        "waits": WAITS,
        "starts": STARTS,
    }
    services = {"top": upper, "mid": lower}
    with orchestrated(folder, services, sequences, stage="MID:") as (iocs, client):
        yield folder, iocs, client


def test_three_levels_orchestrator_over_orchestrator_over_sequence_server(tower) -> None:
    folder, _, client = tower
    busy = client.monitor("MID:BUSY")
    assert run(client, "TOP:", "outer") == ""
    assert [call[1] for call in calls(folder / "stage.log")] == [10, 11, 20, 21, 30, 31]
    assert values(busy())[1:] == [1, 0] * 3
    seq, index = client.get("MID:INDEX")
    assert index == 2
    assert client.get("MID:ACK") == 1
    assert client.text("MID:RUN_NAME") == "inner"
    assert json.loads(client.text("TOP:Nested_Indices"))["seq"] > seq  # it asks nobody


def test_a_sequence_sets_the_nested_indices_of_another_master(tower) -> None:
    folder, _, client = tower
    before = len(calls(folder / "stage.log"))
    assert run(client, "TOP:", "others") == ""
    assert [call[1] for call in calls(folder / "stage.log")][before:] == [8, 9]


def test_a_run_that_fails_below_fails_above_with_its_reason(tower) -> None:
    _, _, client = tower
    client.put("MID:SEQ", "inner")
    client.put("MID:CMD", '[{"first": 1, "note": "fail"}, {"frist": 1}]')
    assert client.get("MID:ACK") == 1
    assert list(client.get("MID:INDEX")) == [-1, -1]
    client.put("TOP:Nested_Indices", '{"seq": 5, "mid": 0}')
    ack = until(lambda: severe(client), 20, "it has failed")
    assert ack["value"] == 0
    assert "index 0 (seq 5): Timeout: inner.yaml" in client.text("MID:message")
    client.put("TOP:Nested_Indices", '{"seq": 6, "mid": 1}')
    until(lambda: "frist" in client.text("MID:message"), what="unknown argument")
    client.put("TOP:Nested_Indices", '{"seq": 7, "mid": 2}')
    until(lambda: "no index 2: 0 … 1" in client.text("MID:message"), what="out of range")
    assert list(client.get("MID:INDEX")) == [-1, -1]


def test_an_abort_above_aborts_the_run_below_that_it_has_started(tower) -> None:
    _, _, client = tower
    client.put("TOP:SEQ", "starts")
    client.put("TOP:START", 1, wait=False)
    until(lambda: client.text("MID:RUN_NAME") == "waits" and client.get("MID:BUSY"), 20, "it runs")
    client.put("TOP:CMD", "abort enough")
    until(lambda: client.get("MID:BUSY") == 0, 20, "the end of the run below")
    assert client.text("MID:message").startswith("aborted by ")
    assert client.get("MID:STATUS") == client.get("TOP:STATUS") == 3  # Aborted
    assert client.text("TOP:message").startswith("aborted: enough by ")


def severe(client):
    ack = client.reading("MID:ACK")
    return ack if ack["severity"] == 2 else None


@pytest.mark.parametrize(
    ("text", "why"),
    [("[1, NaN]", "NaN"), ("linear(start=0, end=1, step=-1)", "leads away"), ("[", "character 2")],
)
def test_a_bad_trajectory_fails_the_put_and_is_told(tower, text: str, why: str) -> None:
    _, _, client = tower
    with pytest.raises(RefusedError):
        client.put("MID:CMD", text)
    ack = client.reading("MID:ACK")
    assert (ack["value"], ack["severity"]) == (0, 2)
    assert why in client.text("MID:message")


def test_a_bad_index_object_is_refused_and_not_shown_to_the_servers(tower) -> None:
    _, _, client = tower
    client.put("TOP:Nested_Indices", '{"seq": 8, "nobody": 1}')
    shown = client.text("TOP:Nested_Indices")
    with pytest.raises(RefusedError):
        client.put("TOP:Nested_Indices", "{'stage': 1.5}")
    assert client.text("TOP:Nested_Indices") == shown
    assert "whole number" in client.text("TOP:message")
