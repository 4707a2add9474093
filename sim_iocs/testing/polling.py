"""Waiting for a condition."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], timeout: float = 10, what: str = "condition") -> T:
    """Poll until the condition is true; its value.

    >>> from sim_iocs.testing import until
    >>> until(lambda: "something", timeout=2)
    'something'

    Args:
        condition: asked every 10 ms.
        timeout: seconds.
        what: is waited for, for the error.

    Raises:
        AssertionError: it did not become true in time.
    """
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout:g} s")
        time.sleep(0.01)
    return result
