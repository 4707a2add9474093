"""What every request passes: who it is, how often it comes, how long it is, what it may do."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.config import HttpConfig
from orchestrator.web.callers import Callers
from orchestrator.web.problems import ProblemError

_READS = ("GET", "HEAD")
_OPEN = ("/healthz", "/readyz")
"""What needs no token, and is not counted: those who look whether a service lives have none."""
_BODY_S = 30.0
"""s in which the body of a request has to come."""
_BURST_S = 5.0
"""s of requests that a client may send at once."""
_MOST_CLIENTS = 10_000
"""Of which the rate is remembered."""

CALLER = "orchestrator.caller"
"""Where a request's scope has its user@host."""


@dataclass(slots=True)
class _Bucket:
    """Requests that a client may still send."""

    left: float
    at: float


class Rate:
    """Bounds how often each client comes."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Each client may send so many, and for `_BURST_S` s as many at once."""
        self._per_second = per_second
        self._most = per_second * _BURST_S
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, client: str) -> float:
        """Count a request; gives the s until it may come, 0 = now."""
        now = self._clock()
        bucket = self._buckets.setdefault(client, _Bucket(self._most, now))
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        bucket.left = min(bucket.left + (now - bucket.at) * self._per_second, self._most)
        bucket.at = now
        if bucket.left < 1.0:
            return (1.0 - bucket.left) / self._per_second
        bucket.left -= 1.0
        return 0.0


class Gate:
    """Lets requests in."""

    def __init__(self, app: ASGIApp, config: HttpConfig, callers: Callers) -> None:
        """`app` is what is behind it."""
        self._app = app
        self._config = config
        self._callers = callers
        self._rate = Rate(config.requests_per_second)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        try:
            self._look(scope)
            body = _BoundBody(receive, self._config.max_body_bytes)
            body.look(Headers(scope=scope))
        except ProblemError as problem:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, body.receive, send)

    def _look(self, scope: Scope) -> None:
        headers, method = Headers(scope=scope), scope["method"]
        if scope["path"] in _OPEN and method in _READS:
            return
        peer = scope["client"][0] if scope.get("client") else "unknown"
        if wait := self._rate.take(peer):
            rate = self._config.requests_per_second
            text = f"more than {rate} requests a second (http.requests_per_second)"
            raise ProblemError(429, text, {"Retry-After": f"{max(round(wait), 1)}"})
        if method in _READS and _is_page(scope["path"]):
            return
        scope[CALLER] = self._callers.owner(headers, peer)
        if method in _READS:
            return
        _check_origin(headers)
        if self._config.read_only:
            raise ProblemError(403, "the service takes no commands by HTTP (http.read_only)")
        self._callers.check_may_write(scope[CALLER])


def _is_page(path: str) -> bool:
    """Whether it is the page itself: who opens it is asked for the token by it."""
    return path == "/" or path.startswith("/page/")


def _check_origin(headers: Headers) -> None:
    """A page of somebody else, open in an operator's browser, can't drive the service.

    Raises:
        ProblemError: It is such a page that asks.
    """
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise ProblemError(403, f"a page of {origin} may not change anything here")


class _BoundBody:
    """The body of a request, no longer than allowed."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._left = most
        self._whole = False

    def look(self, headers: Headers) -> None:
        """Refuse one that says that it is too long."""
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdecimal() and int(length[:20]) > self._most:
            raise ProblemError(413, self._too_long)

    async def receive(self) -> Message:
        """See ASGI."""
        if self._whole:
            return await self._receive()  # waits until the client has gone
        try:
            async with asyncio.timeout(_BODY_S):
                message = await self._receive()
        except TimeoutError:
            text = f"the request was not whole within {_BODY_S:g} s"
            raise HTTPException(408, text) from None
        self._left -= len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._left < 0:
            raise HTTPException(413, self._too_long)  # the framework passes only this one on
        return message

    @property
    def _too_long(self) -> str:
        return f"the request is longer than {self._most} bytes (http.max_body_bytes)"
