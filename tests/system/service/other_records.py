"""An IOC in the place of the simulated `records`: the same names, other types and metadata."""

from __future__ import annotations

import sys
from typing import Any

from orchestrator.ioc import Group, run_ioc  # first: caproto reads its settings when imported

# isort: split
from caproto.server import pvproperty


class OtherRecords(Group):
    """What has been rebuilt: Ao has other units, Mbbo is a number, LongOut an array."""

    ao = pvproperty(
        name="Ao", value=4.0, units="V", precision=1, lower_ctrl_limit=-5, upper_ctrl_limit=5
    )
    mbbo = pvproperty(name="Mbbo", value=1.25, units="A", precision=2)
    number = pvproperty(name="LongOut", value=[1, 2, 3], max_length=10)

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)


if __name__ == "__main__":
    sys.exit(run_ioc(OtherRecords, default_prefix="SIM:REC:", desc=__doc__ or ""))
