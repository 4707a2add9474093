"""What the documents of a run see from their beginning on: latches, and updates one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from orchestrator.engine.readings.latches import Latch
from orchestrator.engine.readings.trust import Trust
from orchestrator.engine.readings.updates import UpdateQueue
from orchestrator.language.expressions.operand import Environment, Operand, latch_key
from orchestrator.language.program.nodes import Runnable
from orchestrator.ports import View
from orchestrator.types import Severity


def updates_key(name: str) -> str:
    """The name, which no document can have, by which the updates of a channel are bound."""
    return f"$updates {name}"


class Followed:
    """The latches and queues of updates of one run."""

    def __init__(
        self,
        view: View,
        trust: Trust,
        environment: Callable[[], Environment],
        tell: Callable[[str, Severity], None],
    ) -> None:
        """`environment` makes what a latch is looked at in."""
        self._view = view
        self._trust = trust
        self._environment = environment
        self._tell = tell
        self._open: dict[int, Latch | UpdateQueue] = {}

    def begin(self, program: Runnable) -> Mapping[str, object]:
        """Follow what a document follows from now on; gives what its outermost scope binds."""
        made: dict[str, object] = {
            latch_key(name): self.latch(condition) for name, condition in program.latches
        }
        return made | {updates_key(name): self.updates(name) for name in sorted(program.followed)}

    def latch(self, condition: Operand) -> Latch:
        """Watch a condition from now on."""
        latch = Latch(self._view, condition, self._environment())
        self._open[id(latch)] = latch
        return latch

    def updates(self, name: str) -> UpdateQueue:
        """Keep the updates of a channel from now on."""
        queue = UpdateQueue(self._view, name, self._trust, self._tell)
        self._open[id(queue)] = queue
        return queue

    def end(self, scope: Mapping[str, object]) -> None:
        """Watch what a scope binds no longer."""
        for value in list(scope.values()):
            if isinstance(value, Latch | UpdateQueue):
                self.close_one(value)

    def close_one(self, one: Latch | UpdateQueue) -> None:
        """Watch this no longer; harmless where that is so already."""
        if self._open.pop(id(one), None) is not None:
            one.close()

    @contextmanager
    def closing(self, scope: Mapping[str, object]) -> Iterator[None]:
        """Watch what a scope binds to the end of the block."""
        try:
            yield
        finally:
            self.end(scope)

    def close(self) -> None:
        """The run is over."""
        for one in list(self._open.values()):
            self.close_one(one)
