"""Kit for caproto IOCs: settings, sockets and PVs that EPICS clients expect.

Import this before anything of caproto's: its settings are read when it is imported.
"""

from __future__ import annotations

from orchestrator.ioc import (
    caproto_settings as caproto_settings,  # first, before caproto is imported
)
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
from orchestrator.ioc.ioc_command import GroupFactory, run_ioc
from orchestrator.ioc.monitor import Monitor
from orchestrator.ioc.pv_group import Group
from orchestrator.ioc.pvs.busy import BusyPV
from orchestrator.ioc.pvs.command_pvs import CommandPV, CommandTextPV, Put, current_put
from orchestrator.ioc.pvs.posting import fitting, limit_alarm, post
from orchestrator.ioc.pvs.publish import publish
from orchestrator.ioc.pvs.read_only import ReadOnly
from orchestrator.ioc.pvs.text import TextChannel, TextPV, TextRO
from orchestrator.ioc.sequence_server.sub_group import SequenceServer, SubGroup
from orchestrator.ioc.serving.ioc_server import IocServer, PortTakenError, serve
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
