"""The simulated IOCs that each show one pattern of an IOC, seen by libca."""

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sim_helpers import RefusedError, running, until, values

from sim_iocs.fleet import Member

PLAIN = "SIM:PLAIN:"
FILE = "SIM:FILE:"
MACRO = "SIM:MACRO:"
CRATE = "SIM:CRATE:"
MOCK = "SIM:MOCK:"
RPC = "SIM:RPC:Bragg:"
INLINE = "SIM:INLINE:"
WORKER = "SIM:WORKER:"

NONE, MINOR, MAJOR, INVALID = range(4)
"""Severities."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("files") / "own"


@pytest.fixture(scope="module")
def fleet_and_client(directory):
    members = [
        *("plain", "subgroups", "mocked_records", "rpc_function", "inline", "worker_thread"),
        Member("file_writer", options=("--directory", str(directory))),
        "macros",
        Member("macros", "second", MACRO, options=("--macro", "station=B", "--macro", "axis=7")),
    ]
    with running(*members) as both:
        yield both


@pytest.fixture
def client(fleet_and_client):
    return fleet_and_client[1]


def status(client, pv):
    """The severity of a PV."""
    return client.reading(pv)["severity"]


# Plain PVs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("Double", 12.5), ("Integer", -7), ("Choice", 2), ("Word", "grün"), ("Array", [4.0, 5.0])],
)
def test_a_plain_pv_keeps_what_is_put(client, name, value):
    updates = client.monitor(PLAIN + name)
    client.put(PLAIN + name, value)
    assert client.get(PLAIN + name) == value
    until(lambda: values(updates())[-1] == value, what="its update")


def test_a_plain_text_is_longer_than_an_epics_string(client):
    text = "a long text " * 30
    client.put(PLAIN + "Text", list(text.encode()))
    assert client.text(PLAIN + "Text") == text


def test_a_plain_array_may_be_empty(client):
    client.put(PLAIN + "Array", [])
    assert client.get(PLAIN + "Array") == []


@pytest.mark.parametrize(
    ("name", "nonsense"),
    [
        ("Double", 100.1),
        ("Double", math.nan),
        ("Choice", 3),
        ("Choice", "Mauve"),
        ("Integer", "many"),
        ("Array", [0.0] * 11),
        ("Fixed", 43),
    ],
)
def test_a_plain_pv_refuses_what_does_not_fit_and_keeps_its_value(client, name, nonsense):
    before = client.get(PLAIN + name)
    with pytest.raises(RefusedError):
        client.put(PLAIN + name, nonsense)
    assert client.get(PLAIN + name) == before


@pytest.mark.parametrize(("value", "severity"), [(0, NONE), (85, MINOR), (-99, MAJOR)])
def test_a_plain_number_is_in_alarm_by_its_limits(client, value, severity):
    client.put(PLAIN + "Double", value)
    assert status(client, PLAIN + "Double") == severity


# A file written on put ------------------------------------------------------------------------


def put_text(client, name, text):
    """Put a long text, as an array of char."""
    client.put(FILE + name, [*text.encode(), 0])


def test_a_put_writes_the_file_before_it_completes(client, directory):
    written = client.get(FILE + "Written")
    client.put(FILE + "FileName", "first.txt")
    put_text(client, "Content", "grüße\r\n" * 500)
    assert (directory / "first.txt").read_bytes() == ("grüße\r\n" * 500).encode()
    assert client.get(FILE + "Written") == written + 1
    assert client.text(FILE + "Message") == "first.txt: 4500 bytes"
    assert client.text(FILE + "Directory") == str(directory)


def test_a_second_put_takes_the_place_of_the_file(client, directory):
    client.put(FILE + "FileName", "again.txt")
    put_text(client, "Content", "a longer text than the next")
    put_text(client, "Content", "short")
    assert (directory / "again.txt").read_text() == "short"
    assert not [file for file in directory.iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize(
    "name",
    ["../out.txt", "/etc/motd", "a/b", "..", ".", "", ".hidden", "a b", "ä.txt", "x" * 65, "a\n"],
)
def test_a_name_that_is_no_plain_file_name_is_refused_and_told(client, directory, name):
    client.put(FILE + "FileName", "good.txt")
    with pytest.raises(RefusedError):
        put_text(client, "FileName", name)
    assert "no plain file name" in client.text(FILE + "Message")
    assert status(client, FILE + "Message") == MAJOR
    assert client.text(FILE + "FileName") == "good.txt"
    assert not list(directory.parent.glob("*.txt"))
    put_text(client, "Content", "goes on")
    assert (directory / "good.txt").read_text() == "goes on"
    assert status(client, FILE + "Message") == NONE


def test_a_link_in_the_directory_is_replaced_and_not_followed(client, directory, tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    (directory / "link.txt").symlink_to(outside)
    client.put(FILE + "FileName", "link.txt")
    put_text(client, "Content", "theirs")
    assert outside.read_text() == "mine"
    assert not (directory / "link.txt").is_symlink()


def test_a_file_that_cannot_be_written_fails_the_put_and_says_why(client, directory):
    (directory / "taken").mkdir()
    client.put(FILE + "FileName", "taken")
    with pytest.raises(RefusedError):
        put_text(client, "Content", "x")
    assert "taken: Is a directory" in client.text(FILE + "Message")
    assert status(client, FILE + "Message") == MAJOR


def test_a_text_that_is_too_long_is_refused_and_writes_nothing(client, directory):
    client.put(FILE + "FileName", "long.txt")
    with pytest.raises(RefusedError):
        put_text(client, "Content", "x" * 10_000)
    assert not (directory / "long.txt").exists()


def test_there_is_an_end_to_the_files_that_a_client_can_make(client, directory):
    for number in range(100):
        (directory / f"filler{number}.txt").touch()
    client.put(FILE + "FileName", "one-more.txt")
    with pytest.raises(RefusedError):
        put_text(client, "Content", "x")
    assert "files already" in client.text(FILE + "Message")
    client.put(FILE + "FileName", "filler1.txt")
    put_text(client, "Content", "an old one may be written")
    for number in range(100):
        (directory / f"filler{number}.txt").unlink()


def test_without_a_directory_it_writes_into_a_temporary_one_which_goes_with_it():
    with running("file_writer") as (fleet, client):
        put_text(client, "Content", "x")
        there = Path(client.text(FILE + "Directory"))
        assert [file.name for file in there.iterdir()] == ["note.txt"]
        fleet["file_writer"].terminate()
        assert fleet["file_writer"].errors == ""
        assert not there.exists()


# Macros ---------------------------------------------------------------------------------------


def test_macros_make_the_names(fleet_and_client):
    fleet, client = fleet_and_client
    assert fleet["macros"].pvs == [f"{MACRO}A:1:Target", f"{MACRO}A:1:Readback", f"{MACRO}A:Info"]
    client.put(f"{MACRO}A:1:Target", 1.0)
    client.put(f"{MACRO}B:7:Target", 2.0)
    assert client.get(f"{MACRO}A:1:Readback") == 1
    assert client.get(f"{MACRO}B:7:Readback") == 2
    assert client.text(f"{MACRO}B:Info") == "station B, axis 7"


@pytest.mark.parametrize("macro", ["statoin=B", "station"])
def test_a_macro_that_there_is_not_is_an_error_that_names_those_that_there_are(macro):
    command = [sys.executable, "-m", "sim_iocs.macros", "--port", "0", "--macro", macro]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert re.search(rf"--macro {macro}: expected NAME=VALUE .*'axis', 'station'", done.stderr)


# Sub-groups -----------------------------------------------------------------------------------


def test_a_channel_tells_its_module_and_the_module_its_crate(client):
    client.put(f"{CRATE}Power", "On")
    client.put(f"{CRATE}M0:CH0:Set", 100)
    client.put(f"{CRATE}M0:CH1:Set", 50)
    client.put(f"{CRATE}M1:CH1:Set", 2500)
    assert client.get(f"{CRATE}M0:Total") == 150
    assert client.get(f"{CRATE}M1:Total") == 2500
    assert client.get(f"{CRATE}Fan:Speed") == 2400


def test_the_crate_switches_the_channels_of_its_modules(client):
    client.put(f"{CRATE}M1:CH0:Set", 10)
    client.put(f"{CRATE}Power", "Off")
    assert client.get(f"{CRATE}M1:CH0:Voltage") == client.get(f"{CRATE}M1:Total") == 0
    assert client.get(f"{CRATE}Fan:Speed") == 600
    client.put(f"{CRATE}Power", "On")
    assert client.get(f"{CRATE}M1:CH0:Voltage") == 10


@pytest.mark.parametrize(("module", "volts"), [("M0", 501), ("M1", 3001), ("M0", math.nan)])
def test_a_channel_refuses_what_its_module_cannot_give(client, module, volts):
    client.put(f"{CRATE}{module}:CH0:Set", 499)
    with pytest.raises(RefusedError):
        client.put(f"{CRATE}{module}:CH0:Set", volts)
    assert client.get(f"{CRATE}{module}:CH0:Voltage") == 499
    assert status(client, f"{CRATE}{module}:CH0:Set") == MAJOR
    assert status(client, f"{CRATE}{module}:CH1:Set") == NONE
    client.put(f"{CRATE}{module}:CH0:Set", 1)
    assert status(client, f"{CRATE}{module}:CH0:Set") == NONE


# Mocked records -------------------------------------------------------------------------------


@pytest.fixture
def pressure(client):
    for field, limit in (("LOLO", 0.5), ("LOW", 1), ("HIHI", 9), ("HIGH", 8)):
        client.put(f"{MOCK}Pressure.{field}", limit)
    client.put(f"{MOCK}Pressure.HHSV", "MAJOR")
    client.put(f"{MOCK}Setpoint", 5)
    return client


@pytest.mark.parametrize(
    ("bar", "severity", "reason"),
    [(5, NONE, "NO_ALARM"), (8.5, MINOR, "HIGH"), (9.5, MAJOR, "HIHI"), (0.2, MAJOR, "LOLO")],
)
def test_a_mocked_record_finds_its_alarm_by_its_limits(pressure, bar, severity, reason):
    pressure.put(f"{MOCK}Setpoint", bar)
    assert pressure.get(f"{MOCK}Pressure") == bar
    assert status(pressure, f"{MOCK}Pressure") == severity
    assert pressure.get(f"{MOCK}Pressure.SEVR") == severity
    assert pressure.label(f"{MOCK}Pressure.STAT") == reason


def test_a_new_limit_takes_effect_at_once_and_with_the_severity_that_clients_chose(pressure):
    updates = pressure.monitor(f"{MOCK}Pressure")
    pressure.put(f"{MOCK}Pressure.HHSV", "INVALID")
    pressure.put(f"{MOCK}Pressure.HIHI", 4)
    until(lambda: updates()[-1]["severity"] == INVALID, what="the alarm")
    assert pressure.get(f"{MOCK}Pressure.HIHI") == 4
    pressure.put(f"{MOCK}Pressure.HIHI", 9)
    until(lambda: updates()[-1]["severity"] == NONE, what="no alarm")


@pytest.mark.parametrize(("field", "limit"), [("HIHI", 0.4), ("LOW", 9), ("HIGH", math.nan)])
def test_a_limit_that_makes_no_sense_is_refused(pressure, field, limit):
    before = pressure.get(f"{MOCK}Pressure.{field}")
    with pytest.raises(RefusedError):
        pressure.put(f"{MOCK}Pressure.{field}", limit)
    assert pressure.get(f"{MOCK}Pressure.{field}") == before
    assert status(pressure, f"{MOCK}Pressure") == NONE


def test_the_raw_field_of_a_mocked_record_sets_it_and_shows_it(pressure):
    pressure.put(f"{MOCK}Setpoint.RVAL", 65535)
    assert pressure.get(f"{MOCK}Setpoint") == pressure.get(f"{MOCK}Pressure") == 10
    pressure.put(f"{MOCK}Setpoint", 0)
    assert pressure.get(f"{MOCK}Setpoint.RVAL") == 0
    with pytest.raises(RefusedError):
        pressure.put(f"{MOCK}Setpoint.RVAL", 65536)
    assert pressure.get(f"{MOCK}Setpoint") == 0


def test_a_mocked_record_has_the_fields_that_tools_ask_for(pressure):
    assert pressure.get(f"{MOCK}Pressure.EGU") == "bar"
    assert pressure.get(f"{MOCK}Setpoint.DESC") == "wanted pressure"
    assert pressure.get(f"{MOCK}Setpoint.PREC") == 3
    assert pressure.get(f"{MOCK}Pressure.RTYP") == "ai"
    assert pressure.get(f"{MOCK}Setpoint.RTYP") == "ao"


# A function -----------------------------------------------------------------------------------


def test_a_function_is_called_by_process_and_has_returned_when_the_put_completes(client):
    for name, value in (("energy", 8.048), ("spacing", 3.1356), ("order", 1)):
        client.put(RPC + name, value)
    client.put(RPC + "Process", 1)
    assert client.text(RPC + "Status") == "Success"
    # Copper K alpha 1 on silicon (111): 2 theta = 28.44 degrees
    assert client.get(RPC + "Retval") == pytest.approx(14.22, abs=0.01)


@pytest.mark.parametrize(
    ("name", "nonsense", "told"),
    [
        ("energy", 1.0, "ValueError: no reflection at 1 keV, only from 1.977 keV on"),
        ("energy", 0.0, "not above 0"),
        ("spacing", -1.0, "not above 0"),
        ("energy", math.nan, "not above 0"),
        ("order", 0, "not above 0"),
    ],
)
def test_a_function_that_raises_fails_the_put_and_says_why(client, name, nonsense, told):
    good = {"energy": 8.0, "spacing": 3.1356, "order": 1}
    for parameter, value in (good | {name: nonsense}).items():
        client.put(RPC + parameter, value)
    with pytest.raises(RefusedError):
        client.put(RPC + "Process", 1)
    assert told in client.text(RPC + "Status")
    assert status(client, RPC + "Retval") == MAJOR
    client.put(RPC + name, good[name])
    client.put(RPC + "Process", 1)
    assert client.text(RPC + "Status") == "Success"
    assert status(client, RPC + "Retval") == NONE


# Inline getters and putters -------------------------------------------------------------------


def test_a_getter_computes_with_each_read(client):
    first = client.get(INLINE + "Uptime")
    assert client.get(INLINE + "Uptime") > first > 0
    assert client.get(INLINE + "Reads") + 1 == client.get(INLINE + "Reads")


@pytest.mark.parametrize("name", ["Uptime", "Reads"])
def test_what_is_computed_cannot_be_written(client, name):
    assert not client.info(INLINE + name)["writable"]


@pytest.mark.parametrize(("put", "kept"), [(30, 30), (130, 100), (-5, 0), (math.inf, 100)])
def test_an_inline_putter_clips(client, put, kept):
    updates = client.monitor(INLINE + "Fraction")
    client.put(INLINE + "Power", put)
    assert client.get(INLINE + "Power") == kept
    until(lambda: values(updates())[-1] == kept / 100, what="the fraction")


def test_an_inline_putter_refuses_nan_and_keeps_its_value(client):
    client.put(INLINE + "Power", 40)
    with pytest.raises(RefusedError):
        client.put(INLINE + "Power", math.nan)
    with pytest.raises(RefusedError):
        client.put(INLINE + "Fraction", math.nan)
    assert client.get(INLINE + "Power") == 40
    assert client.get(INLINE + "Fraction") == 0.4


def test_a_pv_with_getter_and_putter_sets_the_other_one_and_reading_it_sets_nothing(client):
    client.put(INLINE + "Fraction", 1.5)
    assert client.get(INLINE + "Fraction") == 1
    updates = client.monitor(INLINE + "Power")
    for _ in range(3):
        client.get(INLINE + "Fraction")
    client.put(INLINE + "Power", 20)
    until(lambda: values(updates())[-1] == 20, what="the put")
    assert values(updates()) == [100, 20]


# A worker thread ------------------------------------------------------------------------------


@pytest.fixture
def worker(client):
    client.put(WORKER + "Delay", 0.05)
    until(lambda: client.get(WORKER + "Waiting") == 0, what="an idle instrument")
    return client


def test_a_put_completes_when_the_thread_has_measured(worker):
    worker.put(WORKER + "Delay", 0.3)
    assert worker.put(WORKER + "Measure", 3)["took"] >= 0.3
    assert worker.get(WORKER + "Value") == 3.5
    assert status(worker, WORKER + "Value") == NONE


def test_the_ioc_answers_while_the_thread_waits_for_the_instrument(worker):
    worker.put(WORKER + "Delay", 1)
    done = worker.get(WORKER + "Done")
    waiting = worker.put_later(WORKER + "Measure", 1)
    until(lambda: worker.get(WORKER + "Waiting") == 1, what="the request")
    assert worker.get(WORKER + "Done") == done, "it answers before the instrument does"
    waiting()
    assert worker.get(WORKER + "Done") == done + 1


def test_an_instrument_that_does_not_answer_fails_the_put_and_the_next_one_is_served(worker):
    with pytest.raises(RefusedError):
        worker.put(WORKER + "Measure", 7)
    assert worker.text(WORKER + "Error") == "input 7 does not answer"
    assert status(worker, WORKER + "Value") == INVALID
    worker.put(WORKER + "Measure", 0)
    assert worker.text(WORKER + "Error") == ""
    assert worker.reading(WORKER + "Value")["value"] == 0.5


def test_measurements_wait_for_each_other_and_too_many_are_refused(worker):
    """The first takes long enough that all others come meanwhile."""
    worker.put(WORKER + "Delay", 2)
    updates = worker.monitor(WORKER + "Value")
    waiting = [worker.put_later(WORKER + "Measure", 0)]
    until(lambda: worker.get(WORKER + "Waiting") == 1, what="the first request")
    worker.put(WORKER + "Delay", 0.05)
    waiting += [worker.put_later(WORKER + "Measure", number) for number in (1, 2, 3)]
    until(lambda: worker.get(WORKER + "Waiting") == 4, what="four requests")
    with pytest.raises(RefusedError):
        worker.put(WORKER + "Measure", 4)
    for put in waiting:
        put()
    # The last completion may come before the monitor.
    until(lambda: values(updates())[1:] == [0.5, 1.5, 2.5, 3.5], what="all in their order")


@pytest.mark.parametrize("number", [-1, 8])
def test_an_input_that_there_is_not_is_refused(worker, number):
    with pytest.raises(RefusedError):
        worker.put(WORKER + "Measure", number)
    assert worker.get(WORKER + "Waiting") == 0


def test_it_stops_cleanly_in_the_middle_of_a_measurement():
    with running("worker_thread") as (fleet, client):
        client.put(WORKER + "Delay", 5)
        waiting = client.put_later(WORKER + "Measure", 1)
        until(lambda: client.get(WORKER + "Waiting") == 1, what="the request")
        fleet["worker_thread"].terminate()
        assert fleet["worker_thread"].exit_code == 0
        assert fleet["worker_thread"].errors == ""
        with pytest.raises(RefusedError):
            waiting()
