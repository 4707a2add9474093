"""Documents of bluesky: valid by event-model, and taken by callbacks that nobody here wrote."""

from __future__ import annotations

import asyncio
import json
import math
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import event_model
import numpy as np
import pytest
from bluesky.callbacks import LiveTable

from orchestrator.data import DataForm, DocumentOutputs, RunStore
from orchestrator.data.documents.outputs import line_of
from orchestrator.data.sinks import Row
from orchestrator.data.writer import FormerRows
from orchestrator.errors import InputError
from orchestrator.types import Metadata, NativeType, Place, Reading, RunHeader, RunStatus, Severity

KNOWN = {
    "stage.x": Metadata(NativeType.DOUBLE, units="mm", precision=3),
    "io.gate": Metadata(NativeType.ENUM, labels=("Closed", "Open")),
}
HEADER = RunHeader(
    "20261130T160423.423Z-k3",
    "scan",
    owner="me@console",
    arguments={"points": 3},
    metadata={"sample": "gold", "uid": "is ours"},
    channels={**KNOWN, "det.counts": None},
    axes=("stage.x",),
)


def readings(number: int, **more: Any) -> dict[str, Reading | None]:
    values = {"stage.x": number / 2, "det.counts": number**2, "io.gate": number % 2, **more}
    return {name: Reading(name, value, 1000.0 + number) for name, value in values.items()}


class Taken(list[tuple[str, Mapping[str, Any]]]):
    """Keeps each document."""

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        self.append((name, document))

    def named(self, name: str) -> list[Mapping[str, Any]]:
        return [document for own, document in self if own == name]


async def run(directory: Path, outputs: DocumentOutputs, told: list[str] | None = None) -> str:
    """A run of three rows with all that a run may keep; the faults that it ends with."""
    tell = (lambda _why: None) if told is None else told.append
    recorder = RunStore(directory, tell, DataForm(("csv",)), documents=outputs).open(HEADER)
    recorder.describe(KNOWN)
    recorder.baseline("start", {"stage.x": Reading("stage.x", 0.0, 999.0)})
    for number in range(3):
        recorder.row(Place(("steps", 0, "do", 1), (number,)), readings(number))
    recorder.row(Place(), {**readings(3, trace=np.arange(5000.0)), "det.counts": None})
    recorder.update(Reading("stage.x", 1.25, 1002.5, Severity.MINOR))
    fault = await recorder.close(RunStatus.STOPPED, "enough")
    outputs.close()
    return fault


SCHEMAS = {
    "start": event_model.DocumentNames.start,
    "descriptor": event_model.DocumentNames.descriptor,
    "event": event_model.DocumentNames.event,
    "stop": event_model.DocumentNames.stop,
}


async def test_they_are_valid_and_tell_the_run(tmp_path: Path) -> None:
    taken = Taken()
    assert await run(tmp_path, DocumentOutputs(call=taken)) == ""
    for name, document in taken:
        event_model.schema_validators[SCHEMAS[name]].validate(document)
    (start,), (stop,) = taken.named("start"), taken.named("stop")
    assert (taken[0][0], taken[-1][0]) == ("start", "stop")
    assert (start["plan_name"], start["sample"], start["run_id"]) == ("scan", "gold", HEADER.run_id)
    assert start["uid"] != "is ours", "what the form says stands above metadata"
    assert start["hints"] == {"dimensions": [[["stage_x"], "primary"]]}
    assert (stop["exit_status"], stop["reason"]) == ("abort", "enough")
    counts = {"baseline": 1, "primary": 3, "primary_2": 1, "stage_x_monitor": 1}
    assert stop["num_events"] == counts
    keys = {d["name"]: d["data_keys"] for d in taken.named("descriptor")}
    assert keys["primary"]["stage_x"]["units"] == "mm"
    assert keys["primary"]["io_gate"]["choices"] == ["Closed", "Open"]
    uids = {d["uid"]: d["name"] for d in taken.named("descriptor")}
    events = [e for e in taken.named("event") if uids[e["descriptor"]] == "primary"]
    assert [e["data"]["det_counts"] for e in events] == [0, 1, 4]
    assert [e["data"]["io_gate"] for e in events] == ["Closed", "Open", "Closed"]
    assert [e["timestamps"]["stage_x"] for e in events] == [1000.0, 1001.0, 1002.0]
    assert [e["seq_num"] for e in events] == [1, 2, 3]


async def test_a_live_table_of_bluesky_shows_the_rows(tmp_path: Path) -> None:
    shown: list[str] = []
    table = LiveTable(["stage_x", "det_counts"], stream_name="primary", out=shown.append)
    assert await run(tmp_path, DocumentOutputs(call=table)) == ""
    text = "\n".join(shown)
    rows = [line for line in text.splitlines() if line.startswith("|  ")]
    assert len(rows) >= 3
    assert "1.000" in rows[-1]
    assert "4" in rows[-1]


async def test_lines_of_json_are_the_documents(tmp_path: Path) -> None:
    taken = Taken()
    assert await run(tmp_path, DocumentOutputs(jsonl=True, call=taken)) == ""
    file = tmp_path / "runs" / HEADER.run_id / "documents.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [name for name, _ in lines] == [name for name, _ in taken]
    ((_, event),) = [own for own in lines if "trace" in own[1].get("data", {})]
    assert event["data"]["trace"] == list(range(5000))
    assert event["data"]["det_counts"] is None, "JSON has no NaN"


def test_arrays_become_text_in_pieces_and_what_is_no_number_null() -> None:
    values = np.array([[1.5, math.nan], [math.inf, 2.0]])
    assert json.loads(line_of("event", {"a": values, "b": math.nan})) == [
        "event", {"a": [[1.5, None], [None, 2.0]], "b": None},
    ]  # fmt: skip


async def test_a_function_that_raises_is_told_once_and_the_rows_are_kept(tmp_path: Path) -> None:
    told: list[str] = []

    def picky(name: str, document: Mapping[str, Any]) -> None:
        raise RuntimeError("no room")

    assert await run(tmp_path, DocumentOutputs(call=picky), told) == ""
    assert len(told) == 1
    assert told[0].startswith("no more documents of this run for ")
    assert told[0].endswith("picky: RuntimeError: no room")
    csv = tmp_path / "runs" / HEADER.run_id / "data.csv"
    assert len(csv.read_text().splitlines()) == 5


LISTENS = """
import json, os, threading
from bluesky.callbacks.zmq import Proxy, RemoteDispatcher

proxy = Proxy()
threading.Thread(target=proxy.start, daemon=True).start()
dispatcher = RemoteDispatcher("127.0.0.1:" + str(proxy.out_port).rpartition(":")[2])

def take(name, document):
    print(json.dumps([name, document.get("plan_name", ""), document["uid"]]), flush=True)
    if name == "stop":
        os._exit(0)

dispatcher.subscribe(take)
print(proxy.in_port, flush=True)
dispatcher.start()
"""


async def test_a_remote_dispatcher_of_bluesky_reads_them_from_its_proxy(tmp_path: Path) -> None:
    heard: list[Any] = []
    command = [sys.executable, "-c", LISTENS]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as listener:  # noqa: ASYNC220 - a test
        assert listener.stdout is not None
        port = int(listener.stdout.readline().rpartition(b":")[2])
        reading = threading.Thread(
            target=lambda: heard.extend(map(json.loads, listener.stdout or ())), name="reads"
        )
        outputs = DocumentOutputs(zmq=f"127.0.0.1:{port}")
        # Until a subscription has come through messages go nowhere, as those of bluesky itself.
        selector = select.poll()
        selector.register(listener.stdout, select.POLLIN)
        while not selector.poll(50):
            outputs.takes[0]("start", {"uid": "hello", "time": 0.0})
        reading.start()
        assert await run(tmp_path, outputs) == ""
        assert await asyncio.to_thread(listener.wait, 30) == 0
        reading.join()
    own = [(name, plan) for name, plan, uid in heard if uid != "hello"]
    assert own[0] == ("start", "scan")
    assert [name for name, _ in own].count("event") == 6
    assert own[-1][0] == "stop"


def test_zmq_without_pyzmq_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zmq", None)
    with pytest.raises(InputError, match=r"pip install 'ioc-orchestrator\[documents\]'"):
        DocumentOutputs(zmq="localhost:5577")


async def test_a_run_that_goes_on_is_told_anew_with_the_rows_that_count(tmp_path: Path) -> None:
    taken = Taken()
    store = RunStore(tmp_path, form=DataForm(("csv",)), documents=DocumentOutputs(call=taken))
    rows = [Row(number, Place(), readings(number), 5) for number in range(3)]
    former = FormerRows(HEADER, 3, 1, lambda first: rows[first:])
    recorder = store.go_on(HEADER, former)
    recorder.row(Place(), readings(9))
    assert await recorder.close(RunStatus.SUCCESS) == ""
    events = [event["data"]["det_counts"] for event in taken.named("event")]
    assert events == [0, 81]
    assert taken[0][0] == "start"
