"""A night of a real service, recorded: it replays to the same, and tells what a change does."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from language_rig import HEAD, PLANS
from service_rig import PREFIX, Client, Rig, rig_of, start_service
from sim_helpers import RefusedError, until

from sim_iocs.fleet import Fleet

SUSPEND = """
[suspend.beam]
when = "rec.number < 0"
settle = 0.1
"""

BUSY_NIGHT = """
    parameters: {points: 3}
    steps:
      - loop: {pv: stage.x, from: 0, to: 0.4, num: $(points), readback: stage.x_rbv, tolerance: 0.01, timeout: 10}
        do:
          - sample: [stage.x_rbv, rec.calc]
      - parallel:
          - set: {pv: rec.ao, value: 2, readback: rec.calc, readback_value: 5}
          - set: {pv: stage.x, value: 0.2, readback: stage.x_rbv, tolerance: 0.01}
      - let: {n: 0}
      - loop: {while: "rec.ao < 4"}
        do: [{set: {pv: rec.ao, value: "=rec.ao + 1"}}, {sample: [rec.ao]}]
      - call: {function: block, args: {seconds: 0.05}, as: twice}
      - log: "twice is $(twice)"
    finally:
      - set: {pv: rec.bo, value: "Off"}
"""  # noqa: E501 - as users write it


@dataclass(frozen=True)
class Replayed:
    code: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        return json.loads(self.out)


def replay(file: Path, *options: str) -> Replayed:
    """The command, as a test of users calls it: in a process without any EPICS environment."""
    command = [sys.executable, "-m", "orchestrator", "replay", str(file), *options]
    done = subprocess.run(
        command, cwd=file.parent, capture_output=True, text=True, timeout=60, check=False
    )
    return Replayed(done.returncode, done.stdout, done.stderr)


@dataclass
class Night:
    """A recorded service and what its clients were told of its runs."""

    rig: Rig
    file: Path
    outcomes: list[tuple[str, str]]

    def note(self) -> None:
        self.outcomes.append((self.rig.get("STATUS"), self.rig.get("message")))


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    directory = tmp_path_factory.mktemp("night") / "rig"
    directory.mkdir()
    shutil.copy(PLANS, directory)
    file = directory / "night.jsonl"
    with Fleet(["motor", "records"], seed=1) as fleet:
        options = ["--record", str(file)]
        with rig_of(fleet, directory, SUSPEND, head=HEAD, options=options) as rig:
            for name in ("stage", "rec"):
                rig.until(f"CHAIN:{name}:STATUS", "Connected")
            rig.client.put("SIM:REC:LongOut", 1)  # undefined before, which suspends
            it = Night(rig, file, [])
            _live_through(it)
            rig.service.signal(signal.SIGTERM)
            assert rig.service.end() == 0
            yield it


def _live_through(night: Night) -> None:
    rig = night.rig
    rig.sequence(BUSY_NIGHT, "busy")
    _run(night, "busy", {"points": 3})
    _paused(night)
    _asked(night)
    _suspended(night)
    _aborted(night)
    _run(night, "step_through", {"points": 2})
    _queued(night)
    _run(night, "nowhere")
    _as_text(night)
    _lost(night)


def _run(night: Night, name: str, args: Any = "") -> None:
    rig = night.rig
    rig.put("SEQ", name)
    rig.put("ARGS", json.dumps(args) if args else "")
    with suppress(RefusedError):
        rig.put("START", 1, timeout=30)
    night.note()


def _paused(night: Night) -> None:
    rig = night.rig
    done = rig.start(rig.sequence("steps: [{delay: 2}, {sample: [rec.ao]}]"))
    rig.put("PAUSE", 1)
    rig.until("STATE", "Paused")
    rig.client.put("SIM:REC:Ao", 6)
    rig.put("PAUSE", 0)
    done()
    night.note()


def _asked(night: Night) -> None:
    rig = night.rig
    done = rig.start(rig.sequence('steps: [{ask: "go on?"}, {set: {pv: rec.ao, value: 1}}]'))
    rig.until("STATE", "Paused")
    rig.put("CMD", "resume")
    done()
    night.note()


def _suspended(night: Night) -> None:
    rig = night.rig
    text = "steps: [{loop: {count: 4}, do: [{delay: 0.1}, {sample: [rec.number]}]}]"
    rig.client.put("SIM:REC:LongOut", -1)
    done = rig.start(rig.sequence(text))
    rig.until("STATE", "Suspended")
    rig.client.put("SIM:REC:LongOut", 1)
    done()
    night.note()


def _aborted(night: Night) -> None:
    rig = night.rig
    text = """
        steps: [{set: {pv: rec.ao, value: 3}}, {wait: {pv: rec.ao, equals: 9, timeout: none}}]
        finally: [{set: {pv: rec.ao, value: 0}}]
    """
    done = rig.start(rig.sequence(text))
    rig.client.put("SIM:REC:Ao", 3.5)
    rig.put("CMD", "abort enough for today", kind="long")
    with pytest.raises(RefusedError):
        done()
    night.note()


def _queued(night: Night) -> None:
    rig = night.rig
    name = rig.sequence("parameters: {to: 1}\nsteps: [{set: {pv: rec.ao, value: $(to)}}]")
    before = rig.get("RUN_ID")
    rig.put("CMD", f"submit {name} to=7")
    rig.put("CMD", f"submit {name} to=8")
    with pytest.raises(RefusedError):
        rig.put("CMD", f"submit {name} two=8", kind="long")
    until(lambda: not rig.get("QUEUE_LEN") and not rig.get("BUSY"), 10)
    assert rig.get("RUN_ID") != before
    night.outcomes += [("Success", ""), ("Success", "")]


def _as_text(night: Night) -> None:
    rig = night.rig
    rig.put("CMD", "steps:\n  - set: {pv: rec.ao, value: 2.5}\n  - sample: [rec.ao]\n", kind="long")
    rig.until("BUSY", 0)
    night.note()


def _lost(night: Night) -> None:
    """The IOC dies while a put to it is outstanding."""
    rig = night.rig
    text = """
        steps:
          - set: {pv: stage.velo, value: 0.1}
          - set: {pv: stage.x, value: 2, timeout: 60}
        finally: [{log: "away at $(rec.ao)"}]
    """
    done = rig.start(rig.sequence(text, "lost"))
    until(lambda: rig.client.get("SIM:STAGE:X.DMOV") == 0, what="it moves")
    rig.fleet["motor"].kill()
    with pytest.raises(RefusedError):
        done()
    night.note()
    rig.until("CHAIN:stage:STATUS", "Disconnected")


def test_a_night_replays_to_the_same_runs(night: Night) -> None:
    done = replay(night.file, "--json")
    assert done.code == 0, done.out + done.err
    assert done.told["same"] is True
    assert done.told["differences"] == done.told["notes"] == []
    statuses = [run["status"] for run in done.told["runs"]]
    assert statuses == [status for status, _ in night.outcomes]
    assert {"Success", "Failed", "Aborted"} <= set(statuses)
    for run, (status, message) in zip(done.told["runs"], night.outcomes, strict=True):
        if status != "Success":
            assert run["message"] == message
    assert [run["rows"] for run in done.told["runs"]][:4] == [5, 1, 0, 4]


def test_what_it_tells_people_is_short_and_names_each_run(night: Night) -> None:
    done = replay(night.file)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[-1] == "the same"
    assert len(lines) == len(night.outcomes) + 1
    assert "aborted: enough for today" in done.out
    assert done.err == ""


def test_a_changed_sequence_is_a_difference_at_its_step(night: Night) -> None:
    changed = night.file.with_name("changed.yaml")
    text = (night.rig.directory / "sequences" / "busy.yaml").read_text()
    changed.write_text(text.replace("value: 2, readback", "value: 2.5, readback"))
    done = replay(night.file, "--json", "--sequence", f"busy={changed}")
    assert done.code == 1, done.err
    told = done.told
    assert told["same"] is False
    assert "steps[1].parallel[0] set rec.ao" in told["differences"][0]
    assert "a put of 2.5 to rec.ao" in told["differences"][0]
    assert told["runs"][0]["status"] == "Failed"
    # The other runs are what they were.
    others = [run["status"] for run in told["runs"][1:]]
    assert others == [status for status, _ in night.outcomes[1:]]
    one = replay(night.file, "--json", "--sequence", f"busy={changed}", "--run", "2")
    assert one.code == 0
    assert len(one.told["runs"]) == 1


def test_a_python_module_that_has_changed_is_told(night: Night, tmp_path: Path) -> None:
    file = shutil.copy(night.file, tmp_path)
    done = replay(Path(file), "--json")
    assert done.code == 0, "where it was is where it is looked for first"
    moved = night.file.parent / PLANS.name
    text = moved.read_text()
    moved.write_text(text.replace("rec.calc", "rec.ao", 1))
    try:
        done = replay(night.file, "--json")
        assert any("language_plans has changed" in note for note in done.told["notes"])
        moved.unlink()
        done = replay(night.file, "--json")
        assert done.code == 2
        assert "language_plans can't be imported" in done.err
        assert "Traceback" not in done.err
    finally:
        moved.write_text(text)


def test_what_is_no_recording_ends_with_code_2(night: Night, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text("{}\n")
    for file in (other, tmp_path / "none.jsonl"):
        done = replay(file)
        assert done.code == 2
        assert str(file) in done.err
        assert "Traceback" not in done.err
    assert replay(night.file, "--sequence", "busy").code == 2
    assert replay(night.file, "--run", "99").code == 2


def test_a_killed_service_leaves_all_but_its_last_moment(night: Night) -> None:
    """Compressed, and a second one to the same name; SIGKILL in the middle of a run."""
    rig, name = night.rig, "killed.jsonl.gz"
    config = rig.directory / "orchestrator.toml"
    (rig.directory / name).write_bytes(b"somebody's")
    service = start_service(config, rig.env, options=["--record", name])
    newcomer = Client(rig.env)  # the other one takes libca's time to search again
    try:
        newcomer.until(f"{PREFIX}CHAIN:rec:STATUS", "Connected", timeout=30)
        newcomer.put(f"{PREFIX}CMD", "steps:\n  - sample: [rec.ao]\n")
        newcomer.until(f"{PREFIX}BUSY", 0)
        first = newcomer.get(f"{PREFIX}RUN_ID")
        newcomer.put(f"{PREFIX}CMD", "steps:\n  - delay: 60\n")
        newcomer.until(f"{PREFIX}BUSY", 1)
        file = rig.directory / "killed-2.jsonl.gz"
        size = file.stat().st_size
        until(lambda: file.stat().st_size > size, what="the next moment on the disk")
        until(lambda: _runs(file) == 2, what="the run on the disk")
    finally:
        newcomer.close()
        service.close()
    assert (rig.directory / name).read_bytes() == b"somebody's"
    done = replay(file, "--json")
    assert done.code == 0, done.out
    assert [run["status"] for run in done.told["runs"]] == ["Success", ""]
    assert replay(file, "--run", first).out.splitlines()[0].startswith(first)
    assert any("killed" in note for note in done.told["notes"])


def _runs(file: Path) -> int:
    """How many have begun, of what is on the disk of a file that is still written."""
    told = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(file.read_bytes())
    return told.count(b'"!RunStarted"')


def test_the_recording_s_place_is_told_and_an_impossible_one_refused(night: Night) -> None:
    assert '"recording"' in night.rig.service.errors
    assert PREFIX
    config = night.rig.directory / "orchestrator.toml"
    command = [sys.executable, "-m", "orchestrator", "serve", "--config", str(config)]
    done = subprocess.run(
        [*command, "--record", str(config / "night.jsonl")],
        capture_output=True,
        text=True,
        timeout=60,
        env=night.rig.env,
        check=False,
    )
    assert done.returncode == 2
    assert "can't record to" in done.stderr
