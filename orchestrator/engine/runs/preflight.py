"""The check before a run: everything that can be found before anything is written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.config import ChannelConfig
from orchestrator.errors import CheckError, NotConnectedError, told_at
from orchestrator.language.foresight.checks import check_program
from orchestrator.language.foresight.verdicts import Finding, Level
from orchestrator.language.names import Names
from orchestrator.language.program.nodes import Node, Runnable, Walk, walk
from orchestrator.ports import Channels, ChannelView, View
from orchestrator.types import Metadata, path_text

_GRACE = 1.0
"""s that a channel which may be missing has to connect, once all others of its IOC have."""


class Preflight:
    """Looks at one program and the channels that it uses; writes nothing."""

    def __init__(
        self,
        channels: Channels,
        view: View,
        configs: Mapping[str, ChannelConfig],
        names: Names,
        connect_timeout: float,
    ) -> None:
        """`configs`: the channels of the configuration, by alias."""
        self.used: set[str] = set()
        """The channels that were asked for: they are needed as long as the run lasts."""
        self._timeout = connect_timeout
        self._channels = channels
        self._view = view
        self._configs = configs
        self._names = names
        # A sequence server of the older kind has no INDEX, the first ones no message either.
        self._optional = frozenset(
            name
            for server in names.servers.values()
            for name in (server.index, server.message, server.values)
        )

    async def check(self, program: Runnable) -> list[str]:
        """All channels connected and writable, all values such as their channels take.

        Returns:
            Warnings, each with its line: what is probably not meant, but can be run.

        Raises:
            NotConnectedError: Channels are not connected in time; names them all.
            CheckError: Findings, each with its line.
        """
        if not program.is_known:
            return []
        used = program.reads | program.writes
        self.used.update(program.links)
        await self._channels.connect(sorted(program.links - used), 0.0)
        await self.connect(sorted(used))
        found = await self.findings(program)
        errors = [finding.line() for finding in found if finding.level is Level.ERROR]
        if errors:
            raise CheckError(errors)
        return [finding.line() for finding in found]

    async def findings(self, program: Runnable) -> list[Finding]:
        """What is wrong, or probably not meant, as far as the channels have told of themselves."""
        used = program.reads | program.writes
        texts = await self.doubled(sorted(used))
        doubled = [_at_its_step(program, name, text) for name, text in texts.items()]
        known = {name: self._of_puts(name) for name in used}
        # It looks at every node, perhaps at every point of every loop: not on the event loop.
        return [*doubled, *await asyncio.to_thread(self._found, program, known)]

    async def doubled(self, names: Sequence[str]) -> dict[str, str]:
        """What is wrong with those of these channels, or what stops them, that two servers have."""
        found = await self._channels.doubled(sorted({*names, *self._stops(names)}))
        pvs = {name: self._pv(name) for name in found}
        return {name: _two_servers(name, pvs[name], servers) for name, servers in found.items()}

    async def one_server(self, names: Sequence[str]) -> None:
        """Refuse channels, by the name that a run uses, which two servers have.

        Raises:
            CheckError: Names them all.
        """
        if texts := await self.doubled(names):
            raise CheckError(list(texts.values()))

    def _found(self, program: Runnable, known: Mapping[str, Metadata | None]) -> list[Finding]:
        found = check_program(program, known.get)
        nodes = (*walk(program.steps), *walk(program.finally_))
        denied = [finding for node in nodes for finding in self._denied(node)]
        blind = [finding for node in nodes for finding in self._blind(node)]
        return list(dict.fromkeys([*denied, *blind, *found]))

    def _of_puts(self, name: str) -> Metadata | None:
        metadata = self._view.channel(name).metadata
        config = self._configs.get(self._names.record(name))
        return metadata if metadata is None or config is None else config.of_puts(metadata)

    async def connect(self, names: Sequence[str]) -> None:
        """Make sure of these channels, and of those that stop them.

        Raises:
            NotConnectedError: Some are not connected in time; names them all.
        """
        missing = await self._connected(sorted({*names, *self._stops(names)}))
        if missing:
            listed = ", ".join(self._known_as(name) for name in missing)
            raise NotConnectedError(
                f"not connected within {self._timeout:g} s: {listed}; "
                "is the IOC running, and its address in the configuration or EPICS_CA_ADDR_LIST?"
            )
        await self._examined(names)

    async def _connected(self, names: Sequence[str]) -> list[str]:
        """The names that are not connected in time; of those that may be missing, none."""
        self.used.update(names)
        needed = [name for name in names if name not in self._optional]
        optional = [name for name in names if name in self._optional]
        if optional:
            await self._channels.connect(optional, 0.0)  # they are searched for with the others
        missing = await self._channels.connect(needed, self._timeout)
        if optional and not missing:
            await self._channels.connect(optional, min(_GRACE, self._timeout))
        return missing

    async def reach(self, names: Sequence[str]) -> None:
        """Begin to look for these channels; whether they are there is looked at later."""
        self.used.update(names)
        await self._channels.connect(names, 0.0)

    async def _examined(self, names: Sequence[str]) -> None:
        """Wait for the device: what the client has offered of them may be in the pull queue yet."""
        waiting = {
            name
            for name in names
            if name not in self._optional and not _is_known(self._view.channel(name))
        }
        if not waiting:
            return
        known = asyncio.get_running_loop().create_future()

        def changed(channel: ChannelView) -> None:
            if _is_known(channel):
                waiting.discard(channel.name)
            if not waiting and not known.done():
                known.set_result(None)

        unwatch = self._view.watch(waiting, changed)
        try:
            async with asyncio.timeout(self._timeout):
                await known
        except TimeoutError:
            pass  # lost again meanwhile: whoever needs it tells
        finally:
            unwatch()

    def _stops(self, names: Sequence[str]) -> set[str]:
        return {self._names.resolve(s) for s in map(self._stop, names) if s}

    def _stop(self, name: str) -> str | None:
        config = self._configs.get(self._names.record(name))
        return config.stop.pv if config and config.stop else None

    def _pv(self, name: str) -> str:
        config = self._configs.get(name)
        return config.pv if config else name.removeprefix("ca://")

    def _known_as(self, name: str) -> str:
        config = self._configs.get(name)
        return f"{name} ({config.pv})" if config and config.pv != name else name

    def _blind(self, node: Node) -> Iterator[Finding]:
        """Which of the servers that a step walks tell of an index by ACK alone."""
        for level in node.inside.levels if isinstance(node.inside, Walk) else ():
            server = level.server
            if self._view.channel(server.ack).links and not self._view.channel(server.index).links:
                text = (
                    f"there is no {self._known_as(server.index)}: an index of {server.name} counts "
                    "as reached when its ACK goes from 0 to 1"
                )
                yield _finding(node, text, Level.WARNING)

    def _denied(self, node: Node) -> Iterator[Finding]:
        """Which of the channels that a step writes may not be written."""
        for name in node.writes:
            config = self._configs.get(self._names.record(name))
            metadata = self._view.channel(name).metadata
            if config is not None and not config.write:
                yield _finding(node, f"{name}: the configuration says write = false")
            elif metadata is not None and not metadata.writable:
                yield _finding(node, f"{name}: the IOC gives no write access")


def _is_known(channel: ChannelView) -> bool:
    """Whether the device has seen it connect, and its first value where it may be read."""
    readable = channel.metadata is not None and channel.metadata.readable
    return channel.connected and (channel.reading is not None or not readable)


def _finding(node: Node, text: str, level: Level = Level.ERROR) -> Finding:
    text = told_at(f"{path_text(node.path)} {node.label}", text)
    return Finding(level, node.where, node.path, text)


def _two_servers(name: str, pv: str, servers: tuple[str, str]) -> str:
    """What is told of a channel whose PV two servers have."""
    here, other = servers
    return f"{name}: two servers have the PV {pv}, {here} and {other}; stop one"


def _at_its_step(program: Runnable, name: str, text: str) -> Finding:
    """An error of a channel, at the first step that names it."""
    nodes = walk(program.all_steps)
    user = next((node for node in nodes if name in node.names), None)
    if user is None:
        return Finding(Level.ERROR, program.origin, (), text)
    step = f"{path_text(user.path)} {user.label}"
    return Finding(Level.ERROR, user.where, user.path, told_at(step, text))
