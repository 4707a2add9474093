"""Channels as objects of JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from orchestrator.config import ChannelConfig
from orchestrator.ports import ChannelView
from orchestrator.types import Metadata, Reading, alarm_name


def channel_facts(channel: ChannelView, config: ChannelConfig, *, whole: bool) -> dict[str, Any]:
    """What is known of a channel now.

    Args:
        channel: As the device has examined it.
        config: What the configuration says of it.
        whole: With the elements of an array, as base64 of `dtype`; else with their number only.
    """
    facts: dict[str, Any] = {
        "name": config.name,
        "pv": config.pv,
        "connected": channel.connected,
        "write": config.write and (channel.metadata is None or channel.metadata.writable),
    }
    if channel.metadata is not None:
        facts |= _metadata(config.of_puts(channel.metadata))
    if channel.reading is not None:
        facts |= dict(_reading(channel.reading, channel.metadata, whole=whole))
    return facts


def _metadata(metadata: Metadata) -> Mapping[str, Any]:
    limits = {
        "control_limits": metadata.control,
        "display_limits": metadata.display,
    }
    return {
        "type": metadata.native.name.lower(),
        "count": metadata.count,
        "units": metadata.units,
        "precision": metadata.precision,
        "labels": list(metadata.labels),
        "host": metadata.host,
        **{name: [pair.low, pair.high] for name, pair in limits.items() if pair.are_set},
    }


def _reading(
    reading: Reading, metadata: Metadata | None, *, whole: bool
) -> Iterator[tuple[str, Any]]:
    value = reading.value
    if isinstance(value, np.ndarray):
        yield "elements", int(value.size)
        if whole:
            data = np.ascontiguousarray(value)
            yield "array", base64.b64encode(data.tobytes()).decode("ascii")
            yield "dtype", data.dtype.str
    elif isinstance(value, float) and not math.isfinite(value):
        yield "value", None
    else:
        yield "value", list(value) if isinstance(value, tuple) else value
    if metadata is not None and metadata.labels and isinstance(value, int):
        yield "label", metadata.label(value)
    yield "severity", reading.severity.name
    yield "alarm", alarm_name(reading.status)
    yield "timestamp", reading.timestamp
