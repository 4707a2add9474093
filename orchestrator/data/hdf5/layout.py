"""The layout of a file: groups and attributes of NeXus, and where everything stands in them."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Mapping
from datetime import datetime
from typing import Any

import h5py
import numpy as np

from orchestrator.data.hdf5.columns import (
    Group,
    Growing,
    GrowingTexts,
    GrowingTuples,
    Kind,
)
from orchestrator.types import Metadata, RunHeader, RunStatus

RUNNING = "Running"
"""The status in the file of a run that has not ended."""

INCOMPLETE = "Incomplete"
"""The status in a file that could not take all rows."""

_STATUS = 16
_TIME = 40
_MESSAGE = 4000
"""Bytes of what is written when the run ends: there has to be room for it from the start."""
_DEPTH = 4
"""Of loops for which there is room at first."""


def make_layout(file: Any, header: RunHeader) -> None:
    """All that is known at the start."""
    file.attrs["NX_class"] = "NXroot"
    file.attrs["creator"] = "orchestrator"
    file.attrs["default"] = "entry"
    entry = _group(file, "entry", "NXentry")
    entry.attrs["default"] = "data"
    entry["title"] = header.name
    entry["entry_identifier"] = header.run_id
    if header.started is not None:
        entry["start_time"] = _time(header.started)
        _later(entry, "end_time", _TIME, _time(header.started))
    entry["program_name"] = "orchestrator"
    entry["program_name"].attrs["version"] = header.versions.get("orchestrator", "")
    if header.owner:
        _group(entry, "user", "NXuser")["name"] = header.owner
    for number, source in enumerate(header.sources, 1):
        note = _group(entry, "document" if number == 1 else f"document_{number}", "NXnote")
        note["type"] = "text/x-python" if source.module else "application/yaml"
        note["description"] = source.name
        note["data"] = source.text
        if source.origin:
            note["file_name"] = source.origin
    _mapping(entry, "arguments", header.arguments)
    _mapping(entry, "metadata", header.metadata)
    _run(entry, header)
    baseline = _group(entry, "baseline", "NXcollection")
    _times(baseline)
    GrowingTexts.made_for(baseline, "when", 8)
    _group(entry, "monitors", "NXcollection")
    rows = _group(entry, "rows", "NXcollection")
    _times(rows)
    GrowingTexts.made_for(rows, "step", 64)
    for name in ("loop", "try"):
        GrowingTuples.made_for(rows, name, _DEPTH)
    Growing.made(rows, "superseded", "i1", 0)
    Growing.made(rows, "point", "i8", 0)
    _group(entry, "channels", "NXcollection")
    _group(entry, "data", "NXdata")


def _times(group: Group) -> None:
    times = Growing.made(group, "time", "i8", 0).dataset
    times.attrs["units"] = "ns"
    times.attrs["start"] = "1970-01-01T00:00:00Z"


def _run(entry: Group, header: RunHeader) -> None:
    run = _group(entry, "run", "NXcollection")
    _later(run, "status", _STATUS, RUNNING)
    _later(run, "message", _MESSAGE, "")
    run["id"], run["lane"], run["started_by"] = header.run_id, header.lane, header.how
    for name, version in header.versions.items():
        run.attrs[name] = version


def _mapping(entry: Group, name: str, values: Mapping[str, object]) -> None:
    """Values by name, each as HDF5 holds it; as JSON where it does not."""
    group = _group(entry, name, "NXcollection")
    names = dict[str, str]()
    for key, value in values.items():
        safe = names[key] = safe_name(key, names.values())
        match value:
            case bool() | int() | float() | str() | np.ndarray() if not _too_large(value):
                group[safe] = value
            case _:
                group[safe] = json.dumps(value, default=str)
                group[safe].attrs["type"] = "application/json"


def _too_large(value: object) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def outcome(file: Any, status: RunStatus | str, message: str, ended: datetime) -> None:
    """Write how the run has ended, where there is room for it."""
    entry = file["entry"]
    texts = {"run/message": message, "end_time": _time(ended), "run/status": str(status)}
    for name, text in texts.items():
        if name in entry:
            entry[name][()] = _cut(text, entry[name].dtype.itemsize)


def _cut(text: str, most: int) -> bytes:
    return text.encode()[:most].decode(errors="ignore").encode()


def _later(group: Group, name: str, width: int, text: str) -> None:
    """A text that is written again later."""
    group.create_dataset(name, (), h5py.string_dtype("utf-8", width), data=text.encode())


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


def _group(parent: Group, name: str, kind: str) -> Group:
    group = parent.create_group(name, track_order=True)
    group.attrs["NX_class"] = kind
    return group


# Channels -------------------------------------------------------------------------------------


def channel_group(file: Any, part: str, channel: str, kind: Kind) -> Group:
    """A new group for a channel; a second one where its values have become something else.

    Args:
        file: An open file.
        part: `channels`, `baseline` or `monitors`.
        channel: Its name.
        kind: Of its values.
    """
    channels = file["entry"][part]
    plots = part == "monitors" and kind.name in ("float", "int", "enum")
    group = _group(channels, safe_name(channel, channels), "NXdata" if plots else "NXcollection")
    if plots:
        group.attrs["signal"], group.attrs["axes"] = "value", ["time"]
    group.attrs["channel"] = channel
    group.attrs["kind"] = kind.name
    return group


def describe(value: Any, channel: str, metadata: Metadata | None) -> None:
    """What is known of a channel, as attributes of its values."""
    value.attrs["long_name"] = channel
    if metadata is None:
        return
    if metadata.units:
        value.attrs["units"] = metadata.units
    if metadata.precision is not None:
        value.attrs["precision"] = metadata.precision
    if metadata.labels:
        value.attrs["labels"] = metadata.labels
    for name in ("display", "control", "warning", "alarm"):
        limits = getattr(metadata, name)
        if limits.are_set:
            value.attrs[f"{name}_limits"] = (limits.low, limits.high)


def show(file: Any, axes: Iterable[str]) -> None:
    """Have `data` plot what there is: the first channel over the axis, an array as an image."""
    entry = file["entry"]
    groups = {group.attrs["channel"]: group for group in entry["channels"].values()}
    data = entry["data"]
    for group in entry["channels"].values():
        name = group.name.rpartition("/")[2]
        if group["value"].ndim == 1 and group["value"].dtype.kind in "if" and name not in data:
            group["value"].attrs["target"] = group["value"].name
            data[name] = group["value"]
    if "point" not in data:
        data["point"] = entry["rows/point"]
        entry["rows/point"].attrs["target"] = "/entry/rows/point"
    known = [groups[axis].name.rpartition("/")[2] for axis in axes if axis in groups]
    over = [name for name in known if name in data] or ["point"]
    signals = [name for name in data if name not in (*over, "point")]
    _plot(data, _first(signals, groups.values()) or "point", over)
    for name, group in entry["channels"].items():
        if group["value"].ndim > 1 and group["value"].dtype.kind in "iuf":
            _plot_array(entry, name, group, over[0])


def _first(names: Container[str], groups: Iterable[Group]) -> str:
    in_order = (group.name.rpartition("/")[2] for group in groups)
    return next((name for name in in_order if name in names), "")


def _plot(data: Group, signal: str, over: list[str]) -> None:
    data.attrs["signal"] = signal
    data.attrs["axes"] = [over[0]]
    for name in over:
        data.attrs[f"{name}_indices"] = 0


def _plot_array(entry: Group, name: str, group: Group, over: str) -> None:
    if (own := f"{name}_rows") in entry:
        return
    data, value = _group(entry, own, "NXdata"), group["value"]
    value.attrs["target"] = value.name
    data[name], data[over] = value, entry["data"][over]
    data.attrs["signal"] = name
    data.attrs["axes"] = [over, *"." * (value.ndim - 1)]
    data.attrs[f"{over}_indices"] = 0


def safe_name(name: str, taken: Container[str]) -> str:
    """A name that all readers of NeXus take, and nothing else has: letters, digits and `_`."""
    safe = re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
    if safe[0].isdigit():
        safe = f"_{safe}"
    number, own = 1, safe
    while own in taken:
        number += 1
        own = f"{safe}_{number}"
    return own
