"""check against live IOCs: what it finds, that it writes nothing; and schema."""

from pathlib import Path

from cli_rig import Shell, serving

import orchestrator.verbs  # noqa: F401 - by this the verbs are known
from orchestrator.language.text.schema import json_schema
from sim_iocs.fleet import Fleet, Member
from sim_iocs.testing import Client

SCAN = """\
parameters: {stop: 1.0}
steps:
  - loop: {pv: stage.x, from: -1, to: $(stop), num: 5, readback: stage.x_rbv, tolerance: 0.01}
    do:
      - delay: 0.5
      - sample: [det.counts]
finally:
  - set: {pv: shutter.state, value: Closed}
"""


def written(client: Client, *pvs: str) -> list[object]:
    """Values with their time stamps: a put, of the same value too, makes a new one."""
    readings = map(client.reading, pvs)
    return [(reading["value"], reading["timestamp"]) for reading in readings]


def test_a_sequence_that_can_run_is_told_with_its_duration_and_nothing_is_written(
    shell: Shell, client: Client
) -> None:
    shell.write("scan.yaml", SCAN)
    pvs = ("SIM:STAGE:X", "SIM:SHUTTER:State", "SIM:STAGE:Y")
    before = written(client, *pvs)
    done = shell.run("check", "scan.yaml", "--speed", "stage.x=0.5")
    assert done.code == 0, done.err
    assert done.lines[0].startswith("OK")
    assert "writes: shutter.state, stage.x" in done.lines
    assert not done.noise
    assert written(client, *pvs) == before
    facts = shell.run("check", "scan.yaml", "--speed", "stage.x=0.5", "--json").json
    start = client.get("SIM:STAGE:X")
    assert facts["ok"]
    assert facts["seconds"] == round(2.5 + (abs(start + 1) + 2) / 0.5, 3)


def test_limits_of_all_points_labels_and_write_access_are_findings_with_their_lines(
    shell: Shell,
) -> None:
    shell.write(
        "wrong.yaml",
        "parameters: {stop: 1.0}\n"
        "steps:\n"
        "  - loop: {pv: stage.x, from: 0, to: $(stop), num: 5}\n"
        "    do:\n"
        "      - set: {pv: stage.y, value: '=stop * 1000'}\n"
        "  - set: {pv: shutter.state, value: Opne}\n"
        "  - wait: {pv: shutter.state_rbv, equals: Shut, timeout: 5}\n"
        "  - parallel:\n"
        "      - set: {pv: rec.ao, value: 1}\n"
        "      - set: {pv: rec.ao, value: 0}\n",
    )
    done = shell.run("check", "wrong.yaml", "stop=400")
    assert done.code == 2
    assert done.out == ""
    lines = done.err.splitlines()
    assert {line.split(":")[1] for line in lines} == {"3", "5", "6", "7", "10"}
    assert all(word in done.err for word in ("limits", "Closed", "two branches"))
    assert not done.noise


def test_readbacks_that_do_not_agree_with_their_setpoints_now_are_warnings(
    shell: Shell, client: Client
) -> None:
    for pv, value in {"SIM:STAGE:X": 1.5, "SIM:STAGE:Y": -1, "SIM:REC:Ao": 4}.items():
        client.put(pv, value)
    shell.write(
        "seq.yaml",
        "steps:\n"
        "  - set: {pv: stage.x, value: 1, readback: stage.x_rbv, tolerance: 0.01}\n"
        "  - set: {pv: stage.y, value: 1, readback: stage.x_rbv, tolerance: 0.01}\n"
        "  - loop: {pv: stage.y, values: [1, 2], readback: stage.x_rbv, tolerance: 0.01}\n"
        "    do: [{set: {pv: stage.y, value: 3, readback: stage.x_rbv, tolerance: 0.01}}]\n"
        "  - set: {pv: temp.setpoint, value: 30, readback: stage.x_rbv, tolerance: 0.01}\n"
        "  - set: {pv: rec.ao, value: 1, readback: rec.calc, readback_value: 2}\n",
    )
    done = shell.run("check", "seq.yaml")
    assert done.code == 0
    warnings = [
        line for line in (done.out + done.err).splitlines() if "readback stage.x_rbv" in line
    ]
    assert [line.split(":")[1] for line in warnings] == ["3", "6"]  # each pair once
    assert "stage.y is at -1 mm, but its readback stage.x_rbv is at 1.5 mm" in warnings[0]
    assert "temp.setpoint is in degC, its readback stage.x_rbv in mm" in warnings[1]


def test_what_the_configuration_or_the_ioc_does_not_let_write_is_a_finding(shell: Shell) -> None:
    shell.write("seq.yaml", "steps: [{set: {pv: shutter.state_rbv, value: 1}}]\n")
    done = shell.run("check", "seq.yaml", "--json")
    assert done.code == 2
    assert done.json["exit_code"] == 2
    assert "write = false" in done.json["findings"][0]["text"]
    assert done.json["findings"][0]["where"] == "seq.yaml:1:9"


def test_channels_that_are_not_there_are_exit_code_4_beside_what_else_is_found(
    shell: Shell,
) -> None:
    config = (shell.folder / "orchestrator.toml").read_text()
    shell.write("orchestrator.toml", f"{config}\n[ca]\nconnect_timeout = 0.5\n")
    shell.write(
        "seq.yaml",
        "steps:\n  - set: {pv: 'NO:SUCH', value: 1}\n  - set: {pv: stage.x, value: 5000}\n",
    )
    done = shell.run("check", "seq.yaml")
    assert done.code == 4
    assert "not connected within 0.5 s: NO:SUCH" in done.err
    assert "seq.yaml:3:" in done.err
    assert not done.noise


def test_a_warning_does_not_change_the_exit_code(shell: Shell) -> None:
    shell.write("seq.yaml", "steps:\n  - if: 'false'\n    then: [{log: never}]\n")
    done = shell.run("check", "seq.yaml")
    assert done.code == 0
    assert "seq.yaml:3:" in done.err
    assert "never reached" in done.err


def test_a_suspender_without_its_channel_is_a_warning(shell: Shell) -> None:
    config = (shell.folder / "orchestrator.toml").read_text()
    more = "[ca]\nconnect_timeout = 0.5\n[suspend.beam]\nwhen = \"pv('NO:BEAM') < 1\"\n"
    shell.write("orchestrator.toml", f"{config}\n{more}")
    shell.write("seq.yaml", "steps: [{log: hello}]\n")
    done = shell.run("check", "seq.yaml")
    assert done.code == 0
    assert "suspend.beam: NO:BEAM: not connected" in done.err


def test_comparisons_of_an_enum_with_no_label_of_it_are_findings(shell: Shell) -> None:
    config = (shell.folder / "orchestrator.toml").read_text()
    more = "[suspend.beam]\nwhen = \"shutter.state == 'Shutt'\"\n"
    shell.write("orchestrator.toml", f"{config}\n{more}")
    shell.write("seq.yaml", "steps:\n  - wait: {until: shutter.state == 'Opne', timeout: 5}\n")
    done = shell.run("check", "seq.yaml")
    assert done.code == 2
    assert "seq.yaml:2:5: steps[0]" in done.err
    assert "the text 'Opne' is none of the labels of shutter.state" in done.err
    assert "suspend.beam: `shutter.state == 'Shutt'`: the text 'Shutt' is none" in done.err


PLANS = """\
from orchestrator import Run, sequence

@sequence
async def visit(run: Run, to: float = 400, seen: bool = False) -> None:
    await run.set("stage.x", to)
    run.set("shutter.state", "Opne")
    await run.set("NO:SUCH", 1)
    if seen:
        await run.sample("NO:SUCH:EITHER")
    await run.set("stage.y", len("abc"))

@sequence
async def home(run: Run) -> None:
    await run.set("stage.x", 0, readback="stage.x_rbv", tolerance=0.01)
"""


def test_of_a_python_sequence_that_is_checked_which_its_source_says_and_a_broken_module_is_told(
    shell: Shell,
) -> None:
    config = (shell.folder / "orchestrator.toml").read_text()
    config = config.replace('python = ["plans"]', 'python = ["plans", "broken", "own_plans"]')
    shell.write("orchestrator.toml", f"{config}\n[ca]\nconnect_timeout = 0.5\n")
    shell.write("own_plans.py", PLANS)
    shell.write("broken.py", "import os\nprint(1 / 0)\n")
    done = shell.run("check", "visit")
    assert done.code == 4
    file = shell.folder / "own_plans.py"
    assert f"{file}:5: set stage.x: 400 mm is outside its limits" in done.err
    assert f"{file}:6: run.set is not awaited" in done.err
    assert f"{file}:6: set shutter.state: the text 'Opne' is none of" in done.err
    assert "not connected within 0.5 s: NO:SUCH;" in done.err
    assert "not connected within 0.5 s: NO:SUCH:EITHER;" in done.err
    broken = f"broken can't be imported: {shell.folder / 'broken.py'}:2: ZeroDivisionError"
    assert broken in done.err
    assert not done.noise
    told = shell.run("check", "--offline", "visit", "--json").json
    assert told["not_seen"] == [f"{file}:10: run.set: value"]
    assert told["writes"] == ["NO:SUCH", "shutter.state", "stage.x", "stage.y"]
    done = shell.run("check", "home")
    assert (done.code, done.lines[0]) == (0, "OK: home")
    assert broken in done.err
    done = shell.run("run", "slw")
    assert done.code == 2
    assert broken in done.err


def test_a_pv_on_two_servers_is_a_finding(tmp_path: Path) -> None:
    with Fleet([Member("motor", "one", "TWO:")]) as one, Fleet([Member("motor", "b", "TWO:")]) as b:
        addresses = f"{one['one'].address} {b['b'].address}"
        shell = Shell({**one.env, "EPICS_CA_ADDR_LIST": addresses}, tmp_path)
        shell.write("seq.yaml", "steps:\n  - set: {pv: 'TWO:X', value: 1}\n")
        done = shell.run("check", "seq.yaml")
        shell.close()
    assert done.code == 2
    assert "seq.yaml:2:" in done.err
    assert "two servers have the PV TWO:X" in done.err
    assert str(one["one"].port) in done.err
    assert str(b["b"].port) in done.err
    assert not done.noise


def test_no_run_writes_a_pv_that_two_servers_have(tmp_path: Path) -> None:
    """One by itself, and one of a service, which does once the second is gone."""
    with Fleet([Member("motor", "one", "TWO:")]) as one, Fleet([Member("motor", "b", "TWO:")]) as b:
        first, second = one["one"], b["b"]
        env = {**one.env, "EPICS_CA_ADDR_LIST": f"{first.address} {second.address}"}
        shell = Shell(env, tmp_path)
        shell.write("seq.yaml", "steps:\n  - set: {pv: 'TWO:X', value: 1}\n")
        done = shell.run("run", "seq.yaml")
        assert done.code == 2
        for told in ("seq.yaml:2:", "TWO:X", str(first.port), str(second.port)):
            assert told in done.err
        with serving(shell) as served:
            done = served.run("run", "seq.yaml", "--server", "T:")
            assert done.code == 2
            assert served.get("STATUS") == "Failed"
            for told in ("TWO:X", str(first.port), str(second.port)):
                assert told in served.get("message")
            for address in (first.address, second.address):
                with Client({**env, "EPICS_CA_ADDR_LIST": address}) as client:
                    assert client.get("TWO:X") == 0
            ignored = served.get("message").partition(" and ")[2]
            (second if f":{second.port};" in ignored else first).kill()
            done = served.run("run", "seq.yaml", "--server", "T:")
            assert done.code == 0, done.err
        shell.close()


def test_a_speed_that_is_none_is_told(shell: Shell) -> None:
    shell.write("seq.yaml", "steps: [{log: hello}]\n")
    for speed, told in {
        "stage.x": "CHANNEL=",
        "stage.x=0": "CHANNEL=",
        "stage.xx=1": "stage.x",
    }.items():
        done = shell.run("check", "--offline", "seq.yaml", "--speed", speed)
        assert done.code == 2
        assert told in done.err


def test_an_invalid_file_is_json_too(shell: Shell) -> None:
    shell.write("seq.yaml", "steps:\n  - sett: {pv: stage.x, value: 1}\n")
    done = shell.run("check", "seq.yaml", "--json")
    assert done.code == 2
    assert "did you mean 'set'?" in done.json["findings"][0]["text"]


def test_schema_is_that_of_the_language(shell: Shell) -> None:
    done = shell.run("schema")
    assert done.code == 0
    assert done.json == json_schema()
