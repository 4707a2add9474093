"""A system as those were written that sequence servers come from: it knows nothing of ours.

It takes `CMD` and `Nested_Indices` itself, evaluates both, and acknowledges by its queue.
"""

from __future__ import annotations

import threading
from typing import Any


class OriginalSystem:
    """Moves by a trajectory of its own; tells all by `io.seq.io_put_queue` and its own queue."""

    def __init__(self) -> None:
        self.io: Any = None
        self.trajectory: list[Any] | None = None
        self.position: Any = 0.0
        self.asked: list[tuple[str, Any]] = []

    def io_execute(self, pv_name: str, value: Any) -> None:
        self.asked.append((pv_name, value))
        if pv_name == "CMD":
            self.io_put("ACK", 0)
            self.io_put("values", [])
            try:
                self.trajectory = list(eval(value, {"range": range, "list": list}))  # noqa: S307
            except SyntaxError:
                self.io_put("ACK", "0failed to evaluate the command")
                return
            self.io_put("values", self.trajectory)
            self.io_put("ACK", "1")
        if pv_name == "Nested_Indices":
            index = eval(bytes(value))["test.server"]  # noqa: S307
            self.io_put("ACK", 0)
            self.position = self.trajectory[index]
            self.io_put("VAL", self.position)
            self.io_put("message", f"at {self.position}")
            self.io_put("ACK", 1)

    def io_put(self, pv_name: str, value: Any) -> None:
        queue = self.io.seq.io_put_queue if self.io is not None else self.io_put_queue
        queue.put({pv_name: value})


class LateSystem(OriginalSystem):
    """Returns at once, and acknowledges from a thread of its own when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Event()

    def io_execute(self, pv_name: str, value: Any) -> None:
        if pv_name in ("CMD", "Nested_Indices"):
            threading.Thread(target=self._later, args=(pv_name, value)).start()

    def _later(self, pv_name: str, value: Any) -> None:
        if self.may_go.wait(10):
            super().io_execute(pv_name, value)
