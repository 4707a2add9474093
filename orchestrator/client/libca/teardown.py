"""Leaving libca: one channel, or all of it when the process ends, in bounded time."""

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


def forget_channel(pv: str) -> None:
    """Close a channel that nobody subscribes to, and have aioca forget it.

    aioca closes channels only all together (`purge_channel_caches`); a search for one that is
    nowhere goes on until then. libca calls back no more once this has returned.
    """
    cache = _Context.get_channel_cache()
    channels = cache._ChannelCache__channels  # noqa: SLF001 - it has no door for one of them
    channel = channels.get(pv)
    if channel is not None and channel.count_subscriptions() == 0:
        del channels[pv]
        channel._purge()  # noqa: SLF001 - as above


@functools.cache
def leave_in_time() -> None:
    """When the process ends, let libca close its circuits, but wait for `GRACE` only.

    ca_context_destroy waits until each server has closed its side: for ever, where one is frozen
    or its host is gone (tcpSendThread::run of tcpiiu.cpp; epics-base/epics-base#477, #936). aioca
    calls it at exit.
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
