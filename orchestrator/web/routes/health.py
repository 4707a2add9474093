"""Whether it lives and works, and its figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from orchestrator.types import Field, RunState, RunStatus, fields
from orchestrator.web.problems import ProblemError
from orchestrator.web.routes.asking import Link
from orchestrator.web.service_link import ServiceLink

router = APIRouter(tags=["service"])

_NUMBERS = tuple(
    field
    for field in fields.ALL
    if not (field.is_of_ioc or field.is_of_channel)
    and field.metadata.count == 1
    and not field.metadata.labels
    and not field.metadata.text
    and field.asks is None
)
_STATES = {fields.STATE: tuple(RunState), fields.STATUS: tuple(RunStatus)}


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """Whether HTTP is served."""
    return "ok\n"


@router.get("/readyz", response_class=PlainTextResponse)
async def readyz(link: Link) -> str:
    """Whether the service works behind it; 503 where it does not, or its loop stands still."""
    if not (link.works and link.happenings.known):
        raise ProblemError(503, "the service has not told how it is")
    if (silent := link.happenings.silence) > _SILENT:
        text = f"the service has told nothing for {silent:.0f} s: its loop stands still"
        raise ProblemError(503, text)
    return "ok\n"


_SILENT = 5.0
"""s: HEARTBEAT comes once a second."""


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(link: Link) -> Response:
    """The figures of the service, for Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(link))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    """The fields that are numbers, and which state and outcome there is."""

    def __init__(self, link: ServiceLink) -> None:
        self._link = link

    def collect(self) -> Iterator[Metric]:
        told = self._link.happenings.fields
        yield GaugeMetricFamily("orchestrator_up", "Whether the service works.", self._link.works)
        for field in _NUMBERS:
            if isinstance(value := told.get(field.name), int | float):
                yield GaugeMetricFamily(f"orchestrator_{field}", _words(field), value)
        for field, words in _STATES.items():
            yield _states(field, tuple(map(str, words)), told.get(field.name))


def _words(field: Field) -> str:
    units = field.metadata.units
    return f"{field.meaning} [{units}]" if units else field.meaning


def _states(field: Field, words: tuple[str, ...], now: Any) -> Metric:
    metric = GaugeMetricFamily(f"orchestrator_{field}", field.meaning, labels=[str(field)])
    for word in words:
        metric.add_metric([word], float(word == now))
    return metric
