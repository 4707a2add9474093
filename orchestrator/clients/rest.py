"""A service over HTTP: `RestClient`, and `AsyncRestClient` for programs of asyncio."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self

import httpx

from orchestrator.clients import requests
from orchestrator.clients.requests import (
    API,
    Event,
    EventLines,
    Request,
    RequestError,
    RunFailedError,
)

__all__ = ["AsyncRestClient", "Event", "RequestError", "RestClient", "RunFailedError"]

_A_LOOK = 2.0
"""s after which a run is looked at though nothing was told of it."""
_SILENCE = 40.0
"""s without a byte after which an event stream counts as dead; it tells of itself each 15 s."""


def _settings(url: str, token: str, caller: str, timeout: float) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if caller:
        headers["X-Caller"] = caller
    return {"base_url": url, "headers": headers, "timeout": timeout}


def _stream(last_id: str) -> dict[str, Any]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    timeout = httpx.Timeout(_SILENCE)
    return {"method": "GET", "url": f"{API}/events", "headers": headers, "timeout": timeout}


class RestClient:
    """A service, by its HTTP; every method waits for its answer.

    ```python
    with RestClient("http://127.0.0.1:8080", caller="me@desk") as service:
        run = service.wait(service.start("align", points=11))
        print(run["status"], run["data_file"])
    ```

    Methods raise `RequestError` where the service refuses what is asked, and what httpx raises
    where it can't be reached.
    """

    def __init__(self, url: str, *, token: str = "", caller: str = "", timeout: float = 60) -> None:
        """A client; nothing is asked yet.

        Args:
            url: Of the service: `http://host:port`.
            token: Of its file of tokens, where it has one.
            caller: user@host, the OWNER of what it starts, where no token tells it.
            timeout: s for each answer.
        """
        self._http = httpx.Client(**_settings(url, token, caller, timeout))

    def __enter__(self) -> Self:
        """For the time of a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _do(self, request: Request) -> Any:
        told = self._http.request(
            request.method, request.path, json=request.body, params=dict(request.params)
        )
        return requests.answer(request, told.status_code, told.content)

    # Runs ---------------------------------------------------------------------------------------

    def start(
        self, sequence: str = "", /, *, document: str = "", lane: str = "", **arguments: Any
    ) -> str:
        """Start a run of a sequence, or of a whole document; its id once it has begun.

        In the main lane unless another one is named.
        """
        return str(self._do(requests.start(sequence, document, lane, arguments)))

    def submit(
        self, sequence: str = "", /, *, document: str = "", lane: str = "", **arguments: Any
    ) -> int:
        """Put a run into the queue of a lane; its number there."""
        return int(self._do(requests.submit(sequence, document, lane, arguments)))

    def check(
        self, sequence: str = "", /, *, document: str = "", offline: bool = False, **arguments: Any
    ) -> Mapping[str, Any]:
        """What a run would find: `ok`, `findings`, `seconds` …."""
        told: Mapping[str, Any] = self._do(
            requests.check(sequence, document, arguments, offline=offline)
        )
        return told

    def run(self, run_id: str) -> Mapping[str, Any]:
        """What is kept of a run; its `status` is None as long as it is under way."""
        told: Mapping[str, Any] = self._do(requests.run(run_id))
        return told

    def runs(self, limit: int = 50, before: str = "") -> list[Mapping[str, Any]]:
        """The newest runs, before one where that is given."""
        return list(self._do(requests.runs(limit, before)))

    def wait(self, run_id: str, timeout: float | None = None) -> Mapping[str, Any]:
        """Wait for the end of a run, and return what is kept of it.

        Raises:
            RunFailedError: It has not succeeded.
            TimeoutError: It has not ended within `timeout` s; it goes on.
        """
        until = None if timeout is None else time.monotonic() + timeout
        looked = 0.0
        with self.events() as events:
            for event in events:
                now = time.monotonic()  # of a lane's run no event tells
                if event.kind == "snapshot" or event.ends(run_id) or now - looked > _A_LOOK:
                    looked = now
                    run = self.run(run_id)
                    if run["status"] is not None:
                        return _succeeded(run)
                if until is not None and time.monotonic() > until:
                    raise TimeoutError(f"the run {run_id} has not ended within {timeout:g} s")
        raise RequestError(503, f"the service has ended while the run {run_id} was waited for")

    def pause(self, run_id: str) -> None:
        """Pause it; what is in flight is awaited."""
        self._do(requests.control("pause", run_id))

    def resume(self, run_id: str) -> None:
        """Go on with it."""
        self._do(requests.control("resume", run_id))

    def stop(self, run_id: str) -> None:
        """End it at its next boundary."""
        self._do(requests.control("stop", run_id))

    def abort(self, run_id: str, reason: str = "") -> None:
        """Interrupt it at once; its finalisers run."""
        self._do(requests.control("abort", run_id, reason))

    def skip(self, run_id: str) -> None:
        """Interrupt the step that runs and go on with the next."""
        self._do(requests.control("skip", run_id))

    def csv(self, run_id: str) -> Iterator[str]:
        """The lines of its data as CSV, the head first."""
        path = f"{requests.run(run_id).path}/data"
        with self._http.stream("GET", path) as told:
            if told.status_code >= 400:
                told.read()
                requests.answer(Request("GET", path), told.status_code, told.content)
            yield from told.iter_lines()

    # The service --------------------------------------------------------------------------------

    def status(self) -> Mapping[str, Any]:
        """All fields, by the names of the PVs."""
        told: Mapping[str, Any] = self._do(requests.of("status", "fields"))
        return told

    def sequences(self) -> list[str]:
        """The names that can be run."""
        return list(self._do(requests.of("sequences", "sequences")))

    def channel(self, name: str) -> Mapping[str, Any]:
        """A channel: its `value`, `connected`, `units` …."""
        told: Mapping[str, Any] = self._do(requests.channel(name))
        return told

    def put(self, name: str, value: Any, timeout: float = 10) -> None:
        """Write a channel, and wait for its put-callback."""
        self._do(requests.put(name, value, timeout))

    @contextmanager
    def events(self, last_id: str = "") -> Iterator[Iterator[Event]]:
        """What happens, from now on, or behind the event of that id."""
        with self._http.stream(**_stream(last_id)) as told:
            if told.status_code >= 400:
                told.read()
                requests.answer(requests.of("events"), told.status_code, told.content)
            lines = EventLines()
            yield (event for line in told.iter_lines() for event in lines.take(line))


class AsyncRestClient:
    """The same for programs of asyncio: `async with`, and every method is awaited."""

    def __init__(self, url: str, *, token: str = "", caller: str = "", timeout: float = 60) -> None:
        """As of `RestClient`."""
        self._http = httpx.AsyncClient(**_settings(url, token, caller, timeout))

    async def __aenter__(self) -> Self:
        """For the time of a block."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def _do(self, request: Request) -> Any:
        told = await self._http.request(
            request.method, request.path, json=request.body, params=dict(request.params)
        )
        return requests.answer(request, told.status_code, told.content)

    async def start(
        self, sequence: str = "", /, *, document: str = "", lane: str = "", **arguments: Any
    ) -> str:
        """See `RestClient.start`."""
        return str(await self._do(requests.start(sequence, document, lane, arguments)))

    async def submit(
        self, sequence: str = "", /, *, document: str = "", lane: str = "", **arguments: Any
    ) -> int:
        """See `RestClient.submit`."""
        return int(await self._do(requests.submit(sequence, document, lane, arguments)))

    async def check(
        self, sequence: str = "", /, *, document: str = "", offline: bool = False, **arguments: Any
    ) -> Mapping[str, Any]:
        """See `RestClient.check`."""
        asked = requests.check(sequence, document, arguments, offline=offline)
        told: Mapping[str, Any] = await self._do(asked)
        return told

    async def run(self, run_id: str) -> Mapping[str, Any]:
        """See `RestClient.run`."""
        told: Mapping[str, Any] = await self._do(requests.run(run_id))
        return told

    async def runs(self, limit: int = 50, before: str = "") -> list[Mapping[str, Any]]:
        """See `RestClient.runs`."""
        return list(await self._do(requests.runs(limit, before)))

    async def wait(self, run_id: str) -> Mapping[str, Any]:
        """See `RestClient.wait`; bound it by `asyncio.timeout`."""
        looked = 0.0
        async with self.events() as events:
            async for event in events:
                now = time.monotonic()  # as above
                if event.kind == "snapshot" or event.ends(run_id) or now - looked > _A_LOOK:
                    looked = now
                    run = await self.run(run_id)
                    if run["status"] is not None:
                        return _succeeded(run)
        raise RequestError(503, f"the service has ended while the run {run_id} was waited for")

    async def pause(self, run_id: str) -> None:
        """See `RestClient.pause`."""
        await self._do(requests.control("pause", run_id))

    async def resume(self, run_id: str) -> None:
        """See `RestClient.resume`."""
        await self._do(requests.control("resume", run_id))

    async def stop(self, run_id: str) -> None:
        """See `RestClient.stop`."""
        await self._do(requests.control("stop", run_id))

    async def abort(self, run_id: str, reason: str = "") -> None:
        """See `RestClient.abort`."""
        await self._do(requests.control("abort", run_id, reason))

    async def skip(self, run_id: str) -> None:
        """See `RestClient.skip`."""
        await self._do(requests.control("skip", run_id))

    async def status(self) -> Mapping[str, Any]:
        """See `RestClient.status`."""
        told: Mapping[str, Any] = await self._do(requests.of("status", "fields"))
        return told

    async def sequences(self) -> list[str]:
        """See `RestClient.sequences`."""
        return list(await self._do(requests.of("sequences", "sequences")))

    async def channel(self, name: str) -> Mapping[str, Any]:
        """See `RestClient.channel`."""
        told: Mapping[str, Any] = await self._do(requests.channel(name))
        return told

    async def put(self, name: str, value: Any, timeout: float = 10) -> None:
        """See `RestClient.put`."""
        await self._do(requests.put(name, value, timeout))

    @asynccontextmanager
    async def events(self, last_id: str = "") -> AsyncIterator[AsyncIterator[Event]]:
        """See `RestClient.events`."""
        async with self._http.stream(**_stream(last_id)) as told:
            if told.status_code >= 400:
                await told.aread()
                requests.answer(requests.of("events"), told.status_code, told.content)
            yield _events(told)


async def _events(told: httpx.Response) -> AsyncIterator[Event]:
    lines = EventLines()
    async for line in told.aiter_lines():
        for event in lines.take(line):
            yield event


def _succeeded(run: Mapping[str, Any]) -> Mapping[str, Any]:
    if run["status"] != "Success":
        raise RunFailedError(run)
    return run
