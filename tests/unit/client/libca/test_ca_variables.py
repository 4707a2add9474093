import pytest

from orchestrator.client import configure_environment
from orchestrator.config import CaConfig, ChainConfig, Config


def configured(environ: dict[str, str], *addresses: str, **ca: object) -> dict[str, str]:
    chain = {str(i): ChainConfig(str(i), "P:", address) for i, address in enumerate(addresses)}
    configure_environment(Config(chain=chain, ca=CaConfig(**ca)), environ)
    return environ


def test_addresses_of_the_config_extend_those_of_the_user() -> None:
    environ = configured({"EPICS_CA_ADDR_LIST": "10.0.0.255 b:1"}, "a:5", "", "b:1")
    assert environ["EPICS_CA_ADDR_LIST"] == "10.0.0.255 b:1 a:5"


def test_no_address_list_is_set_where_there_are_no_addresses() -> None:
    assert "EPICS_CA_ADDR_LIST" not in configured({})


def test_configuring_twice_changes_nothing() -> None:
    once = configured({}, "a:5")
    assert configured(dict(once), "a:5") == once


@pytest.mark.parametrize(
    ("theirs", "ours", "result"),
    [("NO", True, "NO"), (None, True, "YES"), ("YES", False, "NO"), (None, False, "NO")],
)
def test_the_automatic_list_is_used_only_where_nobody_turned_it_off(
    theirs: str | None, ours: bool, result: str
) -> None:
    environ = {} if theirs is None else {"EPICS_CA_AUTO_ADDR_LIST": theirs}
    assert configured(environ, auto_addr_list=ours)["EPICS_CA_AUTO_ADDR_LIST"] == result


@pytest.mark.parametrize(("theirs", "result"), [("99", "1000"), ("5000", "5000"), ("x", "1000")])
def test_the_larger_array_limit_holds(theirs: str, result: str) -> None:
    environ = configured({"EPICS_CA_MAX_ARRAY_BYTES": theirs}, max_array_bytes=1000)
    assert environ["EPICS_CA_MAX_ARRAY_BYTES"] == result


def test_losses_are_noticed_sooner_than_by_default_unless_the_user_says_otherwise() -> None:
    environ = configured({"EPICS_CA_CONN_TMO": "30"})
    assert environ["EPICS_CA_CONN_TMO"] == "30"
    assert environ["EPICS_CA_MAX_SEARCH_PERIOD"] == "60"
