"""get, put, info and monitor against real IOCs."""

import json
import signal
import subprocess
import sys

import pytest
from cli_rig import COMMAND, Shell, until

from sim_iocs.fleet import Fleet
from sim_iocs.testing import Client


def test_get_prints_a_line_a_channel_by_alias_or_pv_name(shell: Shell) -> None:
    done = shell.run("get", "stage.x", "SIM:SHUTTER:State", "SIM:REC:Ao")
    assert done.code == 0
    names = [line.split()[0] for line in done.lines]
    assert names == ["stage.x", "SIM:SHUTTER:State", "SIM:REC:Ao"]
    assert done.lines[0].endswith(" mm")
    assert not done.err


def test_get_of_one_that_is_not_there_names_it_and_still_prints_the_other(shell: Shell) -> None:
    done = shell.run("get", "SIM:REC:Bo", "NO:SUCH", "--timeout", "1")
    assert done.code == 1
    assert done.out.startswith("SIM:REC:Bo")
    assert "NO:SUCH did not connect within 1 s" in done.err
    assert not done.noise


def test_get_as_json_has_value_label_stamp_alarm_and_metadata(shell: Shell) -> None:
    state, position = shell.run("get", "shutter.state", "stage.x", "--json").json
    assert state["label"] == "Closed"
    assert state["pv"] == "SIM:SHUTTER:State"
    assert position["info"]["units"] == "mm"
    assert position["severity"] == "NO_ALARM"
    assert position["timestamp"] > 1e9


def test_long_text_is_text_unless_numbers_are_asked_for(shell: Shell) -> None:
    shell.run("put", "SIM:REC:Chars", "a text of more than the 39 bytes of a string")
    assert "39 bytes" in shell.run("get", "SIM:REC:Chars").out
    assert "[97 32 116" in shell.run("get", "SIM:REC:Chars", "--numbers").out


def test_put_takes_negative_numbers_labels_and_several_pairs(shell: Shell, client: Client) -> None:
    done = shell.run("put", "SIM:REC:LongOut", "-3", "SIM:REC:Mbbo", "High")
    assert done.code == 0
    assert [line.split()[1] for line in done.lines] == ["-3", "High"]
    assert shell.run("put", "SIM:REC:LongOut", "-0x2").code == 0
    assert client.get("SIM:REC:LongOut") == -2


def test_put_wait_returns_when_the_motor_stands(shell: Shell, client: Client) -> None:
    assert shell.run("put", "SIM:STAGE:Y", "-.5e0", "--wait").code == 0
    assert abs(client.get("SIM:STAGE:Y.RBV") + 0.5) < 0.01


def test_put_wait_that_takes_too_long_says_so(shell: Shell, client: Client) -> None:
    done = shell.run("put", "SIM:STAGE:Y", "9", "--wait", "--timeout", "0.5")
    assert done.code == 1
    assert "SIM:STAGE:Y" in done.err
    assert "0.5 s" in done.err
    client.put("SIM:STAGE:Y.STOP", 1)


def test_nothing_is_written_if_one_of_several_values_is_wrong(shell: Shell, client: Client) -> None:
    client.put("SIM:REC:LongOut", 5)
    done = shell.run("put", "SIM:REC:LongOut", "6", "SIM:REC:Mbbo", "Hihg")
    assert done.code == 1
    assert "0 Low, 1 Mid, 2 High" in done.err
    assert client.get("SIM:REC:LongOut") == 5


def test_a_put_that_the_ioc_refuses_fails(shell: Shell, client: Client) -> None:
    before = client.get("SIM:STAGE:Y")
    done = shell.run("put", "SIM:STAGE:Y", "11")
    assert done.code == 1
    limits = "SIM:STAGE:Y: 11 mm is outside its limits, -10 … 10 mm; refused by the IOC"
    assert done.err == f"{limits}; it holds {before:.4f} mm\n"
    assert shell.run("put", "SIM:STAGE:Y", "11", "--wait").err == done.err
    assert client.get("SIM:STAGE:Y") == before
    client.put("SIM:STAGE:Y", before)  # clears its alarm


def test_a_c_ioc_that_refuses_a_put_without_callback_is_told_of(
    shell: Shell, client: Client
) -> None:
    """libca's exception is the only word on it: the PV shows no alarm."""
    before = client.get("SIM:REC:Ao")
    client.put("SIM:REC:Ao.DISP", 1)  # as an operator's lock
    try:
        done = shell.run("put", "SIM:REC:Ao", "3")
    finally:
        client.put("SIM:REC:Ao.DISP", 0)
    assert done.code == 1
    assert done.err.startswith("SIM:REC:Ao: refused by the IOC: Channel write request failed")
    assert f"; it holds {before}" in done.err


@pytest.mark.parametrize("wait", [[], ["--wait"]])
def test_a_value_that_the_ioc_clips_is_told_as_such(
    shell: Shell, client: Client, wait: list[str]
) -> None:
    """A C IOC clamps to DRVL and DRVH, and reports success."""
    client.put("SIM:REC:Ao", 1)
    done = shell.run("put", "SIM:REC:Ao", "50", *wait)
    limits = "SIM:REC:Ao: 50 mm is outside its limits, 0 … 10 mm"
    assert done.code == 1
    assert done.err == f"{limits}; the IOC has changed it; it holds 10.000 mm\n"
    assert shell.run("put", "SIM:REC:Ao", "10", *wait).err == ""


def test_a_value_that_the_ioc_holds_otherwise_is_a_note(shell: Shell) -> None:
    done = shell.run("put", "SIM:STAGE:Y.STOP", "1", "SIM:REC:Ao.DESC", "nan")
    assert done.code == 0
    assert done.err == "SIM:STAGE:Y.STOP: 1 was put; it holds another value\n"
    assert [line.split()[1] for line in done.lines] == ["0", "nan"]


@pytest.mark.parametrize("command", [["get"], ["info"], ["monitor", "--count", "1"]])
def test_an_alias_that_there_is_not_is_told_before_anything_is_waited_for(
    shell: Shell, command: list[str]
) -> None:
    done = shell.run(*command, "SIM:REC:Ai", "stage.xrbv")
    assert (done.code, done.out) == (2, "")
    assert done.err == "unknown channel 'stage.xrbv'; did you mean 'stage.x_rbv'?\n"


def test_put_of_an_alias_that_there_is_not_and_a_channel_without_a_name_are_refused(
    shell: Shell,
) -> None:
    assert shell.run("put", "stage.xx", "1").code == 2
    assert "no PV name" in shell.run("get", "").err


def test_put_tells_a_wrong_option_from_a_negative_number(shell: Shell) -> None:
    done = shell.run("put", "SIM:REC:LongOut", "1", "--wiat")
    assert done.code == 2
    assert "--wiat" in done.err
    assert shell.run("put", "SIM:REC:LongOut").code == 2
    assert shell.run("put", "A:B", "1", "A:B", "2").code == 2


def test_info_tells_type_host_access_limits_and_labels(shell: Shell, fleet: Fleet) -> None:
    done = shell.run("info", "stage.x", "SIM:SHUTTER:State")
    assert done.code == 0
    assert done.lines[0] == "stage.x (SIM:STAGE:X)"
    for fact in ("DOUBLE", str(fleet["motor"].port), "read, write", "mm", "-10 … 10", "1 Open"):
        assert fact in done.out
    assert shell.run("info", "NO:SUCH", "--timeout", "0.5").code == 1


def test_monitor_prints_name_date_time_value_until_the_count(shell: Shell) -> None:
    done = shell.run("monitor", "temp.readback", "--count", "3")
    assert done.code == 0
    assert len(done.lines) == 3
    name, date, time, value, units = done.lines[0].split()
    assert (name, units) == ("temp.readback", "degC")
    assert date.count("-") == 2
    assert time.count(":") == 2
    assert float(value) > 0


def test_monitor_as_json_is_a_line_an_update_and_ctrl_c_ends_it_with_3(shell: Shell) -> None:
    running = shell.start("monitor", "temp.readback", "--json")
    until(lambda: running.out.count("\n") >= 2)  # flushed line by line
    running.interrupt()
    done = running.finish()
    assert done.code == 3
    assert json.loads(done.lines[0])["severity"] == "NO_ALARM"
    assert not done.err


def test_monitor_tells_of_a_loss(shell: Shell) -> None:
    with Fleet(["random_walk"]) as own:
        shell.env |= own.env
        running = shell.start("monitor", "SIM:WALK:Value")
        running.until_says("SIM:WALK:Value")
        own["random_walk"].kill()
        running.until_says("*** disconnected")
        running.interrupt(signal.SIGTERM)
        assert not running.finish().noise


def test_monitor_says_that_a_pv_is_not_there(shell: Shell) -> None:
    shell.write("own.toml", "[ca]\nconnect_timeout = 0.5\n")
    running = shell.start("monitor", "NO:SUCH", "--config", "own.toml")
    running.until_says("*** disconnected")
    running.interrupt()
    assert running.finish().code == 3


def test_a_reader_that_goes_away_is_no_error(shell: Shell) -> None:
    errors = shell.folder / "err"
    with (
        errors.open("w") as err,
        subprocess.Popen(
            [*COMMAND, "monitor", "SIM:TEMP:Readback"],
            env=shell.env,
            stdout=subprocess.PIPE,
            stderr=err,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"SIM:TEMP:Readback")
        process.stdout.close()
        assert process.wait(10) == 0
    assert not errors.read_text()


def test_a_configuration_with_a_mistake_is_an_error_that_names_file_and_key(shell: Shell) -> None:
    shell.write("bad.toml", "[server]\nprot = 5064\n")
    done = shell.run("get", "A:B", "--config", "bad.toml")
    assert done.code == 2
    assert "bad.toml" in done.err
    assert "'port'" in done.err


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "sys.argv = ['orchestrator', '--help']\n"
        "from orchestrator.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'caproto', 'aioca', 'numpy', 'pydantic', 'structlog', 'asyncio'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "local.check",
        "remote.follow",
        "remote.get_and_put",
        "remote.show_status",
        "remote.run_commands",
        "remote.queue_commands",
    ],
)
def test_a_command_that_serves_nothing_imports_no_server(module: str) -> None:
    script = (
        f"import sys, orchestrator.cli.{module}\n"
        "sys.exit(' '.join({'caproto', 'orchestrator.service'} & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_names_what_there_is_and_nothing_that_is_not() -> None:
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True)
    there = "demo serve run check monitor get put info status pause resume stop abort skip sim"
    past = "history show compare export plot again recover finalise"
    around = "doctor notify screens"
    for command in (*there.split(), "submit", "queue", "schema", *past.split(), *around.split()):
        assert f" {command} " in done.stdout
    for later in ("web", "automation"):
        assert f"│ {later} " not in done.stdout


def test_a_name_that_is_not_found_is_told_with_the_alias_that_is_near(shell: Shell) -> None:
    for asked, near in {
        "x": "stage.x",
        "det_counts": "det.counts",
        "SIM:STAGE:XX": "SIM:STAGE:X",
    }.items():
        done = shell.run("get", asked, "--timeout", "0.5")
        assert done.code == 1
        assert f"did not connect within 0.5 s; did you mean '{near}'?" in done.err
