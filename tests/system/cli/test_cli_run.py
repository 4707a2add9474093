"""run, embedded: outcomes, exit codes, and what is said of each kind of mistake."""

import signal
import subprocess
from importlib.metadata import version

import pytest
from cli_rig import COMMAND, Shell

from sim_iocs.testing import Client, until

TARGET = 7.375
"""Where no other test of the session sends the motor."""
MOVE = f"  - set: {{pv: stage.x, value: {TARGET}, timeout: 20}}\n"
"""A step in front of each mistake: it must not have run."""

MISTAKES = {
    "words": (
        "steps:\n" + MOVE + "  - sett: {pv: stage.x, value: 1}\n"
        "  - set: {pv: stage.x, value: 1, redback: stage.x_rbv}\n"
        "  - set: {pv: stage.x, value: 2, timeout: soon}\n",
        {
            "seq.yaml:3:5: ": "'sett'; did you mean 'set'?",
            "seq.yaml:4:34: ": "'redback'; did you mean 'readback'?",
            "seq.yaml:5:43: ": "expected a number",
        },
    ),
    "names": (
        "steps:\n" + MOVE + "  - set: {pv: stage.xx, value: 1}\n"
        "  - let: {a: \"peek(data('det.counts'))\"}\n",
        {
            "seq.yaml:3:15: ": "'stage.xx'; did you mean 'stage.x'?",
            "seq.yaml:4:": "'peek'; did you mean 'peak'?",
        },
    ),
    "values": (
        "steps:\n" + MOVE + "  - set: {pv: shutter.state, value: Opne}\n"
        "  - set: {pv: stage.x, value: 11}\n",
        {
            "seq.yaml:3:5: ": "0 = Closed, 1 = Open",
            "seq.yaml:4:5: ": "11 mm is outside its limits, -10 … 10 mm",
        },
    ),
    "broken in line 7": (
        "name: broken\nsteps:\n" + MOVE + "  - log: a\n  - log: b\n  - log: c\n"
        "  - set: {pv: stage.x value: 2}\n  - log: e\n",
        {"seq.yaml:7:": "a ',' or the closing bracket is missing"},
    ),
    "duplicate key": (
        "steps:\n" + MOVE + "  - set: {pv: stage.x, value: 2, value: 3}\n",
        {"seq.yaml:3:34: ": "'value' stands here twice"},
    ),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_are_told_with_their_places_and_remedies_and_nothing_moves(
    shell: Shell, client: Client, kind: str
) -> None:
    text, told = MISTAKES[kind]
    shell.write("seq.yaml", text)
    done = shell.run("run", "seq.yaml")
    assert done.code == 2
    for line, (place, remedy) in zip(done.err.splitlines(), told.items(), strict=True):
        assert line.startswith(place)
        assert remedy in line
    assert not done.noise
    assert client.get("SIM:STAGE:X") != TARGET


def test_an_ioc_that_is_not_there_is_exit_code_4_and_nothing_moves(
    shell: Shell, client: Client
) -> None:
    text = (shell.folder / "orchestrator.toml").read_text()
    shell.write("orchestrator.toml", text + "\n[ca]\nconnect_timeout = 1\n")
    shell.write("seq.yaml", "steps:\n" + MOVE + "  - set: {pv: 'NO:SUCH', value: 1}\n")
    done = shell.run("run", "seq.yaml")
    assert done.code == 4
    assert "not connected within 1 s: NO:SUCH" in done.err
    assert not done.noise
    assert client.get("SIM:STAGE:X") != TARGET


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["nofile.yaml"], "can't read the sequence nofile.yaml"),
        (["sqe.yaml"], "No such file or directory; did you mean 'seq.yaml'?"),
        (["seq.yaml", "--points", "5"], "a parameter is written points=5"),
        (["seq.yaml", "--points=5"], "a parameter is written points=5"),
        (["nosuch"], "no sequence 'nosuch'"),
        (["seq.yaml", "pionts=3"], "did you mean 'points'?"),
        (["seq.yaml", "points=many"], "takes a whole number"),
        (["seq.yaml", "points"], "NAME=VALUE"),
        (["seq.yaml", "--config", "no.toml"], "no.toml"),
        (["nosuch", "--config", "empty.toml"], "empty.toml names no [sequences] directory"),
        ([], "SEQUENCE"),
        (["seq.yaml", "--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_is_wrong(
    shell: Shell, args: list[str], told: str
) -> None:
    shell.write(
        "seq.yaml", "parameters: {points: {default: 1, type: int}}\nsteps: [{log: hello}]\n"
    )
    shell.write("empty.toml", "")
    done = shell.run("run", *args)
    assert done.code == 2
    assert told in done.err
    assert not done.noise
    assert not (shell.folder / "runs").exists()


def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    done = shell.run("--version")
    assert (done.code, done.out) == (0, f"orchestrator {version('ioc-orchestrator')}\n")


def test_a_prefix_that_the_configuration_would_refuse_is_refused_as_an_option(shell: Shell) -> None:
    done = shell.run("serve", "--prefix", "X.Y:", "--port", "0")
    assert done.code == 2
    assert "--prefix: 'X.Y:' has a dot in it" in done.err


def test_a_run_tells_its_progress_its_outcome_and_its_file(shell: Shell) -> None:
    shell.write(
        "seq.yaml",
        "parameters: {a: 1}\nsteps:\n  - log: a is $(a)\n  - sample: [stage.x_rbv, SIM:REC:Ao]\n",
    )
    done = shell.run("run", "seq.yaml", "a=-2.5")
    assert done.code == 0
    assert "a is -2.5" in done.out
    assert "outcome: Success" in done.out
    assert not done.err
    data = next(line for line in done.lines if line.startswith("data: "))
    file = shell.folder / data.split()[1]
    header, row = file.with_suffix(".csv").read_text().splitlines()
    assert ",stage.x_rbv," in header
    assert row.startswith("0,steps[1]")


def test_the_outcome_as_json_is_all_of_stdout(shell: Shell) -> None:
    shell.write("seq.yaml", "steps: [{log: hello}, {wait: {until: rec.ao > 1e6, timeout: 0.1}}]\n")
    done = shell.run("run", "seq.yaml", "--json")
    assert done.code == 1
    assert done.json["status"] == "Timeout"
    assert done.json["exit_code"] == 1
    assert "steps[1]" in done.json["message"]
    assert done.json["name"] == "seq"


def test_a_file_that_is_refused_is_an_outcome_as_json_too(shell: Shell) -> None:
    """A program that reads the outcome of a run must not have to read stderr for some of them."""
    shell.write("seq.yaml", "steps:\n  - sett: {pv: stage.x, value: 1}\n  - lgo: hello\n")
    shell.write("live.yaml", "steps: [{set: {pv: stage.x, value: 1000}}]\n")
    here = shell.run("run", "seq.yaml", "--json")
    there = shell.run("run", "seq.yaml", "--json", "--server", "T:")
    found = shell.run("run", "live.yaml", "--json")
    for done in (here, there):
        assert (done.code, done.err) == (2, "")
        assert done.json["message"].splitlines() == [
            "seq.yaml:2:5: steps[0]: unknown step 'sett'; did you mean 'set'?",
            "seq.yaml:3:5: steps[1]: unknown step 'lgo'; did you mean 'log'?",
        ]
        assert (found.code, found.json["status"]) == (2, done.json["status"])
        assert found.json.keys() == done.json.keys()


def test_a_service_that_is_not_there_is_an_outcome_as_json_too(shell: Shell) -> None:
    shell.write("seq.yaml", "steps: [log: hello]\n")
    shell.write("near.toml", "[ca]\nconnect_timeout = 0.2\n")
    told = ["--server", "NO:", "--config", "near.toml", "--json"]
    done = shell.run("run", "seq.yaml", *told)
    assert (done.code, done.err, done.json["exit_code"]) == (4, "", 4)
    assert "no service NO:" in done.json["message"]


def test_a_failed_run_is_exit_code_1_and_its_finalisers_ran(shell: Shell, client: Client) -> None:
    shell.write(
        "seq.yaml",
        "steps:\n  - wait: {pv: SIM:REC:Bo, equals: 'On', timeout: 0.2}\n"
        "finally:\n  - set: {pv: 'SIM:REC:LongOut', value: 77}\n",
    )
    client.put("SIM:REC:Bo", "Off")
    client.put("SIM:REC:LongOut", 0)
    done = shell.run("run", "seq.yaml")
    assert done.code == 1
    assert "outcome: Timeout" in done.err
    assert "seq.yaml:2:5: steps[0]" in done.err
    assert client.get("SIM:REC:LongOut") == 77


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")],
)
def test_a_signal_aborts_and_the_finalisers_run(
    shell: Shell, client: Client, number: int, name: str
) -> None:
    shell.write(
        "seq.yaml",
        "steps:\n  - log: waiting\n  - delay: 60\n"
        "finally:\n  - set: {pv: 'SIM:REC:LongOut', value: 78}\n",
    )
    client.put("SIM:REC:LongOut", 0)
    running = shell.start("run", "seq.yaml")
    running.until_says("waiting")
    running.interrupt(number)
    done = running.finish(10)
    assert done.code == 3
    assert "outcome: Aborted" in done.err
    assert f"aborted: {name}" in done.err
    assert "finalisers run" in done.out
    assert not done.noise
    assert client.get("SIM:REC:LongOut") == 78


def test_a_signal_at_a_question_puts_nothing(shell: Shell, client: Client) -> None:
    shell.write(
        "seq.yaml",
        "steps:\n  - ask: Is the sample in?\n  - set: {pv: 'SIM:REC:LongOut', value: 79}\n",
    )
    client.put("SIM:REC:LongOut", 5)
    running = shell.start("run", "seq.yaml")
    running.until_says("Is the sample in?")
    running.interrupt()
    done = running.finish(10)
    assert (done.code, client.get("SIM:REC:LongOut")) == (3, 5)


def test_further_signals_drop_even_the_finalisers(shell: Shell) -> None:
    shell.write("seq.yaml", "steps:\n  - log: waiting\n  - delay: 60\nfinally:\n  - delay: 60\n")
    running = shell.start("run", "seq.yaml")
    running.until_says("waiting")
    for told in ("finalisers run", "giving up", "dropping"):
        running.interrupt()
        running.until_says(told)
    done = running.finish(10)
    assert done.code == 3
    assert "the finalisers were dropped" in done.err


def test_check_offline_tells_what_a_sequence_would_use_and_all_findings(shell: Shell) -> None:
    shell.write("seq.yaml", "steps:\n  - set: {pv: stage.x, value: 1}\n  - sample: [det.counts]\n")
    done = shell.run("check", "--offline", "seq.yaml")
    assert done.code == 0
    assert done.lines[0].startswith("OK")
    assert "writes: stage.x" in done.lines
    assert "reads: det.counts" in done.lines
    shell.write(
        "seq.yaml", "steps:\n  - set: {pv: stage.xx, value: 1}\n  - sample: [dett.counts]\n"
    )
    done = shell.run("check", "--offline", "seq.yaml")
    assert done.code == 2
    assert [line.split(" ")[0] for line in done.err.splitlines()] == [
        "seq.yaml:2:15:",
        "seq.yaml:3:14:",
    ]


def test_a_traceback_is_shown_with_v(shell: Shell) -> None:
    assert "Traceback" in shell.run("run", "nofile.yaml", "-v").err


def test_a_run_whose_display_nobody_reads_goes_on(shell: Shell, client: Client) -> None:
    """A terminal stopped by Ctrl-S: its log, its messages, and what it does are no business of it.

    The whole of it comes when somebody reads again.
    """
    lines = f"- loop: {{count: 200}}\n  do: [{{log: {'x' * 4000}}}]\n"
    shell.write("seq.yaml", f"steps:\n{lines}- set: {{pv: stage.x, value: 2.5, timeout: 60}}\n")
    client.put("SIM:STAGE:X", 0)
    command = [*COMMAND, "run", "seq.yaml"]
    with subprocess.Popen(
        command, env=shell.env, cwd=shell.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        until(lambda: client.get("SIM:STAGE:X") == 2.5, 60)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.decode().count("x" * 4000) == 200
