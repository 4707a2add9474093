"""Small rules of the simulated IOCs."""

import pytest

from sim_iocs.base import limit_alarm
from sim_iocs.random_walk import RandomWalkIOC
from sim_iocs.temperature import ROOM, heater_power


@pytest.mark.parametrize(
    ("value", "severity"),
    [(0, 0), (7.99, 0), (8, 1), (9.4, 1), (9.5, 2), (-8, 1), (-9.5, 2)],
)
def test_a_value_is_in_alarm_from_its_limit_on(value, severity):
    pv = RandomWalkIOC("T:").value
    assert limit_alarm(pv, value)[1] == severity


def test_a_pv_without_limits_is_never_in_alarm():
    assert limit_alarm(RandomWalkIOC("T:").step, 1e9)[1] == 0


def test_a_heater_rests_at_room_temperature_and_ends_at_full_power():
    assert heater_power(ROOM, 0) == 0
    assert heater_power(ROOM + 40, 0) == pytest.approx(10)
    assert heater_power(ROOM, 500) == 100
    assert heater_power(ROOM, -500) == -100
