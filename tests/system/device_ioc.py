"""An IOC with a device that tests make slow, silent or broken: `python device_ioc.py`."""

# mypy: ignore-errors

from __future__ import annotations

import sys
import threading
from typing import ClassVar

from orchestrator.ioc import (
    Alarm,
    Device,
    DeviceGroup,
    Direct,
    Published,
    Queued,
    Read,
    Sample,
    Severity,
    run_ioc,
)

# isort: split
from caproto import ChannelType
from caproto.server import pvproperty


class Instrument(Device):
    """Counts; does what the tests need."""

    period = 0.001
    process_period = 0.05
    retry_first = retry_most = 0.05
    capacity = 500

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.end = 0
        self.fault = ""
        self.broken = ""
        self.go = threading.Event()
        self.go.set()
        self.gain = 1.0
        self.stopped = 0

    def open(self) -> None:
        if self.fault == "open":
            raise ConnectionRefusedError("nobody there")

    def acquire(self) -> float | None:
        if not self.go.is_set():
            self.publish(holding=1)
            self.go.wait()
            self.publish(holding=0)
        if self.fault in ("acquire", "open"):
            raise TimeoutError("no answer")
        if self.count >= self.end:
            return None
        self.count += 1
        self.publish(each=self.count, newest=self.count)
        return self.count

    def process(self, window):
        if self.fault == "process":
            raise ZeroDivisionError("division by zero")
        return {"mean": window.mean(), "trace": window}

    def count_to(self, end: int) -> None:
        self.count, self.end = 0, end

    def set_volts(self, volts: float) -> float:
        if volts == 13:
            raise ValueError("13 V is unlucky")
        if volts == 7:
            self.publish(volts_rbv=Sample(7.5, 1e9, Severity.MINOR, Alarm.STATE))
        else:
            self.publish(volts_rbv=volts)
        return round(volts, 1)

    def burst(self, number: int) -> None:
        for value in range(1, number + 1):
            self.publish(each=value, newest=value)

    def flood(self, number: int) -> None:
        def publish() -> None:
            for value in range(1, number + 1):
                self.publish(newest=value)

        threading.Thread(target=publish, daemon=True).start()

    def misfit(self, _value: int) -> None:
        self.publish(mean="much")

    def on_put(self, name: str, value: float) -> None:
        self.publish(volts_rbv=value, message=f"{name} was put")

    def hold(self, wanted: int) -> None:
        """The driver blocks until told that it shall not."""
        if wanted:
            self.go.clear()
        else:
            self.go.set()

    def stop_now(self, _value: int) -> None:
        self.stopped += 1

    def read_gain(self) -> float:
        if self.gain == 0:
            raise OSError("no gain")
        return self.gain


class InstrumentIOC(DeviceGroup):
    """Its PVs."""

    device_class = Instrument
    wiring: ClassVar = {
        "volts": Queued("set_volts"),
        "volts_rbv": Published(),
        "other": Queued(),
        "count_to": Queued("count_to"),
        "burst": Queued("burst"),
        "burst_now": Direct("burst"),
        "flood": Queued("flood"),
        "misfit": Queued("misfit"),
        "each": Published(keep_all=True),
        "newest": Published(),
        "mean": Published(),
        "trace": Published(),
        "stop": Direct("stop_now"),
        "hold": Direct("hold"),
        "holding": Published(),
        "fault": Direct("fault"),
        "gain": Direct("gain"),
        "gain_rbv": Read("read_gain"),
        "stopped": Read("stopped"),
    }

    volts = pvproperty(value=1.0, lower_ctrl_limit=-20.0, upper_ctrl_limit=20.0)
    volts_rbv = pvproperty(
        value=0.0, read_only=True, lower_warning_limit=-10.0, upper_warning_limit=10.0
    )
    other = pvproperty(value=0.0)
    count_to = pvproperty(value=0)
    burst = pvproperty(value=0)
    burst_now = pvproperty(value=0)
    flood = pvproperty(value=0)
    misfit = pvproperty(value=0)
    each = pvproperty(value=0, read_only=True)
    newest = pvproperty(value=0, read_only=True)
    mean = pvproperty(value=0.0, read_only=True)
    trace = pvproperty(value=[0.0], max_length=500, read_only=True)
    stop = pvproperty(value=0)
    hold = pvproperty(value=0)
    holding = pvproperty(value=0, read_only=True)
    fault = pvproperty(
        value="", dtype=ChannelType.ENUM, enum_strings=["", "open", "acquire", "process"]
    )
    gain = pvproperty(value=1.0)
    gain_rbv = pvproperty(value=1.0, read_only=True)
    stopped = pvproperty(value=0, read_only=True)


if __name__ == "__main__":
    sys.exit(run_ioc(InstrumentIOC, default_prefix="D:", desc=__doc__))
