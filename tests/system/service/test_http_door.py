"""Who comes in by HTTP, and what those who misbehave cost: nothing but their own connection."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from http_rig import HTTP, Http, problem
from service_rig import Rig, rig_of, until

from sim_iocs.fleet import Fleet
from sim_iocs.testing.service_process import ServiceError

TOKEN = "0123456789abcdef-alice"  # noqa: S105 - of the tests
LONG = "name: long\nsteps: [{delay: 300}]\n"
BUSY = """\
name: busy
variables: {n: 0}
steps:
  - loop: {count: 2000}
    do: [{log: "%s $(n)"}, {let: {n: n + 1}}, {delay: 0.002}]
"""


@pytest.fixture(scope="module")
def open_rig(steady_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig_of(steady_fleet, tmp_path_factory.mktemp("door") / "rig", more=HTTP) as rig:
        yield rig


@pytest.fixture
def http(open_rig: Rig) -> Iterator[Http]:
    open_rig.quieten()
    with closing(Http(open_rig)) as http:
        yield http
    open_rig.quieten()


def _process(rig: Rig) -> int:
    """The process that serves HTTP."""
    tasks = Path(f"/proc/{rig.service.pid}/task").iterdir()
    found = [
        int(pid)
        for task in tasks
        for pid in (task / "children").read_text().split()
        if b"orchestrator.web" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found[0] if found else 0


def _resident(pid: int) -> int:
    """Bytes of memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def _let_in(fleet: Fleet, folder: Path, more: str, access: Sequence[str] = ()) -> Iterator[Http]:
    """A client with the token."""
    with (
        rig_of(fleet, folder / "rig", more=more, access=access) as rig,
        closing(Http(rig, Authorization=f"Bearer {TOKEN}")) as http,
    ):
        yield http


# Who is let in ----------------------------------------------------------------------------------


def test_without_a_token_of_the_file_nobody_is_let_in(steady_fleet: Fleet, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"# who\nalice {TOKEN}\n")
    more = f'{HTTP}token_file = "{tokens}"\nread_only = true\n'
    with _let_in(steady_fleet, tmp_path, more) as http:
        assert "http.read_only" in problem(http.post("/runs", {"document": LONG}), 403)
        for header in ("Bearer wrong", "Basic x", ""):
            refused = http.get("/status", headers={"Authorization": header})
            assert "Bearer TOKEN" in problem(refused, 401)
        root = f"http://127.0.0.1:{http.port}"
        assert http.client.get(f"{root}/healthz").status_code == 200
        nobody = {"Authorization": ""}  # the page asks for the token itself
        assert http.client.get(f"{root}/", headers=nobody).status_code == 200
        settings = http.client.get(f"{root}/page/settings.json", headers=nobody)
        assert settings.json() == {"read_only": True, "token": True}


def test_the_name_of_a_token_is_the_owner(steady_fleet: Fleet, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"alice@console {TOKEN}\nbob@console {TOKEN}-2\n")
    more = f'{HTTP}token_file = "{tokens}"\n'
    with _let_in(steady_fleet, tmp_path, more, ["alice@*"]) as http:
        run_id = http.start("steps: [{log: hello}]")
        assert http.ended(run_id)["owner"] == "alice@console"
        bob = {"Authorization": f"Bearer {TOKEN}-2"}
        refused = http.post("/runs", {"document": LONG}, headers=bob)
        assert "bob@console may not write" in problem(refused, 403)


def test_a_page_of_somebody_else_changes_nothing(http: Http) -> None:
    evil = {"Origin": "http://evil.example"}
    refused = http.post("/runs", {"document": LONG}, headers=evil)
    assert "evil.example" in problem(refused, 403)
    ours = {"Origin": f"http://127.0.0.1:{http.port}"}
    assert http.post("/runs", {"document": "steps: [{log: x}]"}, headers=ours).status_code == 201


@pytest.mark.parametrize("name", ["two words", "a@b@c", "a" * 300, "@"])
def test_a_name_that_is_none_is_refused(http: Http, name: str) -> None:
    assert "user@host" in problem(http.get("/status", headers={"X-Caller": name}), 400)


def test_a_long_request_is_refused_however_it_comes(http: Http) -> None:
    long = {"document": "#" * 1_100_000}
    assert "max_body_bytes" in problem(http.post("/runs", long), 413)

    def pieces() -> Iterator[bytes]:
        for _ in range(12):
            yield b"#" * 100_000

    headers = {"Content-Type": "application/json"}
    chunked = http.client.post("/runs", content=pieces(), headers=headers)
    assert "max_body_bytes" in problem(chunked, 413)


def test_a_client_that_asks_without_end_is_told_to_wait(
    steady_fleet: Fleet, tmp_path: Path
) -> None:
    more = f"{HTTP}requests_per_second = 5\n"
    with rig_of(steady_fleet, tmp_path / "rig", more=more) as rig, closing(Http(rig)) as http:
        answers = [http.get("/status") for _ in range(60)]
        refused = [each for each in answers if each.status_code != 200]
        assert "requests_per_second" in problem(refused[0], 429)
        assert int(refused[0].headers["retry-after"]) >= 1
        until(lambda: http.get("/status").status_code == 200)


# Who stands still -------------------------------------------------------------------------------


def test_readers_that_stand_still_hold_up_nobody(http: Http) -> None:
    with ExitStack() as opened:
        for _ in range(20):
            still = opened.enter_context(socket.create_connection(("127.0.0.1", http.port)))
            still.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        before = _resident(_process(http.rig))
        run_id = http.start(BUSY % ("x" * 2000))
        lags: list[float] = []
        seen = 0
        with http.events() as events:
            for event in events:
                lags.append(event.told.get("fields", {}).get("LOOP_LAG", 0.0))
                seen += event.kinds.count("told")
                if "run_ended" in event.kinds:
                    break
        assert seen >= 1990  # the first ones may have come before
        assert sorted(lags)[len(lags) * 9 // 10] < 0.05
        # What is kept of all messages is bounded, and there is one of each, whoever reads.
        assert _resident(_process(http.rig)) - before < 60 * 2**20
        assert http.ended(run_id)["status"] == "Success"


def test_connections_beyond_those_allowed_are_refused_and_the_others_served(
    steady_fleet: Fleet, tmp_path: Path
) -> None:
    more = f"{HTTP}connections = 10\n"
    with rig_of(steady_fleet, tmp_path / "rig", more=more) as rig, closing(Http(rig)) as http:
        with ExitStack() as opened:
            address = ("127.0.0.1", http.port)
            several = [opened.enter_context(socket.create_connection(address)) for _ in range(15)]
            several[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"503" in several[-1].recv(100)
        until(lambda: http.get("/status").status_code == 200)


def test_a_request_that_never_comes_is_not_waited_for(http: Http) -> None:
    with socket.create_connection(("127.0.0.1", http.port)) as slow:
        slow.settimeout(30)
        slow.sendall(b"GET /api/v1/status HT")
        began = time.monotonic()
        with suppress(ConnectionResetError):
            assert slow.recv(1000) == b""
        assert time.monotonic() - began < 25


# Who dies ---------------------------------------------------------------------------------------


def test_where_its_process_is_killed_another_one_serves_and_the_run_goes_on(http: Http) -> None:
    run_id = http.start(LONG)
    killed = _process(http.rig)
    os.kill(killed, signal.SIGKILL)
    until(lambda: _process(http.rig) not in (0, killed), what="another process")
    assert http.told(f"/runs/{run_id}")["status"] is None  # it waited for the other one
    assert http.rig.get("BUSY") == 1
    assert "the process that serves HTTP has ended (-9)" in http.rig.log
    until(lambda: http.told("/status")["fields"]["RUN_ID"] == run_id)


def test_where_the_service_is_killed_nobody_serves_in_its_name(
    steady_fleet: Fleet, tmp_path: Path
) -> None:
    with rig_of(steady_fleet, tmp_path / "rig", more=HTTP) as rig:
        with closing(Http(rig)) as http:
            serving = Path(f"/proc/{_process(rig)}")
            assert http.get("/status").status_code == 200
        rig.service.signal(signal.SIGKILL)
        until(lambda: not serving.exists(), what="the end of the process that serves HTTP")


def test_where_the_service_ends_the_stream_ends(steady_fleet: Fleet, tmp_path: Path) -> None:
    with (
        rig_of(steady_fleet, tmp_path / "rig", more=HTTP) as rig,
        closing(Http(rig)) as http,
        http.events() as events,
    ):
        next(events)
        http.start(LONG)
        rig.service.signal(signal.SIGTERM)
        kinds = [kind for event in events for kind in event.kinds]
        assert "run_ended" in kinds


def test_a_frozen_process_costs_the_service_nothing(http: Http) -> None:
    pid = _process(http.rig)
    os.kill(pid, signal.SIGSTOP)
    try:
        outcome = http.rig.run(BUSY % ("y" * 500))
        assert outcome["STATUS"] == "Success"
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: http.told("/status")["fields"]["RUN_ID"] == outcome["RUN_ID"])


@pytest.mark.parametrize("text", ["", "alice short", "alice"])
def test_a_token_file_that_lets_nobody_in_is_told_at_the_start(
    steady_fleet: Fleet, tmp_path: Path, text: str
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(text)
    opened = rig_of(steady_fleet, tmp_path / "rig", more=f'{HTTP}token_file = "{tokens}"\n')
    with pytest.raises(ServiceError, match="token"), opened:
        pass
