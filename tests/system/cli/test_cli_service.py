"""serve, and the commands that talk to it: status, run --server, pause and the others."""

import json
import signal

import pytest
from cli_rig import QUICK, Served, Shell

from sim_iocs.fleet import Fleet


def test_serve_says_where_in_json_lines_and_lists_its_pvs(served: Served) -> None:
    line = json.loads(served.service.err.splitlines()[0])
    assert (line["event"], line["prefix"]) == ("serving", "T:")
    assert "T:CMD" in served.service.out.splitlines()


def test_what_a_control_prints_is_not_what_was_told_before(served: Served) -> None:
    served.begin("run slow")
    done = served.run("pause", "--server", "T:")
    assert done.code == 0
    assert "waiting" not in done.out
    served.ask("abort")


def test_a_named_sequence_runs_there_and_is_followed(served: Served) -> None:
    done = served.run("run", "quick", "a=-7", "--server", "T:")
    assert done.code == 0, done.err
    assert "outcome: Success" in done.out
    assert "3 steps" in done.out or "2 steps" in done.out
    assert not done.noise
    served.until_told("a is -7")
    served.until_told("run ended")


def test_a_file_of_ours_runs_there_with_its_arguments(served: Served) -> None:
    served.shell.write("own.yaml", QUICK)
    done = served.run("run", "own.yaml", "a=5", "--server", "T:", "--json")
    assert done.code == 0, done.err
    assert done.json["name"] == "own"
    assert served.get("RUN_NAME") == "own"
    assert served.get("STATUS") == "Success"


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("steps: [{wait: {pv: 'SIM:REC:Ao', above: 1e6, timeout: 0.2}}]\n", 1, "steps[0]"),
        ("steps: [{set: {pv: stage.xx, value: 1}}]\n", 2, "did you mean 'stage.x'?"),
        ("steps: [{set: {pv: shutter.state, value: Opne}}]\n", 2, "Closed"),
        ("steps: [{sett: {pv: stage.x, value: 1}}]\n", 2, "did you mean 'set'?"),
    ],
)
def test_the_exit_code_tells_how_a_run_there_ended(
    served: Served, text: str, code: int, told: str
) -> None:
    served.shell.write("own.yaml", text)
    done = served.run("run", "own.yaml", "--server", "T:")
    assert done.code == code
    assert told in done.err
    assert not done.noise


def test_an_unknown_name_is_refused_with_the_services_reason(served: Served) -> None:
    done = served.run("run", "quik", "--server", "T:")
    assert done.code == 2
    assert "did you mean 'quick'?" in done.err


def test_ctrl_c_aborts_that_run(served: Served) -> None:
    running = served.start("run", "slow", "--server", "T:")
    running.until_says("waiting")
    running.interrupt()
    done = running.finish(15)
    assert done.code == 3
    assert "aborted: Ctrl-C by" in done.err
    assert served.get("STATUS") == "Aborted"


def test_a_busy_service_says_with_what(served: Served) -> None:
    served.ask("run slow")
    done = served.run("run", "quick", "--server", "T:")
    assert done.code == 1
    assert "busy with slow" in done.err


def test_pause_resume_and_skip_do_what_they_say(served: Served) -> None:
    served.begin("run slow")
    assert served.run("pause", "--server", "T:").code == 0
    served.until("STATE", "Paused")
    assert served.run("resume", "--server", "T:").code == 0
    served.until("STATE", "Running")
    assert served.run("skip", "--server", "T:").code == 0
    served.until("BUSY", 0)
    assert served.get("STATUS") == "Success"


@pytest.mark.parametrize(
    ("verb", "reason", "told"),
    [("stop", [], "outcome: Stopped"), ("abort", ["too", "hot"], "too hot")],
)
def test_stop_and_abort_end_the_run_that_somebody_follows(
    served: Served, verb: str, reason: list[str], told: str
) -> None:
    running = served.start("run", "slow", "--server", "T:")
    running.until_says("waiting")
    assert served.run(verb, *reason, "--server", "T:").code == 0
    done = running.finish(15)
    assert done.code == 3
    assert told in done.err


@pytest.mark.parametrize("wait", [[], ["--wait"]])
@pytest.mark.parametrize(
    ("pv", "value", "told"),
    [
        ("CMD", "rnu slow", "unknown command 'rnu'; did you mean 'run'?"),
        ("CMD", "run slwo", "did you mean 'slow'?"),
        ("CMD", "answer", "nothing is asked"),
        ("Nested_Indices", "{stage", "Nested_Indices"),
    ],
)
def test_a_command_that_is_refused_is_told_by_put_with_the_reason(
    served: Served, pv: str, value: str, told: str, wait: list[str]
) -> None:
    done = served.run("put", f"T:{pv}", value, *wait)
    assert done.code == 1
    assert done.err.startswith(f"T:{pv}: ")
    assert told in done.err
    assert not done.noise


def test_put_of_start_tells_what_is_refused_and_with_wait_how_the_run_ends(served: Served) -> None:
    served.shell.write("sequences/fails.yaml", "steps: [{wait: {until: rec.ao > 1e6, timeout: 1}}]")
    assert served.run("put", "T:SEQ", "fails", "T:ARGS", "{}").code == 0
    failed = served.run("put", "T:START", "1", "--wait", "--timeout", "20")
    assert failed.code == 1
    assert failed.err.startswith("T:START: ")
    assert "steps[0]" in failed.err
    assert served.run("put", "T:SEQ", "slow").code == 0
    assert served.run("put", "T:START", "1").code == 0
    busy = served.run("put", "T:START", "1")
    assert busy.code == 1
    assert "slow is running" in busy.err
    assert served.run("put", "T:ABORT", "1").err == ""


def test_what_can_only_be_asked_of_a_run_says_that_there_is_none(served: Served) -> None:
    for verb, code in {"pause": 1, "resume": 1, "skip": 1, "stop": 0, "abort": 0}.items():
        done = served.run(verb, "--server", "T:")
        assert done.code == code
        assert "nothing is running" in done.err


def test_status_shows_the_run_and_follows_it(served: Served) -> None:
    watching = served.start("status", "--server", "T:", "--watch", "--json")
    watching.until_says('"Idle"')
    served.ask("run slow")
    watching.until_says("long delay")
    shown = served.run("status", "--server", "T:")
    assert shown.lines[0].startswith("T: Running slow")
    assert "channels:" in shown.out
    served.ask("abort")
    watching.until_says('"Aborted"')
    watching.interrupt()
    assert watching.finish().code == 3


def test_a_service_lost_during_the_run_is_a_failure(own_served: Served) -> None:
    running = own_served.start("run", "slow", "--server", "T:")
    running.until_says("waiting")
    own_served.service.interrupt(signal.SIGKILL)
    own_served.service.finish()
    done = running.finish(20)
    assert done.code == 1
    assert "T: was lost" in done.err


@pytest.mark.parametrize("command", [["status"], ["abort"], ["run", "quick"]])
def test_a_service_that_is_not_there_is_exit_code_4(shell: Shell, command: list[str]) -> None:
    shell.write("own.toml", "[ca]\nconnect_timeout = 0.5\n")
    done = shell.run(*command, "--server", "NO:", "--config", "own.toml")
    assert done.code == 4
    assert "no service NO: connected within 0.5 s" in done.err
    assert not done.noise


def test_serve_aborts_a_run_under_way_when_it_is_told_to_stop(own_served: Served) -> None:
    running = own_served.start("run", "slow", "--server", "T:")
    running.until_says("waiting")
    own_served.service.interrupt(signal.SIGTERM)
    done = running.finish(20)
    assert done.code == 3
    assert "the service ends" in done.err
    assert own_served.service.finish().code == 0


def test_a_port_that_is_taken_is_an_error_that_names_it(shell: Shell, fleet: Fleet) -> None:
    port = f"{fleet['motor'].port}"
    done = shell.run("serve", "--interfaces", "127.0.0.1", "--port", port)
    assert done.code == 2
    assert port in done.err
    assert not done.noise


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--interfaces", "somewhere"], "somewhere"),
        (["127.0.0.1"], "127.0.0.1"),
        (["--macro", "P"], "NAME=VALUE"),
        (["--config", "macro.toml"], "undefined macro '$(P)'"),
    ],
)
def test_serve_refuses_wrong_options(shell: Shell, args: list[str], told: str) -> None:
    shell.write("macro.toml", 'prefix = "$(P):"\n')
    done = shell.run("serve", *args)
    assert done.code == 2
    assert told in done.err


def test_serve_replaces_macros_and_takes_several_interfaces(shell: Shell) -> None:
    shell.write("macro.toml", 'prefix = "$(P):"\n')
    options = ["--config", "macro.toml", "--macro", "P=XF", "--port", "0"]
    service = shell.start("serve", *options, "--interfaces", "127.0.0.1", "127.0.0.2")
    service.until_says("serving")
    line = json.loads(service.err.splitlines()[0])
    assert line["prefix"] == "XF:"
    assert line["interfaces"] == ["127.0.0.1", "127.0.0.2"]
    service.interrupt(signal.SIGTERM)
    assert service.finish().code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_serve_runs_on_the_loop_that_is_chosen_and_ends_as_told(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, loop: str, number: signal.Signals
) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="there is none here")
    monkeypatch.setitem(shell.env, "ORCHESTRATOR_LOOP", loop)
    shell.write("empty.toml", 'prefix = "T:"\n')
    service = shell.start("serve", "--config", "empty.toml", "--port", "0")
    service.until_says("serving")
    assert json.loads(service.err.splitlines()[0])["loop"] == loop
    service.interrupt(number)
    done = service.finish()
    assert done.code == 0
    assert [json.loads(line)["event"] for line in done.err.splitlines()] == [
        "serving",
        "stopping",
        "stopped",
    ]


def test_a_prefix_that_is_probably_not_meant_is_warned_of(shell: Shell) -> None:
    file = shell.write("twice.toml", 'prefix = "SIM:"\n[chain.stage]\nprefix = "SIM:"\n')
    where = ["--interfaces", "127.0.0.1", "--port", "0", "--config", "twice.toml"]
    service = shell.start("serve", *where)
    service.until_says("serving")
    told = json.loads(service.err.splitlines()[0])
    assert "the prefix 'SIM:' is that of chain.stage too" in told["event"]
    assert told["at"] == f"{file.name}:1"
    service.interrupt()
    assert service.finish().code == 0


def test_serve_says_that_there_is_no_directory_of_sequences(shell: Shell) -> None:
    shell.write("lab.toml", '[sequences]\ndirectory = "nowhere"\n')
    where = ["--interfaces", "127.0.0.1", "--port", "0", "--prefix", "N:"]
    service = shell.start("serve", *where, "--config", "lab.toml")
    service.until_says("there is no directory of sequences")
    lines = [json.loads(line) for line in service.err.splitlines()]
    (told,) = [line for line in lines if line["level"] == "warning"]
    assert told["directory"] == "nowhere"
    assert "nowhere is no directory" in shell.run("check", "align", "--config", "lab.toml").err


def test_serve_refuses_a_loop_that_is_none(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shell.env, "ORCHESTRATOR_LOOP", "libev")
    done = shell.run("serve", "--port", "0")
    assert done.code == 2
    assert "ORCHESTRATOR_LOOP=libev: expected auto, uvloop, asyncio" in done.err
