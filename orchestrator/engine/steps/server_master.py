"""The master of sequence servers: loads them, walks their indices, waits for every one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from orchestrator.engine.control.concurrently import run_all
from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.held import HeldUp
from orchestrator.engine.control.step_scope import End, StepScope
from orchestrator.engine.readings.trust import disconnected, seen
from orchestrator.engine.readings.watching import until
from orchestrator.engine.steps.server_moves import Acks, Pair, ServerMove, home, pair_of, severe
from orchestrator.errors import InputError, NotConnectedError, PutError, StepTimeoutError
from orchestrator.language.names import ServerChannels
from orchestrator.language.text.indices import LARGEST, NO_INDEX, Indices
from orchestrator.language.text.trajectory import parse_trajectory
from orchestrator.ports import Channels, View
from orchestrator.timers import spelt
from orchestrator.types import IndicesSet, Severity, fields

_REASON = 1.0
"""s that the reason of a refusal may take to arrive after the refusal itself."""
_AGAIN = 0.05
"""s until a held put looks again, where libca knew of a loss before the view did."""
_EPOCH = 1_577_836_800.0
"""Where `seq` begins to count, 2020-01-01 in Unix seconds: 32 bits last until 2088."""


@dataclass(slots=True)
class Known:
    """What this service knows of one server."""

    text: str
    """The trajectory that it has loaded it with."""
    length: int
    at: Pair = NO_INDEX
    """What it has acknowledged since."""
    links: int = 0
    """Connections of its INDEX by then, or of ACK where it has none; more may mean a restart."""


@dataclass(slots=True)
class Memory:
    """What all runs of one service share: the counter, and what the servers were loaded with."""

    seq: int
    servers: dict[str, Known] = field(default_factory=dict)

    @classmethod
    def starting(cls, wall: float) -> Memory:
        """Counting from the time, Unix seconds: a restarted service repeats no `seq`."""
        return cls(max(int(wall - _EPOCH), 0) % LARGEST)

    def next(self) -> int:
        """A `seq` that was not there before."""
        self.seq = self.seq + 1 if self.seq < LARGEST else 1
        return self.seq


class Master:
    """Carries out `trajectories` and `nested` for one run."""

    def __init__(
        self,
        channels: Channels,
        view: View,
        control: RunControl,
        publish: Callable[[IndicesSet], None],
        tell: Callable[[str, Severity], None],
        memory: Memory,
        held: HeldUp,
    ) -> None:
        """`publish` shows an index object as `Nested_Indices`.

        `held` is told what waits, to tell what holds it up.
        """
        self._held = held
        self._channels = channels
        self._view = view
        self._control = control
        self._publish = publish
        self._tell = tell
        self._memory = memory

    # Loading ----------------------------------------------------------------------------------

    async def load(
        self, loads: Sequence[tuple[ServerChannels, str]], timeout: float, *, hold: bool
    ) -> None:
        """Write each its trajectory, all at once, and return when all have acknowledged it.

        Raises:
            NotConnectedError: One is disconnected, or was lost on the way; not with `hold`.
            PutError: One has refused it; tells its reason.
            StepTimeoutError: Not all were loaded within `timeout` s.
        """
        self.rest()  # what stands there must not move a server with the new trajectory
        left = {server.name: server for server, _ in loads}

        async def one(server: ServerChannels, text: str) -> None:
            await self._load(server, text, timeout, hold=hold)
            del left[server.name]
            if remark := parse_trajectory(text).remark:
                self._tell(f"{server.name}: {remark}", Severity.NO_ALARM)

        with self._control.step_scope(moving=True, seconds=timeout) as scope:
            await run_all([(f"load {server.name}", one(server, text)) for server, text in loads])
        if scope.ended is End.TIMEOUT:
            texts = [self._state(server) for server in left.values()]
            raise StepTimeoutError(f"not loaded within {spelt(timeout)} s: {'; '.join(texts)}")

    async def _load(self, server: ServerChannels, text: str, timeout: float, *, hold: bool) -> None:
        while True:
            try:
                await self._connected([server], hold=hold)
                await self._write(server, text, timeout)
            except NotConnectedError:
                if not hold or self._control.requests.gives_up:
                    raise
                await asyncio.sleep(_AGAIN)
            else:
                break
        links = home(self._view, server).links
        known = Known(text, len(parse_trajectory(text)), links=links)
        self._memory.servers[server.name] = known

    async def _write(self, server: ServerChannels, text: str, timeout: float) -> None:
        ack = Acks(self._view, server)
        try:
            # After a second abort nothing is waited for. The step's scope ends the put in time;
            # the client's timeout is only its backstop.
            waits = not self._control.requests.gives_up
            put = self._channels.put(
                server.cmd,
                text,
                completion=waits,
                timeout=timeout + 5.0,
                permit=self._control.permit(server.cmd),
            )
            try:
                await put
            except PutError as error:
                raise PutError(await self._refusal(server, ack, str(error))) from error
            names = (server.ack, server.cmd)
            if waits:
                await until(self._view, names, lambda: self._is_loaded(server, ack), self._touch)
        finally:
            ack.close()

    def _is_loaded(self, server: ServerChannels, ack: Acks) -> bool:
        if not self._view.channel(server.ack).connected:
            raise NotConnectedError(f"{server.name} was lost while it was loaded")
        if ack.failed:
            raise PutError(f"{server.name} refused its trajectory: {self._message(server)}")
        return ack.last == 1

    async def _refusal(self, server: ServerChannels, ack: Acks, otherwise: str) -> str:
        """What the server says of a put that failed; it may come after the failure."""
        try:
            async with asyncio.timeout(_REASON):
                await until(self._view, [server.ack], lambda: ack.failed)
        except TimeoutError:
            return otherwise
        return f"{server.name} refused its trajectory: {self._message(server)}"

    # Walking ----------------------------------------------------------------------------------

    def length(self, server: ServerChannels) -> int:
        """How many items are loaded, by this service or by somebody else.

        Raises:
            InputError: None are.
        """
        known = self._memory.servers.get(server.name)
        if known is not None:
            return known.length
        shown = self._shown(server)
        if not self._is_there(server) or shown < 1:
            raise InputError(f"{server.name}: no trajectory is loaded; load one by `trajectories`")
        return shown

    def _shown(self, server: ServerChannels) -> int:
        """How many items `values` shows; a server of the older kind begins with two NaNs."""
        reading = self._view.channel(server.values).reading
        if reading is None or isinstance(reading.value, str):
            return 1
        index = self._view.channel(server.index)
        nothing = index.links == 0 and bool(np.isnan(reading.value).all())
        return 0 if nothing else _elements(reading.value)

    def _is_there(self, server: ServerChannels) -> bool:
        """Whether it has told where it is; one without INDEX never does."""
        index = self._view.channel(server.index)
        return not index.links or pair_of(index) is not None

    async def move(
        self, indices: Mapping[str, tuple[ServerChannels, int]], timeout: float, *, hold: bool
    ) -> None:
        """Ask for these indices, and return when every server has acknowledged its own.

        Args:
            indices: By the server's name.
            timeout: s for all of it, reloading included.
            hold: Whether to wait for a disconnected server, rather than to fail.

        Raises:
            NotConnectedError: A server is disconnected; not with `hold`.
            PutError: One could not reach its index; tells its reason.
            StepTimeoutError: Not all have reached theirs within `timeout` s.
        """
        seq = self._memory.next()
        moves = [ServerMove(server, (seq, index), self._view) for server, index in indices.values()]
        try:
            with self._control.step_scope(moving=True, seconds=timeout) as scope:
                await self._reach(moves, seq, timeout, hold=hold)
        except BaseException:  # told, and passed on
            self._tell_left(moves)
            raise
        finally:
            for move in moves:
                move.close()
        self._ended(moves, scope, timeout)

    def _ended(self, moves: Sequence[ServerMove], scope: StepScope, timeout: float) -> None:
        self._tell_left(moves)
        if scope.ended is End.TIMEOUT:
            texts = [f"{move.text}: {self._state(move.server)}" for move in moves if not move.done]
            raise StepTimeoutError(f"not reached within {spelt(timeout)} s: {'; '.join(texts)}")

    async def _reach(
        self, moves: Sequence[ServerMove], seq: int, timeout: float, *, hold: bool
    ) -> None:
        servers = [move.server for move in moves]
        await self._connected(servers, hold=hold)
        await self._load_again(moves, timeout)
        self._control.permit(fields.NESTED_INDICES.name)()  # it moves the servers, as a put would
        for move in moves:
            move.asked()
        self._ask(seq, moves)
        names = [name for server in servers for name in (server.ack, server.index, server.cmd)]
        while not self._control.requests.gives_up:
            with self._held.waiting(lambda: disconnected(g.home for g in moves if not g.done)):
                await until(self._view, names, lambda: self._look(moves, hold=hold), self._touch)
            loaded = await self._load_again(moves, timeout)
            if not loaded:
                return
            self._control.permit(fields.NESTED_INDICES.name)()
            # The same once more: a repetition for those that have reached it, but for those
            # without INDEX, which know of no seq.
            self._ask(seq, [move for move in moves if move in loaded or not move.blind])

    def _ask(self, seq: int, moves: Sequence[ServerMove]) -> None:
        indices = Indices(seq, {move.server.name: move.pair[1] for move in moves})
        self._show(indices)

    def _look(self, moves: Sequence[ServerMove], *, hold: bool) -> bool:
        """Whether there is something to do: all have arrived, or one has to be loaded again."""
        for move in moves:
            server = move.server
            if not move.done and move.reached():
                move.done = True
                known = self._memory.servers.get(server.name)
                if known is not None:
                    known.at, known.links = move.pair, move.home.links
            if move.failed and not move.done and not self._has_lost(move):
                raise PutError(f"{move.text}: {self._message(server)}")
            if not move.home.connected and not hold and not move.done:
                raise NotConnectedError(f"{move.text}: it was lost")
        return all(move.done for move in moves) or any(self._may_load(move) for move in moves)

    async def _load_again(self, moves: Sequence[ServerMove], timeout: float) -> list[ServerMove]:
        """Load those that have lost their trajectory; which these are."""
        lost = [move for move in moves if self._may_load(move)]
        for move in lost:
            name = move.server.name
            known = self._memory.servers[name]
            self._tell(
                f"{name} has lost its trajectory (restarted?): it is loaded again, and asked for "
                f"index {move.pair[1]} once more",
                Severity.MINOR,
            )
            await self._load(move.server, known.text, timeout, hold=True)
            move.asked()
        return lost

    def _may_load(self, move: ServerMove) -> bool:
        """Whether a server is to be loaded again, and all of it is connected."""
        names = (move.server.cmd, move.server.ack)
        return self._has_lost(move) and all(self._view.channel(name).connected for name in names)

    def _has_lost(self, move: ServerMove) -> bool:
        """Whether a server no longer has what this service has loaded it with."""
        known = self._memory.servers.get(move.server.name)
        if move.blind:
            return known is not None and not move.done and move.home.links != known.links
        shown = self._index(move.server)
        if known is None or shown is None or move.done or shown == move.pair:
            return False
        if move.index.links != known.links:
            return shown == NO_INDEX or shown != known.at
        return shown == NO_INDEX and known.at != NO_INDEX

    def rest(self) -> None:
        """Show an index object that asks nobody, so that none that comes later is moved by it."""
        self._show(Indices(self._memory.next(), {}))

    def _show(self, indices: Indices) -> None:
        self._publish(IndicesSet(indices.text, run_id=self._control.run_id))

    # Both -------------------------------------------------------------------------------------

    async def _connected(self, servers: Sequence[ServerChannels], *, hold: bool) -> None:
        names = [name for server in servers for name in (server.cmd, server.ack)]
        names += [server.index for server in servers if self._view.channel(server.index).links]
        channels = [self._view.channel(name) for name in names]
        lost = [channel.name for channel in channels if not channel.connected]
        if lost and (not hold or self._control.requests.gives_up):
            raise NotConnectedError(f"{', '.join(lost)}: disconnected")
        if lost:
            with self._held.waiting(lambda: disconnected(channels)):
                await until(self._view, names, lambda: all(c.connected for c in channels))

    def _touch(self) -> None:
        self._control.clock.touch()

    def _index(self, server: ServerChannels) -> Pair | None:
        return pair_of(self._view.channel(server.index))

    def _message(self, server: ServerChannels) -> str:
        reading = self._view.channel(server.message).reading
        return str(reading.value) if reading is not None and reading.value else "without a reason"

    def _state(self, server: ServerChannels) -> str:
        index, ack = self._view.channel(server.index), self._view.channel(server.ack)
        if not home(self._view, server).connected:
            return f"{server.name} is disconnected"
        shown = self._index(server)
        where = f"{index.name} is {list(shown)}" if shown else seen(index)
        if not index.links:
            where = f"there is no {index.name}"
        message = self._view.channel(server.message).reading
        # MINOR: it does not find its master, and so has not heard of the index. What is worse
        # stands with ACK, or is of a former index.
        warns = message is not None and message.severity == Severity.MINOR
        said = f"; it says {self._message(server)!r}" if warns or severe(ack.reading) else ""
        return f"{where}, {seen(ack)}{said}"

    def _tell_left(self, moves: Sequence[ServerMove]) -> None:
        left = [move.text for move in moves if not move.done and move.was_asked]
        if left:
            self._tell(f"may still be on their way: {', '.join(left)}", Severity.MINOR)


def _elements(value: object) -> int:
    """Elements of a value."""
    return len(value) if hasattr(value, "__len__") else 1
