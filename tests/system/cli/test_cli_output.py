"""What nobody reads, or what can not be written: the work is done all the same, or it is told."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from cli_rig import COMMAND, Shell

from sim_iocs.testing import Client

FULL = Path("/dev/full")
"""Every write to it fails: no space left on device."""
TALKS = """\
steps:
  - log: begins
  - delay: 0.5
  - log: goes on
finally:
  - set: {pv: "SIM:REC:LongOut", value: $(mark)}
parameters: {mark: 0}
"""
GET = ("get", "SIM:REC:LongOut")
SERVE = ("serve", "--prefix", "SIGINT:", "--port", "0", "--interfaces", "127.0.0.1")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")


def finished(shell: Shell, *args: str, redirected: str) -> tuple[int, str]:
    """Exit code and stderr of a command whose stdout a shell has redirected."""
    errors = shell.folder / "errors"
    command = f'exec "$@" {redirected}'
    with errors.open("w") as err:
        code = subprocess.run(
            ["/bin/sh", "-c", command, "sh", *COMMAND, *args],
            env=shell.env,
            cwd=shell.folder,
            stderr=err,
            timeout=60,
            check=False,
        ).returncode
    return code, errors.read_text()


def test_a_run_outlives_the_reader_of_its_output(shell: Shell, client: Client) -> None:
    shell.write("talks.yaml", TALKS)
    with (
        (shell.folder / "errors").open("w") as errors,
        subprocess.Popen(
            [*COMMAND, "run", "talks.yaml", "mark=41"],
            env=shell.env,
            cwd=shell.folder,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        assert process.stdout is not None
        assert b"talks: run" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 0
    assert client.get("SIM:REC:LongOut") == 41
    assert not (shell.folder / "errors").read_text()


@needs_full
def test_a_run_outlives_a_full_disk_behind_its_output_and_says_so(
    shell: Shell, client: Client
) -> None:
    shell.write("talks.yaml", TALKS)
    code, errors = finished(shell, "run", "talks.yaml", "mark=42", redirected="> /dev/full")
    assert code == 0
    assert errors == "stdout: No space left on device: no more is shown\n"
    assert client.get("SIM:REC:LongOut") == 42


@needs_full
@pytest.mark.parametrize("command", [["get", "SIM:REC:LongOut"], ["schema"], ["sim", "--list"]])
def test_what_can_not_be_written_is_told_in_a_line(shell: Shell, command: list[str]) -> None:
    code, errors = finished(shell, *command, redirected="> /dev/full")
    assert code == 1
    assert errors == "can't write to stdout: No space left on device\n"


@pytest.mark.parametrize("command", [["get", "SIM:REC:LongOut"], ["schema"]])
def test_a_command_may_be_started_without_stdout(shell: Shell, command: list[str]) -> None:
    assert finished(shell, *command, redirected=">&-") == (0, "")


@pytest.mark.parametrize(
    ("command", "moment", "number"),
    [
        (GET, "typer.models", signal.SIGINT),
        (GET, "orchestrator.cli.terminal.guard", signal.SIGINT),
        (GET, "numpy", signal.SIGINT),
        (GET, "aioca", signal.SIGINT),
        (GET, "numpy", signal.SIGTERM),
        (GET, "typer.models", signal.SIGHUP),
        (SERVE, "caproto.server.server", signal.SIGINT),
        (SERVE, "orchestrator.service", signal.SIGINT),
        (SERVE, "uvloop", signal.SIGINT),
    ],
)
def test_ctrl_c_while_the_program_is_imported_is_no_traceback(
    shell: Shell, command: Sequence[str], moment: str, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "orchestrator", *command],
        env=shell.env,
        cwd=shell.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while not (line := process.stderr.readline()).rstrip().endswith(f" {moment}"):
            assert line, f"{moment} was not imported"
        process.send_signal(number)
        rest = process.stderr.read()
    # uvloop is the last one: when this hears of it the service may be there, and ends well.
    assert process.returncode in ((3, 0) if moment == "uvloop" else (3,))
    assert "Traceback" not in rest


def test_a_program_hears_of_ctrl_c_before_it_imports_more_of_itself() -> None:
    """What comes before is Python's own: its start ends with a traceback, or by the signal."""
    program = (
        "import json, os, signal, sys\n"
        "def tell(*_):\n"
        "    print(json.dumps([m for m in sys.modules if m.startswith('orchestrator')]))\n"
        "    sys.stdout.flush()\n"
        "    os._exit(0)\n"
        "signal.signal = tell\n"
        "from orchestrator.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert set(json.loads(done.stdout)) == {
        "orchestrator",
        "orchestrator.startup",
        "orchestrator.startup.deferred",
        "orchestrator.cli",
    }


def test_an_interrupt_that_has_passed_an_exec_ends_a_command_with_its_exit_code(
    tmp_path: Path,
) -> None:
    """`python -m` kills itself with SIGINT at its end where a KeyboardInterrupt has passed an exec
    of a text, as when a dataclass is made, even if it was caught since (CPython, pythonrun.c)."""
    (tmp_path / "made.py").write_text(
        "import typer; from orchestrator.cli.terminal.guard import guarded\n"
        "def command() -> int: exec('raise KeyboardInterrupt')\n"
        "app = typer.Typer(); app.command()(guarded(command)); app()"
    )
    command = [sys.executable, "-m", "made"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (3, b"")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("get stage.xx", 2),
        ("put stage.xx 1", 2),
        ("put SIM:REC:Ao", 2),
        ("info stage.xx", 2),
        ("monitor stage.xx", 2),
        ("status --server NO:", 4),
        ("queue --server NO:", 4),
        ("queue remove", 2),
        ("submit quick --server NO:", 4),
        ("get SIM:REC:Ao --config no.toml", 2),
    ],
)
def test_an_error_is_json_too_where_that_was_asked_for(
    shell: Shell, command: str, code: int
) -> None:
    shell.write("near.toml", "[ca]\nconnect_timeout = 0.2\n")
    near = ["--config", "near.toml"] if code == 4 else []
    done = shell.run(*command.split(), "--json", *near)
    people = shell.run(*command.split(), *near)
    assert (done.code, done.err) == (people.code, "") == (code, "")
    assert done.json == {"error": people.err.strip(), "exit_code": code}


def test_what_keeps_one_channel_from_its_value_is_part_of_its_json(shell: Shell) -> None:
    for command in (["get"], ["info"]):
        there, missing = shell.run(
            *command, "SIM:REC:Bo", "NO:SUCH", "--timeout", "1", "--json"
        ).json
        assert "error" not in there
        assert "NO:SUCH did not connect" in missing["error"]
    (clipped,) = shell.run("put", "SIM:REC:Ao", "50", "--json").json
    assert "the IOC has changed it" in clipped["error"]
    assert clipped["value"] == 10
