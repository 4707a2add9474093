"""Errors as problem details (RFC 9457), with the text that the command line has."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.types import Cause

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(BaseModel):
    """Why something was not done (RFC 9457)."""

    type: str = "about:blank"
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What was wrong, where, and what would be right.")


class ProblemError(Exception):
    """A request that can't be done."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] = {}) -> None:
        """With the HTTP status and what the user is told."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers

    def response(self) -> JSONResponse:
        """As it is sent."""
        title = HTTPStatus(self.status).phrase
        told = ProblemDetails(title=title, status=self.status, detail=self.detail)
        return JSONResponse(told.model_dump(), self.status, dict(self.headers), MEDIA_TYPE)


_BY_CAUSE = {Cause.INPUT: 422, Cause.NOT_CONNECTED: 424, Cause.DURING: 409}
_BY_KIND = {
    "input": 422,
    "disconnect": 424,
    "refused": 422,
    "limits": 422,
    "timeout": 504,
    "busy": 409,
}
"""By the kind of the error."""


def problem_of(told: Mapping[str, Any]) -> ProblemError:
    """An error that the service has told."""
    status = _BY_CAUSE.get(told.get("cause", "")) or _BY_KIND.get(told.get("kind", ""), 500)
    return ProblemError(status, str(told["error"]))


def take_errors(app: FastAPI) -> None:
    """Answer every error of an app by a problem."""

    async def problem(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ProblemError)  # noqa: S101 - it is registered for these
        return error.response()

    async def ours(_request: Request, error: Exception) -> JSONResponse:
        return ProblemError(422 if isinstance(error, InputError) else 500, str(error)).response()

    async def of_framework(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - as above
        headers = dict(error.headers or {})
        return ProblemError(error.status_code, _words(_request, error), headers).response()

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
        return ProblemError(422, "; ".join(_finding(each) for each in error.errors())).response()

    async def fault(_request: Request, error: Exception) -> JSONResponse:
        text = f"internal error: {type(error).__name__}: {error}"
        return ProblemError(500, f"{text}; the service's log has more").response()

    app.add_exception_handler(ProblemError, problem)
    app.add_exception_handler(OrchestratorError, ours)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, fault)


def _words(request: Request, error: HTTPException) -> str:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return f"there is no {request.url.path}; what there is stands in /api/v1/openapi.json"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{request.url.path} takes no {request.method}"
    return str(error.detail)


def _finding(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg']}"
