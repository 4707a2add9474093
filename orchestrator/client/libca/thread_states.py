"""libca's threads keep their Python thread state from one callback to the next.

A call from a thread that Python does not know makes a thread state, with memory mapped for its
frames, and frees both behind it (PyGILState_Ensure and PyGILState_Release of Python's C API, which
ctypes calls around each callback; python/cpython#146219). That costs more than most of our
callbacks do themselves.
"""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

_TASKS = Path("/proc/self/task")
"""A folder for each thread of the process; only Linux has it."""

_api = ctypes.pythonapi  # its calls keep the GIL
_api.PyThreadState_Get.restype = ctypes.c_void_p
for _call in (_api.PyThreadState_Clear, _api.PyThreadState_Delete):
    _call.argtypes = [ctypes.c_void_p]
    _call.restype = None


class _Here(threading.local):
    """Lives as long as the thread's state."""

    kept = False


_here = _Here()
_lock = threading.Lock()
"""Around the two that follow."""
_states: dict[int, int] = {}
"""The states that are kept: native thread id -> address."""
_left: list[int] = []
"""States of threads that have ended, whose ids other threads have now."""


def keep_state() -> None:
    """Keep the state of the thread that calls, one of libca's, until `free_states`."""
    if not _here.kept:
        _here.kept = True
        _keep()


def keeping() -> set[int]:
    """The native ids of the threads whose states are kept."""
    return set(_states)


def free_states() -> None:
    """Free the states of threads that have ended: libca has a thread for each circuit."""
    with _lock:
        known = dict(_states)
    if not known:
        return
    try:
        running = {int(name) for name in os.listdir(_TASKS)}
    except OSError:
        return  # as without a free file descriptor: nothing is known to have ended
    with _lock:
        # Not those of threads that began since: what they have now is not what was known.
        gone = {n for n, s in known.items() if n not in running and _states.get(n) == s}
        ended = [_states.pop(native) for native in gone] + _left
        _left.clear()
    if ended:
        # From 3.12 on, Python takes the thread that frees a state for the one that had it, and
        # forgets its state: one that calls nothing any more does not mind.
        threading.Thread(target=_free, args=(ended,), name="thread states", daemon=True).start()


def _keep() -> None:
    known = {thread.ident for thread in threading.enumerate()}
    if threading.get_ident() in known or not _TASKS.exists():
        return  # a thread of Python's, which frees its state itself; or nobody tells of the end
    native = threading.get_native_id()
    _api.PyGILState_Ensure()  # never released: the callback's own release leaves the state alone
    with _lock:
        if native in _states:
            _left.append(_states[native])
        _states[native] = _api.PyThreadState_Get()


def _free(states: list[int]) -> None:
    for state in states:
        _api.PyThreadState_Clear(state)
        _api.PyThreadState_Delete(state)
