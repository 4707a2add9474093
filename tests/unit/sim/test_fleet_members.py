"""How the members of a fleet are named, without starting any."""

import subprocess
import sys

import pytest

from orchestrator.errors import InputError
from sim_iocs.fleet import Fleet, Member
from sim_iocs.free_ports import PortHold
from sim_iocs.testing import Service


@pytest.mark.parametrize(
    ("text", "kind", "name", "prefix"),
    [
        ("motor", "motor", "motor", "SIM:STAGE:"),
        ("top=motor", "motor", "top", "SIM:TOP:"),
        ("motor:XF:31ID:", "motor", "motor", "XF:31ID:"),
        ("top=motor:XF:31ID:", "motor", "top", "XF:31ID:"),
    ],
)
def test_a_member_is_written_as_name_kind_and_prefix(text, kind, name, prefix):
    member = Member.parse(text).completed()
    assert (member.kind, member.name, member.prefix) == (kind, name, prefix)


def test_an_unknown_kind_without_a_near_name_lists_those_that_there_are():
    with pytest.raises(InputError, match="motor, detector, temperature"):
        Member.parse("zzz")


@pytest.mark.parametrize("wrong", [["motor", "shutter"], 3, Fleet])
def test_what_is_no_member_is_told_with_how_one_is_written(wrong):
    with pytest.raises(InputError, match=r"no member of a fleet.*\"top=motor\""):
        Fleet([wrong])


def test_a_text_in_place_of_members_is_no_list_of_letters():
    with pytest.raises(InputError, match=r"'motor': write \['motor'\]"):
        Fleet("motor")


@pytest.mark.parametrize("wrong", ["motor", ["motor"], lambda: None])
def test_what_is_no_fleet_is_told_before_a_service_starts(wrong):
    with pytest.raises(InputError, match=r"no fleet.*ioc_fleet\(\"motor\"\)"):
        Service(wrong)


def test_the_environment_lists_each_ioc_with_its_port_and_no_broadcast():
    fleet = Fleet(["motor", "shutter"])
    addresses = [fleet["motor"].address, fleet["shutter"].address]
    assert fleet.env["EPICS_CA_ADDR_LIST"].split() == addresses
    assert fleet.env["EPICS_CA_AUTO_ADDR_LIST"] == "NO"
    fleet.stop()


def test_no_two_hold_the_same_port():
    holds = [PortHold() for _ in range(50)]
    assert len({hold.port for hold in holds}) == 50
    for hold in holds:
        hold.close()


def test_the_launcher_loads_neither_caproto_nor_libca():
    script = "import sys, sim_iocs.fleet; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded >= {"sim_iocs", "orchestrator"}
    assert not loaded & {"caproto", "aioca", "epicscorelibs", "numpy"}
