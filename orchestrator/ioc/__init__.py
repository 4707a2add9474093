"""Kit for caproto IOCs: settings, sockets and PVs that EPICS clients expect.

Import this before anything of caproto's: its settings are read when it is imported.
"""

from __future__ import annotations

from orchestrator.ioc import settings as settings  # first, before caproto is imported
from orchestrator.ioc.access import ReadOnly
from orchestrator.ioc.busy import BusyPV
from orchestrator.ioc.device import (
    Device,
    DeviceError,
    DeviceGroup,
    Direct,
    Published,
    Queued,
    Read,
    Remote,
    Sample,
    WiringError,
)
from orchestrator.ioc.group import Group
from orchestrator.ioc.monitor import Monitor
from orchestrator.ioc.posting import fitting, limit_alarm, post
from orchestrator.ioc.publish import publish
from orchestrator.ioc.puts import CommandPV, CommandTextPV, Put, current_put
from orchestrator.ioc.run import GroupFactory, run_ioc
from orchestrator.ioc.sequence_server import SequenceServer, SubGroup
from orchestrator.ioc.serve import IocServer, PortTakenError, serve
from orchestrator.ioc.text import TextChannel, TextPV, TextRO
from orchestrator.ioc.thread_queue import ThreadQueue
from orchestrator.types import Alarm, Severity

__all__ = [
    "Alarm",
    "BusyPV",
    "CommandPV",
    "CommandTextPV",
    "Device",
    "DeviceError",
    "DeviceGroup",
    "Direct",
    "Group",
    "GroupFactory",
    "IocServer",
    "Monitor",
    "PortTakenError",
    "Published",
    "Put",
    "Queued",
    "Read",
    "ReadOnly",
    "Remote",
    "Sample",
    "SequenceServer",
    "Severity",
    "SubGroup",
    "TextChannel",
    "TextPV",
    "TextRO",
    "ThreadQueue",
    "WiringError",
    "current_put",
    "fitting",
    "limit_alarm",
    "post",
    "publish",
    "run_ioc",
    "serve",
]
