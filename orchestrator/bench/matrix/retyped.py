"""An IOC that comes back with its PVs of other types, as after a new database.

`--text NAME …` names those that are text from now on; the rest of its options are `run_ioc`'s.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from orchestrator.ioc import Group, run_ioc  # first: it sets caproto up

# isort: split
from caproto import ChannelType
from caproto.server import pvproperty


def main(argv: Sequence[str] | None = None) -> int:
    """Run it until it is told to stop."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--text", nargs="+", default=[])
    own, rest = parser.parse_known_args(argv)
    texts: dict[str, Any] = {
        f"pv{number}": pvproperty(name=name, value="new", dtype=ChannelType.STRING)
        for number, name in enumerate(own.text)
    }
    retyped = type("Retyped", (Group,), texts)
    return run_ioc(retyped, rest, default_prefix="SIM:D:", desc=__doc__)


if __name__ == "__main__":
    sys.exit(main())
