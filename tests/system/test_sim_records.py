"""The C IOC, seen by libca: what sequences rely on of a server that nobody here wrote."""

import pytest
from sim_helpers import RefusedError, running, until, values

REC = "SIM:REC:"


@pytest.fixture(scope="module")
def client():
    with running("records") as (_, client):
        yield client


def test_a_c_ioc_clamps_an_ao_to_its_drive_limits_and_reports_success(client):
    client.put(f"{REC}Ao", 50)
    assert client.get(f"{REC}Ao") == 10
    client.put(f"{REC}Ao", 4)
    assert client.get(f"{REC}Ao") == 4


def test_its_drive_limits_are_the_control_limits(client):
    about = client.info(f"{REC}Ao")
    assert (about["lower_ctrl_limit"], about["upper_ctrl_limit"]) == (0, 10)
    assert (about["units"], about["precision"]) == ("mm", 3)


def test_a_calc_has_followed_when_the_put_completes(client):
    client.put(f"{REC}Ao", 3)
    assert client.get(f"{REC}Calc") == 7


def test_an_ai_reads_back_and_is_in_alarm_when_high(client):
    readback = client.monitor(f"{REC}Ai")
    client.put(f"{REC}Ao", 9.5)
    until(lambda: readback()[-1]["value"] == 9.5, what="readback")
    assert readback()[-1]["severity"] == 2


def test_an_mbbo_has_three_states_by_label_and_number(client):
    assert client.info(f"{REC}Mbbo")["enums"] == ["Low", "Mid", "High"]
    client.put(f"{REC}Mbbo", "High")
    assert client.get(f"{REC}Mbbo") == 2
    client.put(f"{REC}Mbbo", 1)
    assert client.label(f"{REC}Mbbo") == "Mid"


def test_an_mbbo_refuses_a_label_but_takes_a_number_that_it_does_not_have(client):
    """Why labels and indices are checked by the client (mbboRecord.c, put_enum_str)."""
    with pytest.raises(RefusedError):
        client.put(f"{REC}Mbbo", "Sideways")
    client.put(f"{REC}Mbbo", 7)
    assert client.get(f"{REC}Mbbo") == 7
    client.put(f"{REC}Mbbo", 0)


def test_a_slow_put_callback_completes_after_the_delay(client):
    busy = client.monitor(f"{REC}Slow:Busy")
    client.put(f"{REC}Slow:Delay", 0.6)
    done = client.put(f"{REC}Slow", 7)
    assert done["took"] > 0.55
    assert client.get(f"{REC}Slow:Done") == 7
    until(lambda: values(busy()) == [0, 1, 0], what="Done, Busy, Done")


def test_the_value_of_a_slow_put_shows_only_after_the_delay(client):
    busy = client.monitor(f"{REC}Slow:Busy")
    client.put(f"{REC}Slow:Delay", 0.3)
    client.put(f"{REC}Slow", 1)
    done = client.put_later(f"{REC}Slow", 2)
    until(lambda: values(busy())[-1] == 1, what="Busy")
    assert client.get(f"{REC}Slow:Done") == 1
    done()
    assert client.get(f"{REC}Slow:Done") == 2


def test_the_delay_can_be_set(client):
    client.put(f"{REC}Slow:Delay", 15)
    client.put(f"{REC}Slow:Delay", 0)
    assert client.put(f"{REC}Slow", 1)["took"] < 15


def test_texts_and_arrays_come_back_as_written(client):
    client.put(f"{REC}StringOut", "a short text")
    assert client.get(f"{REC}StringOut") == "a short text"
    client.put(f"{REC}Waveform", [1.5, 2.5, 3.5])
    assert client.get(f"{REC}Waveform") == [1.5, 2.5, 3.5]
    text = "long text " * 20
    client.put(f"{REC}Chars", list(text.encode()))
    assert bytes(client.get(f"{REC}Chars")).decode() == text
    client.put(f"{REC}LongOut", -77)
    assert client.get(f"{REC}LongOut") == -77
    client.put(f"{REC}Bo", "On")
    assert client.get(f"{REC}Bo") == 1
