"""The page for browsers: files of this package, and nothing of the internet."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Response

from orchestrator.web.problems import ProblemError
from orchestrator.web.routes.asking import Configured

router = APIRouter(include_in_schema=False)

_TYPES = {
    "index.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "api.js": "text/javascript",
    "plot.js": "text/javascript",
}
"""All files that it has."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""What of a text from outside were taken for HTML all the same could neither run nor send."""


@router.get("/")
def show_page() -> Response:
    """The page."""
    return _file("index.html")


@router.get("/page/settings.json")
def show_settings(config: Configured) -> dict[str, Any]:
    """What the page has to know before anybody has given a token."""
    assert config.http is not None  # noqa: S101 - else nothing is served
    return {"read_only": config.http.read_only, "token": config.http.token_file is not None}


@router.get("/page/{name}")
def show_file(name: str) -> Response:
    """A file of the page."""
    if name not in _TYPES:
        raise ProblemError(404, f"the page has no file {name!r:.100}")
    return _file(name)


def _file(name: str) -> Response:
    return Response(_read(name), media_type=_TYPES[name], headers=_HEADERS)


@cache
def _read(name: str) -> bytes:
    return files("orchestrator.web").joinpath("page", name).read_bytes()
