"""A Channel Access client for tests, in a process of its own.

`python -m orchestrator.client.client_process` is told what to do by lines of JSON on stdin,
`{"number": 1, "verb": "get", "pv": "A:B"}`, and answers each on stdout once it is done:
`{"number": 1, "result": …}` or `{"number": 1, "error": "…"}`. It ends with its stdin.

libca reads its environment once a process, and two libca in one process don't work: so tests do
not call it in theirs. aioca is used as it is, so that what tests see has not passed through the
client that they test.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

import aioca

from orchestrator.client.libca.teardown import leave_in_time

_KINDS = {"auto": None, "string": aioca.DBR_STRING, "long": aioca.DBR_CHAR_STR}
_LIMITS = tuple(
    f"{end}_{of}_limit" for of in ("ctrl", "disp", "warning", "alarm") for end in ("lower", "upper")
)

Facts: TypeAlias = dict[str, Any]
"""What JSON takes. A reading: pv, connected, at (monotonic s); where connected also value,
severity, status, timestamp (Unix s) and type (DBR)."""


class Actions:
    """What can be asked for; values are text for CHAR and labels for enums unless `raw`."""

    def __init__(self) -> None:
        self._labels: dict[str, Sequence[str]] = {}
        self._watches: list[list[Facts]] = []

    async def get(self, pv: str, raw: bool = False, timeout: float = 10) -> Facts:
        """A fresh reading."""
        readings = await self.get_all([pv], raw, timeout)
        return cast(Facts, readings[pv])

    async def get_all(self, pvs: Sequence[str], raw: bool = False, timeout: float = 10) -> Facts:
        """Several, by name."""
        await self._learn(pvs, raw, timeout)
        got = await aioca.caget(list(pvs), format=aioca.FORMAT_TIME, timeout=timeout)
        return {pv: self._reading(pv, value, raw) for pv, value in zip(pvs, got, strict=True)}

    async def info(self, pv: str, timeout: float = 10) -> Facts:
        """Units, precision, labels, limits; writable, type and count."""
        got = await aioca.caget(pv, format=aioca.FORMAT_CTRL, timeout=timeout)
        about = await aioca.cainfo(pv, timeout=timeout)
        facts = {name: getattr(got, name, None) for name in ("units", "precision", "enums")}
        limits = {name: getattr(got, name, None) for name in _LIMITS}
        access = {"writable": about.write, "type": about.datatype, "count": about.count}
        return facts | limits | access

    async def put(
        self,
        pv: str,
        value: Any,
        wait: bool = True,
        timeout: float = 20,
        kind: str = "auto",
    ) -> Facts:
        """Put, by default with callback; how many seconds it `took`.

        `kind` says how text travels: `string` (DBR_STRING, at most 39 bytes), `long` (DBR_CHAR),
        or `auto`, as a long one to a PV of CHAR.
        """
        began = time.monotonic()
        if kind == "auto" and isinstance(value, str):
            about = await aioca.cainfo(pv, timeout=timeout)
            kind = "long" if about.datatype == aioca.DBR_CHAR else kind
        await aioca.caput(pv, value, wait=wait, timeout=timeout, datatype=_KINDS[kind])
        return {"took": time.monotonic() - began, "at": time.monotonic()}

    async def burst(self, pv: str, value: Any, times: int) -> None:
        """Put many times, with callback, a hundred at once."""
        for _ in range(times // 100):
            await aioca.caput([pv] * 100, value, wait=True, timeout=20)

    async def watch(self, pvs: Sequence[str], raw: bool = False, timeout: float = 10) -> int:
        """Subscribe to several, once each has sent a first update; the number of the watch."""
        await self._learn(pvs, raw, timeout)
        updates: list[Facts] = []
        missing, complete = set(pvs), asyncio.Event()

        def take(pv: str, got: Any) -> None:
            updates.append(self._reading(pv, got, raw))
            missing.discard(pv)
            if not missing:
                complete.set()

        for pv in pvs:
            _subscribe(pv, partial(take, pv))
        async with asyncio.timeout(timeout):
            await complete.wait()
        self._watches.append(updates)
        return len(self._watches) - 1

    async def updates(self, of: int, after: int = 0) -> list[Facts]:
        """What a watch has seen."""
        return self._watches[of][after:]

    async def until(self, pv: str, value: Any, timeout: float = 10) -> Facts:
        """Wait until a monitor brings this value, its first included."""
        await self._learn([pv], raw=False, timeout=timeout)
        seen: list[Facts] = []
        met = asyncio.Event()

        def take(got: Any) -> None:
            seen.append(self._reading(pv, got))
            if seen[-1].get("value") == value:
                met.set()

        subscription = _subscribe(pv, take)
        try:
            async with asyncio.timeout(timeout):
                await met.wait()
        except TimeoutError:
            last = seen[-1].get("value", "disconnected") if seen else "not known"
            raise TimeoutError(f"{pv} is {last!r}, not {value!r}, after {timeout:g} s") from None
        finally:
            subscription.close()
        return seen[-1]

    async def read_at(
        self, pv: str, value: Any, pvs: Sequence[str], ready: str = "", timeout: float = 20
    ) -> Facts:
        """Read `pvs` as soon as an update of `pv`, not its first, brings this value."""
        await self._learn([pv, *pvs], raw=False, timeout=timeout)
        seen, first = asyncio.Event(), asyncio.Event()

        def look(got: Any) -> None:
            if not first.is_set():
                first.set()
            elif self._reading(pv, got).get("value") == value:
                seen.set()

        subscription = _subscribe(pv, look)
        try:
            async with asyncio.timeout(timeout):
                await first.wait()
                if ready:  # somebody waits to begin what leads to the value
                    await aioca.caput(ready, 1, wait=False)
                await seen.wait()
                got = await aioca.caget(list(pvs), format=aioca.FORMAT_TIME, timeout=timeout)
        finally:
            subscription.close()
        return {name: self._reading(name, each) for name, each in zip(pvs, got, strict=True)}

    async def _learn(self, pvs: Sequence[str], raw: bool, timeout: float) -> None:
        """Connect, and get the labels of what is an enum."""
        await aioca.connect(list(pvs), timeout=timeout)
        if raw:
            return
        kinds = await aioca.cainfo(list(pvs), timeout=timeout)
        enums = [pv for pv, kind in zip(pvs, kinds, strict=True) if kind.datatype == aioca.DBR_ENUM]
        for got in await aioca.caget(enums, format=aioca.FORMAT_CTRL, timeout=timeout):
            self._labels[got.name] = got.enums

    def _reading(self, pv: str, got: Any, raw: bool = False) -> Facts:
        if not got.ok:
            return {"pv": pv, "connected": False, "at": time.monotonic()}
        return {
            "pv": pv,
            "connected": True,
            "value": _numbers(got) if raw else self._words(pv, got),
            "severity": got.severity,
            "status": got.status,
            "timestamp": got.timestamp,
            "type": got.datatype,
            "at": time.monotonic(),
        }

    def _words(self, pv: str, got: Any) -> Any:
        if got.datatype == aioca.DBR_CHAR:
            codes = got.tolist() if hasattr(got, "tolist") else [int(got)]
            return bytes(code % 256 for code in codes).partition(b"\0")[0].decode(errors="replace")
        if got.datatype == aioca.DBR_ENUM and pv in self._labels:
            labels, index = self._labels[pv], int(got)
            return labels[index] if index < len(labels) else index
        return _numbers(got)


def _numbers(got: Any) -> Any:
    return got.tolist() if hasattr(got, "tolist") else got


def _subscribe(pv: str, take: Callable[[Any], None]) -> Any:
    return aioca.camonitor(
        pv, take, all_updates=True, format=aioca.FORMAT_TIME, notify_disconnect=True
    )


def _actions() -> Mapping[str, Callable[..., Awaitable[Any]]]:
    actions = Actions()
    names = ("get", "get_all", "info", "put", "burst", "watch", "updates", "until", "read_at")
    return {name: getattr(actions, name) for name in names}


async def _answer(actions: Mapping[str, Callable[..., Awaitable[Any]]], request: Facts) -> None:
    number, verb = request.pop("number"), request.pop("verb")
    try:
        reply: Facts = {"result": await actions[verb](**request)}
    except Exception as error:  # noqa: BLE001 - told to the one who asked
        reply = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps({"number": number, **reply}) + "\n")
    sys.stdout.flush()


async def _main() -> None:
    leave_in_time()
    loop = asyncio.get_running_loop()
    actions = _actions()
    async with asyncio.TaskGroup() as tasks:
        asked = []
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            request = json.loads(line)
            asked.append(tasks.create_task(_answer(actions, request), name=request["verb"]))
            asked = [task for task in asked if not task.done()]
        for task in asked:  # who asked is gone
            task.cancel()
    aioca.purge_channel_caches()


if __name__ == "__main__":
    asyncio.run(_main())
