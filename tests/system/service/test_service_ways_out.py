"""What sequences do across real IOCs when they leave early, fail, race, and put things back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from language_rig import LanguageRig, language_rig_of
from service_rig import Rig
from sim_helpers import until

from sim_iocs.fleet import Fleet


@pytest.fixture(scope="module")
def language_rig(
    steady_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LanguageRig]:
    directory = tmp_path_factory.mktemp("ways_out") / "rig"
    with language_rig_of(steady_fleet, directory) as whole:
        yield whole


@pytest.fixture
def rig(language_rig: LanguageRig) -> Iterator[Rig]:
    """The module's service, idle before and after."""
    language_rig.rig.quieten()
    yield language_rig.rig
    language_rig.rig.quieten()


def value(rig: Rig, pv: str) -> float:
    return float(rig.client.start("get", pv=pv)()["value"])


def test_a_refusing_ioc_and_a_late_one_are_told_apart(rig: Rig, language_rig: LanguageRig) -> None:
    own = language_rig.own.prefix
    rig.client.put(f"{own}Picky:Refuses", 1)
    rig.client.put(f"{own}Slow:Time", 3)
    kinds = "{refused: [{let: {seen: seen + 1}}], timeout: [{let: {seen: seen + 10}}]}"
    outcome = rig.run(
        "variables: {seen: 0}\n"
        "steps:\n"
        f"  - {{set: {{pv: own.picky, value: 1}}, on_error: {kinds}}}\n"
        f"  - {{set: {{pv: own.slow, value: 1, timeout: 0.5}}, on_error: {kinds}}}\n"
        "finally: [{set: {pv: own.held, value: $(seen)}}]"
    )
    assert outcome["failed"] == "", outcome["message"]
    until(lambda: value(rig, f"{own}Held") == 11, 10)


def test_an_ioc_that_is_killed_ends_a_race_by_its_condition(
    rig: Rig, language_rig: LanguageRig
) -> None:
    victim = language_rig.victim
    waiting = rig.start(
        rig.sequence(
            "steps:\n"
            "  - race:\n"
            "      - {delay: 60}\n"
            "      - {wait: {until: not connected(victim.beam), timeout: none}, name: lost}\n"
            "    as: first\n"
            "  - {if: first != 'lost', then: [{fail: $(first)}]}\n"
            "  - {end: 'the IOC is gone'}\n"
            "  - {fail: never}"
        )
    )
    try:
        victim.kill()
        waiting()
        assert rig.get("STATUS") == "Success"
        assert rig.get("message") == "the IOC is gone"
    finally:
        victim.restart()
        rig.until("CHAIN:victim:STATUS", "Connected", timeout=60)


def test_what_a_group_has_moved_is_put_back_at_an_abort(
    rig: Rig, language_rig: LanguageRig
) -> None:
    own = language_rig.own.prefix
    rig.client.put(f"{own}Held", 7)
    rig.client.put(f"{own}Other", 5)
    rig.start(
        rig.sequence(
            "restore: [own.held]\n"
            "steps:\n"
            "  - group:\n"
            "      - set: {pv: own.held, value: 1, relative: true}\n"
            "      - set: {pv: own.other, value: -3, relative: true}\n"
            "      - delay: 60\n"
            "    restore: [own.other]"
        )
    )
    until(lambda: value(rig, f"{own}Other") == 2, 10)
    assert value(rig, f"{own}Held") == 8
    rig.put("ABORT", 1)
    rig.until("BUSY", 0)
    assert rig.get("STATUS") == "Aborted"
    assert (value(rig, f"{own}Held"), value(rig, f"{own}Other")) == (7, 5)


def test_a_loop_is_left_by_what_has_changed_and_by_bits(
    rig: Rig, language_rig: LanguageRig
) -> None:
    own = language_rig.own.prefix
    rig.client.put(f"{own}Beam", 100)
    outcome = rig.run(
        "variables: {passes: 0}\n"
        "steps:\n"
        "  - loop: {count: 1000, as: i}\n"
        "    do:\n"
        "      - let: {passes: passes + 1}\n"
        "      - if: i % 2 == 1\n"
        "        then: [continue]\n"
        "      - set: {pv: own.beam, value: =i}\n"
        "      - if: changed(own.beam) and own.beam & 4 != 0\n"
        "        then: [break]\n"
        "  - if: now() - timestamp(own.beam) > 60 or elapsed() > 60\n"
        "    then: [{fail: clocks}]\n"
        "    else: [{set: {pv: own.held, value: $(passes)}}]\n"
        "finally: [{set: {pv: own.beam, value: 100}}]"
    )
    assert outcome["failed"] == "", outcome["message"]
    until(lambda: value(rig, f"{own}Held") == 5, 10)
