"""Messages reach a receiver; one that hangs, or is not there, costs nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cli_rig import Shell, serving, until

from sim_iocs.free_ports import PortHold


class Desk(ThreadingHTTPServer):
    """Somebody's webhook."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Posted)
        self.got: list[dict[str, Any]] = []
        self.answers = threading.Event()
        self.answers.set()
        self.url = f"json://127.0.0.1:{self.server_port}/me"


class _Posted(BaseHTTPRequestHandler):
    server: Desk

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.answers.wait(60)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as desk:
        thread = threading.Thread(target=desk.serve_forever, args=(0.05,))
        thread.start()
        yield desk
        desk.answers.set()
        desk.shutdown()
        thread.join()


def test_a_run_that_fails_is_told_and_a_receiver_that_hangs_delays_nobody(
    shell: Shell, desk: Desk
) -> None:
    config = shell.folder / "orchestrator.toml"
    config.write_text(f'{config.read_text()}\n[notify]\nurls = ["{desk.url}"]\n')
    shell.write("sequences/dark.yaml", "steps: [{fail: no beam}]\n")
    desk.answers.clear()
    with serving(shell) as served:
        served.ask("run dark")
        until(lambda: desk.got, what="a message")
        served.ask("run quick")
        served.until("STATUS", "Success")
        assert served.get("LOOP_LAG") < 0.5
        desk.answers.set()
    (message,) = desk.got
    assert message["title"] == "T: failed"
    assert message["message"].endswith("ended: Failed: dark.yaml:1:9: steps[0] fail: no beam")


def test_the_command_tells_who_is_reached_and_who_is_not(shell: Shell, desk: Desk) -> None:
    with closing(PortHold()) as nobody:
        gone = f"json://127.0.0.1:{nobody.port}/secret"
        shell.write(
            "told.toml", f'[notify]\nurls = ["{desk.url}", "{gone}", "nothing://here/secret"]\n'
        )
        shown = shell.run("notify", "--config", "told.toml")
        assert shown.lines[:2] == ["failed", "interrupted"]
        assert not desk.got
        done = shell.run("notify", "--test", "--config", "told.toml")
    assert done.code == 1
    assert [message["title"] for message in desk.got] == ["ORCH: test"]
    (sent,) = done.lines
    assert sent.endswith(": sent")
    assert f"127.0.0.1:{nobody.port}" in done.err
    assert "nothing://" in done.err
    assert "here/secret" not in done.err
    assert not done.noise


def test_without_rules_the_command_says_what_to_write(shell: Shell) -> None:
    done = shell.run("notify", "--test")
    assert done.code == 2
    assert "[notify]" in done.err
