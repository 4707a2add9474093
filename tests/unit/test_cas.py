"""What EPICS_CAS_* say of a server, without one."""

from __future__ import annotations

import pytest

from orchestrator.cas import ANY, BEACON_PERIOD, broadcasts, server_interfaces, server_port, serving
from orchestrator.errors import InputError

HERE = ("127.0.0.1",)


def test_nothing_said_is_as_ever_and_tells_nothing() -> None:
    where = serving(environ={})
    assert (where.port, where.interfaces, where.groups) == (5064, (ANY,), ())
    assert {port for _, port in where.beacons} == {5065}
    assert (where.beacon_period, where.ignored, where.warnings) == (BEACON_PERIOD, frozenset(), ())
    assert (where.told, where.line(5064)) == ({}, "")


def test_a_server_has_its_own_port_before_that_of_clients_and_what_is_given_before_both() -> None:
    both = {"EPICS_CAS_SERVER_PORT": "5070", "EPICS_CA_SERVER_PORT": "5080"}
    assert serving(environ=both).port == 5070
    assert serving(environ=both | {"EPICS_CAS_SERVER_PORT": " "}).port == 5080
    assert serving(0, environ=both).port == 0
    assert serving(5090, HERE, {"EPICS_CAS_SERVER_PORT": "nonsense"}).port == 5090


@pytest.mark.parametrize("text", ["5000", "65536", "-1", "5070.5", "٥٠٧٠٠", "507 0"])
def test_a_port_is_5001_to_65535(text: str) -> None:
    with pytest.raises(InputError, match=f"EPICS_CAS_SERVER_PORT={text}: expected a port"):
        serving(environ={"EPICS_CAS_SERVER_PORT": text})


@pytest.mark.parametrize("text", ["5001", "65535"])
def test_its_bounds_are_ports(text: str) -> None:
    assert serving(environ={"EPICS_CAS_SERVER_PORT": text}).port == int(text)


def test_interfaces_are_listed_once_without_their_ports_and_groups_apart() -> None:
    listed = "127.0.0.1:99 localhost 127.0.0.2 239.255.83.7"
    where = serving(environ={"EPICS_CAS_INTF_ADDR_LIST": listed})
    assert where.interfaces == ("127.0.0.1", "127.0.0.2")
    assert where.groups == ("239.255.83.7",)
    assert where.beacons == (("127.0.0.1", 5065), ("127.0.0.2", 5065))
    told = where.told["environment"]
    assert told == {"EPICS_CAS_INTF_ADDR_LIST": listed}
    assert where.line(7) == (
        "serving at port 7 of 127.0.0.1 127.0.0.2 239.255.83.7, beacons to 127.0.0.1:5065 "
        f"127.0.0.2:5065 every 15 s; in force: EPICS_CAS_INTF_ADDR_LIST={listed}"
    )


def test_groups_alone_are_heard_at_all_interfaces() -> None:
    where = serving(environ={"EPICS_CAS_INTF_ADDR_LIST": "239.255.83.7"})
    assert (where.interfaces, where.groups) == ((ANY,), ("239.255.83.7",))


def test_an_address_that_is_not_ours_is_passed_over_unless_it_is_the_only_one() -> None:
    some = serving(environ={"EPICS_CAS_INTF_ADDR_LIST": "198.51.100.7 127.0.0.1"})
    assert some.interfaces == HERE
    assert "198.51.100.7 is no address of this host" in some.warnings[0]
    with pytest.raises(InputError, match="none is an address of this host"):
        serving(environ={"EPICS_CAS_INTF_ADDR_LIST": "198.51.100.7"})


def test_beacons_go_to_the_interfaces_and_the_list_or_to_the_list_alone() -> None:
    env = {
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.3 127.0.0.3:7 127.0.0.1",
        "EPICS_CA_REPEATER_PORT": "6000",
    }
    assert serving(environ=env).beacons == (
        ("127.0.0.1", 6000), ("127.0.0.3", 6000), ("127.0.0.3", 7),
    )  # fmt: skip
    alone = env | {"EPICS_CAS_AUTO_BEACON_ADDR_LIST": "no", "EPICS_CAS_BEACON_PORT": "6001"}
    assert serving(environ=alone).beacons[0] == ("127.0.0.3", 6001)
    none = {"EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO"}
    assert serving(environ=none).beacons == ()
    assert "no beacons are sent" in serving(environ=none).warnings[0]
    assert "beacons to nobody" in serving(environ=none).line(1)


def test_who_is_told_to_serve_loopback_calls_nobody_else() -> None:
    env = {"EPICS_CAS_BEACON_ADDR_LIST": "198.51.100.7 127.0.0.3"}
    where = serving(0, HERE, env)
    assert where.beacons == (("127.0.0.1", 5065), ("127.0.0.3", 5065))


def test_the_period_is_the_servers_before_the_clients() -> None:
    assert serving(environ={"EPICS_CA_BEACON_PERIOD": "4"}).beacon_period == 4
    both = {"EPICS_CA_BEACON_PERIOD": "4", "EPICS_CAS_BEACON_PERIOD": "0.5"}
    assert serving(environ=both).beacon_period == 0.5
    assert serving(environ=both).told["beacon_period"] == 0.5
    for text in ("0", "-1", "inf", "nan", "soon"):
        with pytest.raises(InputError, match="expected seconds, more than 0"):
            serving(environ={"EPICS_CAS_BEACON_PERIOD": text})


@pytest.mark.parametrize("word", ["127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "a..b", ":5"])
def test_what_is_no_address_is_told_with_its_variable(word: str) -> None:
    with pytest.raises(InputError) as told:
        serving(environ={"EPICS_CAS_IGNORE_ADDR_LIST": f"127.0.0.1 {word}"})
    assert str(told.value).startswith(f"EPICS_CAS_IGNORE_ADDR_LIST: {word!r} is no address")


def test_where_a_server_would_be_is_known_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPICS_CAS_SERVER_PORT", "5070")
    monkeypatch.setenv("EPICS_CAS_INTF_ADDR_LIST", "127.0.0.2")
    assert (server_port(), server_port(5)) == (5070, 5)
    assert (server_interfaces(), server_interfaces(HERE)) == (("127.0.0.2",), HERE)


def test_loopback_is_reached_at_its_own_address() -> None:
    assert broadcasts("127.0.0.2") == ("127.0.0.2",)
    assert broadcasts("198.51.100.7") == ("255.255.255.255",), "not one of ours"
