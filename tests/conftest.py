"""Loads our own pytest plugin where the tree is not installed; starts our programs by a fork."""

import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from sim_iocs.process import Process
from tests.forks import Forker

pytest_plugins = ("sim_iocs.pytest_plugin",)

# A machine that does other things as well is late now and then, which is no defect of ours.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts what it runs in the background (`.ci/run &`) so, and it is
    # inherited: the commands that the tests start would not hear their Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the same under `nohup`


@pytest.fixture(scope="session", autouse=True)
def forked_programs() -> Iterator[None]:
    """Processes of ours start by a fork, where that works well."""
    if sys.platform != "linux":
        yield
        return
    forker = Forker()
    Process.start = forker.start  # type: ignore[method-assign, assignment] - for all of the session
    yield
    forker.close()
