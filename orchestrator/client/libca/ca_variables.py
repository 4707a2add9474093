"""What libca reads from its environment, set from the config before its first call."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

import structlog

from orchestrator.config import Config

log = structlog.get_logger(__name__)

DEFAULTS = {
    # The shortest that libca takes. Its own 300 s let a client find a restarted IOC only after
    # 90 s where no beacons are heard; with 60 s it is 25 s.
    "EPICS_CA_MAX_SEARCH_PERIOD": "60",
    # A frozen IOC is noticed after this and the 5 s in which an echo must come back.
    "EPICS_CA_CONN_TMO": "5",
}
"""Set where the user set none (libca: 300 s and 30 s)."""


def configure_environment(config: Config, environ: MutableMapping[str, str] | None = None) -> None:
    """Set the environment of libca: where it searches, how large arrays are, how soon it notices.

    `EPICS_CA_ADDR_LIST` is extended by the addresses of the chained IOCs; what the user set
    otherwise stays, but for an array limit lower than the config's and for an automatic address
    list that the config turns off.

    libca reads these variables when its context and its first channel are made, once a process.
    Importing this package, aioca or epicscorelibs makes neither: the first `Client` does.

    Args:
        config: Whose chained IOCs are to be found.
        environ: `os.environ` unless given.
    """
    environ = os.environ if environ is None else environ
    wanted = _wanted(config, environ)
    changed = sorted(key for key, text in wanted.items() if environ.get(key) != text)
    if changed and environ is os.environ and _context_exists():
        log.warning("Too late for libca: it read its environment before", variables=changed)
    environ.update(wanted)


def _wanted(config: Config, environ: MutableMapping[str, str]) -> dict[str, str]:
    addresses = environ.get("EPICS_CA_ADDR_LIST", "").split()
    addresses += [ioc.address for ioc in config.chain.values() if ioc.address]
    wanted = {key: environ.get(key, text) for key, text in DEFAULTS.items()}
    wanted["EPICS_CA_MAX_ARRAY_BYTES"] = _array_bytes(config, environ)
    automatic = environ.get("EPICS_CA_AUTO_ADDR_LIST", "YES")
    wanted["EPICS_CA_AUTO_ADDR_LIST"] = automatic if config.ca.auto_addr_list else "NO"
    if addresses:
        wanted["EPICS_CA_ADDR_LIST"] = " ".join(dict.fromkeys(addresses))
    return wanted


def _array_bytes(config: Config, environ: MutableMapping[str, str]) -> str:
    theirs = environ.get("EPICS_CA_MAX_ARRAY_BYTES", "")
    if theirs.isdecimal() and int(theirs) > config.ca.max_array_bytes:
        return theirs
    return str(config.ca.max_array_bytes)


def _context_exists() -> bool:
    # Looked up rather than imported: this module must stay cheap for those who make no CA call.
    tools = sys.modules.get("aioca._catools")
    return tools is not None and tools._Context._ca_context is not None  # noqa: SLF001 - aioca offers no other way to ask
