"""The edge to Channel Access: monitors into the pull queue; put and get for the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, ClassVar, TypeVar, cast

import structlog
from aioca import (
    connect,
    get_channel_infos,
    purge_channel_caches,
)
from aioca._catools import get_channel  # the channel itself has no public door
from epicscorelibs.ca import cadef

from orchestrator.client.channels.access_rights import AccessRights
from orchestrator.client.channels.gets import Reads, ask
from orchestrator.client.channels.link import Link, Report
from orchestrator.client.channels.menus import Menu, is_menu
from orchestrator.client.channels.put_lane import PutLane
from orchestrator.client.libca.arrivals import Arrivals
from orchestrator.client.libca.ca_subscription import Broken, CaSubscription, Flusher
from orchestrator.client.libca.ctrl_metadata import Details, describer
from orchestrator.client.libca.dbr import (
    char_array,
    is_long_string,
    is_text,
    metadata_of,
    text_from,
)
from orchestrator.client.libca.error_mapping import FAULTS, label_of, not_connected, read_fault
from orchestrator.client.libca.libca_log import doubled, silence
from orchestrator.client.libca.teardown import forget_channel, leave_in_time
from orchestrator.client.libca.thread_states import free_states
from orchestrator.client.servers.restarts import Restarts
from orchestrator.client.servers.second_servers import ignored_servers
from orchestrator.config import ChannelConfig
from orchestrator.errors import NotConnectedError, OrchestratorError, ReadError, StepTimeoutError
from orchestrator.language.names import record_of
from orchestrator.ports import Offer, always
from orchestrator.timers import spelt
from orchestrator.types import LinkChange, Metadata, Reading, Value

log = structlog.get_logger(__name__)

T = TypeVar("T")

REFRESH_AFTER = 10.0
"""s after which the metadata of a server that ignores event masks are read again, at least."""
SUBSCRIBED_WITHIN = 1.0
"""s that a server has to answer a subscription to metadata before it is asked for them by a get."""
GIVE_UP_AFTER = 60.0
"""s after which a channel that documents have named, and that nobody needs, is given up."""
GIVE_UP_AT_ONCE = 200
"""Channels that are given up in one go, at most."""
SECOND_ANSWER = 0.3
"""s that a second server of the same PV gets to answer, once the first is connected."""
REFRESH_AT_ONCE = 20
"""Channels whose metadata are read again in one second, at most."""


class Client:
    """All channels of the process, over libca.

    Opened by `async with`, which starts the monitors of all channels that have one. Names are
    aliases; every other name is a full PV name, with or without `ca://`.

    Whatever a channel does comes to the pull queue in the order in which libca reported it:
    `LinkChange(connected=True)` with metadata before the first `Reading`; all updates, none
    merged; `LinkChange(connected=False)` behind the last.

    Closing cancels what is outstanding and purges aioca's channels, those of other users of aioca
    in this process too once the last client closes.
    """

    _open: ClassVar[int] = 0

    def __init__(
        self,
        channels: Mapping[str, ChannelConfig],
        pull: Offer[Report],
        *,
        text_arrays: bool = False,
    ) -> None:
        """Make it; nothing happens before `async with`.

        Args:
            channels: By alias.
            pull: Where readings and link changes go.
            text_arrays: Whether arrays of CHAR are text of which `channels` do not say so.
        """
        self._text_arrays = text_arrays
        self._menus: dict[str, Menu] = {}
        self._channels = dict(channels)
        self._declared = frozenset(channels)
        self._unneeded: dict[str, float] = {}
        self._pull = pull
        self._links: dict[str, Link] = {}
        self._lanes: dict[str, PutLane] = {}
        self._muted: dict[Link, float] = {}
        self._closed = False

    async def __aenter__(self) -> Client:
        get_channel_infos()  # makes libca's context
        silence()
        self._loop = asyncio.get_running_loop()
        self._arrivals = Arrivals()
        self._flusher = Flusher()
        self._rights = AccessRights(self._arrivals)
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._restarts = Restarts(self.start, self._search_again)
        self._running: set[asyncio.Task[Any]] = set()
        self._limits: set[asyncio.Timeout] = set()
        self._reads: set[Reads] = set()
        Client._open += 1
        self.start(self._refresh(), "metadata")
        for name, config in self._channels.items():
            if config.monitor:
                self._link(name)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed = True
        for link in self._links.values():
            link.close()
        for task in self._running:
            task.cancel()
        for pv, lane in self._lanes.items():
            lane.close(NotConnectedError(f"{pv}: the client was closed during a put"))
        for limit in self._limits:
            limit.reschedule(self._loop.time())
        for reads in self._reads:
            reads.end()
        Client._open -= 1
        if Client._open == 0:
            purge_channel_caches()
            leave_in_time()
        # Without our error, which the group would wrap; all its tasks are cancelled.
        await self._tasks.__aexit__(None, None, None)

    # The engine's port.

    async def connect(self, names: Iterable[str], timeout: float) -> list[str]:
        """As `ports.Channels`. Also waits no longer for a channel that nobody may read."""
        links = {name: self._link(name) for name in names}
        try:
            async with asyncio.timeout(timeout):
                while waiting := [link for link in links.values() if not link.ready]:
                    for link in waiting:
                        await link.until_ready()
        except TimeoutError:
            pass
        return [name for name, link in links.items() if not link.ready]

    async def put(
        self,
        name: str,
        value: Value,
        *,
        completion: bool,
        timeout: float,
        permit: Callable[[], None] = always,
    ) -> None:
        """As `ports.Channels`; text to an enum or a number is left to the server to convert."""
        pv = self.pv(name)
        lane = self._lane(pv)
        label = label_of(name, pv)
        if isinstance(value, str):
            value = self._outgoing_text(name, label, value)
        await lane.put(label, value, completion=completion, timeout=timeout, permit=permit, pv=pv)

    def outstanding(self, name: str) -> float | None:
        """As `ports.Channels`."""
        lane = self._lanes.get(record_of(self.pv(name)))
        return None if lane is None else lane.age

    async def get(
        self, names: Sequence[str], timeout: float, *, beside: bool = False
    ) -> dict[str, Reading | Exception]:
        """As `ports.Channels`; a channel that was never heard of gets `timeout` to connect."""
        del beside  # for replays
        channels = {name: get_channel(self._config(name).pv) for name in names}
        if all(channel.connected() for channel in channels.values()):
            return await self._read_connected(channels, timeout)
        answers: dict[str, Reading | Exception] = {}
        answers.update(await self._all(self._read, names, timeout))
        return answers

    async def doubled(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """As `ports.Channels`."""
        since = max((self._links[n].since for n in names if n in self._links), default=0.0)
        await asyncio.sleep(max(since + SECOND_ANSWER - self._loop.time(), 0.0))
        told = {pv: servers for name in names if (servers := doubled.get(pv := self.pv(name)))}
        channels = {pv: get_channel(pv) for pv in told}
        at = {pv: cadef.ca_host_name(c) for pv, c in channels.items() if c.connected()}
        ignored = await ignored_servers({pv: (at[pv], told[pv]) for pv in at})
        return {n: (at[pv], ignored[pv]) for n in names if (pv := self.pv(n)) in ignored}

    # For the service.

    def tend(self, needed: Collection[str], after: float = GIVE_UP_AFTER) -> None:
        """Give up the channels that nobody has needed for `after` s.

        Those that it was made with stay. The others were named by some document: each costs a
        search that goes on, or a subscription, and some 3 kB. What is given up is told by a
        `LinkChange`, and is found anew by the next `connect`.

        Args:
            needed: The names that are in use; called every few seconds with them.
            after: s.
        """
        now = self._loop.time()
        named = [name for name in self._links if name not in self._declared]
        self._unneeded = {
            name: self._unneeded.get(name, now) for name in named if name not in needed
        }
        due = [name for name, since in self._unneeded.items() if now - since >= after]
        for name in due[:GIVE_UP_AT_ONCE]:
            self._give_up(name)

    def _give_up(self, name: str) -> None:
        pv = self.pv(name)
        lane = self._lanes.get(pv)
        if lane is not None and lane.age is not None:
            return  # its put is still outstanding: a later one has to wait for it
        link = self._links.pop(name)
        del self._unneeded[name], self._channels[name]
        self._muted.pop(link, None)
        link.close()
        self._pull.offer(LinkChange(name, connected=False, forgotten=True))
        if not any(other.config.pv == pv for other in self._links.values()):
            if lane is not None:
                lane.close(NotConnectedError(f"{pv} was given up"))
                del self._lanes[pv]
            doubled.pop(pv, None)
            forget_channel(pv)

    # For commands.

    async def describe(
        self, names: Sequence[str], timeout: float
    ) -> dict[str, Metadata | OrchestratorError]:
        """The metadata of these channels, asked of their servers all at the same time."""
        return await self._all(self._ask_metadata, names, timeout)

    def metadata(self, name: str) -> Metadata | None:
        """The last known metadata of a monitored channel; None before it first connected."""
        link = self._links.get(name)
        return None if link is None else link.metadata

    def pv(self, name: str) -> str:
        """The full PV name of an alias; a PV name's own."""
        return self._config(name).pv

    # One channel.

    def _config(self, name: str) -> ChannelConfig:
        config = self._channels.get(name)
        if config is None:
            config = ChannelConfig(name, name.removeprefix("ca://"), mirror=False)
            self._channels[name] = config
        return config

    def _link(self, name: str) -> Link:
        link = self._links.get(name)
        if link is None:
            config = self._config(name)
            link = Link(
                config,
                self._pull,
                self._rights,
                self._mute,
                self._arrivals,
                self._flusher,
                self._text_from(name),
                self._menu_of,
                record=config.mirror and config.monitor,
                lost=self._restarts.lost,
            )
            self._links[name] = link
            link.open()
        return link

    def _search_again(self, links: Collection[Link]) -> None:
        """Make the channels of these lost links anew, which libca searches for at once."""
        for link in links:
            link.detach()
        for pv in {link.config.pv for link in links}:
            self._menus.pop(pv, None)
            forget_channel(pv)
        for link in links:
            link.open()

    def _text_from(self, name: str) -> int:
        return text_from(self._config(name), arrays=self._text_arrays)

    def _menu_of(self, channel: Any) -> Menu:
        menu = self._menus.get(channel.name)
        if menu is None:
            menu = self._menus[channel.name] = Menu(channel, self._arrivals, self._flusher)
        return menu

    async def _learn_all(self, reads: Reads) -> None:
        """Have the texts of menus' choices before somebody is given their indices."""
        for name, answer in list(reads.answers.items()):
            menu, link = self._menus.get(self.pv(name)), self._links.get(name)
            if menu is None or not isinstance(answer, Reading) or not isinstance(answer.value, int):
                continue
            if not menu.knows(answer.value):
                await menu.learned(answer.value)
                if link is not None:
                    link.tell_labels()
                    await asyncio.sleep(0)  # for who examines what is in the pull queue

    def worded(self, name: str, metadata: Metadata) -> Metadata:
        """Metadata with the labels of a menu that have been learned since."""
        menu = self._menus.get(self.pv(name))
        return metadata if menu is None else menu.describe(metadata)

    def _outgoing_text(self, name: str, label: str, text: str) -> Value:
        """A text as it is to be put: of a single CHAR libca would make a number."""
        channel = get_channel(self.pv(name))
        if not channel.connected():
            return text
        count = cadef.ca_element_count(channel)
        if not is_text(cadef.ca_field_type(channel), count, self._text_from(name)):
            return text
        if is_long_string(channel.name):
            char_array(label, text, count - 1)  # refuses what the record would cut
        return cast(Value, char_array(label, text, 1)) if count == 1 else text

    def _lane(self, pv: str) -> PutLane:
        record = record_of(pv)
        lane = self._lanes.get(record)
        if lane is None:
            lane = self._lanes[record] = PutLane(pv, self._arrivals)
        return lane

    async def _channel(self, name: str, config: ChannelConfig) -> Any:
        """The connected channel of aioca; at once an error for a monitored one that isn't."""
        channel = get_channel(config.pv)
        if not channel.connected():
            if name in self._links:
                raise not_connected(label_of(name, config.pv))
            await connect(config.pv, timeout=None)
            channel = get_channel(config.pv)  # it may have been made anew meanwhile
        return channel

    async def _read_connected(
        self, channels: Mapping[str, Any], timeout: float | None
    ) -> dict[str, Reading | Exception]:
        reads = Reads(self._arrivals)
        self._reads.add(reads)
        try:
            for name, channel in channels.items():
                try:
                    reads.ask(name, channel, text_from=self._text_from(name))
                except FAULTS as fault:
                    reads.answers[name] = fault
            await reads.wait(timeout)
            if self._menus:
                await self._learn_all(reads)
        finally:
            self._reads.discard(reads)
        return {name: self._answer(name, reads.answers.get(name), timeout) for name in channels}

    def _answer(
        self, name: str, answer: Reading | Exception | None, timeout: float | None
    ) -> Reading | Exception:
        if isinstance(answer, Reading):
            return answer
        if answer is None:
            return self._silence_of(name, timeout or 0.0)
        label = label_of(name, self.pv(name))
        if isinstance(answer, FAULTS):
            return read_fault(label, answer)
        log.error("A value could not be read", pv=label, exc_info=answer)
        return ReadError(f"{label} could not be read: {answer}")

    async def _read(self, name: str) -> Reading:
        channel = await self._channel(name, self._config(name))
        answers = await self._read_connected({name: channel}, None)
        answer = answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _ask_metadata(self, name: str) -> Metadata:
        config = self._config(name)
        channel = await self._channel(name, config)
        if not cadef.ca_read_access(channel):
            return metadata_of(channel, None, text_from=self._text_from(name))
        details = await self._ask_details(channel)
        metadata = metadata_of(channel, details, text_from=self._text_from(name))
        if not is_menu(config.pv, metadata):
            return metadata
        return self._menu_of(channel).describe(metadata)

    async def _ask_details(self, channel: Any) -> Details:
        """What its server tells of a channel.

        By a subscription to changes: a get would run the getter of a caproto PV. Where none is
        answered, by a get all the same.
        """
        told: asyncio.Future[Details] = self._loop.create_future()

        def take(answer: Any) -> None:
            if told.done():
                return
            if isinstance(answer, BaseException):
                told.set_exception(answer)
            else:
                told.set_result(answer)

        def ask_otherwise() -> None:
            try:
                code, describe = describer(cadef.ca_field_type(channel))
                ask(channel, code, 1, describe, self._arrivals, take)
                self._flusher.send_soon()
            except FAULTS as fault:
                take(fault)

        subscription = CaSubscription(
            channel,
            self._arrivals,
            self._flusher,
            take,
            lambda _feed, reason: take(reason or Broken()),
            properties=True,
        )
        otherwise = self._loop.call_later(SUBSCRIBED_WITHIN, ask_otherwise)
        try:
            subscription.subscribe()
            return await told
        finally:
            otherwise.cancel()
            subscription.close()

    # Many channels, each by itself.

    async def _all(
        self, ask: Callable[[str], Coroutine[Any, Any, T]], names: Sequence[str], timeout: float
    ) -> dict[str, T | OrchestratorError]:
        if len(names) == 1:
            return {names[0]: await self._alone(ask, names[0], timeout)}
        tasks = {name: self.start(self._one(ask, name), f"read {name}") for name in names}
        try:
            if tasks:
                await asyncio.wait(tasks.values(), timeout=timeout)
            return {
                name: task.result()
                if task.done() and not task.cancelled()
                else self._silence_of(name, timeout)
                for name, task in tasks.items()
            }
        finally:
            for task in tasks.values():
                task.cancel()

    async def _one(
        self, ask: Callable[[str], Coroutine[Any, Any, T]], name: str
    ) -> T | OrchestratorError:
        try:
            return await ask(name)
        except OrchestratorError as error:
            return error
        except FAULTS as fault:
            return read_fault(label_of(name, self.pv(name)), fault)
        except Exception as error:  # whatever a value was that could not be converted
            label = label_of(name, self.pv(name))
            log.exception("A value could not be read", pv=label)
            return ReadError(f"{label} could not be read: {error}")

    async def _alone(
        self, ask: Callable[[str], Coroutine[Any, Any, T]], name: str, timeout: float
    ) -> T | OrchestratorError:
        """The same without a task, which would cost a quarter of a read."""
        try:
            async with asyncio.timeout(timeout) as limit:
                self._limits.add(limit)
                try:
                    return await self._one(ask, name)
                finally:
                    self._limits.discard(limit)
        except TimeoutError:
            return self._silence_of(name, timeout)

    def _silence_of(self, name: str, timeout: float) -> OrchestratorError:
        """Why a channel did not answer."""
        config = self._config(name)
        label = label_of(name, config.pv)
        if self._closed:
            return NotConnectedError(f"{label}: the client was closed")
        if get_channel(config.pv).connected():
            return StepTimeoutError(f"{label}: the server did not answer within {spelt(timeout)} s")
        return NotConnectedError(f"{label} did not connect within {spelt(timeout)} s")

    # Tasks of our own.

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run something in a task that is cancelled when this client closes."""
        task = self._tasks.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _mute(self, link: Link) -> None:
        self._muted.pop(link, None)  # it was lost meanwhile, and has come back
        self._muted[link] = self._loop.time() + REFRESH_AFTER

    async def _refresh(self) -> None:
        """Read metadata again where servers don't tell of changes, a few at a time."""
        while True:
            await asyncio.sleep(1.0)
            free_states()
            now = self._loop.time()
            for link, due in list(islice(self._muted.items(), REFRESH_AT_ONCE)):
                if due <= now:
                    del self._muted[link]
                    link.refresh()
