"""What is known of a run at its start: the first thing that whoever keeps its data is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.types.values import Metadata

MAIN_LANE = "main"
"""What the lane is called that each service has; in commands, events and updates it is empty."""


@dataclass(frozen=True, slots=True)
class SourceText:
    """A sequence or function as it is written, read when it was loaded."""

    name: str
    """What it is called: by whoever starts the run, by the step `run` or `call`."""
    text: str
    """The whole document; of Python the whole module."""
    origin: str = ""
    """The file that it was read from; empty for a document that came as text."""
    module: str = ""
    """Of Python: the module's full name."""
    qualname: str = ""
    """Of Python: which function of the module it is."""


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What is known of a run at its start."""

    run_id: str
    name: str
    owner: str = ""
    """user@host, as the client claims; empty where nobody has said."""
    how: str = ""
    """By what it was started: `START`, `CMD`, `queue`, `index`, `run` (a foreground run),
    `autostart`, `restart`; of another attempt `recover`, `finalise`, whatever asked for it."""
    repeats: str = ""
    """The id of the run that it is the repetition of; empty where it is none."""
    lane: str = MAIN_LANE
    """Which of the runs that go on side by side it is."""
    started: datetime | None = None
    """Local time with its offset to UTC; None where nobody has looked at a clock."""
    sources: tuple[SourceText, ...] = ()
    """What is run, and behind it all that it is known to run and call, each once."""
    arguments: Mapping[str, object] = field(default_factory=dict)
    """Every parameter's value, those that were left at their default included."""
    metadata: Mapping[str, object] = field(default_factory=dict)
    """What is to be known of it, by name: of the configuration, the document and who started it."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """`orchestrator`, `python`; `configuration`: SHA-256 of the file, where there is one."""
    channels: Mapping[str, Metadata | None] = field(default_factory=dict)
    """The channels that it is known to sample, in the order of the document: type, shape, units,
    precision, limits, labels; None of one that has not connected yet."""
    baseline: Mapping[str, Metadata | None] = field(default_factory=dict)
    """The channels that are read at its beginning and its end, as in `channels`."""
    recorded: Mapping[str, Metadata | None] = field(default_factory=dict)
    """Those of which it is known to record each update, as in `channels`."""
    axes: tuple[str, ...] = ()
    """Those of them that loops move, or by which they read back what they move: over what to plot.
    The innermost loop's first."""
