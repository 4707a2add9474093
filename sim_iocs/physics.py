"""The physics of the simulated IOCs: free functions of time and position, each with its source.

What has none is made up by us, or a definition, and says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Move:
    """A move from standstill to standstill with a trapezoidal speed profile.

    The speed rises linearly to `speed` within `ramp`, stays, and falls in the same way; a short
    move turns before it is reached. (Biagiotti, Melchiorri: Trajectory Planning for Automatic
    Machines and Robots, Springer 2008, section 3.2.)
    """

    start: float
    """Position at t = 0."""
    stop: float
    """Position at the end."""
    speed: float
    """Units per second, above 0."""
    ramp: float
    """Seconds from standstill to `speed`, above 0."""

    @property
    def _turn(self) -> float:
        """Seconds of speeding up: shorter than `ramp` if the move is too short for full speed."""
        return min(self.ramp, math.sqrt(abs(self.stop - self.start) * self.ramp / self.speed))

    @property
    def duration(self) -> float:
        """Seconds from start to stop; 0 for a move of no length."""
        peak = self.speed * self._turn / self.ramp
        return self._turn + abs(self.stop - self.start) / peak if peak else 0.0

    def position(self, t: float) -> float:
        """Where it is `t` seconds after the start."""
        if t >= self.duration:
            return self.stop
        turn, accel = self._turn, self.speed / self.ramp
        if t < turn:
            way = accel * t**2 / 2
        elif t < self.duration - turn:
            way = accel * turn * (t - turn / 2)
        else:
            way = abs(self.stop - self.start) - accel * (self.duration - t) ** 2 / 2
        return self.start + math.copysign(way, self.stop - self.start)

    def velocity(self, t: float) -> float:
        """How fast it goes, with sign, `t` seconds after the start."""
        time_from_end = min(t, self.duration - t, self._turn)
        return math.copysign(max(time_from_end, 0) * self.speed / self.ramp, self.stop - self.start)


@dataclass(frozen=True, slots=True)
class Brake:
    """Slowing down to standstill at a constant rate: the end of a `Move`, from any speed."""

    start: float
    """Position at t = 0."""
    initial: float
    """Velocity at t = 0, with sign."""
    deceleration: float
    """Units per second squared, above 0."""

    @property
    def duration(self) -> float:
        """Seconds until it stands."""
        return abs(self.initial) / self.deceleration

    @property
    def stop(self) -> float:
        """Position at the end."""
        return self.start + self.initial * self.duration / 2

    def position(self, t: float) -> float:
        """Where it is `t` seconds after the start."""
        if t >= self.duration:
            return self.stop
        return self.start + self.initial * (t - t**2 / (2 * self.duration))

    def velocity(self, t: float) -> float:
        """How fast it goes, with sign, `t` seconds after the start."""
        left = max(self.duration - t, 0)
        return math.copysign(left * self.deceleration, self.initial)


def ramp(now: float, target: float, rate: float, dt: float) -> float:
    """What walks from `now` toward `target` at `rate` per second, after `dt` s: by definition."""
    step = rate * dt
    return target if abs(target - now) <= step else now + math.copysign(step, target - now)


def lag(now: float, drive: float, time_constant: float, dt: float) -> float:
    """A first-order lag's output after `dt` s of a constant `drive` (Newton's law of cooling).

    This is the exact solution of dx/dt = (drive - x) / time_constant, good for any `dt`.
    """
    return drive + (now - drive) * math.exp(-dt / time_constant)


def gaussian(x: float, center: float, fwhm: float) -> float:
    """A Gaussian of height 1, by its full width at half maximum: source as of `pseudo_voigt`."""
    return math.exp(-4 * math.log(2) * ((x - center) / fwhm) ** 2)


def lorentzian(x: float, center: float, fwhm: float) -> float:
    """A Lorentzian of height 1, by its full width at half maximum: source as of `pseudo_voigt`."""
    return 1 / (1 + 4 * ((x - center) / fwhm) ** 2)


def pseudo_voigt(x: float, center: float, fwhm: float, mixing: float = 0.3) -> float:
    """A diffraction peak of height 1: `mixing` parts Lorentzian, the rest Gaussian.

    (Wertheim et al., Rev. Sci. Instrum. 45, 1369 (1974).)
    """
    return mixing * lorentzian(x, center, fwhm) + (1 - mixing) * gaussian(x, center, fwhm)


def counts(rate: float, seconds: float, random: np.random.Generator) -> int:
    """Photons counted in a time at a mean rate per second: Poisson's distribution.

    (Knoll: Radiation Detection and Measurement, 4th edition, Wiley 2010, chapter 3.)
    """
    return int(random.poisson(max(rate, 0) * seconds))


def spectrum(total: int, bins: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """`total` photons spread over `bins` energies: a fluorescence line on a flat continuum.

    The shape is made up: a tenth continuum, the rest a Gaussian at 60 % of the range, 3 % wide
    (FWHM). The photons fall on it independently of each other (multinomial), so that the sum is
    `total`.
    """
    energy = np.linspace(0, 1, bins)
    line = np.exp(-4 * np.log(2) * ((energy - 0.6) / 0.03) ** 2)
    shape = 0.9 * line / line.sum() + 0.1 / bins
    return random.multinomial(total, shape / shape.sum()).astype(np.float64)


def reflected_step(
    value: float, step: float, low: float, high: float, random: np.random.Generator
) -> float:
    """One step of a random walk, normally distributed, thrown back at both ends.

    (Feller: An Introduction to Probability Theory and Its Applications, volume 1, 3rd edition,
    Wiley 1968, chapter XIV: reflecting barriers.)
    """
    moved = value + random.normal(0, step) if step > 0 else value
    span = high - low
    way = (moved - low) % (2 * span)
    return low + (way if way <= span else 2 * span - way)


def sine(t: Samples, frequency: float, amplitude: float) -> Samples:
    """A sine of a frequency in Hz at times in s, 0 at 0: by definition."""
    return amplitude * np.sin(2 * np.pi * frequency * t)


def main_frequency(samples: Samples, rate: float) -> float:
    """The frequency in Hz at which the spectrum of samples at `rate` Hz is highest; NaN of none.

    Without their mean, under a Hann window; the three points around the highest make a parabola.
    (Press et al.: Numerical Recipes, 3rd edition, section 13.4.)
    """
    if len(samples) < 8:
        return math.nan
    power = np.abs(np.fft.rfft((samples - samples.mean()) * np.hanning(len(samples)))) ** 2
    top = int(np.argmax(power[1:-1])) + 1
    below, here, above = np.log(power[top - 1 : top + 2] + 1e-300)
    bend = below - 2 * here + above
    shift = 0.5 * (below - above) / bend if bend else 0.0
    return float((top + shift) * rate / len(samples))


def stored_current(current: float, lifetime: float, dt: float) -> float:
    """A stored beam's current after `dt` s of a constant lifetime, in s.

    dI/dt = -I / lifetime is what the lifetime is defined by (Wiedemann: Particle Accelerator
    Physics, Springer 2015, section 8.4: loss of particles and beam lifetime).
    """
    return current * math.exp(-dt / lifetime)


def time_to_next(mean: float, random: np.random.Generator) -> float:
    """Seconds to the next of events that come `mean` s apart and know nothing of each other.

    The waiting times of a Poisson process are exponentially distributed (Feller, as of
    `reflected_step`, volume 2, chapter I).
    """
    return float(random.exponential(mean))


def slit_transmission(offset: float, gap: float, fwhm: float) -> float:
    """The part of a Gaussian beam that passes a slit whose middle is `offset` beside the beam's.

    This is the integral of the normalised Gaussian over the gap, by the error function (NIST
    Digital Library of Mathematical Functions, 7.2.1); a closed slit passes nothing.
    """
    if gap <= 0:
        return 0.0
    scale = 2 * math.sqrt(math.log(2)) / fwhm
    return (math.erf((offset + gap / 2) * scale) - math.erf((offset - gap / 2) * scale)) / 2


def rod_transmission(offset: float, radius: float, absorption: float) -> float:
    """The part of a thin beam that passes a round rod at a distance from its axis.

    Beer and Lambert: exp(-absorption · way), the way being the chord 2·√(radius² - offset²);
    `absorption` is per unit of length. (Als-Nielsen, McMorrow: Elements of Modern X-ray Physics,
    2nd edition, Wiley 2011, chapter 1.)
    """
    return math.exp(-absorption * 2 * math.sqrt(max(radius**2 - offset**2, 0.0)))
