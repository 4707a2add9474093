"""Access rights that change while a channel is connected."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, ClassVar

from epicscorelibs.ca import cadef

from orchestrator.client.libca.arrivals import Arrivals


class _Arguments(ctypes.Structure):
    """access_rights_handler_args of cadef.h; `rights` has bit 0 for read, bit 1 for write."""

    _fields_: ClassVar = [("chid", ctypes.c_void_p), ("rights", ctypes.c_uint)]


_Handler = ctypes.CFUNCTYPE(None, _Arguments)
_replace = cadef.libca.ca_replace_access_rights_event
_replace.argtypes = [ctypes.c_void_p, _Handler]

# libca calls one function for a channel, from its own threads; keyed by channel id.
_listeners: dict[int, tuple[Arrivals, Callable[[int], None]]] = {}


@_Handler  # type: ignore[untyped-decorator]  # ctypes makes it
def _handler(arguments: Any) -> None:
    listener = _listeners.get(arguments.chid)
    if listener is not None:
        arrivals, changed = listener
        arrivals.report(changed, arguments.chid)


class AccessRights:
    """Tells links when libca reports the rights of their channel, on each connection and loss."""

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self._links: dict[int, list[Callable[[], None]]] = {}

    def follow(self, channel: Any, changed: Callable[[], None]) -> None:
        """Call `changed` after each report; once soon after this call too."""
        chid = channel._as_parameter_
        self._links.setdefault(chid, []).append(changed)
        _listeners[chid] = (self._arrivals, self._changed)
        _replace(channel, _handler)

    def forget(self, channel: Any, changed: Callable[[], None]) -> None:
        """End what `follow` began."""
        chid = channel._as_parameter_
        self._links[chid].remove(changed)
        if not self._links[chid]:
            del self._links[chid], _listeners[chid]

    def _changed(self, chid: int) -> None:
        for changed in self._links.get(chid, ()):
            changed()
