"""The simulated digitizer, seen by libca: a device in threads."""

import numpy as np
import pytest
from sim_helpers import RefusedError, running, until, values

DIG = "SIM:DIG:"


@pytest.fixture(scope="module")
def client():
    with running("digitizer", seed=2) as (_, client):
        yield client


@pytest.fixture
def sampling(client):
    client.put(f"{DIG}Cable", "Connected")
    client.put(f"{DIG}Run", "Run")
    for setting, value in (("Rate", 1000), ("Frequency", 50), ("Amplitude", 1), ("Noise", 0.01)):
        client.put(f"{DIG}{setting}", value)
    return client


def full(client):
    until(lambda: client.get(f"{DIG}Count") == 1000, what="a full buffer")


def test_the_buffer_is_processed_into_mean_rms_and_frequency(sampling):
    full(sampling)
    assert sampling.get(f"{DIG}RMS") == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert sampling.get(f"{DIG}Mean") == pytest.approx(0, abs=0.01)
    assert sampling.get(f"{DIG}Peak:Frequency") == pytest.approx(50, abs=0.1)
    assert len(sampling.get(f"{DIG}Samples")) == 1000


def test_a_setting_that_is_put_begins_the_buffer_anew(sampling):
    full(sampling)
    sampling.put(f"{DIG}Amplitude", 5)
    assert sampling.get(f"{DIG}Count") < 1000
    full(sampling)
    assert sampling.get(f"{DIG}RMS") == pytest.approx(5 * np.sqrt(0.5), rel=0.01)


def test_no_block_is_left_out(sampling):
    sampling.put(f"{DIG}Noise", 0)
    blocks = sampling.monitor(f"{DIG}Block")
    until(lambda: len(blocks()) > 30, what="thirty blocks")
    samples = np.concatenate(values(blocks())[1:])
    # A sine of 50 Hz at 1 kHz repeats after 20 samples; a block that is missing breaks it.
    assert samples[20:] == pytest.approx(samples[:-20], abs=1e-6)


def test_a_digitizer_that_is_stopped_keeps_its_samples(sampling):
    full(sampling)
    sampling.put(f"{DIG}Run", "Stop")
    until(lambda: sampling.get(f"{DIG}PUSH:RATE") == 0, what="quiet")
    blocks = sampling.monitor(f"{DIG}Block")
    assert sampling.get(f"{DIG}Count") == 1000
    sampling.put(f"{DIG}Run", "Run")
    until(lambda: len(blocks()) > 2, what="blocks")


def test_without_its_cable_all_that_is_measured_is_invalid_and_told(sampling):
    full(sampling)
    sampling.put(f"{DIG}Cable", "Unplugged")
    for pv in ("Sample", "Block", "Samples", "Mean", "RMS", "Peak:Frequency"):
        until(lambda pv=pv: sampling.reading(f"{DIG}{pv}")["severity"] == 3, what=pv)
    assert "ConnectionError: no signal: the cable is unplugged" in sampling.text(f"{DIG}message")
    sampling.put(f"{DIG}Cable", "Connected")
    until(lambda: sampling.reading(f"{DIG}Mean")["severity"] == 0, what="a mean")
    assert sampling.text(f"{DIG}message") == "Digitizer: acquire works again"


def test_a_setting_beyond_its_limits_is_refused(sampling):
    with pytest.raises(RefusedError):
        sampling.put(f"{DIG}Rate", 50)
    assert sampling.info(f"{DIG}Rate")["units"] == "Hz"
