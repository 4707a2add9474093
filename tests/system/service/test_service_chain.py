"""Mirrors and the state of the chain, while IOCs come, go, and come back as something else."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from service_rig import PREFIX, Process, Rig, Watch, rig_of
from sim_helpers import RefusedError, until

from sim_iocs.fleet import Fleet
from sim_iocs.free_ports import LOOPBACK

LINK, INVALID, MINOR = 14, 3, 1
ENUM, DOUBLE, LONG = 3, 6, 5

RECONNECTION = 40
"""s that libca may take to find a restarted IOC of which it hears no beacon (5 to 10 mostly)."""


# Mirrors of what is there -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mirror", "source"),
    [("MON:rec:ao", "SIM:REC:Ao"), ("MON:rec:ai", "SIM:REC:Ai"), ("MON:stage:x", "SIM:STAGE:X"),
     ("MON:rec:mbbo", "SIM:REC:Mbbo"), ("MON:rec:number", "SIM:REC:LongOut"),
     ("MON:rec:wave", "SIM:REC:Waveform"), ("MON:dio:do0", "SIM:DIO:DO0")],
)  # fmt: skip
def test_a_mirror_has_type_labels_units_precision_and_limits_of_its_channel(
    rig: Rig, mirror: str, source: str
) -> None:
    ours = rig.client.start("info", pv=PREFIX + mirror)()
    theirs = rig.client.start("info", pv=source)()

    assert ours.pop("writable") is False
    del theirs["writable"]
    assert _without_unset(ours) == _without_unset(theirs)


def _without_unset(info: dict[str, Any]) -> dict[str, Any]:
    """An alarm limit that is not set is NaN in a C record, 0 or infinite with us."""
    limits = {key for key in info if key.endswith("_limit")}
    unset = {key for key in limits if info[key] is not None and not math.isfinite(info[key])}
    return {key: 0 if key in unset else value for key, value in info.items()}


@pytest.mark.parametrize(
    ("put", "other", "value", "mirror", "source", "severity"),
    [
        ("SIM:REC:Ao", 1.25, 9.5, "MON:rec:ai", "SIM:REC:Ai", 2),
        ("SIM:REC:Ao", 1.25, 8.5, "MON:rec:ai", "SIM:REC:Ai", MINOR),
        ("SIM:REC:Ao", 1.25, 3.25, "MON:rec:ai", "SIM:REC:Ai", 0),
        ("SIM:REC:Mbbo", "Low", "High", "MON:rec:mbbo", "SIM:REC:Mbbo", 0),
        ("SIM:DIO:DO0", "Low", "High", "MON:dio:do0", "SIM:DIO:DO0", 0),
        ("SIM:REC:StringOut", "", "text", "MON:rec:string", "SIM:REC:StringOut", 0),
        ("SIM:REC:Waveform", [0.5], [1.5, 2.5], "MON:rec:wave", "SIM:REC:Waveform", 0),
    ],
)
def test_a_mirror_has_value_timestamp_and_alarm_of_its_channel(
    rig: Rig, put: str, other: Any, value: Any, mirror: str, source: str, severity: int
) -> None:
    """The channel has another value first: a C record stamps an equal one, but sends no monitor."""
    for step in (other, value):
        rig.client.put(put, step)
        until(lambda step=step: rig.client.get(source) == step, what=f"{source} at {step}")
    assert rig.client.reading(source)["severity"] == severity

    def same() -> bool:
        ours, theirs = rig.reading(mirror), rig.client.reading(source)
        stamps = ours.pop("timestamp") - theirs.pop("timestamp")
        kept = ("value", "severity", "status", "type")
        return abs(stamps) < 1e-6 and all(ours[key] == theirs[key] for key in kept)

    until(same, what=f"{mirror} like {source}")


def test_a_char_array_that_is_text_is_mirrored_as_a_long_string(rig: Rig) -> None:
    text = "more than the forty characters that a plain string would take"

    rig.client.start("put", pv="SIM:REC:Chars", value=text, kind="long")()

    rig.until("MON:rec:chars", text)


def test_the_buffer_of_a_channel_ends_with_its_last_value(rig: Rig) -> None:
    rig.client.put("SIM:STAGE:X", rig.client.get("SIM:STAGE:X") + 0.2)
    last = rig.client.get("SIM:STAGE:X.RBV")

    until(lambda: rig.get("MON:stage:x_rbv:BUF")[-1:] == [last])

    buffer = rig.get("MON:stage:x_rbv:BUF")
    assert rig.get("MON:stage:x_rbv:MEAN") == pytest.approx(sum(buffer) / len(buffer))
    assert rig.get("MON:stage:x_rbv:STD") > 0
    assert rig.client.start("info", pv=PREFIX + "MON:stage:x_rbv:MEAN")()["units"] == "mm"


# IOCs that come and go ----------------------------------------------------------------------


@dataclass
class Outage:
    """What a client saw while IOCs were killed, restarted and replaced."""

    rig: Rig
    watch: Watch
    killed: float
    """`time.monotonic` of the kill."""
    lost: float
    """When libca told the client that it has lost the channel itself, by the same clock."""
    before: dict[str, Any]
    """What it read before temperature was started."""
    during: dict[str, Any]
    """What it read while motor and records were dead."""


CHAIN = ("CHAIN:COUNT", "CHAIN:CONNECTED", "CHAIN:DISCONNECTED", "CHAIN:stage:STATUS",
         "CHAIN:rec:STATUS", "CHAIN:temp:STATUS", "CHAIN:stage:RECONNECTS")  # fmt: skip


def read_chain(rig: Rig) -> dict[str, Any]:
    return {name: rig.reading(name) for name in CHAIN}


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    """All at once, as each reconnection takes libca seconds.

    `temperature` comes late; `motor` is killed and restarted; `records` is killed, and another IOC
    takes its names.
    """
    with Fleet(["motor", "records", "temperature"], seed=1) as fleet:
        fleet["temperature"].kill()
        directory = tmp_path_factory.mktemp("chain") / "rig"
        with rig_of(fleet, directory, timeout=0.5) as rig:
            yield from _outage(rig, fleet)


def _outage(rig: Rig, fleet: Fleet) -> Iterator[Outage]:
    for ioc in ("stage", "rec"):
        rig.until(f"CHAIN:{ioc}:STATUS", "Connected")
    rig.until("CHAIN:DISCONNECTED", "temp.setpoint, temp.tolerance")
    before = read_chain(rig)
    before["mirror"] = _is_there(rig, "MON:temp:setpoint")
    rig.client.put("SIM:REC:Ao", 9)
    before["run"] = rig.run(
        "steps: [{set: {pv: rec.ao, value: 1}}, {set: {pv: temp.setpoint, value: 50}}]"
    )
    before["ao"] = rig.client.get("SIM:REC:Ao")
    rig.client.put("SIM:STAGE:X", 1.5)
    rig.until("MON:stage:x", 1.5)
    watch = rig.watch(
        "MON:stage:x", "MON:stage:x_rbv", "MON:rec:ao", "MON:rec:mbbo", "MON:rec:number",
        "CHAIN:stage:STATUS", "CHAIN:rec:STATUS", "BUSY",
    )  # fmt: skip
    itself = rig.watch_pvs("SIM:STAGE:X", "SIM:REC:Ao")
    killed = time.monotonic()
    for name in ("motor", "records"):
        fleet[name].kill()
    for name in ("CHAIN:stage:STATUS", "CHAIN:rec:STATUS"):
        watch.until(name, "Disconnected")
    rig.until("CHAIN:CONNECTED", 0)
    until(lambda: "rec.ao" in rig.get("CHAIN:DISCONNECTED"))
    during = read_chain(rig)
    lost = max(update["at"] for update in itself.updates() if not update["connected"])
    other = _start_other(rig, fleet["records"].port)
    for name in ("motor", "temperature"):
        fleet[name].start()
    watch.until("CHAIN:stage:STATUS", "Connected", RECONNECTION)
    watch.until("CHAIN:rec:STATUS", "Partial", RECONNECTION)
    rig.until("CHAIN:temp:STATUS", "Connected", RECONNECTION)
    rig.until("CHAIN:CONNECTED", 3 + 3 + 2, RECONNECTION)
    assert not other.ended, other.errors
    yield Outage(rig, watch, killed, lost, before, during)


def _start_other(rig: Rig, port: int) -> Process:
    script = str(Path(__file__).with_name("other_records.py"))
    return rig.spawn(
        sys.executable, script, "--port", str(port), "--interfaces", LOOPBACK, "--stop-with-stdin"
    )


def _is_there(rig: Rig, name: str) -> bool:
    try:
        rig.client.start("get", pv=PREFIX + name, timeout=0.5)()
    except RefusedError:
        return False
    return True


def after(outage: Outage, pv: str) -> list[dict[str, Any]]:
    """Its updates after the kill."""
    updates = outage.watch.updates()
    return [u for u in updates if u["pv"] == PREFIX + pv and u["at"] > outage.killed]


def test_an_ioc_that_is_not_there_at_start_shows_in_the_chain(outage: Outage) -> None:
    before = outage.before

    status = before["CHAIN:temp:STATUS"]
    assert (status["value"], status["severity"]) == ("Disconnected", INVALID)
    assert before["CHAIN:COUNT"]["value"] == before["CHAIN:CONNECTED"]["value"] + 2
    names = before["CHAIN:DISCONNECTED"]
    assert (names["value"], names["severity"]) == ("temp.setpoint, temp.tolerance", INVALID)


def test_a_run_that_needs_an_ioc_that_is_not_there_fails_before_it_writes(outage: Outage) -> None:
    run = outage.before["run"]

    assert run["failed"]
    assert run["STATUS"] == "Failed"
    assert "temp.setpoint (SIM:TEMP:Setpoint)" in run["message"]
    assert "not connected within 0.5 s" in run["message"]
    assert outage.before["ao"] == 9


def test_a_mirror_appears_when_its_channel_first_connects(outage: Outage) -> None:
    assert not outage.before["mirror"]

    assert outage.rig.get("MON:temp:setpoint") == outage.rig.client.get("SIM:TEMP:Setpoint")
    info = outage.rig.client.start("info", pv=PREFIX + "MON:temp:setpoint")()
    assert info["units"] == "degC"


@pytest.mark.parametrize(("mirror", "value"), [("MON:stage:x", 1.5), ("MON:rec:ao", 9)])
def test_a_lost_channel_shows_as_link_invalid_within_a_second(
    outage: Outage, mirror: str, value: float
) -> None:
    first = after(outage, mirror)[0]

    assert (first["severity"], first["status"]) == (INVALID, LINK)
    assert first["value"] == value, "the last known"
    assert first["at"] - outage.lost < 1


def test_a_lost_ioc_shows_in_the_chain(outage: Outage) -> None:
    during = outage.during

    for name in ("CHAIN:stage:STATUS", "CHAIN:rec:STATUS"):
        assert (during[name]["value"], during[name]["severity"]) == ("Disconnected", INVALID)
    assert during["CHAIN:CONNECTED"]["value"] == 0
    assert "stage.x, stage.x_rbv, stage.velo" in during["CHAIN:DISCONNECTED"]["value"]
    assert during["CHAIN:COUNT"]["value"] == outage.before["CHAIN:COUNT"]["value"]


def test_an_ioc_that_comes_back_is_counted(outage: Outage) -> None:
    outage.rig.until("CHAIN:stage:RECONNECTS", 1)

    status = outage.rig.reading("CHAIN:stage:STATUS")
    assert (status["value"], status["severity"]) == ("Connected", 0)
    assert outage.before["CHAIN:stage:RECONNECTS"]["value"] == 0


def test_a_mirror_shows_the_value_of_the_restarted_ioc(outage: Outage) -> None:
    outage.rig.until("MON:stage:x", 0)

    assert outage.rig.reading("MON:stage:x")["severity"] == 0
    assert all(update["connected"] for update in after(outage, "MON:stage:x"))


def test_an_ioc_that_comes_back_with_fewer_channels_is_partial(outage: Outage) -> None:
    status = outage.rig.reading("CHAIN:rec:STATUS")

    assert (status["value"], status["severity"]) == ("Partial", MINOR)
    gone = (
        "rec.ai, rec.calc, rec.bo, rec.slow, rec.done, rec.delay, rec.wave, rec.string, rec.chars"
    )
    outage.rig.until("CHAIN:DISCONNECTED", gone)


def test_metadata_are_read_again_after_a_reconnection(outage: Outage) -> None:
    outage.rig.until("MON:rec:ao", 4)
    info = outage.rig.client.start("info", pv=PREFIX + "MON:rec:ao")()

    assert (info["units"], info["precision"]) == ("V", 1)
    assert (info["lower_ctrl_limit"], info["upper_ctrl_limit"]) == (-5, 5)
    updates = after(outage, "MON:rec:ao")
    assert all(update["connected"] for update in updates), "the same type: nobody is disconnected"


@pytest.mark.parametrize(
    ("mirror", "types", "value"),
    [("MON:rec:mbbo", {ENUM, DOUBLE}, 1.25), ("MON:rec:number", {LONG}, [1, 2, 3])],
)
def test_clients_of_a_mirror_whose_type_or_count_changed_find_the_new_one(
    outage: Outage, mirror: str, types: set[int], value: Any
) -> None:
    """A client that stayed connected would keep the type of its first connection."""
    until(lambda: after(outage, mirror)[-1].get("connected"), RECONNECTION)

    assert not all(update["connected"] for update in after(outage, mirror))
    read = outage.rig.client.start("get", pv=PREFIX + mirror)()
    assert read["value"] == value
    assert read["type"] == max(types)
    info = outage.rig.client.start("info", pv=PREFIX + mirror)()
    assert info["units"] == ("A" if mirror == "MON:rec:mbbo" else "")


def test_what_is_served_beside_goes_on_during_an_outage(outage: Outage) -> None:
    assert [update for update in after(outage, "BUSY") if not update["connected"]] == []


def test_runs_use_the_channels_as_they_are_after_the_restart(outage: Outage) -> None:
    text = """
        steps:
          - set: {pv: rec.mbbo, value: 2.75}
          - set: {pv: stage.x, value: 0.5, readback: stage.x_rbv, tolerance: 0.01}
          - sample: [rec.mbbo, stage.x, temp.setpoint]
    """
    outcome = outage.rig.run(text)

    assert outcome["failed"] == "", outcome["message"]
    assert outcome["values"][:2] == [2.75, 0.5]
