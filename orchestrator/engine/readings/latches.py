"""Conditions that are remembered from when they become true until somebody has looked."""

from __future__ import annotations

from orchestrator.errors import NotConnectedError, OrchestratorError
from orchestrator.language.expressions.operand import Environment, Operand
from orchestrator.ports import ChannelView, View
from orchestrator.types import Reading


class Latch:
    """One condition, looked at with each update of its channels, of which none is left out.

    It is set where the condition becomes true after it was false. What can't be known (a lost
    channel, INVALID, a first value after a reconnection) is neither, and does not set it.
    """

    def __init__(self, view: View, condition: Operand, environment: Environment) -> None:
        """From now on; `environment` has the last updates, without what was read beside them."""
        self.text = condition.text
        self.channels = condition.channels | condition.links
        self.readings: list[Reading] = []
        """Those by which it was set last."""
        self._condition = condition
        self._environment = environment
        self._states = [view.channel(name) for name in sorted(condition.channels)]
        self._was: bool | None = None
        self._is_set = False
        self._fault: OrchestratorError | None = None
        self._unwatch = view.watch(self.channels, self._updated, every=True)
        self._updated()

    @property
    def is_set(self) -> bool:
        """Whether it has become true since it was taken last; looking takes nothing.

        Raises:
            OrchestratorError: Its condition could not be computed.
        """
        if self._fault is not None:
            raise self._fault
        return self._is_set

    def take(self) -> None:
        """Somebody has looked, and acts on it."""
        self._is_set = False

    def close(self) -> None:
        """It is looked at no longer."""
        self._unwatch()

    def _updated(self, _channel: ChannelView | None = None) -> None:
        try:
            holds = bool(self._condition.evaluate(self._environment))
        except NotConnectedError:
            return
        except OrchestratorError as error:
            self._fault = error
            return
        if holds and self._was is False:
            self._is_set = True
            self.readings = [s.reading for s in self._states if s.reading is not None]
        self._was = holds
