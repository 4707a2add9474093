"""What is bound by passes that follow each other quicker than is worth telling.

A loop that only computes makes 10,000 passes a second, each with a line for each name that it
binds. Of these the newest are told, once a second and before any other line, as far as a run that
goes on needs them: what held at the beginning of each pass that is under way then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from orchestrator.data.journal import entries
from orchestrator.types import Path, Place

_LISTED = 100
"""Lines in a second that are told at once, each."""
_SECOND = 1.0
"""s."""

_Key: TypeAlias = tuple[Path, str]
"""Which step has bound which name."""
_Bound: TypeAlias = bytes | tuple[Place, str, object, bool]
"""The line that tells it, or what that is made of."""
_FROZEN = frozenset({bool, int, float, str, type(None)})
"""Types of values that nobody can change until the line is made: that takes longer than all else.
"""


class QuickPasses:
    """Takes the lines of values that are bound, and hands on those that are to be told.

    Those that wait are layers: the first has what was bound before the pass of the outermost loop
    that is under way, the second since then and before that of the loop inside it, and so on. Read
    in this order they tell, for each of these passes, what held when it began.
    """

    def __init__(
        self,
        append: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
        listed: int = _LISTED,
    ) -> None:
        """`append` takes the lines; `clock`: s; `listed`: so many a second are told at once."""
        self._append = append
        self._clock = clock
        self._listed = listed
        self._since = clock()
        self._told = self._left_out = 0
        self._loops: tuple[int, ...] = ()
        self._layers: list[dict[_Key, _Bound]] = [{}]
        self.waits = False
        """Whether lines wait that stand before whatever is told next."""

    def bound(self, at: Place, name: str, value: object, *, variable: bool) -> None:
        """The step at a place has bound a name, or given a variable a value."""
        now = self._clock()
        if now - self._since >= _SECOND:
            self.flush()
            self._since, self._told = now, 0
        if self._told < self._listed:
            self._told += 1
            self._append(entries.name_bound(at, name, value, variable=variable))
            return
        self._enter(at.loops)
        self.waits = True
        newest, key = self._layers[-1], (at.path, name)
        self._left_out += newest.pop(key, None) is not None
        newest[key] = (  # behind all others
            (at, name, value, variable)
            if type(value) in _FROZEN
            else entries.name_bound(at, name, value, variable=variable)
        )

    def _enter(self, loops: tuple[int, ...]) -> None:
        """The passes of which the indices are others than these are left."""
        same = 0
        while same < min(len(loops), len(self._loops)) and loops[same] == self._loops[same]:
            same += 1
        while len(self._layers) > same + 1:
            inner, outer = self._layers.pop(), self._layers[-1]
            for key, bound in inner.items():
                self._left_out += outer.pop(key, None) is not None
                outer[key] = bound
        self._layers += [{} for _ in range(len(loops) + 1 - len(self._layers))]
        self._loops = loops

    def flush(self) -> None:
        """Tell what waits."""
        if not self.waits:
            return
        self.waits = False
        if self._left_out:
            self._append(entries.passes_counted(self._left_out))
            self._left_out = 0
        for layer in self._layers:
            for bound in layer.values():
                self._append(_line(bound))
        self._layers, self._loops = [{}], ()


def _line(bound: _Bound) -> bytes:
    if isinstance(bound, bytes):
        return bound
    at, name, value, variable = bound
    return entries.name_bound(at, name, value, variable=variable)
