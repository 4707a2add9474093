"""The configuration: what stands in `orchestrator.toml`, or its defaults."""

from orchestrator.config.form import check_prefix
from orchestrator.config.model import (
    CaConfig,
    ChainConfig,
    ChannelConfig,
    Config,
    ServerConfig,
    StopChannel,
    key_place,
    names_of,
)
from orchestrator.config.reading import DEFAULT_FILE, load_config

__all__ = [
    "DEFAULT_FILE",
    "CaConfig",
    "ChainConfig",
    "ChannelConfig",
    "Config",
    "ServerConfig",
    "StopChannel",
    "check_prefix",
    "key_place",
    "load_config",
    "names_of",
]
