"""Loads the project's own pytest plugin where the tree is used without having been installed."""

import signal

pytest_plugins = ("sim_iocs.pytest_plugin",)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts what it runs in the background (`.ci/run &`) so, and it is
    # inherited: the commands that the tests start would not hear their Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
