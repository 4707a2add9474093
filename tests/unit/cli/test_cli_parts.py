"""The parts of the command line that need no process."""

import io
import json
import logging
import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from rich.console import Console
from structlog.testing import capture_logs

from orchestrator.bench import Figure, RowResult
from orchestrator.cli.local.bench import table_of
from orchestrator.cli.local.event_lines import EventLines, event_lines
from orchestrator.cli.remote.follow import Followed, command_text, retelling
from orchestrator.cli.remote.service_client import RemoteService
from orchestrator.cli.settings import Chosen, choose
from orchestrator.cli.terminal.codes import Code, NotThereError, code_of_error, code_of_run
from orchestrator.cli.terminal.logs import level_of, set_up_logs
from orchestrator.data import hold_store
from orchestrator.device.commands import RunText, parse_command
from orchestrator.errors import CheckError, InputError, NotConnectedError
from orchestrator.types import (
    Alarm,
    Cause,
    LinkChange,
    Reading,
    RowTaken,
    RunEnded,
    RunEvent,
    RunRefused,
    RunStarted,
    RunState,
    RunStatus,
    StateChanged,
    Told,
)
from orchestrator.types.event_json import event_facts

# Exit codes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cause", "code"),
    [
        (RunStatus.SUCCESS, Cause.NONE, Code.SUCCESS),
        (RunStatus.FAILED, Cause.DURING, Code.FAILED),
        (RunStatus.TIMEOUT, Cause.DURING, Code.FAILED),
        (RunStatus.FAILED, Cause.INPUT, Code.INPUT),
        (RunStatus.ABORTED, Cause.DURING, Code.ENDED),
        (RunStatus.STOPPED, Cause.DURING, Code.ENDED),
        (RunStatus.FAILED, Cause.NOT_CONNECTED, Code.NOT_CONNECTED),
    ],
)
def test_the_exit_code_of_a_run_follows_from_status_and_cause(
    status: RunStatus, cause: Cause, code: Code
) -> None:
    assert code_of_run(RunEnded("id", status, "", 1, cause)) is code


def test_the_exit_code_of_an_error_is_that_of_its_kind() -> None:
    assert code_of_run(RunRefused(1, "", Cause.INPUT)) is Code.INPUT
    assert code_of_run(RunRefused(1, "", Cause.DURING)) is Code.FAILED
    assert code_of_error(CheckError(["a"])) is Code.INPUT
    assert code_of_error(NotConnectedError("during")) is Code.FAILED
    assert code_of_error(NotThereError("before")) is Code.NOT_CONNECTED
    assert code_of_error(ZeroDivisionError()) is Code.FAILED


# What is run --------------------------------------------------------------------------------


def test_a_sequence_is_a_file_if_it_looks_like_one_or_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert choose("align") == Chosen("align")
    (tmp_path / "align").write_text("steps")
    assert choose("align") == Chosen("align", "steps", "align")
    for name in ("no.yaml", "no.json", "folder/no"):
        with pytest.raises(InputError, match=f"can't read the sequence {name}"):
            choose(name)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        choose("binary.yaml")
    (tmp_path / "empty.yaml").write_text("\n")
    with pytest.raises(InputError, match=r"empty\.yaml:1:1: the file is empty"):
        choose("empty.yaml")


def test_a_name_is_sent_as_a_command_that_the_service_reads_back() -> None:
    text = command_text(Chosen("align"), ["label=two words", "a=-1", "empty="])
    assert parse_command(text) == RunText(
        "align", "", {"label": "two words", "a": "-1", "empty": ""}
    )


DOCUMENT = """
parameters:
  start: {default: -1.0, units: mm}
  count: 3
  label: {type: str}
steps:
  - sample: {channels: [stage.x], missing: .nan}
  - delay: 1e-3
"""


def test_a_file_is_sent_as_json_with_the_arguments_as_defaults() -> None:
    text = command_text(Chosen("own", DOCUMENT, "own.yaml"), ["start=2", "label=x y"])
    assert parse_command(text) == RunText(document=text)
    sent: dict[str, Any] = json.loads(text)
    assert sent["name"] == "own"
    assert sent["parameters"]["start"] == {"default": 2.0, "units": "mm"}
    assert sent["parameters"]["label"] == {"type": "str", "default": "x y"}
    assert sent["parameters"]["count"] == 3
    assert sent["steps"][0]["sample"]["missing"] == "nan"
    assert sent["steps"][1]["delay"] == 0.001


def test_a_file_that_is_wrong_is_told_before_anything_is_sent() -> None:
    with pytest.raises(CheckError, match=r"own\.yaml:2:1"):
        command_text(Chosen("own", "parameters: {}\nstps: []\n", "own.yaml"), [])
    with pytest.raises(InputError, match="'label'"):
        command_text(Chosen("own", DOCUMENT, "own.yaml"), [])
    long = "steps:\n" + "  - log: a long text that is repeated\n" * 3000
    with pytest.raises(InputError, match="too long for CMD"):
        command_text(Chosen("own", long, "own.yaml"), [])


def test_a_place_in_what_was_sent_is_told_as_the_one_in_the_users_file() -> None:
    chosen = Chosen("own", DOCUMENT, "own.yaml")
    sent = command_text(chosen, ["start=2", "label=x y"])
    retell = retelling(chosen, sent)
    sampling, delay = (sent.index(part) + 1 for part in ('{"sample"', "0.001"))
    assert retell(f"refused: CMD:1:{sampling}: steps[0]") == "refused: own.yaml:7:5: steps[0]"
    assert retell(f"CMD:1:{delay}: x; CMD:1:2: y") == "own.yaml:8:12: x; own.yaml: y"
    assert retelling(Chosen("align"), "run align")("CMD:1:2: x") == "CMD:1:2: x"


# Following ----------------------------------------------------------------------------------


class Service(RemoteService):
    """One of which the test says what it posts."""

    def __init__(self, followed: Followed) -> None:
        super().__init__("ORCH:", followed.take, followed.news.set)

    def has(self, number: int = 0, **fields: object) -> None:
        """It is connected, and its snapshot is read."""
        self.offer(LinkChange("EVENTS", connected=True))
        self.values, self._number = dict(fields), number

    def post(self, number: int, *events: RunEvent, **more: object) -> None:
        facts = [event_facts(event) for event in events]
        text = json.dumps({"n": number, "fields": {}, "events": facts} | more)
        self.offer(Reading("EVENTS", text, 0.0))


def following(*, asked: bool = True) -> tuple[Service, Followed, list[RunEvent]]:
    events: list[RunEvent] = []
    followed = Followed(events.append, lambda text: text.replace("CMD", "own.yaml"))
    service = Service(followed)
    service.has(BUSY=0, RUN_ID="old", STATUS="Success", message="")
    if asked:
        followed.ask()
    return service, followed, events


BEGUN = RunStarted("id-1", "align", "me", 0, 9)
END = RunEnded("id-1", RunStatus.FAILED, "CMD:1: cold", 0, Cause.INPUT, "data.csv")


async def test_the_run_that_begins_is_followed_to_its_end_and_no_other_is() -> None:
    service, followed, events = following()
    row = RowTaken({}, (1.0,), 4, run_id="id-1")
    other = Told("of another lane", run_id="id-0")
    service.post(1, StateChanged(RunState.CHECKING), other, BEGUN, row)
    assert events == [StateChanged(RunState.CHECKING), BEGUN, row]
    assert not followed.news.is_set()
    service.post(2, Told("see CMD:2", run_id="id-1"), END, Told("of the next run"))
    assert events[3:] == [Told("see own.yaml:2", run_id="id-1"), followed.end]
    assert followed.end == replace(END, message="own.yaml:1: cold")
    assert followed.news.is_set()


async def test_what_happened_before_it_was_asked_for_is_none_of_its_own() -> None:
    service, followed, events = following(asked=False)
    service.post(1, BEGUN, END)
    assert (events, followed.end) == ([], None)


async def test_a_post_that_the_snapshot_had_already_is_not_taken_twice() -> None:
    service, _, events = following()
    service.has(5, BUSY=0)
    service.post(5, BEGUN)
    service.post(6, BEGUN)
    assert events == [BEGUN]


async def test_a_post_that_is_missed_is_noticed_and_so_is_what_the_service_has_lost() -> None:
    service, followed, _ = following()
    service.post(1, BEGUN)
    assert not followed.news.is_set()
    service.post(3, Told("b"))
    assert followed.news.is_set()
    followed.news.clear()
    service.post(4, Told("c"), lost=3)
    assert followed.news.is_set()


async def test_a_service_that_is_lost_is_noticed() -> None:
    service, followed, _ = following()
    service.post(1, BEGUN)
    service.offer(LinkChange("EVENTS", connected=False))
    assert (service.connected, followed.news.is_set()) == (False, True)


@pytest.mark.parametrize(
    ("alarm", "cause"),
    [
        (Alarm.STATE, Cause.DURING),
        (Alarm.SOFT, Cause.INPUT),
        (Alarm.LINK, Cause.NOT_CONNECTED),
    ],
)
async def test_an_end_that_was_missed_is_read_from_the_fields(alarm: Alarm, cause: Cause) -> None:
    service, followed, events = following()
    fields = {"BUSY": 0, "RUN_ID": "id-1", "STATUS": "Failed", "message": "CMD:1: cold"}
    alarms = {"STATUS": ["MAJOR", int(alarm)]}
    service.post(1, BEGUN, fields={"BUSY": 1, "RUN_ID": "id-1"})
    followed.look(service)
    assert followed.end is None, "it is still under way"
    service.post(9, fields=fields, alarms=alarms)
    followed.look(service)
    assert followed.end == RunEnded("id-1", RunStatus.FAILED, "own.yaml:1: cold", 0, cause)
    assert events[-1] == followed.end


async def test_an_end_behind_which_another_run_has_begun_is_told_to_be_unknown() -> None:
    service, followed, _ = following()
    service.post(1, BEGUN)
    service.post(9, fields={"BUSY": 1, "RUN_ID": "id-2"})
    with pytest.raises(InputError, match="id-1 has ended"):
        followed.look(service)


# The lock of a store ------------------------------------------------------------------------


def test_a_store_is_held_by_one_at_a_time_and_free_again_afterwards(tmp_path: Path) -> None:
    store = tmp_path / "deep" / "runs"
    with hold_store(store, "A:"), pytest.raises(InputError) as caught, hold_store(store, "B:"):
        pass
    assert "--server A:" in str(caught.value)
    with hold_store(store, "B:"):
        pass


def test_a_store_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError, match="runs"), hold_store(tmp_path / "runs", "A:"):
        pass


def test_a_store_on_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    # The lock's file can still be made, but nothing written to it.
    full = (
        "import resource, sys; from pathlib import Path; from orchestrator.data import hold_store;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY));"
        "hold_store(Path(sys.argv[1]), 'A:').__enter__()"
    )
    done = subprocess.run([sys.executable, "-c", full, tmp_path], capture_output=True, text=True)
    assert done.stderr.endswith(
        f"InputError: can't write in the store {tmp_path}: File too large\n"
    )


# Logs ---------------------------------------------------------------------------------------


@contextmanager
def logs_as_before() -> Iterator[None]:
    """What is set up in the block is undone behind it."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:], root.level = before
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()


SOURCES = (
    "orchestrator.engine.runs.engine",
    "orchestrator.transports.ca.stats.stats",
    "caproto.circ",
)


@pytest.mark.parametrize(
    ("verbose", "levels"),
    [
        (0, (logging.INFO, logging.WARNING, logging.INFO)),
        (1, (logging.DEBUG, logging.INFO, logging.INFO)),
        (2, (logging.DEBUG, logging.DEBUG, logging.DEBUG)),
        (5, (logging.DEBUG, logging.DEBUG, logging.DEBUG)),
    ],
)
def test_packets_and_heartbeats_are_for_two_v(verbose: int, levels: tuple[int, ...]) -> None:
    with logs_as_before():
        set_up_logs(level_of(verbose, normal=logging.INFO), io.StringIO())
        assert tuple(logging.getLogger(s).getEffectiveLevel() for s in SOURCES) == levels


def test_refused_puts_are_lines_of_the_log_and_other_matters_of_clients_are_not() -> None:
    stream = io.StringIO()
    with logs_as_before():
        set_up_logs(logging.INFO, stream)
        circuits = logging.getLogger("caproto.circ")
        circuits.info("put of %s by %s refused: %s", "ORCH:CMD", "me@ws", "told by the device")
        circuits.info("put of %s by %s refused: %s", "ORCH:SEQ", "me@ws", "5000 bytes of text")
        circuits.info("Client at ws:1 has turned events on.")
        for _ in range(100):
            circuits.info("put of %s by %s refused: %s", "ORCH:ARGS", "me@ws", "again")
        circuits.warning("a client is hung up on")
        set_up_logs(logging.WARNING, stream)
    lines = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert lines[0] == "put of ORCH:SEQ by me@ws refused: 5000 bytes of text"
    assert lines[1:-1] == ["put of ORCH:ARGS by me@ws refused: again"] * 19
    assert lines[-1] == "a client is hung up on"


def test_a_traceback_in_the_log_has_no_values_of_variables() -> None:
    held = "a very long array"
    stream = io.StringIO()
    with logs_as_before():
        set_up_logs(logging.WARNING, stream)
        try:
            raise RuntimeError(f"{len(held)} letters")
        except RuntimeError:
            logging.getLogger("orchestrator").exception("a defect")
    line = json.loads(stream.getvalue())
    assert line["exception"][0]["exc_value"] == "17 letters"
    assert held not in stream.getvalue()


# What a service writes ----------------------------------------------------------------------


def test_every_line_of_the_events_names_its_run_where_it_is_about_one() -> None:
    written: list[str] = []
    lines = EventLines(written.append)
    for run_id in ("id-1", ""):
        lines.take(RowTaken({"det": np.zeros(9)}, (1.0, math.nan), 9, run_id=run_id))
        lines.take(Told("hello", run_id=run_id))
    row, told, plain_row, plain = map(json.loads, written)
    assert (row["run_id"], row["row"], row["points"]) == ("id-1", [1.0, None], 9)
    assert "columns" not in row
    assert (told["run_id"], told["text"]) == ("id-1", "hello")
    assert "run_id" not in plain_row | plain


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_ends_the_events_file_and_not_the_run_of_which_it_tells() -> None:
    with capture_logs() as log, event_lines(Path("/dev/full")) as lines:
        for text in ("one", "two"):
            lines.take(Told(text))
    (told,) = log
    assert (told["file"], told["error"]) == ("/dev/full", "No space left on device")


def test_the_verdict_of_a_figure_is_not_cut_in_a_narrow_terminal() -> None:
    figure = Figure("exec to the first PV served", (4.3,), "s", at_most=1.0)
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as shown:
        console.print(table_of(RowResult("start", "service with 100 channels", [figure], 1.0)))
    assert "not met" in shown.get()
