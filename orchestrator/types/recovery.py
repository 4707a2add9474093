"""Going on with a run that has ended: what is asked for, and where it begins again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from orchestrator.types.header import RunHeader
from orchestrator.types.values import Path, Place

Point: TypeAlias = tuple[Path, tuple[int, ...]]
"""A place, and the indices of the loops around it, outermost first."""
Named: TypeAlias = Mapping[Point, Mapping[str, object]]
"""What names are bound to, by where they are."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Somebody asks for a run to go on, or for its finalisers."""

    run_id: str
    start: str = ""
    """Where, as STEP_NAME tells it: `steps[3].do[0]`; empty: where it is said to by itself."""
    loops: tuple[int, ...] = ()
    """Indices of the loops around `start`; one more, of a loop itself, names one of its passes."""
    current: bool = False
    """Whether by the documents of today rather than by those that it was started with."""
    finalise: bool = False
    """Whether only its finalisers are to run."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a program at which a run can begin again, with what holds there."""

    path: Path
    loops: tuple[int, ...]
    """Indices of the loops around it, outermost first; with that of a pass, where it is one of a
    loop: it begins with what the loop puts then."""
    names: Named = field(default_factory=dict)
    """By the list of steps in which they were bound."""
    variables: Named = field(default_factory=dict)
    """By the document: () is the outermost one, `(…, "run")` that of a sub-sequence."""

    @property
    def place(self) -> Point:
        """Where it is."""
        return self.path, self.loops


@dataclass(frozen=True, slots=True)
class Abandoned:
    """What is known of a run before it goes on."""

    position: Position | None
    """Where it begins again; None = from its beginning."""
    at: tuple[int, int] = (0, 0)
    """File and line of its journal before which that holds."""
    data: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    """The samples by channel that count there: what `data(…)` gives."""
    rows: int = 0
    """How many rows that are."""
    points: int = 0
    """Rows that it has taken in all."""
    superseded: int = 0
    """The number of the first row that is superseded."""
    left: Mapping[str, object] = field(default_factory=dict)
    """What was put last before, by channel."""
    entered: bool = False
    """Whether it has come to its first step: else nothing is owed."""
    open: tuple[Place, ...] = ()
    """The steps that were under way at its end, the outermost first: the finalisers of these have
    not run."""
    finalised: bool = False
    """Whether finalisers that were asked for have run without a failure since its last attempt."""
    as_it_was: Named = field(default_factory=dict)
    """What steps behind the position had found when they were entered, by the step: where what is
    relative is counted from, what is put back by `restore`. Now it may be what they have moved."""


@dataclass(frozen=True, slots=True)
class Visited:
    """A step at which a run was."""

    path: Path
    loops: tuple[int, ...]
    """Indices of the loops around it when it was there last."""
    name: str
    """What it does, in a few words."""
    times: int
    """How often it was entered, or tried."""


@dataclass(frozen=True, slots=True)
class FormerRun:
    """A run that has ended, as its journal tells it in short."""

    header: RunHeader
    status: str
    """`Interrupted`, `Aborted` …: how its last attempt has ended."""
    attempts: int
    """Those that there were, 1 = it was never recovered."""
