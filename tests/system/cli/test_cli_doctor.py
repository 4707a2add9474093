"""`doctor` against real IOCs, and against what is there instead of them."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from cli_rig import Shell

from sim_iocs.fleet import Fleet
from sim_iocs.free_ports import PortHold


def symptoms(shell: Shell, config: str, code: int) -> dict[str, list[dict[str, Any]]]:
    """What it tells, by what it is about."""
    shell.write("looked-at.toml", config)
    done = shell.run("doctor", "--json", "--config", "looked-at.toml")
    assert done.code == code, done.out + done.err
    assert not done.noise
    found: dict[str, list[dict[str, Any]]] = {}
    for each in done.json["symptoms"]:
        found.setdefault(each["about"], []).append(each)
    return found


@contextmanager
def silent() -> Iterator[str]:
    """A port that neither accepts nor refuses: its backlog is full."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield f"127.0.0.1:{full.getsockname()[1]}"


GOOD = """\
prefix = "D:"
server = { port = PORT, interfaces = ["127.0.0.1"] }
[chain.stage]
prefix = "SIM:STAGE:"
channels.x = "X"
channels.x_rbv = "X.RBV"
"""


def test_all_is_well_where_it_is(shell: Shell) -> None:
    with closing(PortHold()) as hold:
        shell.write("good.toml", GOOD.replace("PORT", f"{hold.port}"))
        done = shell.run("doctor", "--config", "good.toml")
    assert done.code == 0, done.out
    assert done.lines[-1] == "all well"
    assert any(line.endswith("chain.stage: all 2 channels are connected") for line in done.lines)
    served = f"port {hold.port} of 127.0.0.1 can be served"
    assert any(line.endswith(served) for line in done.lines)
    assert "127.0.0.1" in next(line for line in done.lines if " search: " in line)


def test_each_iocs_silence_is_told_apart(shell: Shell) -> None:
    there = shell.env["EPICS_CA_ADDR_LIST"].split()[0]
    with silent() as full, closing(PortHold()) as nobody, closing(PortHold()) as hold:
        found = symptoms(
            shell,
            f"""{GOOD.replace("PORT", f"{hold.port}")}channels.none = "NoSuch"
[ca]
connect_timeout = 1.5
[chain.unheard]
prefix = "SIM:UNHEARD:"
channels.a = "A"
[chain.full]
prefix = "SIM:FULL:"
address = "{full}"
channels.a = "A"
[chain.stopped]
prefix = "SIM:STOPPED:"
address = "127.0.0.1:{nobody.port}"
channels.a = "A"
[chain.misspelt]
prefix = "SIM:STAG:"
address = "{there}"
channels.a = "X"
""",
            1,
        )
    told = {about: each[0]["text"] for about, each in found.items()}
    assert (
        told["chain.stage"] == "SIM:STAGE:NoSuch is not found, the other 2 channels are connected"
    )
    assert told["chain.unheard"] == "no answer to any search for SIM:UNHEARD:A or others"
    assert told["chain.full"] == f"silence at {full}: neither accepted nor refused"
    assert told["chain.stopped"].endswith(f"nothing listens at 127.0.0.1:{nobody.port}")
    assert told["chain.misspelt"].startswith(f"a server listens at {there}, and answers no search")
    assert "EPICS_CA_NAME_SERVERS" in found["chain.misspelt"][0]["remedy"]
    assert all(each[0]["remedy"] for about, each in found.items() if about.startswith("chain."))


def test_a_pv_on_two_servers_is_told_with_both(shell: Shell) -> None:
    with Fleet(["shutter"]) as other, closing(PortHold()) as hold:
        shell.env["EPICS_CA_ADDR_LIST"] += f" {other.env['EPICS_CA_ADDR_LIST']}"
        config = GOOD.replace("PORT", f"{hold.port}")
        found = symptoms(
            shell,
            f'{config}[chain.shutter]\nprefix = "SIM:SHUTTER:"\nchannels.state = "State"\n',
            1,
        )
    (doubled,) = found["shutter.state"]
    assert len(set(re.findall(r":(\d+)", doubled["text"]))) == 2, doubled["text"]
    assert doubled["grade"] == "error"
    assert found["chain.stage"][0]["grade"] == "ok"


def test_what_this_host_lacks_is_told_before_anything_is_started(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        shell.env["EPICS_CA_ADDR_LIST"] += " no-such-host.invalid"
        found = symptoms(
            shell,
            f"""server = {{ port = {port}, interfaces = ["127.0.0.1"] }}
store = {{ directory = "/proc/runs" }}
[http]
port = {port}
[schedule.night]
sequence = "nine"
every = 3600
""",
            1,
        )
    assert "in use on 127.0.0.1" in found["server"][0]["text"]
    assert f"port {port} of 127.0.0.1" in found["http"][0]["text"]
    assert "/proc" in found["store"][0]["text"]
    assert found["search"][0]["text"] == "no-such-host.invalid: no host of this name is known"
    (schedule,) = (each for about, each in found.items() if "looked-at.toml:" in about)
    assert "there is no sequence 'nine'" in schedule[0]["text"]
    assert found["chain"][0]["grade"] == "warning"


def test_a_configuration_that_is_wrong_is_an_error_of_its_own(shell: Shell) -> None:
    shell.write("wrong.toml", "prefix = 5\n")
    done = shell.run("doctor", "--json", "--config", "wrong.toml")
    assert done.code == 2
    assert "prefix" in done.json["error"]
