"""Thread states of threads that Python did not start."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from orchestrator.client.libca import thread_states
from sim_iocs.testing import until

pytestmark = pytest.mark.skipif(
    not thread_states._TASKS.exists(), reason="states are kept where threads can be seen to end"
)

_api = ctypes.pythonapi
_api.PyInterpreterState_Get.restype = ctypes.c_void_p
for _call in (_api.PyInterpreterState_ThreadHead, _api.PyThreadState_Next):
    _call.argtypes = [ctypes.c_void_p]
    _call.restype = ctypes.c_void_p
_libc = ctypes.CDLL(None)
_Write = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_Close = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class _Functions(ctypes.Structure):
    """cookie_io_functions_t of stdio.h."""

    _fields_: ClassVar = [
        ("read", ctypes.c_void_p),
        ("write", _Write),
        ("seek", ctypes.c_void_p),
        ("close", _Close),
    ]


_libc.fopencookie.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _Functions]
_libc.fopencookie.restype = ctypes.c_void_p
_libc.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]


def states() -> int:
    """How many thread states Python has."""
    count, state = 0, _api.PyInterpreterState_ThreadHead(_api.PyInterpreterState_Get())
    while state:
        count, state = count + 1, _api.PyThreadState_Next(state)
    return count


def in_foreign_thread(first: Callable[[], None], second: Callable[[], None]) -> None:
    """Have C call these, one after the other, in a thread of its own; return when it has ended.

    The thread is one that closes a stream, which writes what is left, and closes what is behind it.
    """

    def write(_cookie: object, _data: object, size: int) -> int:
        first()
        return size

    def close(_cookie: object) -> int:
        second()
        return 0

    functions = _Functions(write=_Write(write), close=_Close(close))
    stream = ctypes.c_void_p(_libc.fopencookie(None, b"w", functions))
    _libc.fputs(b"something to write", stream)
    thread = ctypes.c_ulong()
    assert _libc.pthread_create(ctypes.byref(thread), None, _libc.fclose, stream) == 0
    assert _libc.pthread_join(thread, None) == 0


def free_until(met: Callable[[], bool]) -> None:
    """Free again and again, as the client does: a joined thread may be seen for a moment yet."""

    def look() -> bool:
        thread_states.free_states()
        return met()

    until(look)


@pytest.fixture(autouse=True)
def others() -> Iterator[set[int]]:
    """Threads of libca that other tests of this process have left, whose states are kept too."""
    before = thread_states.keeping()
    yield before
    free_until(lambda: thread_states.keeping() <= before)


def test_a_foreign_thread_keeps_its_state_from_one_call_to_the_next() -> None:
    found: list[object] = []
    mine = threading.local()

    def first() -> None:
        thread_states.keep_state()
        mine.value = "kept"

    in_foreign_thread(first, lambda: found.append(getattr(mine, "value", "a new state")))

    assert found == ["kept"]


def test_the_states_of_threads_that_have_ended_are_freed() -> None:
    before = states()

    for _ in range(20):
        in_foreign_thread(thread_states.keep_state, thread_states.keep_state)
    assert states() >= before + 20

    free_until(lambda: states() <= before)


def test_a_thread_that_runs_keeps_its_state_while_others_are_freed(others: set[int]) -> None:
    goes_on, began = threading.Event(), threading.Event()
    mine = threading.local()
    found: list[object] = []

    def first() -> None:
        thread_states.keep_state()
        mine.value = "kept"

    def second() -> None:
        began.set()
        goes_on.wait(10)
        found.append(mine.value)

    runs = threading.Thread(target=in_foreign_thread, args=(first, second))
    runs.start()
    began.wait(10)
    in_foreign_thread(thread_states.keep_state, thread_states.keep_state)
    free_until(lambda: len(thread_states.keeping() - others) == 1)
    goes_on.set()
    runs.join()

    assert found == ["kept"]


def test_where_it_can_not_be_seen_which_threads_have_ended_nothing_is_freed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, others: set[int]
) -> None:
    in_foreign_thread(thread_states.keep_state, thread_states.keep_state)
    kept = thread_states.keeping()

    with monkeypatch.context() as patch:
        patch.setattr(thread_states, "_TASKS", tmp_path / "unreadable")
        thread_states.free_states()

    assert len(kept - others) == 1
    assert thread_states.keeping() == kept


def test_a_thread_of_pythons_frees_its_state_itself(others: set[int]) -> None:
    thread = threading.Thread(target=thread_states.keep_state)
    thread.start()
    thread.join()

    assert thread_states.keeping() <= others
