"""What expressions read: variables, the view of the world, this run's samples."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import numpy as np
import numpy.typing as npt

from orchestrator.engine.readings.history import History
from orchestrator.engine.readings.latches import Latch
from orchestrator.engine.readings.trust import Trust
from orchestrator.errors import ExpressionError, NotConnectedError, OrchestratorError
from orchestrator.language.expressions.operand import latch_key
from orchestrator.language.values.conversion import unknown_label
from orchestrator.language.values.number_types import shortest
from orchestrator.language.values.operations import Fault
from orchestrator.ports import View
from orchestrator.types import Array, Metadata, NativeType, Reading
from orchestrator.verbs.awaited import NOTHING_MORE, Accept

_ON_ITS_WAY = 2.0
"""s by which an update and the reply to a get may overtake each other."""


_NONE: Mapping[str, OrchestratorError] = MappingProxyType({})


class UnmetError(NotConnectedError):
    """A condition reads a channel whose value does not count now; never told to users."""


class RunEnvironment:
    """Implements `language.expressions.operand.Environment` on the world as it is now.

    Evaluation never suspends, so that what it reads is one snapshot.
    """

    __slots__ = (
        *("_accept", "_data", "_fresh", "_history", "_looked", "_read", "_scope", "_since"),
        *("_trust", "_unread", "_view"),
    )

    def __init__(
        self,
        view: View,
        data: Mapping[str, npt.NDArray[np.float64]],
        scope: Mapping[str, object],
        fresh: Mapping[str, Reading],
        trust: Trust | None = None,
        accept: Accept = NOTHING_MORE,
        unread: Mapping[str, OrchestratorError] = _NONE,
        *,
        history: History,
        since: int = 0,
        read: Mapping[str, Reading] = MappingProxyType({}),
    ) -> None:
        """`read`: what counts whatever updates tell: it was just read together.

        `fresh`: readings newer than the view's. With `trust`, values that don't count raise.

        `since`: the moment of the history from which on a channel has changed.

        `unread`: channels that should have been read anew, and why they could not be.
        """
        self._read = read
        self._history = history
        self._since = since
        self._unread = unread
        self._view = view
        self._data = data
        self._scope = scope
        self._fresh = fresh
        self._trust = trust
        self._accept = accept
        self._looked: list[Latch] = []

    def latched(self, name: str) -> bool:
        """Whether a latch is set; it is taken by `take_latches`."""
        latch = self._scope[latch_key(name)]
        assert isinstance(latch, Latch)  # noqa: S101 - nothing else is bound by such a name
        self._looked.append(latch)
        return latch.is_set

    def forget_latches(self) -> None:
        """What was looked at so far is not taken."""
        self._looked.clear()

    def take_latches(self) -> None:
        """Take those that were looked at since this was last called."""
        for latch in self._looked:
            latch.take()
        self._looked.clear()

    def variable(self, name: str) -> object:
        """A parameter, loop variable or `let` name.

        Raises:
            ExpressionError: The step that binds it was skipped, or has failed and was tolerated.
        """
        try:
            return self._scope[name]
        except KeyError:
            told = f"{name} has no value: the step that gives it one did not end"
            raise ExpressionError(told) from None

    def channel(self, name: str) -> object:
        """A channel's value; an enum is its label.

        Raises:
            UnmetError: With `trust`, where the value does not count.
            NotConnectedError: Without, where the channel is disconnected.
        """
        return in_words(self._counting(name), self._view.channel(name).metadata)

    def check_label(self, name: str, text: str) -> None:
        """Refuse a text that no value of the channel can be: misspelt, it would just be unequal.

        Raises:
            Fault: It is none of the labels of an enum; lists them.
        """
        if wrong := unknown_label(name, text, self._view.channel(name).metadata):
            raise Fault(wrong)

    def connected(self, name: str) -> bool:
        """Whether it is connected."""
        return self._view.channel(name).connected

    def severity(self, name: str) -> int:
        """Its alarm severity, 0 … 3; 3 (INVALID) while disconnected."""
        state = self._view.channel(name)
        return int(self.reading(name).severity) if state.connected else 3

    def age(self, name: str) -> float:
        """Seconds since its last update reached us; what we have read ourselves is none.

        Raises:
            NotConnectedError: It is disconnected, or has delivered nothing yet.
        """
        self._check_connected(name)
        seen = self._view.channel(name).reading
        last = self.reading(name) if seen is None else seen
        return asyncio.get_running_loop().time() - last.received

    def timestamp(self, name: str) -> float:
        """The stamp of its value by its IOC, s since 1970; raises as `channel`."""
        return self._counting(name).timestamp

    def changed(self, name: str) -> bool:
        """Whether it has had another value since; raises as `channel`."""
        return self._history.changed(name, self._counting(name), self._since)

    def now(self) -> float:
        """S since 1970, by our own clock."""
        return self._history.now()

    def elapsed(self) -> float:
        """S since the run began, without pauses."""
        return self._history.elapsed()

    def index(self, name: str) -> int:
        """An enum's number; raises as `channel`."""
        value = self._counting(name).value
        if not isinstance(value, int):
            raise ExpressionError(f"index({name}): it is no enum, its value is {value!r}")
        return value

    def data(self, name: str) -> npt.NDArray[np.float64]:
        """This run's samples of a channel, shape (n_points,); empty before the first."""
        return self._data.get(name, np.zeros(0))

    def _counting(self, name: str) -> Reading:
        """The newest reading, if its value counts."""
        if self._trust is not None:
            doubt = self._trust.doubt(self._view.channel(name), self._accept)
            if doubt:
                raise UnmetError(f"{name}: {doubt}")
        self._check_connected(name)
        return self.reading(name)

    def _check_connected(self, name: str) -> None:
        if not self._view.channel(name).connected:
            raise NotConnectedError(f"{name} is disconnected")

    def reading(self, name: str) -> Reading:
        """The newest of what was examined and what was read after the last put.

        Raises:
            NotConnectedError: There is none yet.
            OrchestratorError: It should have been read anew, and could not be.
        """
        if name in self._read:
            return self._read[name]
        if name in self._unread:
            raise self._unread[name]
        seen = self._view.channel(name).reading
        fresh = self._fresh.get(name)
        if seen is None and fresh is None:
            raise NotConnectedError(f"{name} has delivered no value yet")
        if seen is None or fresh is None:
            return cast(Reading, fresh or seen)
        return fresh if _is_newer(fresh, seen) else seen


def _is_newer(fresh: Reading, seen: Reading) -> bool:
    """Whether what was read is newer than the last update.

    The one that reached us later is, unless by its stamp it was just overtaken on the way: a
    server may answer a get before it sends an update, and the other way round. A stamp alone tells
    nothing: it stands still for fields that do not process, and goes back with a server's clock.
    """
    ahead = fresh.timestamp - seen.timestamp
    if seen.received > fresh.received:
        return 0 < ahead < _ON_ITS_WAY and seen.received - fresh.received < _ON_ITS_WAY
    return not -_ON_ITS_WAY < ahead < 0


def in_words(reading: Reading, metadata: Metadata | None) -> float | int | str | Array | list[str]:
    """A reading as expressions see it: an enum is its text, a text array a list.

    A FLOAT is the decimal that it stands for, so that one that holds 0.7 is at least 0.7.
    """
    value = reading.value
    if isinstance(value, float):
        is_float = metadata is not None and metadata.native is NativeType.FLOAT
        return shortest(value) if is_float else value
    if metadata is not None and metadata.labels and isinstance(value, int):
        return metadata.label(value)
    return list(value) if isinstance(value, tuple) else value


class _NoData:
    """The environment of constants: they read nothing."""

    def variable(self, name: str) -> object:
        raise ExpressionError(f"{name} is not known before the run")

    def channel(self, name: str) -> object:
        raise ExpressionError(f"{name} is not known before the run")

    def check_label(self, name: str, text: str) -> None:
        """Constants compare no channel."""

    def connected(self, name: str) -> bool:
        raise ExpressionError(f"connected({name}) is not known before the run")

    def severity(self, name: str) -> int:
        raise ExpressionError(f"severity({name}) is not known before the run")

    def age(self, name: str) -> float:
        raise ExpressionError(f"age({name}) is not known before the run")

    def index(self, name: str) -> int:
        raise ExpressionError(f"index({name}) is not known before the run")

    def timestamp(self, name: str) -> float:
        raise ExpressionError(f"timestamp({name}) is not known before the run")

    def changed(self, name: str) -> bool:
        raise ExpressionError(f"changed({name}) is not known before the run")

    def latched(self, name: str) -> bool:
        raise ExpressionError(f"latched({name!r}) is not known before the run")

    def now(self) -> float:
        raise ExpressionError("now() is not known before the run")

    def elapsed(self) -> float:
        raise ExpressionError("elapsed() is not known before the run")

    def data(self, name: str) -> npt.NDArray[np.float64]:
        raise ExpressionError(f"data({name}) is not known before the run")


NOTHING = _NoData()
"""For operands that are `constant`."""
