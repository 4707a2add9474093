"""libca prints nothing on a terminal, and a client leaves without a trace."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from client_iocs import Ioc, Pool, Victim, client_of, until
from epicscorelibs import path
from epicscorelibs.ca import cadef
from structlog.testing import capture_logs

from sim_iocs import testing
from sim_iocs.process import Process

SCRIPT = Path(__file__).parent / "quiet_client.py"


@pytest.fixture
def client(pool: Pool) -> Iterator[Callable[[str, str], Process]]:
    """Starts a client that meets a PV in a scene, and waits until it says that it is ready."""
    with ExitStack() as started:

        def start(pv: str, scene: str) -> Process:
            command = [sys.executable, str(SCRIPT), pv, scene]
            running = Process("the client", command, os.environ | pool.env)
            started.callback(running.close)
            testing.until(lambda: "READY" in running.output or running.ended, 15, "READY")
            assert "READY" in running.output, running.errors
            return running

        yield start


def test_a_killed_ioc_leaves_nothing_on_stderr(victim: Victim, client) -> None:
    """Without our handlers libca prints «Virtual circuit disconnect»."""
    ioc = victim("c_records.py")
    running = client(ioc.prefix + "X", "lost")
    ioc.kill()
    assert running.end(5) == 0
    assert (running.errors, running.output) == ("", "READY\n")


def test_a_client_leaves_at_once_with_gets_and_puts_pending(victim: Victim, client) -> None:
    """What libca calls after the loop is gone would raise «Event loop is closed».

    And ca_context_destroy, which aioca calls at exit, waits for a frozen server for ever.
    """
    ioc = victim("c_records.py")
    running = client(ioc.prefix + "X", "pending")
    ioc.freeze()
    running.write("")
    assert running.end(20) == 0, "the gets and puts had 30 s"
    assert float(running.output.split("waited ")[1]) < 2, "but for its turns of a busy processor"
    assert running.errors == ""


def test_an_interrupted_client_leaves_quietly(c_ioc: Ioc, client) -> None:
    running = client(c_ioc.prefix + "X", "interrupted")
    running.signal(signal.SIGINT)
    assert running.end(5) == 3
    assert running.errors == ""


def test_clients_follow_one_another_in_a_process(c_ioc: Ioc, client) -> None:
    running = client(c_ioc.prefix + "N", "again")
    assert running.end(5) == 0
    assert running.errors == ""
    assert running.output.count("Reading(") == 3


def test_a_refused_put_without_callback_is_a_line_in_the_log(py_ioc: Ioc, client) -> None:
    """The server's word on it comes as a CA exception, which libca would print over 7 lines."""
    running = client(py_ioc.prefix + "PICKY", "refused")
    assert running.end(5) == 0
    assert running.errors == ""
    assert "A put without callback failed" in running.output


def test_importing_the_client_makes_no_libca_context(tmp_path: Path) -> None:
    """So that the environment can still be set; libca reads it with its first context."""
    code = (
        "from orchestrator.client import Client; import aioca._catools as tools;"
        "from epicscorelibs.ca import cadef;"
        "assert tools._Context._ca_context is None;"
        "assert cadef.ca_current_context() is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)


def test_what_is_set_after_the_import_is_where_libca_searches(c_ioc: Ioc, pool: Pool) -> None:
    code = f"""
import asyncio, os
from orchestrator.client import configure_environment, get_values
from orchestrator.config import CaConfig, ChainConfig, Config
chain = {{"t": ChainConfig("t", "", "127.0.0.1:{c_ioc.port}")}}
configure_environment(Config(chain=chain, ca=CaConfig(auto_addr_list=False)))
(answer,) = asyncio.run(get_values(["{c_ioc.prefix}N"]))
assert answer.error is None, answer
configure_environment(Config(chain={{"u": ChainConfig("u", "", "127.0.0.1:1")}}))
"""
    environ = {key: text for key, text in os.environ.items() if not key.startswith("EPICS_")}
    environ["EPICS_CA_REPEATER_PORT"] = pool.env["EPICS_CA_REPEATER_PORT"]
    with closing(Process("the client", [sys.executable, "-c", code], environ)) as done:
        assert done.end(20) == 0, done.errors
        assert "Too late for libca" in done.output + done.errors


async def test_what_libca_prints_by_either_way_goes_to_the_log(
    capfd: pytest.CaptureFixture,
) -> None:
    """ca_signal prints by the printf handler, a circuit's end also by errlog of libCom."""
    opened, _ = client_of()
    libcom = ctypes.CDLL(path.get_lib("Com"))
    async with opened:
        with capture_logs() as logs:
            cadef.libca.ca_signal(cadef.ECA_DISCONN, b"here")
            libcom.errlogPrintf(b"circuit %d is gone\n", 17)
            await until(lambda: any(entry.get("text") == "circuit 17 is gone" for entry in logs))
    assert any("here" in entry.get("text", "") for entry in logs)
    assert {entry["log_level"] for entry in logs} == {"debug"}
    assert capfd.readouterr().err == ""
