"""The configuration: what stands in `orchestrator.toml`, or its defaults.

What reads the file is imported when it is first asked for: who is given a `Config` needs none of
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.config.model import (
    OWN,
    CaConfig,
    ChainConfig,
    ChannelConfig,
    Config,
    HttpConfig,
    HungLimits,
    LaneConfig,
    NotifyConfig,
    NotifyRule,
    OwnConfig,
    ScheduleConfig,
    ServerConfig,
    StopChannel,
    TriggerConfig,
    key_place,
    names_of,
    prefix_doubts,
)
from orchestrator.startup.deferred import deferred

if TYPE_CHECKING:
    from orchestrator.config.file_form import check_prefix
    from orchestrator.config.reading import DEFAULT_FILE, load_config

__all__ = [
    "DEFAULT_FILE",
    "OWN",
    "CaConfig",
    "ChainConfig",
    "ChannelConfig",
    "Config",
    "HttpConfig",
    "HungLimits",
    "LaneConfig",
    "NotifyConfig",
    "NotifyRule",
    "OwnConfig",
    "ScheduleConfig",
    "ServerConfig",
    "StopChannel",
    "TriggerConfig",
    "check_prefix",
    "key_place",
    "load_config",
    "names_of",
    "prefix_doubts",
]

__getattr__ = deferred(
    __name__, {"DEFAULT_FILE": "reading", "check_prefix": "file_form", "load_config": "reading"}
)
