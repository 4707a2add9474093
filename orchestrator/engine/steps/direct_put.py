"""A put that no run does: somebody asks for it by a door beside Channel Access."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.config import ChannelConfig
from orchestrator.engine.steps.moves import checked
from orchestrator.errors import ClaimedError, InputError, NotConnectedError, PutError
from orchestrator.language.names import suggestion
from orchestrator.ports import Channels, View


class DirectPuts:
    """Puts to channels of the configuration, looked at as those of a run are."""

    def __init__(
        self,
        channels: Channels,
        view: View,
        configs: Mapping[str, ChannelConfig],
        held: Callable[[str], str],
    ) -> None:
        """`configs`: by alias. `held`: see `Claims.held`."""
        self._channels = channels
        self._view = view
        self._configs = configs
        self._held = held

    async def put(self, name: str, value: object, timeout: float) -> None:
        """Put with a put-callback, and return when that has come.

        Raises:
            InputError: There is no such channel.
            ClaimedError: A run may put to it, and is under way.
            NotConnectedError: It is not connected within `timeout` s.
            PutError: It may not be written, or takes no such value; nothing was written.
            StepTimeoutError: No completion within `timeout` s.
        """
        config = self._configs.get(name)
        if config is None:
            hint = suggestion(name, self._configs, kind="channels")
            raise InputError(f"there is no channel {name!r}{hint}")
        if not config.write:
            raise PutError(f"{name}: the configuration says write = false")
        if await self._channels.connect([name], timeout):
            raise NotConnectedError(f"{name} is not connected")
        wanted = checked(value, self._view.channel(name), config)
        if run := self._held(name):
            raise ClaimedError(f"{name} is claimed by the run {run}: nothing was written")
        await self._channels.put(name, wanted, completion=True, timeout=timeout)
