"""The puts to one PV: at most one put-callback outstanding, and orphans accounted for."""

from __future__ import annotations

import asyncio
import ctypes
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import structlog
from aioca import CANothing
from aioca._catools import get_channel  # the channel itself has no public door
from epicscorelibs.ca import cadef

from orchestrator.client.libca.arrivals import Arrivals
from orchestrator.client.libca.dbr import outgoing, outgoing_number
from orchestrator.client.libca.error_mapping import FAULTS, not_connected, put_fault
from orchestrator.client.libca.thread_states import keep_state
from orchestrator.errors import OrchestratorError, PutError, StepTimeoutError
from orchestrator.ports import always
from orchestrator.timers import DeadlineTimer, spelt
from orchestrator.types import NativeType, Value

log = structlog.get_logger(__name__)

_counting = ctypes.PYFUNCTYPE(None, ctypes.py_object)  # its calls keep the GIL
_keep = _counting(("Py_IncRef", ctypes.pythonapi))
_let_go = _counting(("Py_DecRef", ctypes.pythonapi))


@dataclass(slots=True, eq=False)
class _Outstanding:
    """A put-callback that the server has not answered."""

    label: str
    """How messages name the channel."""
    value: Value
    """What was written."""
    since: float
    """When, by the loop's clock."""
    limit: float
    """When its caller gives up, by the loop's clock."""
    done: asyncio.Future[None]
    """What its caller waits for."""
    error: OrchestratorError | None = None
    orphaned: bool = False
    """Its caller gave up."""
    ended: bool = False
    """libca has told how it ended."""
    caller: Context = field(default_factory=copy_context)
    """The run and the step that have put: for what is logged of it once they wait no more."""


@cadef.event_handler  # type: ignore[untyped-decorator]  # epicscorelibs has no types
def _put_ended(arguments: Any) -> None:
    """Called once for each put-callback, in a thread of libca."""
    keep_state()
    context = arguments.usr
    _let_go(context)
    arrivals, end = context
    arrivals.report(end, arguments.status)


class PutLane:
    """The puts to one PV, by whatever name: `REC` and `REC.VAL` are one.

    A put-callback is still waited for when its caller gave up: Channel Access can't recall it,
    and a second one would stall the server. Such an orphan holds back the next put-callback, but
    no put without.

    libca is called here as aioca's caput does it, but without its waiting for a channel that isn't
    connected, after which it would put; and without a task for each put, which costs a tenth.
    """

    def __init__(self, pv: str, arrivals: Arrivals) -> None:
        self._pv = pv
        self._arrivals = arrivals
        self._loop = asyncio.get_running_loop()
        self._limit = DeadlineTimer(self._give_up)
        self._outstanding: _Outstanding | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def age(self) -> float | None:
        """Age in s of the put-callback that is outstanding, None = none."""
        return None if self._outstanding is None else self._loop.time() - self._outstanding.since

    async def put(
        self,
        label: str,
        value: Value,
        *,
        completion: bool,
        timeout: float,
        permit: Callable[[], None] = always,
        pv: str = "",
    ) -> None:
        """As `ports.Channels.put`.

        `label` is how messages name the channel; `pv` is another of its names than the lane's own.
        """
        name = pv or self._pv
        if completion:
            await self._put_completed(name, label, value, timeout, permit)
        else:
            await self._turn(label, value, timeout, self._no_caller_waits)
            permit()
            self._send(name, label, value, None)

    def close(self, error: OrchestratorError) -> None:
        """End what is outstanding with this error; libca says no more of it."""
        self._limit.close()
        if self._outstanding is not None:
            self._end(self._outstanding, error)

    async def _put_completed(
        self, name: str, label: str, value: Value, timeout: float, permit: Callable[[], None]
    ) -> None:
        began = self._loop.time()
        if self._outstanding is not None or self._waiting:
            await self._turn(label, value, timeout, self._none_outstanding)
        permit()
        done = self._loop.create_future()
        put = _Outstanding(label, value, self._loop.time(), began + timeout, done)
        self._send(name, label, value, put)
        self._outstanding = put
        self._limit.ring_by(put.limit)
        try:
            await done
        finally:
            if not put.ended:
                self._orphan(put)
        if not put.ended:
            raise StepTimeoutError(
                f"{label}: the put of {brief(value)} did not complete within {spelt(timeout)} s"
            )
        if put.error is not None:
            raise put.error

    def _send(self, name: str, label: str, value: Value, put: _Outstanding | None) -> None:
        """Put now or never: libca itself puts nothing to a channel that isn't connected."""
        channel = get_channel(name)  # now: it is another after a restart
        if not channel.connected():
            raise not_connected(label)
        try:
            kind, count = cadef.ca_field_type(channel), 1
            data = outgoing_number(value, kind)
            if data is None:
                most = cadef.ca_element_count(channel)
                kind, array = outgoing(label, value, NativeType(kind), most)
                data, count = array.ctypes.data, len(array)
            else:
                data = ctypes.byref(data)
            if put is None:
                cadef.ca_array_put(kind, count, channel, data)
            else:
                self._send_with_callback(kind, count, data, channel, put)
            cadef.ca_flush_io()
        except FAULTS as fault:
            if cadef.ca_state(channel) != cadef.cs_conn:  # libca names other reasons first
                raise not_connected(label) from fault
            raise put_fault(label, brief(value), fault) from fault
        except (TypeError, ValueError, OverflowError) as error:  # numpy could not convert it
            raise PutError(f"{label}: {brief(value)} can't be written: {error}") from error

    def _send_with_callback(
        self, kind: int, count: int, data: Any, channel: Any, put: _Outstanding
    ) -> None:
        context = (self._arrivals, partial(self._arrived, put))
        # libca keeps a bare pointer to it; `_put_ended` lets go of it.
        _keep(context)
        try:
            cadef.ca_array_put_callback(
                kind, count, channel, data, _put_ended, ctypes.py_object(context)
            )
        except FAULTS:
            _let_go(context)
            raise

    def _arrived(self, put: _Outstanding, status: int) -> None:
        error = None
        if status != cadef.ECA_NORMAL:
            error = put_fault(put.label, brief(put.value), CANothing(self._pv, status))
        self._end(put, error)

    # Whose turn it is.

    def _none_outstanding(self) -> bool:
        return self._outstanding is None

    def _no_caller_waits(self) -> bool:
        return self._outstanding is None or self._outstanding.orphaned

    async def _turn(
        self, label: str, value: Value, timeout: float, free: Callable[[], bool]
    ) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not free():
                    await self._change()
        except TimeoutError:
            before = self._outstanding
            raise StepTimeoutError(
                f"{label}: {brief(value)} was not put within {spelt(timeout)} s: "
                f"the put of {brief(before.value) if before else '?'} before it, "
                f"{self.age or 0:.1f} s ago, is still outstanding"
            ) from None

    async def _change(self) -> None:
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            self._waiting.remove(waiter)

    def _changed(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _give_up(self, now: float) -> float | None:
        """Have the caller give up whose time is up; when to look again."""
        put = self._outstanding
        if put is None or put.done.done():
            return None
        if put.limit > now:
            return put.limit
        put.done.set_result(None)
        return None

    def _orphan(self, put: _Outstanding) -> None:
        put.orphaned = True
        log.info(
            "A put is outstanding though its caller gave up", pv=self._pv, value=brief(put.value)
        )
        self._changed()

    def _end(self, put: _Outstanding, error: OrchestratorError | None) -> None:
        if put.ended:
            return
        put.ended, put.error = True, error
        self._outstanding = None
        # Who waits for this channel before who may put again at once: first come, first served.
        self._changed()
        if not put.done.done():
            put.done.set_result(None)
        if put.orphaned:
            age = round(self._loop.time() - put.since, 3)
            reason = str(error or "")
            told = {"pv": self._pv, "value": brief(put.value), "age": age, "error": reason}
            put.caller.run(log.info, "A late put ended", **told)


def brief(value: Value) -> str:
    """A value as messages show it, shortened."""
    if isinstance(value, np.ndarray | tuple):
        return f"{len(value)} elements"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
