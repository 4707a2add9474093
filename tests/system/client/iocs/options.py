"""Where an IOC of these tests serves: `run_ioc`'s options, put where C and caproto look for them.

They run without our kit, as others' IOCs do. Import this before caproto and softioc.
"""

import argparse
import os
from pathlib import Path

_parser = argparse.ArgumentParser()
_parser.add_argument("--prefix")
_parser.add_argument("--port")
_parser.add_argument("--interfaces")
_parser.add_argument("--variant", type=Path, help="a file that says which")
_parser.add_argument("--list-pvs", action="store_true")
_parser.add_argument("--stop-with-stdin", action="store_true")
OPTIONS = _parser.parse_args()
VARIANT = OPTIONS.variant.read_text()
READY = f"READY port={OPTIONS.port}"

os.environ |= {
    "EPICS_CA_SERVER_PORT": OPTIONS.port,  # caproto
    "EPICS_CAS_SERVER_PORT": OPTIONS.port,  # C
    "EPICS_CAS_INTF_ADDR_LIST": OPTIONS.interfaces,
    "EPICS_CAS_BEACON_ADDR_LIST": OPTIONS.interfaces,
    "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
    "CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC": "1e-6",
    "CAPROTO_SERVER_MAX_LATENCY_SEC": "0.005",
}
