"""A power supply and the current that it drives, as PVs.

| PV              | type     | unit | meaning                                                     |
| --------------- | -------- | ---- | ----------------------------------------------------------- |
| Voltage         | double   | V    | Wanted, 0 … 10. A put completes when the supply has it.     |
| Voltage_RBV     | double   | V    | What the supply says that it is set to.                     |
| Output          | enum     |      | Off, On.                                                    |
| Period          | double   | s    | From one measurement to the next.                           |
| Current         | double   | A    | The newest measurement; each one is posted. MINOR above 0.4.|
| Samples         | double[] | A    | The newest 100, oldest first.                               |
| Count           | int      |      | How many there are since the supply was last set.           |
| Mean, Std       | double   | A    | Of Samples.                                                 |
| Model           | text     |      | What the supply says that it is.                            |
| message         | text     |      | What went wrong, and that it works again.                   |
| PULL:*, PUSH:*  |          |      | How the two queues of the device do.                        |

`python myioc.py --help` says how to start it.
"""

import sys
import time

import numpy as np

from orchestrator.ioc import (  # before caproto, which it sets up
    Device,
    DeviceGroup,
    Direct,
    Published,
    Queued,
    Read,
    TextRO,
    run_ioc,
)

# isort: split
from caproto import ChannelType
from caproto.server import pvproperty


class SimulatedSupply:
    """Stands in for the instrument: replace it by your driver. Each call takes its time."""

    load = 20.0
    """Ohm."""

    def __init__(self) -> None:
        self.volts = 0.0
        self.on = False
        self._noise = np.random.default_rng()

    def identify(self) -> str:
        """Its answer to *IDN?."""
        return "Simulated supply, 10 V, 1 A"

    def set(self, volts: float, on: bool) -> None:
        """Set the output."""
        time.sleep(0.005)
        self.volts, self.on = volts, on

    def read_current(self) -> float:
        """What flows, in A."""
        time.sleep(0.005)
        return self.on * self.volts / self.load + self._noise.normal(0, 1e-4)

    def close(self) -> None:
        """Let go of it."""


class Myioc(Device):
    """What the IOC does, in plain Python: every method may block, and none is called twice at once.

    All but `process` run in one thread, so that a driver needs no locks.
    """

    period = 0.02  # s from one acquire to the next
    capacity = 100  # values in the circular buffer
    process_period = 0.1  # s; screens need no more

    def __init__(self) -> None:
        super().__init__()
        self.model = ""
        self.volts = 0.0
        self.on = False

    def open(self) -> None:
        """Connect; called again after the driver has failed."""
        self.supply = SimulatedSupply()
        self.model = self.supply.identify()
        self._set()

    def close(self) -> None:
        """Disconnect."""
        self.supply.close()

    def acquire(self) -> float:
        """One measurement, for the circular buffer."""
        current = self.supply.read_current()
        self.publish(current=current)
        return current

    def process(self, window: np.ndarray) -> dict[str, object]:
        """What the circular buffer tells; runs in a thread of its own."""
        return {
            "samples": window,
            "count": len(window),
            "mean": window.mean(),
            "std": window.std(),
        }

    def set_voltage(self, volts: float) -> None:
        """Called by a put to Voltage, which completes when this returns, and fails if it raises."""
        self.volts = volts
        self._set()

    def set_output(self, state: str) -> None:
        """Called by a put to Output, with its label."""
        self.on = state == "On"
        self._set()

    def _set(self) -> None:
        self.supply.set(self.volts, self.on)
        self.clear()  # what was measured before belongs to the former setting
        self.publish(voltage_rbv=self.supply.volts, count=0)


class MyiocIOC(DeviceGroup):
    """Its PVs, and which of them does what with the device."""

    device_class = Myioc
    wiring = {
        "voltage": Queued("set_voltage"),  # a put waits for its turn in the device's thread
        "output": Queued("set_output"),
        "period": Direct("period"),  # a put sets the attribute at once
        "model": Read("model"),  # a read looks at the attribute
        "voltage_rbv": Published(),  # shows what is published by this name
        "current": Published(keep_all=True),  # every value, not only the newest
        "samples": Published(),
        "count": Published(),
        "mean": Published(),
        "std": Published(),
    }

    voltage = pvproperty(
        name="Voltage",
        value=0.0,
        units="V",
        precision=3,
        lower_ctrl_limit=0.0,
        upper_ctrl_limit=10.0,
    )
    voltage_rbv = pvproperty(name="Voltage_RBV", value=0.0, units="V", precision=3, read_only=True)
    output = pvproperty(
        name="Output", value="Off", dtype=ChannelType.ENUM, enum_strings=["Off", "On"]
    )
    period = pvproperty(
        name="Period", value=Myioc.period, units="s", lower_ctrl_limit=0.01, upper_ctrl_limit=10.0
    )
    current = pvproperty(
        name="Current",
        value=0.0,
        units="A",
        precision=4,
        read_only=True,
        lower_warning_limit=-1.0,
        upper_warning_limit=0.4,
    )
    samples = pvproperty(
        name="Samples", value=[0.0], max_length=Myioc.capacity, units="A", read_only=True
    )
    count = pvproperty(name="Count", value=0, read_only=True)
    mean = pvproperty(name="Mean", value=0.0, units="A", precision=5, read_only=True)
    std = pvproperty(name="Std", value=0.0, units="A", precision=5, read_only=True)
    model = pvproperty(name="Model", dtype=TextRO, value="", max_length=100)


if __name__ == "__main__":
    sys.exit(run_ioc(MyiocIOC, default_prefix="MYIOC:", desc=__doc__))
