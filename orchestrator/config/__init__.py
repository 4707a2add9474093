"""The configuration: what stands in `orchestrator.toml`, or its defaults.

What reads the file is imported when it is first asked for: who is given a `Config` needs none of
it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from orchestrator.config.form import check_prefix
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

_HOMES = {
    "DEFAULT_FILE": "orchestrator.config.reading",
    "check_prefix": "orchestrator.config.form",
    "load_config": "orchestrator.config.reading",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
