"""The physics of the simulated IOCs, as free functions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_iocs import physics

positions = st.floats(-100, 100)
speeds = st.floats(0.01, 50)
ramps = st.floats(0.01, 5)


@given(positions, positions, speeds, ramps)
def test_a_move_begins_at_its_start_and_ends_exactly_at_its_stop(start, stop, speed, ramp):
    move = physics.Move(start, stop, speed, ramp)
    assert move.position(0) == pytest.approx(start, abs=1e-9)
    assert move.position(move.duration) == stop
    assert move.position(move.duration + 10) == stop


@given(positions, positions, speeds, ramps)
def test_a_move_never_goes_faster_than_its_speed_and_never_back(start, stop, speed, ramp):
    move = physics.Move(start, stop, speed, ramp)
    times = np.linspace(0, move.duration, 50)
    way = np.array([abs(move.position(t) - start) for t in times])
    assert np.all(np.diff(way) >= -1e-9)
    assert np.all(np.diff(way) <= speed * np.diff(times) * (1 + 1e-6) + 1e-9)
    assert all(abs(move.velocity(t)) <= speed * (1 + 1e-9) for t in times)


def test_a_long_move_takes_way_over_speed_and_one_ramp():
    assert physics.Move(0, 10, speed=2, ramp=0.5).duration == pytest.approx(10 / 2 + 0.5)


def test_a_move_too_short_for_full_speed_turns_halfway():
    move = physics.Move(0, 0.01, speed=2, ramp=1)
    assert move.duration == pytest.approx(2 * (0.01 / 2) ** 0.5)
    assert move.position(move.duration / 2) == pytest.approx(0.005)
    assert move.velocity(move.duration / 2) < 2


def test_a_move_of_no_length_takes_no_time_and_stands_still():
    move = physics.Move(3, 3, speed=2, ramp=0.5)
    assert move.duration == 0
    assert move.position(0) == 3
    assert move.velocity(0) == 0


@given(positions, positions, speeds, ramps, st.floats(0, 1))
def test_velocity_is_the_slope_of_position(start, stop, speed, ramp, share):
    move = physics.Move(start, stop, speed, ramp)
    t, dt = share * move.duration, 1e-4 * ramp
    slope = (move.position(t + dt) - move.position(max(t - dt, 0))) / (t + dt - max(t - dt, 0))
    assert move.velocity(t) == pytest.approx(slope, abs=3e-4 * speed + 1e-9)


def test_braking_goes_on_from_position_and_velocity_to_standstill():
    move = physics.Move(0, 10, speed=2, ramp=0.5)
    brake = physics.Brake(move.position(2), move.velocity(2), deceleration=4)
    assert brake.duration == pytest.approx(0.5)
    assert brake.position(0) == move.position(2)
    assert brake.position(0.25) == pytest.approx(move.position(2) + 2 * 0.25 - 4 * 0.25**2 / 2)
    assert brake.stop == pytest.approx(move.position(2) + 0.5)
    assert brake.position(9) == brake.stop
    assert brake.velocity(0.5) == 0


def test_braking_backwards_ends_below_its_start():
    brake = physics.Brake(1, -2, deceleration=4)
    assert brake.stop == pytest.approx(0.5)
    assert brake.velocity(0.25) == pytest.approx(-1)


def test_braking_from_standstill_stays():
    brake = physics.Brake(1, 0, deceleration=4)
    assert (brake.duration, brake.stop, brake.position(0)) == (0, 1, 1)


def test_a_ramp_goes_at_its_rate_and_does_not_pass_its_target():
    assert physics.ramp(20, 30, rate=2, dt=1) == 22
    assert physics.ramp(20, 10, rate=2, dt=1) == 18
    assert physics.ramp(29.5, 30, rate=2, dt=1) == 30


def test_a_lag_has_come_63_percent_of_the_way_after_its_time_constant():
    assert physics.lag(0, 1, time_constant=5, dt=5) == pytest.approx(1 - np.exp(-1))


def test_two_short_steps_of_a_lag_equal_one_long_step():
    twice = physics.lag(physics.lag(20, 50, 3, 0.7), 50, 3, 1.3)
    assert twice == pytest.approx(physics.lag(20, 50, 3, 2.0))


@pytest.mark.parametrize("shape", [physics.gaussian, physics.lorentzian, physics.pseudo_voigt])
def test_a_peak_is_1_at_its_center_half_at_half_its_width_and_symmetric(shape):
    assert shape(2.0, 2.0, 0.4) == pytest.approx(1)
    assert shape(2.2, 2.0, 0.4) == pytest.approx(0.5)
    assert shape(1.5, 2.0, 0.4) == pytest.approx(shape(2.5, 2.0, 0.4))
    assert shape(4.0, 2.0, 0.4) < 0.01


def test_counting_noise_has_the_variance_of_its_mean():
    random = np.random.default_rng(1)
    sample = [physics.counts(1000, 0.1, random) for _ in range(4000)]
    assert np.mean(sample) == pytest.approx(100, rel=0.02)
    assert np.var(sample) == pytest.approx(100, rel=0.1)


def test_counts_repeat_with_their_seed():
    first, second = (
        [physics.counts(500, 1, random) for _ in range(5)]
        for random in (np.random.default_rng(7), np.random.default_rng(7))
    )
    assert first == second


def test_a_spectrum_holds_all_photons_and_has_its_line_at_60_percent():
    result = physics.spectrum(100_000, 500, np.random.default_rng(3))
    assert result.shape == (500,)
    assert result.sum() == 100_000
    assert abs(int(result.argmax()) - 300) <= 5


@given(st.floats(-5, 5), st.floats(0, 100), st.integers(0, 1000))
def test_a_random_walk_stays_within_its_ends(value, step, seed):
    random = np.random.default_rng(seed)
    assert -5 <= physics.reflected_step(value, step, -5, 5, random) <= 5


def test_a_random_walk_of_step_0_stands_still():
    assert physics.reflected_step(1.5, 0, -5, 5, np.random.default_rng(1)) == pytest.approx(1.5)


def test_a_wide_slit_passes_all_and_a_closed_or_misplaced_one_nothing():
    assert physics.slit_transmission(0, 100, 0.8) == pytest.approx(1)
    assert physics.slit_transmission(0, 0, 0.8) == physics.slit_transmission(0, -1, 0.8) == 0
    assert physics.slit_transmission(10, 1, 0.8) == pytest.approx(0)
    # Half the integral of a Gaussian lies within ±0.2865 of its full width at half maximum.
    assert physics.slit_transmission(0, 2 * 0.2865, 1.0) == pytest.approx(0.5, abs=1e-3)


def test_a_rod_absorbs_along_its_chord():
    assert physics.rod_transmission(0, 0.5, 2.0) == pytest.approx(math.exp(-2))
    assert physics.rod_transmission(0.3, 0.5, 2.0) == pytest.approx(math.exp(-2 * 0.8))
    assert physics.rod_transmission(0.5, 0.5, 2.0) == physics.rod_transmission(9, 0.5, 2.0) == 1


@pytest.mark.parametrize("frequency", [12.3, 50.0, 111.7])
def test_the_main_frequency_of_a_sine_is_its_own(frequency):
    t = np.arange(1000) / 1000
    samples = physics.sine(t, frequency, 2.0) + 5.0  # the mean does not matter
    assert physics.main_frequency(samples, 1000) == pytest.approx(frequency, abs=0.05)


def test_too_few_samples_have_no_main_frequency():
    assert math.isnan(physics.main_frequency(np.ones(7), 1000))
