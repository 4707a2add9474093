"""Leaving libca when the process ends, in bounded time."""

from __future__ import annotations

import atexit
import ctypes
import functools
import threading

from aioca._catools import _Context  # its teardown is what must not hang
from epicscorelibs.ca import cadef

GRACE = 1.0
"""s that libca gets to close its circuits."""

_go = threading.Event()


@functools.cache
def leave_in_time() -> None:
    """When the process ends, let libca close its circuits, but wait for `GRACE` only.

    ca_context_destroy waits until each server has closed its side: for ever, where one is frozen
    or its host is gone (tcpSendThread::run of tcpiiu.cpp). aioca calls it at exit.
    """
    atexit.unregister(_Context._teardown)  # noqa: SLF001 - as above
    # Now, as Python starts no threads at exit any more (3.12).
    thread = threading.Thread(target=_destroy, name="libca-exit", daemon=True)
    thread.start()
    atexit.register(_leave, thread)


def _destroy() -> None:
    _go.wait()
    _Context._teardown()  # noqa: SLF001 - as above


def _leave(thread: threading.Thread) -> None:
    # A thread of libca that calls into Python while that ends would be killed, and with it the
    # process: getpid is a C function that does nothing with any arguments.
    nothing = ctypes.cast(ctypes.CDLL(None).getpid, cadef.exception_handler)
    cadef.ca_add_exception_event(nothing, None)
    cadef.libca.ca_replace_printf_handler(ctypes.CDLL(None).getpid)
    cadef.ca_detach_context()
    _go.set()
    thread.join(GRACE)
