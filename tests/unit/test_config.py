import re
from functools import partial
from pathlib import Path

import pytest

from orchestrator.config import (
    Config,
    NotifyConfig,
    NotifyRule,
    StopChannel,
    key_place,
    load_config,
    names_of,
    prefix_doubts,
)
from orchestrator.engine import registry_of
from orchestrator.errors import CheckError, InputError
from orchestrator.language.program.compiler import compile_suspenders
from orchestrator.types import NativeType

FULL = """
prefix = "BL:ORCH:"

[server]
port = 5065
interfaces = ["127.0.0.1"]

[ca]
connect_timeout = 2
auto_addr_list = false
max_array_bytes = 1_000_000

[limits]
circuits = 7
unread_bytes = 2_000_000

[chain.stage]
prefix = "$(P=SIM:)STAGE:"
address = "127.0.0.1:5164"
channels.x = "X"
channels."fine.x" = "FX"
channels.x_rbv = { pv = "X.RBV", buffer = 1000, keep_all = true }
channels.motor = { pv = "M1", stop = "M1.STOP" }
channels.lift = { pv = "M2", stop = { pv = "ALL:STOP", value = "Go" } }
channels.free = { pv = "M3", stop = false }
channels.gate = { pv = "GATE", write = false, monitor = false, mirror = false, text = true }
channels.wave = { pv = "ca://OTHER:WAVE", type = "double", count = 100 }

[sequences]
directory = "seq"

[access]
write = ["operator@console"]

[store]
directory = "data"
"""


def load(directory: Path, text: str, **macros: str) -> Config:
    file = directory / "orchestrator.toml"
    file.write_text(text)
    return load_config(file, macros)


def findings(directory: Path, text: str) -> list[str]:
    with pytest.raises(CheckError) as caught:
        load(directory, text)
    file = re.escape(str(directory / "orchestrator.toml"))
    placed = [re.fullmatch(rf"{file}:[1-9]\d*: (.*)", line) for line in caught.value.findings]
    assert all(placed), caught.value.findings
    return [line[1] for line in placed if line]


def test_everything_in_the_file_is_read(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)
    assert config.prefix == "BL:ORCH:"
    assert (config.server.port, config.server.interfaces) == (5065, ("127.0.0.1",))
    assert (config.ca.connect_timeout, config.ca.auto_addr_list) == (2.0, False)
    assert config.ca.max_array_bytes == 1_000_000
    assert (config.limits.circuits, config.limits.unread_bytes) == (7, 2_000_000)
    assert config.limits.puts == 1000
    assert config.write_access == ("operator@console",)
    assert config.chain["stage"].address == "127.0.0.1:5164"
    assert config.file == tmp_path / "orchestrator.toml"


def test_a_channel_is_its_name_or_a_table(tmp_path: Path) -> None:
    channels = load(tmp_path, FULL).channels
    x, rbv, gate = channels["stage.x"], channels["stage.x_rbv"], channels["stage.gate"]
    assert (x.pv, x.name, x.monitor, x.mirror, x.write) == (
        "SIM:STAGE:X", "stage.x", True, True, True,
    )  # fmt: skip
    assert (x.buffer, x.keep_all, x.text, x.stop, x.type) == (0, False, False, None, None)
    assert (rbv.pv, rbv.buffer, rbv.keep_all) == ("SIM:STAGE:X.RBV", 1000, True)
    assert (gate.write, gate.monitor, gate.mirror, gate.text) == (False, False, False, True)
    assert (channels["stage.wave"].type, channels["stage.wave"].count) == (NativeType.DOUBLE, 100)


def test_names_of_pvs_follow_the_prefix_unless_marked_as_full(tmp_path: Path) -> None:
    channels = load(tmp_path, FULL).channels
    assert channels["stage.wave"].pv == "OTHER:WAVE"
    assert channels["stage.motor"].stop == StopChannel("SIM:STAGE:M1.STOP", 1)
    assert channels["stage.lift"].stop == StopChannel("SIM:STAGE:ALL:STOP", "Go")
    assert (channels["stage.free"].stop, channels["stage.free"].stops) == (None, False)
    assert channels["stage.lift"].stops


def test_directories_are_beside_the_file(tmp_path: Path) -> None:
    config = load(tmp_path, FULL)
    assert config.sequences == tmp_path / "seq"
    assert config.store == tmp_path / "data"
    assert load(tmp_path, '[store]\ndirectory = "/var/runs"\n').store == Path("/var/runs")


def test_macros_stand_in_any_text(tmp_path: Path) -> None:
    assert load(tmp_path, FULL, P="XF:").channels["stage.x"].pv == "XF:STAGE:X"
    config = load(tmp_path, '[server]\ninterfaces = ["$(HOST)"]\n', HOST="10.0.0.1")
    assert config.server.interfaces == ("10.0.0.1",)


def test_a_macro_without_a_value_is_named(tmp_path: Path) -> None:
    [line] = findings(tmp_path, '[chain.a]\nprefix = "$(P)X"\n')
    assert line == "chain.a.prefix: undefined macro '$(P)'; give --macro P=…"


def test_the_names_for_sequences_come_from_the_config(tmp_path: Path) -> None:
    names = names_of(load(tmp_path, FULL))
    assert names.resolve("SIM:STAGE:X") == "stage.x"
    assert names.resolve("stage.fine.x") == "stage.fine.x"
    assert names.iocs == {"stage"}


def test_without_a_file_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(None) == Config()
    Path("orchestrator.toml").write_text('prefix = "A:"\n')
    assert load_config(None).prefix == "A:"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('prefx = "A:"', "unknown key 'prefx'; did you mean 'prefix'?"),
        ('[suspnd.beam]\nwhen = "a"', "unknown key 'suspnd'; did you mean 'suspend'?"),
        ('[sequences]\npyton = ["a"]', "sequences: unknown key 'pyton'; did you mean 'python'?"),
        ("[sevrer]\n", "did you mean 'server'?"),
        ("prefix = 5", "prefix: expected text, got the number 5"),
        ('prefix = "A.B:"', "has a dot in it, which begins a field in EPICS"),
        ('prefix = ""', "is no PV name"),
        ("[server]\nport = 70000", "server.port: has to be at most 65535, not 70000"),
        ('[server]\nport = "5064"', "server.port: expected a whole number"),
        ("[server]\ninterfaces = []", "server.interfaces: is empty"),
        ("[ca]\nconnect_timeout = 0", "ca.connect_timeout: has to be above 0"),
        ('[ca]\nconnect_timeout = "a"', "ca.connect_timeout: expected a number"),
        ("[ca]\nauto_addr_list = 1", "expected true or false, got the number 1"),
        ('[access]\nwrite = ["op"]', "access.write[0]: expected user@host, got 'op'"),
        ('[chain.a]\naddress = "host"', "chain.a.address: expected host:port"),
        ('[chain.a]\naddress = "host:0"', "from 1 to 65535"),
        ('[chain.a]\naddress = "host:65536"', "from 1 to 65535"),
        ('[chain.a]\naddress = "a b:5"', "expected host:port"),
        ('[chain."a.b"]', "chain: 'a.b' has a dot"),
        ("[chain.lambda]", "chain: 'lambda' can't be used in expressions"),
        ("[chain.a]\nchannels.x-y = 'X'", "chain.a.channels: 'x-y' can't be used in expressions"),
        ("[chain.a]\nchannels.if = 'X'", "'if' is a keyword"),
        (
            "[chain.a]\nchannels.x = 5",
            'chain.a.channels.x: expected text such as "X" or a table such as '
            '{ pv = "X", buffer = 1000 }, got the number 5',
        ),
        ("[chain.a]\nchannels.x = {}", "chain.a.channels.x: needs 'pv'"),
        ("[chain.a]\nchannels.x = { pv = 'X', bufer = 3 }", "did you mean 'buffer'?"),
        ("[chain.a]\nchannels.x = { pv = 'X', buffer = -1 }", "has to be at least 0, not -1"),
        ("[chain.a]\nchannels.x = { pv = 'X', type = 'int' }", "expected 'string', 'short'"),
        (
            "[chain.a]\nchannels.x = { pv = 'X', stop = 3 }",
            'channels.x.stop: expected text such as "M1.STOP" or a table such as { pv = "M',
        ),
        ("[chain.a]\nsequence_server = 1", 'a.sequence_server: expected text such as "seq." or'),
        ("[chain.a]\nchannels.x = 'X Y'", "is no PV name"),
    ],
)
def test_a_mistake_is_told_by_file_and_key(tmp_path: Path, text: str, told: str) -> None:
    lines = findings(tmp_path, text)
    assert any(told in line for line in lines), lines


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('prefix = "A:"\n\nprefix = "B:"\n', "3: prefix: is written already on line 1; "),
        (
            '[chain.a]\nchannels.x = "X"\n# more\nchannels.x = [\n  "Y" ]\n',
            "4: chain.a.channels.x: is written already on line 2; ",
        ),
        (
            '[chain.a]\nchannels.x = "X"\nchannels.x.stop = "S"\n',
            "3: chain.a.channels.x: is written already on line 2; ",
        ),
        (
            '[chain.a]\nprefix = "A:"\n[chain.b]\n[chain.a]\nprefix = "B:"\n',
            "4: chain.a: is written already on line 1; ",
        ),
    ],
)
def test_a_key_that_is_written_twice_is_named_with_both_lines(
    tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "orchestrator.toml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        load_config(file)
    assert str(error.value).startswith(f"{file}:{told}keep one of the two")


def test_suspenders_and_python_modules_are_read_as_they_are_written(tmp_path: Path) -> None:
    text = """
[sequences]
python = ["mybeamline.plans", "tools"]
[suspend.beam]
when = "ring.current < $(LOW)"
resume = "ring.current > 80"
settle = 5
[suspend."front end"]
when = "fe.state == 'Closed'"
rewind = "checkpoint"
"""
    config = load(tmp_path, text, LOW="50")
    assert config.python == ("mybeamline.plans", "tools")
    assert list(config.suspend) == ["beam", "front end"]
    beam, front_end = config.suspend.values()
    assert (beam.when, beam.resume, beam.settle) == ("ring.current < 50", "ring.current > 80", 5)
    assert (beam.rewind, front_end.rewind) == (None, "checkpoint")
    assert (front_end.resume, front_end.settle) == (None, 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[suspend.beam]\nwen = 'a'", "suspend.beam: unknown key 'wen'; did you mean 'when'?"),
        ("[suspend.beam]\nresume = 'a'", "suspend.beam: needs 'when'"),
        ("[suspend]\nbeam = 'a > 1'", "suspend.beam: expected a mapping, got the text 'a > 1'"),
        ("[suspend.beam]\nwhen = 'a'\nsettle = '5s'", "suspend.beam.settle: expected a number"),
        (
            "[suspend.beam]\nwhen = 'a'\nrewind = 'chekpoint'",
            "suspend.beam.rewind: expected checkpoint, got the text 'chekpoint'; did you mean",
        ),
        ("[sequences]\npython = 'a.b'", "sequences.python: expected a list, got the text 'a.b'"),
        (
            "[sequences]\npython = ['my/plans.py']",
            "sequences.python[0]: 'my/plans.py' is no Python module; a module is named with dots "
            "and without .py: 'my.plans'",
        ),
        ("[sequences]\npython = ['a b']", "'a b' is no Python module"),
    ],
)
def test_a_mistake_in_suspenders_and_modules_is_told(tmp_path: Path, text: str, told: str) -> None:
    lines = findings(tmp_path, text)
    assert any(told in line for line in lines), lines


def test_a_mistake_found_by_those_who_use_a_key_is_told_with_its_line(tmp_path: Path) -> None:
    text = """
[chain.ring]
channels.current = "R:C"
[suspend.beam]
settle = 5
when = "ring.curent < 50"
[sequences]
python = ["not_there_at_all"]
"""
    config = load(tmp_path, text)
    with pytest.raises(CheckError, match=r"orchestrator\.toml:6: suspend\.beam\.when: "):
        compile_suspenders(config.suspend, names_of(config), partial(key_place, config))
    [told] = registry_of(config).broken.values()
    assert "orchestrator.toml:8: sequences.python: not_there_at_all can't be imported: " in told


def test_one_pv_has_one_alias(tmp_path: Path) -> None:
    text = "[chain.a]\nprefix = 'P:'\nchannels.x = 'X'\n[chain.b]\nchannels.y = 'P:X'\n"
    assert findings(tmp_path, text) == ["a.x and b.y are the same PV, P:X; a PV has one alias"]


def test_a_record_and_its_val_are_one_pv(tmp_path: Path) -> None:
    text = "[chain.a]\nprefix = 'P:'\nchannels.x = 'X'\nchannels.y = 'X.VAL'\n"
    assert findings(tmp_path, text) == ["a.x and a.y are the same PV, P:X.VAL; a PV has one alias"]


def test_what_a_put_may_do_is_said_of_a_channel(tmp_path: Path) -> None:
    text = "[chain.a]\nchannels.x = { pv = 'A:X', limits = false, accept_invalid = false }\n"
    x = load(tmp_path, text).channels["a.x"]
    assert (x.limits, x.accept_invalid) == (False, False)
    told = findings(tmp_path, text.replace("limits = false", "limits = 0"))
    assert any("chain.a.channels.x.limits" in line for line in told)


def test_two_channels_can_not_be_served_under_one_name(tmp_path: Path) -> None:
    text = "[chain.a]\nchannels.x = { pv = 'A:X', buffer = 1 }\nchannels.'x.MEAN' = 'A:Y'\n"
    [line] = findings(tmp_path, text)
    assert line == "a.x and a.x.MEAN would both be served as ORCH:MON:a:x:MEAN"


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    assert len(findings(tmp_path, "prefx = 'A'\n[server]\nport = 0\n")) == 2


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"orchestrator\.toml:2:\d+: "):
        load(tmp_path, "prefix = 'A'\nport = \n")


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can't read the configuration .*No such file"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        load_config(tmp_path / "bad.toml")


SERVERS = """
[server]
master = "TOP:"
name = "lower"
[chain.stage]
prefix = "S:"
sequence_server = "seq."
[chain.laser]
prefix = "L:"
sequence_server = { prefix = "SEQ:a.", name = "laser_1" }
[chain.lower]
prefix = "LOW:"
sequence_server = ""
"""


def test_a_sequence_server_brings_its_channels_and_its_name(tmp_path: Path) -> None:
    config = load(tmp_path, SERVERS)
    channels, names = config.channels, names_of(config)
    assert set(names.servers) == {"stage", "laser_1", "lower"}
    assert channels[names.server("stage").ack].pv == "S:seq.ACK"
    assert names.server("laser_1").index == "laser.SEQ.a.INDEX"
    assert channels["laser.SEQ.a.INDEX"].pv == "L:SEQ:a.INDEX"
    assert channels["lower.CMD"].pv == "LOW:CMD"
    assert channels["lower.ACK"].keep_all
    assert channels["lower.INDEX"].keep_all
    assert not channels["lower.ACK"].write
    assert (config.server.master, config.server.name) == ("TOP:Nested_Indices", "lower")


def test_a_master_is_its_prefix_or_the_full_name_of_its_indices(tmp_path: Path) -> None:
    own = '[server]\nmaster = "OTHER:indices"\nname = "x"\n'
    assert load(tmp_path, own).server.master == "OTHER:indices"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[server]\nmaster = "TOP:"\n', "'master' needs 'name'"),
        (SERVERS + '[chain.laser_1]\nsequence_server = "s."\n', "are both named laser_1"),
        ('[chain.a]\nsequence_server = { name = "b" }\n', "prefix"),
    ],
)
def test_mistakes_with_sequence_servers_are_told(tmp_path: Path, text: str, told: str) -> None:
    assert told in findings(tmp_path, text)[0]


MISTAKEN = """\
# A comment
prefix = "A:"
prefx = "A:"
interfaces = [
  "a",
]

[server]
interfaces = [
  "0.0.0.0",
  5,
]
note = '''
[ca]'''
[chain.stage]
channels.x = { pv = "X", bufer = 3 }
channels."fine.x" = "FX"
channels.y = {}
[chain.laser]
prefix = "$(UNDEFINED=L:)"
address = "host"
[suspend.beam]
settle = 5
[chain.stage.sequence_server]
prefix = "a.b"
nme = 3
"""


def test_each_mistake_is_told_by_the_line_on_which_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(CheckError) as caught:
        load(tmp_path, MISTAKEN)
    file = tmp_path / "orchestrator.toml"
    told = [line.removeprefix(f"{file}:").split(": ", 2)[:2] for line in caught.value.findings]
    assert [(int(line), what) for line, what in told] == [
        (3, "unknown key 'prefx'; did you mean 'prefix'?"),
        (4, "unknown key 'interfaces'; it belongs into the braces of 'server'"),
        (9, "server.interfaces[1]"),
        (13, "server"),
        (16, "chain.stage.channels.x"),
        (18, "chain.stage.channels.y"),
        (21, "chain.laser.address"),
        (22, "suspend.beam"),
        (26, "chain.stage.sequence_server"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\n[chain.a]\nprefix = 'P:'\nchannels.x = 'X'\n[chain.b]\nchannels.y = 'P:X'\n", 6),
        ("[chain.a]\nchannels.x = { pv = 'X', buffer = 1 }\nchannels.'x.MEAN' = 'Y'\n", 3),
        (
            "[chain.a]\nsequence_server = 's.'\n"
            "[chain.b]\n\nsequence_server = {prefix = 'b.', name = 'a'}",
            5,
        ),
        ("[store]\n\ndirectory = '$(DATA)'", 3),
    ],
)
def test_what_only_the_whole_file_tells_has_its_line_as_well(
    tmp_path: Path, text: str, line: int
) -> None:
    with pytest.raises(CheckError) as caught:
        load(tmp_path, text)
    assert caught.value.findings[0].startswith(f"{tmp_path / 'orchestrator.toml'}:{line}: ")


def test_what_is_said_of_a_channel_of_a_sequence_server_holds(tmp_path: Path) -> None:
    own = "channels.'seq.ACK' = { pv = 'seq.ACK', buffer = 10 }"
    text = f"[chain.stage]\nprefix = 'S:'\nsequence_server = 'seq.'\n{own}\n"
    assert load(tmp_path, text).channels["stage.seq.ACK"].buffer == 10


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('prefix = "LAB"', "the prefix 'LAB' ends with no separator: the PVs are LABSTATE"),
        (
            'prefix = "SIM:"\n[chain.stage]\nprefix = "SIM:"',
            "the prefix 'SIM:' is that of chain.stage too",
        ),
        ('prefix = "SIM:A-"\n[chain.stage]\nprefix = "SIM:"', ""),
        ('[chain.stage]\nprefix = "SIM"', ""),
    ],
)
def test_a_prefix_that_is_probably_not_meant_is_told(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(text)
    config = load_config(file)
    doubts = prefix_doubts(config)
    assert len(doubts) == bool(told)
    assert told in "".join(doubts)
    if told:
        assert key_place(config, ("prefix",)) == f"{file}:1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prefix = ORCH:", 'orch.toml:1:10: Invalid value; text needs quotes: "ORCH:"'),
        ("[chain.a]\nprefix = A", 'text needs quotes: "A"'),
        ("[chain.a]\nprefix = A:B  # ours", 'text needs quotes: "A:B"'),
        ('[chain.a]\nchannels = {x = X.RBV, y = "Y"}', 'text needs quotes: "X.RBV"'),
        ("[chain.a]\naddress = 10.0.0.1:5064", 'text needs quotes: "10.0.0.1:5064"'),
        ("[suspend.beam]\nwhen = ring.current < 50", 'text needs quotes: "ring.current < 50"'),
        ("[sequences]\npython = [my.plans]", 'text needs quotes: "my.plans"'),
    ],
)
def test_text_without_quotes_is_told_as_such(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "orch.toml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        load_config(file)
    assert told in str(error.value)


@pytest.mark.parametrize("port", [1, 65535])
def test_every_port_can_be_named(tmp_path: Path, port: int) -> None:
    file = tmp_path / "orch.toml"
    file.write_text(f'[chain.a]\nprefix = "A:"\naddress = "host:{port}"')
    assert load_config(file).chain["a"].address == f"host:{port}"


def test_how_long_runs_are_kept_has_a_unit(tmp_path: Path) -> None:
    config = load(tmp_path, '[store]\nkeep = "1.5 days"\nkeep_free = "10 GB"')
    assert (config.keep, config.keep_free) == (129_600.0, 10**10)
    config = load(tmp_path, "")
    assert (config.keep, config.keep_free) == (None, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('keep = "90 dayz"', 'unit (hours, days, weeks), as in "90 days"'),
        ('keep = "0 days"', "expected a number and a unit"),
        ('keep = "-1 days"', "expected a number and a unit"),
        ('keep_free = "10"', 'unit (MB, GB, TB), as in "10 GB"'),
        ('keep_free = "10 days"', "MB, GB, TB"),
        ("keep = 90", "store.keep"),
    ],
)
def test_a_time_or_size_of_the_store_that_is_none_is_told(
    tmp_path: Path, text: str, told: str
) -> None:
    (finding,) = findings(tmp_path, f"[store]\n{text}")
    assert told in finding
    assert finding.startswith("store.keep")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('high = "300"', "hung.high: expected a number"),
        ("hihi = true", "hung.hihi: expected a number"),
        ("high = 0", "hung.high: has to be above 0"),
        ("high = 5\nhihi = 5", "high has to be below hihi, not 5 and 5"),
    ],
)
def test_a_limit_that_is_none_is_told(tmp_path: Path, text: str, told: str) -> None:
    (finding,) = findings(tmp_path, f"[hung]\n{text}")
    assert told in finding


def test_people_are_told_by_rules_of_what_and_how_long_it_lasts(tmp_path: Path) -> None:
    notify = load(tmp_path, '[notify]\nurls = ["json://desk"]').notify
    assert notify == NotifyConfig(
        ("json://desk",), (NotifyRule("failed"), NotifyRule("interrupted"))
    )
    text = '[notify]\nurls = ["json://desk"]\non = ["ask", "hung > 300"]\nquiet = "22:00-06:30"'
    notify = load(tmp_path, text).notify
    assert notify is not None
    assert notify.on == (NotifyRule("ask"), NotifyRule("hung", 300.0))
    assert notify.quiet == (22 * 60, 6 * 60 + 30)
    assert load(tmp_path, "").notify is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("urls = []", "notify.urls"),
        ('on = ["failed"]', "notify: needs 'urls'"),
        ('urls = ["a://b"]\non = ["fails"]', "failed, ended, interrupted"),
        ('urls = ["a://b"]\non = ["hung"]', "'hung > 300'"),
        ('urls = ["a://b"]\non = ["failed > 3"]', "'failed' alone"),
        ('urls = ["a://b"]\non = ["hung > 3", "hung > 5"]', "'hung' stands twice"),
        ('urls = ["a://b"]\nquiet = "22-6"', "as in '22:00-06:30'"),
        ('urls = ["a://b"]\nquiet = "22:00-24:30"', "as in '22:00-06:30'"),
    ],
)
def test_a_rule_of_whom_to_tell_that_is_none_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert any(told in finding for finding in findings(tmp_path, f"[notify]\n{text}"))
