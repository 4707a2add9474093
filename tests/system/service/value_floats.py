"""A caproto IOC with PVs of type FLOAT."""

from __future__ import annotations

import sys
from typing import Any

from orchestrator.ioc import Group, run_ioc  # first: caproto reads its settings when imported

# isort: split
from caproto import ChannelType
from caproto.server import pvproperty


class Floats(Group):
    """X holds 0.7, as a FLOAT does; Limited may be put up to there."""

    x = pvproperty(name="X", value=0.7, dtype=ChannelType.FLOAT)
    limited = pvproperty(
        name="Limited",
        value=0.0,
        dtype=ChannelType.FLOAT,
        lower_ctrl_limit=-0.7,
        upper_ctrl_limit=0.7,
    )

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)


if __name__ == "__main__":
    sys.exit(run_ioc(Floats, default_prefix="FLT:", desc=__doc__ or ""))
