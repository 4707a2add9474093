"""What uses a store, as others see it; and the keys of a run."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.remote.which import Which, which
from orchestrator.cli.terminal.keys import Keys
from orchestrator.config import Config
from orchestrator.data import hold_store, look_at_store
from orchestrator.display.run_display import RunDisplay
from orchestrator.errors import InputError
from orchestrator.present import announced, find_present
from orchestrator.types import Answered, Asked, RunState, StateChanged, Verb

HERE = "127.0.0.1:4711"


def test_who_uses_a_store_is_seen_as_long_as_it_does(tmp_path: Path) -> None:
    with announced(tmp_path, "run", "A:", HERE, "align") as announcement:
        announcement.began("align", "20260131-1")
        (present,) = find_present(tmp_path)
        assert (present.prefix, present.address, present.pid) == ("A:", HERE, os.getpid())
        assert present.title == "the run align 20260131-1"
    assert find_present(tmp_path) == []
    assert list((tmp_path / ".running").iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "run"}', "1" * 9999])
def test_what_is_no_announcement_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / ".running").mkdir()
    (tmp_path / ".running" / "other.json").write_text(text)
    with announced(tmp_path, "service", "A:", HERE):
        assert [present.prefix for present in find_present(tmp_path)] == ["A:"]


def test_what_a_killed_process_left_is_removed_though_its_number_lives_on(tmp_path: Path) -> None:
    facts = {"kind": "run", "prefix": "A:", "address": HERE, "pid": os.getpid(), "started": 0}
    left = tmp_path / ".running" / "left.json"
    left.parent.mkdir()
    left.write_text(json.dumps({**facts, "host": socket.gethostname()}))
    elsewhere = left.with_name("elsewhere.json")  # its lock says nothing here
    elsewhere.write_text(json.dumps({**facts, "host": "another"}))
    assert find_present(tmp_path) == []
    assert not left.exists()
    assert elsewhere.exists()


def test_a_store_that_can_take_no_announcement_is_no_reason_not_to_run(tmp_path: Path) -> None:
    (tmp_path / ".running").write_text("a file")
    with announced(tmp_path, "run", "A:", HERE) as announcement:
        announcement.began("align", "1")
    assert find_present(tmp_path) == []


def config(store: Path) -> Config:
    return Config(store=store, prefix="ORCH:")


def test_what_is_meant_is_what_is_there(tmp_path: Path) -> None:
    it = config(tmp_path)
    assert which(it, "") == Which("ORCH:")
    with announced(tmp_path, "run", "EX:", HERE, "scan") as scan:
        assert which(it, "") == Which("EX:", HERE, "the run scan")
        assert which(it, "OTHER:") == Which("OTHER:")
        assert which(it, "", runs=False) == Which("ORCH:")
        scan.began("scan", "20260131-7")
        assert which(it, "", "2026") == which(it, "", "scan") == which(it, "")
        with pytest.raises(InputError, match="no foreground run 'align'"):
            which(it, "", "align")
        with pytest.raises(InputError, match="give one of them"):
            which(it, "EX:", "scan")


def test_where_several_could_be_meant_each_is_named_with_what_chooses_it(tmp_path: Path) -> None:
    other = (
        "import sys; from pathlib import Path; from orchestrator.present import announced\n"
        "with announced(Path(sys.argv[1]), *sys.argv[2:]) as it:\n"
        "    it.began('scan', '20260131-8'); print('there', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", other, str(tmp_path), "run", "EX:", "127.0.0.1:4712"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        with announced(tmp_path, "run", "EX:", HERE, "scan") as scan:
            scan.began("scan", "20260131-7")
            with pytest.raises(InputError) as caught:
                which(config(tmp_path), "")
            for option in ("--run 20260131-7", "--run 20260131-8"):
                assert option in str(caught.value)
            assert which(config(tmp_path), "", "20260131-8").address == "127.0.0.1:4712"
            with pytest.raises(InputError, match="which is meant"):
                which(config(tmp_path), "", "scan")
        process.stdin.close()


def test_runs_share_a_store_and_leave_it_to_a_service(tmp_path: Path) -> None:
    look_at_store(tmp_path)
    with hold_store(tmp_path, "A:"), pytest.raises(InputError, match="--server A:"):
        look_at_store(tmp_path)
    look_at_store(tmp_path)


def test_a_run_that_looks_at_a_store_keeps_no_service_from_it(tmp_path: Path) -> None:
    look_at_store(tmp_path)
    with (tmp_path / ".lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        with pytest.raises(InputError), hold_store(tmp_path, "A:"):
            pass  # it does not look that long
    with hold_store(tmp_path, "A:"):
        pass


# Keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ([b"p", b"r", b"s"], [Verb.PAUSE, Verb.RESUME, Verb.SKIP]),
        ([b"prs"], [Verb.PAUSE, Verb.RESUME, Verb.SKIP]),
        ([b"q"], []),
        ([b"q", b"y"], [Verb.ABORT]),
        ([b"qn", b"y"], []),
        ([b"q\r"], []),
        ([b"qq", b"y"], []),
        ([b"qp", b"s"], [Verb.SKIP]),
        ([b"\r", b"\n"], []),
        ([b"\x1b[A", b"\x1bOs", b"\x1b[15;2~", b"\x1bp", b"\x1b"], []),
        ([b"P", b"\xff\xfe", "ü".encode(), b"\x04", b""], []),
    ],
)
def test_a_key_asks_for_what_it_stands_for(typed: list[bytes], asked: list[Verb]) -> None:
    seen: list[Verb] = []
    keys = Keys(RunDisplay(), lambda verb, _text: seen.append(verb))
    for received in typed:
        keys.take(received)
    assert seen == asked


def test_enter_answers_a_question_as_long_as_it_is_asked() -> None:
    seen: list[tuple[Verb, str]] = []
    display = RunDisplay()
    keys = Keys(display, lambda verb, text: seen.append((verb, text)))
    keys.take(b"\r")
    display.take(StateChanged(RunState.PAUSED))
    keys.take(b"\r")
    display.take(Asked("Is it in?", number=1))
    keys.take(b"\r")
    assert seen == [(Verb.ANSWER, "")]
    display.take(Answered(1, "", "answered"))
    keys.take(b"\r")
    assert seen == [(Verb.ANSWER, "")]


def test_what_is_typed_is_the_answer_where_a_question_takes_a_value() -> None:
    seen: list[tuple[Verb, str]] = []
    display = RunDisplay()
    keys = Keys(display, lambda verb, text: seen.append((verb, text)))
    display.take(Asked("How far?", kind="float", number=1))
    for received in (b"1", b"p\x7f", b".5", b"\x1b[A", b"\r"):
        keys.take(received)
    assert seen == [(Verb.ANSWER, "1.5")]
    keys.take(b"pq")
    assert display.typed == "pq"
    display.take(Asked("And how fast?", kind="float", number=2))
    assert display.typed == ""
    keys.take(b"12\x153\n")
    display.take(Answered(2, "3", "answered"))
    keys.take(b"p")
    assert seen[1:] == [(Verb.ANSWER, "3"), (Verb.PAUSE, "")]
