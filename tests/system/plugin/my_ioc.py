"""An IOC as a user writes one."""

import sys

from orchestrator import ioc  # first: caproto reads its settings when it is imported

# isort: split
from caproto.server import pvproperty


class Lamp(ioc.Group):
    level = pvproperty(name="Level", value=0.0)


if __name__ == "__main__":
    sys.exit(ioc.run_ioc(Lamp, default_prefix="LAMP:", desc="A lamp."))
