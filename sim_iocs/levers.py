"""Fault levers as people write them: `motor delay 0.5`, `alarm X.RBV MAJOR`.

The name of the IOC may be left out where there is one. A line of JSON, as an IOC takes it on its
stdin, is understood as well.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable

from orchestrator.errors import InputError
from orchestrator.faults import parse_fault
from sim_iocs.fleet import Fleet
from sim_iocs.running import SEVERITIES, SimIoc

LEVERS = (
    "delay SECONDS",
    "refuse_writes [on|off]",
    "alarm PV SEVERITY",
    "clear",
    "freeze",
    "thaw",
    "kill",
    "restart",
)
_SWITCH = {"on": True, "off": False}


def lever(fleet: Fleet, line: str) -> Callable[[], None]:
    """Understand a line; what it gives does it, and raises FleetError where it can't be done.

    Raises:
        InputError: There is no such IOC or lever; says which there are.
    """
    if line.lstrip().startswith("{"):
        return _json(fleet, line)
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InputError(f"{line!r}: {error}; quote as in a shell") from None
    if words and words[0] in fleet.names:
        return _meant(fleet[words[0]], words[1:], line)
    if len(fleet) == 1:
        return _meant(next(iter(fleet)), words, line)
    raise InputError(f"{line!r}: which IOC? Begin with one of {', '.join(fleet.names)}")


def _meant(ioc: SimIoc, words: list[str], line: str) -> Callable[[], None]:
    match words:
        case ["delay", seconds]:
            number = _number(seconds)
            return lambda: ioc.delay(number)
        case ["refuse_writes"]:
            return ioc.refuse_writes
        case ["refuse_writes", ("on" | "off") as switch]:
            return lambda: ioc.refuse_writes(_SWITCH[switch])
        case ["alarm", pv, severity]:
            if severity not in SEVERITIES:
                raise InputError(f"severity {severity!r}: expected one of {', '.join(SEVERITIES)}")
            return lambda: ioc.alarm(pv, severity)
        case [("clear" | "freeze" | "thaw" | "kill" | "restart") as plain]:
            return {
                "clear": ioc.clear_faults,
                "freeze": ioc.freeze,
                "thaw": ioc.thaw,
                "kill": ioc.kill,
                "restart": ioc.restart,
            }[plain]
        case _:
            raise InputError(f"{line!r} is no lever of {ioc.name}; there are {', '.join(LEVERS)}")


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise InputError(f"delay {text!r}: expected a number of seconds")
    return number


def _json(fleet: Fleet, line: str) -> Callable[[], None]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a line of JSON: {line[:80]!r} ({error})") from None
    name = said.pop("ioc", "")
    parse_fault(json.dumps(said))
    if not name and len(fleet) == 1:
        (name,) = fleet.names
    if name not in fleet.names:
        raise InputError(f'{line[:80]!r}: which IOC? Give "ioc": one of {", ".join(fleet.names)}')
    return lambda: fleet[name].fault(said)
