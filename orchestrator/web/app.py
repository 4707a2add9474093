"""Puts together what is served."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp

from orchestrator.config import Config
from orchestrator.config.tokens import read_tokens
from orchestrator.web.callers import Callers
from orchestrator.web.checking import Checks
from orchestrator.web.gate import Gate
from orchestrator.web.problems import MEDIA_TYPE, ProblemDetails, take_errors
from orchestrator.web.routes import channels, events, health, lanes, page, queue, runs, sequences
from orchestrator.web.service_link import ServiceLink

API = "/api/v1"

_WORDS = """\
Drives and watches the orchestration service. Errors are problem details (RFC 9457), with the text
that the command line prints. Who calls is known by a token of the token file, where there is one,
else by the header `X-Caller: user@host`; the name is the OWNER of what it starts."""


_PROBLEM = {MEDIA_TYPE: {"schema": ProblemDetails.model_json_schema()}}


def bare_app() -> FastAPI:
    """Without the gate; its OpenAPI is what the reference is made of."""
    app = FastAPI(
        title="IOC orchestrator",
        version="1",
        description=_WORDS,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # these pages come from a server in the internet, which control rooms lack
        redoc_url=None,
        responses={"default": {"description": "Why it was not done.", "content": _PROBLEM}},
        redirect_slashes=False,
    )
    take_errors(app)
    for rooms in (sequences, runs, lanes, queue, channels, events):
        app.include_router(rooms.router, prefix=API)
    app.include_router(health.router)
    app.include_router(page.router)
    return app


def make_app(config: Config, link: ServiceLink) -> ASGIApp:
    """All that is served.

    Raises:
        InputError: The token file is wrong.
    """
    assert config.http is not None  # noqa: S101 - else nothing is served
    file = config.http.token_file
    callers = Callers(None if file is None else read_tokens(file), config.write_access)
    app = bare_app()
    app.state.config, app.state.link = config, link
    app.state.checks = Checks(link.config)
    return Gate(app, config.http, callers)
