"""A sequence server as a sub-group of any caproto IOC: a master's index moves a system."""

# caproto's idiom is that a putter bears the name of its PV:
# mypy: disable-error-code="no-redef, untyped-decorator"

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import caproto as ca
import numpy as np
import structlog
from caproto.server import SubGroup as CaprotoSubGroup
from caproto.server import expand_macros, pvproperty

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.ioc.monitor import Monitor
from orchestrator.ioc.pv_group import Group
from orchestrator.ioc.pvs.command_pvs import CommandTextPV
from orchestrator.ioc.pvs.text import TextRO, decode
from orchestrator.ioc.sequence_server.system import MOST_WAITING, IoQueue, System, SystemThread
from orchestrator.ioc.sequence_server.taken import (
    ACK,
    CMD,
    NESTED_INDICES,
    IndicesText,
    Taken,
    verdict,
)
from orchestrator.language.text.indices import NO_INDEX, NO_SEQ, parse_indices
from orchestrator.language.text.trajectory import (
    MOST_ITEMS,
    MOST_TEXT,
    Trajectory,
    parse_trajectory,
)
from orchestrator.types import fields

MOST_JOBS = 1_000
"""Indices and commands that may wait for the move under way; what comes beyond is refused."""

_NO_ROOM = f"{MOST_JOBS:,} trajectories and indices wait already"

_FINE = {"status": ca.AlarmStatus.NO_ALARM, "severity": ca.AlarmSeverity.NO_ALARM}
_FAILED = {"status": ca.AlarmStatus.STATE, "severity": ca.AlarmSeverity.MAJOR_ALARM}
_UNLINKED = {"status": ca.AlarmStatus.LINK, "severity": ca.AlarmSeverity.MINOR_ALARM}
_UNSAID = {"status": ca.AlarmStatus.STATE, "severity": ca.AlarmSeverity.MINOR_ALARM}

Job = Callable[[], Coroutine[Any, Any, bool]]
"""What is to be done; whether it is to be acknowledged now, or when the system says so."""

logger = structlog.get_logger(__name__)


class MoveError(OrchestratorError):
    """The system could not move: the text says where to, and what it raised."""


class SubGroup(CaprotoSubGroup):  # type: ignore[misc] # caproto is untyped
    """caproto's, which keeps `name` for itself: here it is the sequence server's."""

    def __init__(self, group: Any = None, *, name: str | None = None, **kwargs: Any) -> None:
        if name is not None:
            kwargs["server_name"] = name
        super().__init__(group, **kwargs)


def master_pv(master: str) -> str:
    """The full name of a master's `Nested_Indices`, from its prefix or that name itself."""
    return f"{master}{NESTED_INDICES}" if master.endswith((":", ".")) else master


class SequenceServer(Group):
    """Loads a trajectory, and moves its system to the item that the master's index names.

    >>> from orchestrator.ioc import Group, SequenceServer, SubGroup
    >>> class Stage(Group):
    ...     seq = SubGroup(SequenceServer, prefix="seq.", master="ORCH:", name="stage")
    >>> sorted(Stage(prefix="STAGE:").pvdb)[:3]
    ['STAGE:seq.ACK', 'STAGE:seq.CMD', 'STAGE:seq.INDEX']

    Everything that arrives is done in its order, by one thread: nothing is lost where an index
    comes while the one before is still on its way. `ACK` is 0 from the arrival of the first of
    them until the last is done, and then tells of that one, whose seq `INDEX` shows.

    A system that takes `CMD` or `Nested_Indices` itself gets their texts, and acknowledges them:
    see `System`. Without a system trajectories are loaded and shown, and no index is reached.
    """

    cmd = pvproperty(
        name=fields.CMD.name,
        dtype=CommandTextPV,
        value="",
        max_length=MOST_TEXT + 1,
        doc="A trajectory: a JSON list, or linear(start=0, end=10, step=1). Put-callback "
        "completes when it is loaded, and fails where it is none.",
    )
    ack = pvproperty(
        name=fields.ACK.name,
        value=0,
        read_only=True,
        upper_ctrl_limit=1,
        upper_disp_limit=1,
        doc="0 when a trajectory or an index arrives; 1 when it is loaded or reached; stays 0 in "
        "MAJOR when that failed.",
    )
    message = pvproperty(
        name=fields.MESSAGE.name,
        dtype=TextRO,
        value="",
        max_length=4096,
        doc="Why something failed.",
    )
    values = pvproperty(
        name=fields.VALUES.name,
        dtype=float,
        value=np.array([np.nan, np.nan]),
        max_length=MOST_ITEMS,
        read_only=True,
        precision=6,
        doc="The trajectory; NaN for items that are no numbers.",
    )
    index = pvproperty(
        name=fields.INDEX.name,
        dtype=int,
        value=list(NO_INDEX),
        max_length=2,
        read_only=True,
        doc="seq and index reached last with this trajectory, [-1, -1] before the first; posted "
        "before ACK. seq is -1 where the master gives none.",
    )

    def __init__(
        self,
        prefix: str,
        *,
        master: str = "",
        server_name: str = "",
        system: Any = None,
        target: str = "VAL",
        takes: Collection[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Give the system its queues.

        Args:
            prefix: Of its PVs, the IOC's included.
            master: The master's prefix (it ends with ':' or '.'), or the full name of its
                `Nested_Indices`; macros as in PV names. Empty: only `CMD` does anything. May be
                set until the IOC starts.
            server_name: Its name in `Nested_Indices`; `name` in our `SubGroup`.
            system: A `System`, or a class that makes one; the parent's attribute `system` if
                none is given here. May be set until the IOC starts.
            target: The `pv_name` with which `io_execute` is called.
            takes: Which of `CMD` and `Nested_Indices` the system handles itself; found in its
                source where it compares `pv_name` with them.
            kwargs: caproto's.
        """
        super().__init__(prefix, **kwargs)
        self.master = expand_macros(master, self.macros)
        self.server_name = server_name
        self.target = target
        self._explicit = takes
        self._takes = Taken()
        self._system: Any = None
        self.io_put_queue = IoQueue()
        self.io_get_queue = IoQueue(MOST_WAITING)
        self.io_push_queue, self.io_pull_queue = self.io_put_queue, self.io_get_queue
        if system is not None:
            self.attach(system() if isinstance(system, type) else system)
        self._worker = SystemThread(f"{self.prefix} io_execute")
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._waiting = 0
        self._trajectory: Trajectory | None = None
        self._seen: tuple[str, float] | None = None
        self._taken: tuple[int, int] | None = None
        self._connection = 0
        self._is_lost = False
        self._monitor: Monitor | None = None
        self._publishing = asyncio.Lock()
        self._unknown: set[str] = set()
        self._handed = False  # the system has something of ours in hand
        self._said: object = None  # its ACK of that
        self._left: Callable[[], Awaitable[None]] | None = None  # for an ACK that comes later

    def attach(self, system: System) -> None:
        """Put this system behind the PVs, and give it its queues; the same as to set `system`."""
        self.system = system

    @property
    def system(self) -> Any:
        """What moves; None while there is nothing."""
        return self._system

    @system.setter
    def system(self, system: Any) -> None:
        self._system = system
        if system is None:
            return
        system.io_put_queue, system.io_get_queue = self.io_put_queue, self.io_get_queue
        for name in ("io_push_queue", "io_pull_queue"):
            if getattr(system, name, None) is None:  # else it has one of its own
                with suppress(AttributeError):  # nor need it have a place for it
                    setattr(system, name, getattr(self, name))
        self._takes = Taken.by(system)
        if self._explicit is not None:
            self._takes = Taken(frozenset(self._explicit), self._takes.acknowledges)

    # What runs --------------------------------------------------------------------------------

    @cmd.startup
    async def cmd(self, instance: Any, async_lib: Any) -> None:
        """Serve for ever."""
        del instance, async_lib
        if self.system is None:
            self.system = getattr(self.parent, "system", None)
        if self.master and not self.server_name:
            logger.warning("no index can be for a server without a name", pv=self.prefix)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._work(), name=f"{self.prefix} jobs")
            tasks.create_task(self._publish_for_ever(), name=f"{self.prefix} io_put_queue")
            if self.master:
                name = master_pv(self.master)
                self._monitor = Monitor(name, self._arrives, self._lost, data_count=0)
                await self._lost()
                tasks.create_task(self._monitor.watch(), name=f"watch {name}")

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            failure, told = "", True
            self._left = None
            try:
                told = await job()
            except (InputError, MoveError) as error:
                failure = str(error)
            except Exception as error:  # noqa: BLE001 - a fault of ours is told, and no more
                failure = f"{type(error).__name__}: {error}"
                logger.warning("a sequence server's move failed", pv=self.prefix, error=failure)
            self._waiting -= 1
            if told:
                await self._acknowledge(failure)

    async def _arrived(self, job: Job) -> bool:
        """Something is to be done, after all that arrived before it; whether there is room."""
        if self._waiting >= MOST_JOBS:
            await self._post(self.message, _NO_ROOM, **_FAILED)
            return False
        self._waiting += 1
        await self._post(self.ack, 0)
        self._jobs.put_nowait(job)
        return True

    async def _acknowledge(self, failure: str) -> None:
        """Tell how it went; `ACK` only of the last that has arrived."""
        if failure:
            await self._post(self.message, failure, **_FAILED)
        elif self.message.alarm.status == ca.AlarmStatus.STATE:
            await self._tell_link()
        if not self._waiting:
            await self._post(self.ack, int(not failure), **(_FAILED if failure else _FINE))

    @staticmethod
    async def _post(pv: Any, value: Any, **alarm: Any) -> None:
        await pv.write(value, verify_value=False, **(alarm or _FINE))

    # Trajectories -----------------------------------------------------------------------------

    @cmd.putter
    async def cmd(self, instance: Any, text: str) -> None:
        """Load a trajectory; returns when it is loaded."""
        del instance
        loaded: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def load() -> bool:
            try:
                told = await self._load(text)
            except Exception as error:
                if not loaded.done():
                    loaded.set_exception(error)
                    loaded.exception()  # retrieved, also where the client has gone
                raise
            if not loaded.done():
                loaded.set_result(None)
            return told

        if not await self._arrived(load):
            raise InputError(_NO_ROOM)
        await loaded

    async def _load(self, text: str) -> bool:
        if CMD in self._takes.names:
            return await self._let_load(text)
        trajectory = parse_trajectory(text)  # a bad one leaves the one that is loaded
        await self._loaded(trajectory)
        await self._post(self.values, np.array(trajectory.numbers))
        if trajectory.remark:
            await self._post(self.message, trajectory.remark)
        self.io_get_queue.offer({CMD: text})
        return True

    async def _let_load(self, text: str) -> bool:
        """Give the system a text that may be a trajectory to nobody else."""
        await self._loaded(None)
        self.io_get_queue.offer({CMD: text})
        told = await self._hand(CMD, text, "the trajectory")
        try:
            self._trajectory = parse_trajectory(text)
        except InputError:
            shown = [float(value) for value in self.values.value]
            if shown and np.isfinite(shown).all():
                self._trajectory = Trajectory(text, shown)
        return told

    async def _loaded(self, trajectory: Trajectory | None) -> None:
        self._trajectory = trajectory
        self._taken = None
        await self._post(self.index, list(NO_INDEX))

    # Indices ----------------------------------------------------------------------------------

    async def _arrives(self, response: Any) -> None:
        """An update of the master's `Nested_Indices`."""
        assert self._monitor is not None  # noqa: S101 - its callback
        if self._is_lost:
            self._is_lost = False
            if self.message.value == self._no_master:
                await self._tell_link()
        first = self._connection != self._monitor.connections
        self._connection = self._monitor.connections
        seen = decode(response.data), float(response.metadata.timestamp)
        again, self._seen = seen == self._seen, seen
        if first and again:
            return  # what was on its way before the connection was lost
        if seen[0].strip():
            await self.take(seen[0])

    async def take(self, text: str) -> None:
        """Take an index object, as the master publishes it."""
        try:
            indices = parse_indices(text)
        except InputError as error:
            await self._arrived(partial(_refuse, str(error)))
            return
        index = indices.servers.get(self.server_name)
        if index is None:
            return  # it asks others
        at = NO_SEQ if indices.seq is None else indices.seq, index
        if at == self._taken and indices.seq is not None:
            return  # repeated, for one that was restarted
        if await self._arrived(partial(self._move, *at, text)):
            self._taken = at

    async def _move(self, seq: int, index: int, text: str) -> bool:
        what = f"index {index} (seq {seq})"
        try:
            name, value = self._request(index, text)
            self.io_get_queue.offer({fields.INDEX.name: [seq, index]})
            shown = partial(self._post, self.index, [seq, index])
            told = await self._hand(name, value, what, shown)
        except InputError as error:
            self._taken = None
            raise InputError(f"{what}: {error}") from error
        except MoveError:
            self._taken = None  # the same one may be tried again
            raise
        if told:
            await shown()
        return told

    def _request(self, index: int, text: str) -> tuple[str, Any]:
        """With what `io_execute` is called for an index.

        Raises:
            InputError: There is none, or nobody who would handle it.
        """
        names = self._takes.names
        if self.system is None:
            raise InputError("there is no system that could move")
        if NESTED_INDICES in names:
            return NESTED_INDICES, IndicesText(text)
        if CMD in names and self.target not in names:
            raise InputError(f"the system handles neither {NESTED_INDICES} nor {self.target}")
        if self._trajectory is None:
            raise InputError("no trajectory is loaded")
        return self.target, self._trajectory.at(index)

    async def execute(self, value: Any) -> None:
        """Let the system move to a value, after what it does now; for a putter of the IOC's.

        Raises:
            InputError: There is no system.
            Exception: What `io_execute` raised.
        """
        if self.system is None:
            raise InputError("there is no system that could move")
        await self._call(self.target, value)

    async def _call(self, name: str, value: Any) -> None:
        try:
            await self._worker.call(self.system.io_execute, name, value)
        finally:
            await self._publish()

    async def _hand(
        self,
        name: str,
        value: Any,
        what: str,
        then: Callable[[], Awaitable[None]] | None = None,
    ) -> bool:
        """Let the system handle a request; whether it is done.

        Otherwise the system has to say so by an ACK yet, and `then` is called.

        Raises:
            MoveError: It raised, or has said that it failed.
        """
        self._handed, self._said = True, None
        try:
            await self._call(name, value)
        except Exception as error:
            raise self._failed(
                f"{what}: io_execute({name!r}, {value!r:.200}) failed", error
            ) from error
        finally:
            self._handed = False
        if name == self.target or (self._said is None and not self._takes.acknowledges):
            return True
        done, why = verdict(self._said if self._said is not None else 0)
        if done is False:
            raise MoveError(f"{what}: {why}")
        if done is None:
            self._left = then or _nothing
            await self._post(self.message, f"{what}: the system has put no ACK yet", **_UNSAID)
        return bool(done)

    def _failed(self, text: str, error: Exception) -> MoveError:
        where = "\n" + "".join(traceback.format_exception(error)).rstrip()
        told = f"{self.prefix} {text}{where}"
        logger.error(told)  # for who writes the system
        return MoveError(f"{text}: {type(error).__name__}: {error}")

    async def _take_ack(self, said: object) -> None:
        """The system has put an ACK: of what it has in hand, of something before, or its own."""
        if self._handed:
            self._said = said
            return
        done, why = verdict(said)
        if done is None:
            if not self._waiting:
                await self._post(self.ack, 0)
            return
        left, self._left = self._left, None
        if done and left is not None:
            await left()
        await self._acknowledge("" if done else why)

    async def _lost(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            await self._tell_link()

    async def _tell_link(self) -> None:
        """Show in `message` what stands there while nothing has failed."""
        text, alarm = (self._no_master, _UNLINKED) if self._is_lost else ("", _FINE)
        await self._post(self.message, text, **alarm)

    @property
    def _no_master(self) -> str:
        return f"{master_pv(self.master)} is not connected"

    # What the system publishes ----------------------------------------------------------------

    async def _publish_for_ever(self) -> None:
        while True:
            await self.io_put_queue.filled()
            await self._publish()

    async def _publish(self) -> None:
        """Show all that the system has put so far."""
        async with self._publishing:
            for item in self.io_put_queue.taken():
                try:
                    for name, value in item.items():
                        await self._show(name, value)
                except Exception as error:  # noqa: BLE001 - one bad item must not stop all others
                    logger.error("io_put_queue: can't publish", item=repr(item), error=repr(error))

    async def _show(self, name: str, value: Any) -> None:
        if name == ACK and self._takes.names & {CMD, NESTED_INDICES}:
            self._takes = Taken(self._takes.names, acknowledges=True)
            await self._take_ack(value)
            return
        channel = self._channel(name)
        if channel is not None:
            await self._post(channel, value)
        elif name not in self._unknown:
            self._unknown.add(name)
            logger.warning("io_put_queue: no PV to publish", name=name, server=self.prefix)

    def _channel(self, name: str) -> Any:
        """The PV of a name: of this group, of the IOC, or in full. ACK and INDEX are ours alone."""
        if name in (fields.MESSAGE.name, fields.VALUES.name):
            return self.attr_pvdb[name]
        group = self.parent
        while group is not None:
            found = group.attr_pvdb.get(name) or group.pvdb.get(group.prefix + name)
            found = found or group.pvdb.get(name)
            if found is not None:
                # By identity: caproto's channels compare by value.
                own = any(found is pv for pv in self.attr_pvdb.values())
                return None if own else found
            group = group.parent
        return None


async def _refuse(reason: str) -> bool:
    raise InputError(reason)


async def _nothing() -> None:
    """Nothing to show."""
