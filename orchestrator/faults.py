"""The faults that an IOC of the kit can be told to have: the lines in which it is told.

One JSON object a line on the IOC's stdin, answered by one line on its stdout, `FAULT ok` or
`FAULT error: TEXT`:

| line                                                          | from now on                 |
| ------------------------------------------------------------- | --------------------------- |
| {"fault": "delay", "seconds": 0.5}                            | what it sends comes later   |
| {"fault": "refuse_writes", "on": true}                        | nobody may write            |
| {"fault": "alarm", "pv": "A:B", "severity": "MAJOR"}          | updates carry this severity |
| {"fault": "clear"}                                            | none of these               |
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, fields
from typing import Any

from orchestrator.errors import InputError, OrchestratorError
from orchestrator.types import Severity

MAX_DELAY_S = 3600.0

_LONGEST_LINE = 10_000


@dataclass(frozen=True, slots=True)
class Delay:
    """Whatever the IOC sends to its clients arrives this much later; 0 ends it."""

    seconds: float

    @classmethod
    def taken(cls, seconds: Any) -> Delay:
        """From what a line says.

        Raises:
            InputError: It is no number from 0 to an hour.
        """
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not (math.isfinite(seconds) and 0 <= seconds <= MAX_DELAY_S):
            raise InputError(f"seconds is a number from 0 to {MAX_DELAY_S:g}: {seconds!r}")
        return cls(float(seconds))


@dataclass(frozen=True, slots=True)
class RefuseWrites:
    """Write access is taken from every client, or given back."""

    on: bool

    @classmethod
    def taken(cls, on: Any) -> RefuseWrites:
        """From what a line says.

        Raises:
            InputError: It is neither true nor false.
        """
        if not isinstance(on, bool):
            raise InputError(f"on is true or false: {on!r}")
        return cls(on)


@dataclass(frozen=True, slots=True)
class ForceAlarm:
    """A PV's updates carry this severity; NO_ALARM gives it its own alarm back."""

    pv: str
    severity: Severity

    @classmethod
    def taken(cls, pv: Any, severity: Any) -> ForceAlarm:
        """From what a line says.

        Raises:
            InputError: The PV is no text, or there is no such severity.
        """
        if not isinstance(pv, str) or not pv:
            raise InputError(f"pv is the full name of a PV: {pv!r}")
        known = [each.name for each in Severity]
        if severity not in known:
            raise InputError(f"no severity {severity!r}{hint(str(severity), known)}")
        return cls(pv, Severity[severity])


@dataclass(frozen=True, slots=True)
class Clear:
    """No fault any more."""

    @classmethod
    def taken(cls) -> Clear:
        """There is nothing to say."""
        return cls()


Fault = Delay | RefuseWrites | ForceAlarm | Clear

_BY_NAME: dict[str, type[Fault]] = {
    "delay": Delay,
    "refuse_writes": RefuseWrites,
    "alarm": ForceAlarm,
    "clear": Clear,
}


def parse_fault(line: str) -> Fault:
    """What a line asks for.

    Raises:
        InputError: It is not one of those that there are; says which would be.
    """
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a line of JSON: {line[:80]!r} ({error})") from None
    if not isinstance(said, dict) or not isinstance(said.get("fault"), str):
        raise InputError(f'expected {{"fault": NAME, …}}: {line[:80]!r}')
    name = said.pop("fault")
    if name not in _BY_NAME:
        raise InputError(f"no fault {name!r}{hint(name, _BY_NAME)}")
    kind = _BY_NAME[name]
    wanted = [field.name for field in fields(kind)]
    if sorted(said) != sorted(wanted):
        raise InputError(f"{name} takes {_listed(wanted)}: got {_listed(list(said))}")
    return kind.taken(**said)


def hint(word: str, known: Collection[str]) -> str:
    """The end of an error message: the nearest of the known names, or all if they are few."""
    if near := difflib.get_close_matches(word, known, 1, cutoff=0.4):
        return f"; did you mean {near[0]!r}?"
    return f"; there are {', '.join(known)}" if len(known) <= 12 else ""


OBEYED = "FAULT ok"
"""The answer to a line that was obeyed."""


def refusal(error: OrchestratorError) -> str:
    """The answer to a line that was not."""
    return "FAULT error: " + " ".join(str(error).split())


async def reply(line: str, obey: Callable[[Fault], Awaitable[None]]) -> str:
    """Have a line obeyed; the answer to it, a line without its end."""
    try:
        await obey(parse_fault(line))
    except OrchestratorError as error:
        return refusal(error)
    return OBEYED


class Lines:
    """Bytes as they come, given as lines."""

    def __init__(self) -> None:
        self._begun = b""

    def take(self, received: bytes) -> Iterator[str]:
        """The lines that these bytes complete; blank ones are left out.

        A line that never ends is given in pieces, so that it is complained about.
        """
        *whole, self._begun = (self._begun + received).split(b"\n")
        if len(self._begun) > _LONGEST_LINE:
            whole, self._begun = [*whole, self._begun], b""
        for line in whole:
            if line.strip():
                yield line.decode(errors="replace").strip()


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "nothing more"
