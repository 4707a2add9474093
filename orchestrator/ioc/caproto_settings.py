"""caproto's settings that it reads once, when it is imported. Import this module before it.

The names are those of the environment; what a user has set there is kept.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping

CAPROTO_SETTINGS: Mapping[str, str] = {
    # s that a circuit waits for more updates before it sends; 10 ms by default, which a lone
    # update then waits in vain. Exactly 0 is worse than the default.
    "CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC": "1e-6",
    # s that a circuit under load collects updates before it sends; 1 s by default.
    "CAPROTO_SERVER_MAX_LATENCY_SEC": "0.005",
    # s that reads on a circuit wait while one of its puts is outstanding. Ours may take an hour.
    "CAPROTO_SERVER_WRITE_LOCK_TIMEOUT_SEC": "0",
    # Updates kept for each subscription of a client that is slow; the oldest are dropped. 1000
    # by default, and kept for healthy clients too: some 300 kB a subscription.
    "CAPROTO_MAX_SUBSCRIPTION_BACKLOG": "50",
}


def apply_settings() -> None:
    """Put the settings into the environment, but for those that a user has set."""
    missing = CAPROTO_SETTINGS.keys() - os.environ.keys()
    if missing and "caproto" in sys.modules:
        warnings.warn(
            "caproto was imported before orchestrator.ioc, without the settings of "
            "orchestrator.ioc.caproto_settings: its updates will be late",
            RuntimeWarning,
            stacklevel=2,
        )
    for name in missing:
        os.environ[name] = CAPROTO_SETTINGS[name]


def forget_empty_variables() -> None:
    """Take what is empty out of the environment; before caproto reads it.

    To EPICS an empty variable is one that is not set; caproto takes it for a number.
    """
    for name, value in list(os.environ.items()):
        if name.startswith("EPICS_") and not name.endswith("_LIST") and not value.strip():
            del os.environ[name]


apply_settings()
