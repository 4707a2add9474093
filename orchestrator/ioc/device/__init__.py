"""Devices: plain, blocking Python in threads, wired to the PVs of a group by a table."""

from orchestrator.ioc.device.device import Device
from orchestrator.ioc.device.device_group import DeviceGroup
from orchestrator.ioc.device.device_items import DeviceError, Sample
from orchestrator.ioc.device.wiring import Direct, Published, Queued, Read, Remote, WiringError

__all__ = [
    "Device",
    "DeviceError",
    "DeviceGroup",
    "Direct",
    "Published",
    "Queued",
    "Read",
    "Remote",
    "Sample",
    "WiringError",
]
