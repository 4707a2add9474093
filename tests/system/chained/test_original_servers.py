"""The orchestrator over sequence servers of the older kind, unmodified, over Channel Access."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chained_rig import orchestrated_over, run
from sim_helpers import RefusedError, until

SCRIPT = Path(__file__).with_name("original_iocs.py")

CONFIG = """
server = { port = {top.port}, interfaces = ["127.0.0.1"] }

[chain.original]
prefix = "ORIGINAL:"
address = "{original}"
sequence_server = { prefix = "seq.", name = "test.server" }
channels.val = "VAL"
"""
KEPT = """
[chain.kept]
prefix = "KEPT:"
address = "{kept}"
sequence_server = { prefix = "seq.", name = "test.server" }
channels.val = "VAL"
"""
WALK = """
steps:
  - trajectories: {servers: {test.server: [10, 11, 12]}, timeout: 10}
  - nested: {over: [test.server], timeout: 10}
    do: [{sample: [IOC.val]}]
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    folder = tmp_path_factory.mktemp("originals")
    services = {"top": CONFIG, "other": CONFIG.replace("{top.port}", "{other.port}")}
    services["other"] = services["other"].split("[chain")[0] + KEPT
    sequences = {"original": WALK.replace("IOC", "original"), "kept": WALK.replace("IOC", "kept")}
    scripts = {"original": ("original", "TOP:"), "kept": ("kept", "OTHER:"), "bare": ("bare", "")}
    with orchestrated_over(folder, services, sequences, SCRIPT, scripts) as (iocs, client):
        yield iocs, client


def test_one_without_index_that_evaluates_the_bytes_of_its_master_is_walked(rig) -> None:
    _, client = rig
    assert run(client, "TOP:", "original") == ""
    assert list(client.get("TOP:DATA:original:val")) == [10, 11, 12]
    assert "there is no original.seq.INDEX" in client.text("TOP:message")
    assert client.get("TOP:CHAIN:original:STATUS") == 2  # Connected, though never with an INDEX
    assert client.text("TOP:CHAIN:DISCONNECTED") == ""


def test_its_system_unmodified_behind_the_server_of_the_kit_is_walked(rig) -> None:
    _, client = rig
    assert run(client, "OTHER:", "kept") == ""
    assert list(client.get("OTHER:DATA:kept:val")) == [10, 11, 12]
    assert client.text("KEPT:seq.message") == "at 12"
    with pytest.raises(RefusedError):
        client.put("KEPT:seq.CMD", "nonsense(")
    assert "failed to evaluate the command" in client.text("KEPT:seq.message")
    client.put("KEPT:seq.CMD", "list(range(3))")  # its own language, not ours
    until(lambda: client.get("KEPT:seq.ACK") == 1, what="loaded")


def test_a_server_without_a_system_serves(rig) -> None:
    _, client = rig
    client.put("BARE:seq.CMD", "[1, 2]")
    until(lambda: client.get("BARE:seq.ACK") == 1, what="loaded")
    assert list(client.get("BARE:seq.values"))[:2] == [1, 2]


def test_nested_indices_are_bytes_without_a_nul(rig) -> None:
    _, client = rig
    client.put("TOP:Nested_Indices", '{"seq": 1, "nobody": 1}')
    codes = list(client.get("TOP:Nested_Indices"))
    assert bytes(codes).decode() == '{"seq": 1, "nobody": 1}'
    assert client.text("TOP:Nested_Indices") == '{"seq": 1, "nobody": 1}'
