"""A digitizer on a signal: acquired in a thread, kept in a circular buffer, processed in another.

Prefix `SIM:DIG:`:

| PV             | type     | unit | meaning                                                      |
| -------------- | -------- | ---- | ------------------------------------------------------------ |
| Run            | enum     |      | Stop, Run: whether it samples.                               |
| Rate           | double   | Hz   | Samples a second: 100 … 20000.                               |
| Frequency      | double   | Hz   | Of the signal: a sine.                                       |
| Amplitude      | double   | V    | Of the sine, 0 … 12. Above the range, 10 V, it is clipped.   |
| Noise          | double   | V    | Standard deviation.                                          |
| Cable          | enum     |      | Connected, Unplugged: without it the driver fails, and all   |
|                |          |      | that is measured is INVALID.                                 |
| Sample         | double   | V    | The newest.                                                  |
| Block          | double[] | V    | The samples of the last block, 10 ms; no block is left out.  |
| Samples        | double[] | V    | The newest 1000, oldest first.                               |
| Count          | int      |      | How many there are since a setting changed.                  |
| Mean           | double   | V    | Of Samples. MINOR beyond ±1, MAJOR beyond ±5.                |
| RMS            | double   | V    | Of Samples without their mean.                               |
| Peak:Frequency | double   | Hz   | Where their spectrum is highest.                             |
| message        | text     |      | What went wrong, and that it works again.                    |
| PULL:*, PUSH:* |          |      | The queues of the device: `orchestrator.ioc.DeviceGroup`.    |

A put to a setting completes when the digitizer has it; Samples and what is computed from them
then begin anew.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from orchestrator.ioc import Device, DeviceGroup, Direct, Published, Queued  # before caproto
from sim_iocs.base import run_sim
from sim_iocs.physics import Samples, main_frequency, sine

# isort: split
from caproto import ChannelType
from caproto.server import pvproperty

RANGE = 10.0
"""V: what the digitizer can tell apart."""

BLOCK = 0.01
"""s of samples that the driver gives at once."""

MOST = 1000

_VOLTS = {"units": "V", "precision": 4, "read_only": True}
_MEAN = {
    "lower_alarm_limit": -5.0,
    "lower_warning_limit": -1.0,
    "upper_warning_limit": 1.0,
    "upper_alarm_limit": 5.0,
}


class Digitizer(Device):
    """Samples a sine that is no function of the clock, so that a seed repeats it."""

    period = BLOCK
    process_period = 0.05
    capacity = MOST

    def __init__(self, seed: int | None = None) -> None:
        super().__init__()
        self.settings = {"rate": 1000.0, "frequency": 50.0, "amplitude": 1.0, "noise": 0.01}
        self.cable = "Connected"
        self._random = np.random.default_rng(seed)
        self._taken = 0

    def acquire(self) -> Samples:
        """The samples of one block.

        Raises:
            ConnectionError: The cable is unplugged.
        """
        if self.cable != "Connected":
            raise ConnectionError("no signal: the cable is unplugged")
        rate = self.settings["rate"]
        numbers = np.arange(self._taken, self._taken + round(rate * BLOCK))
        self._taken += len(numbers)
        signal = sine(numbers / rate, self.settings["frequency"], self.settings["amplitude"])
        noise = self._random.normal(0, self.settings["noise"], len(numbers))
        block = np.clip(signal + noise, -RANGE, RANGE)
        self.publish(sample=block[-1], block=block)
        return block

    def process(self, window: Samples) -> Mapping[str, Any]:
        """What is known of the newest samples."""
        mean = window.mean()
        return {
            "samples": window,
            "count": len(window),
            "mean": mean,
            "rms": np.sqrt(np.mean((window - mean) ** 2)),
            "peak_frequency": main_frequency(window, self.settings["rate"]),
        }

    def on_put(self, name: str, value: float) -> None:
        """Take a setting; samples that were taken with the former say nothing about it."""
        self.settings[name] = value
        self.clear()
        self.publish(count=0)

    def run(self, state: str) -> None:
        """Sample, or don't."""
        self.acquiring = state == "Run"


class DigitizerIOC(DeviceGroup):
    """Its PVs, and which of them calls what."""

    wiring: ClassVar = {
        "run": Direct("run"),
        "rate": Queued(),
        "frequency": Queued(),
        "amplitude": Queued(),
        "noise": Queued(),
        "cable": Direct("cable"),
        "sample": Published(),
        "block": Published(keep_all=True),
        "samples": Published(),
        "count": Published(),
        "mean": Published(),
        "rms": Published(),
        "peak_frequency": Published(),
    }

    run = pvproperty(
        name="Run",
        value="Run",
        dtype=ChannelType.ENUM,
        enum_strings=["Stop", "Run"],
        doc="whether it samples",
    )
    rate = pvproperty(
        name="Rate", value=1000.0, units="Hz", lower_ctrl_limit=100.0, upper_ctrl_limit=20_000.0
    )
    frequency = pvproperty(
        name="Frequency", value=50.0, units="Hz", lower_ctrl_limit=0.1, upper_ctrl_limit=10_000.0
    )
    amplitude = pvproperty(
        name="Amplitude", value=1.0, units="V", lower_ctrl_limit=0.0, upper_ctrl_limit=12.0
    )
    noise = pvproperty(
        name="Noise", value=0.01, units="V", lower_ctrl_limit=0.0, upper_ctrl_limit=10.0
    )
    cable = pvproperty(
        name="Cable",
        value="Connected",
        dtype=ChannelType.ENUM,
        enum_strings=["Connected", "Unplugged"],
        doc="without it the driver fails",
    )
    sample = pvproperty(name="Sample", value=0.0, **_VOLTS)
    block = pvproperty(name="Block", value=[0.0], max_length=200, **_VOLTS)
    samples = pvproperty(name="Samples", value=[0.0], max_length=MOST, **_VOLTS)
    count = pvproperty(name="Count", value=0, read_only=True)
    mean = pvproperty(name="Mean", value=0.0, **_VOLTS, **_MEAN)
    rms = pvproperty(name="RMS", value=0.0, **_VOLTS)
    peak_frequency = pvproperty(name="Peak:Frequency", value=0.0, units="Hz", read_only=True)

    def __init__(self, prefix: str, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(prefix, device=Digitizer(seed), **kwargs)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    return run_sim(DigitizerIOC, argv, default_prefix="SIM:DIG:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
