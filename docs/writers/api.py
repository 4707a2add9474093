"""What may be imported: the public names of our packages."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from enum import Enum

import orchestrator
from orchestrator import ioc, verbs
from writers.markdown import code, part, words_of
from writers.objects import fields, members, prose, signature

KIT = {
    "Serving": ("run_ioc", "serve", "IocServer", "PortTakenError"),
    "PVs": (
        *("Group", "TextPV", "TextRO", "TextChannel", "BusyPV", "ReadOnly"),
        *("CommandPV", "CommandTextPV", "current_put", "Put"),
    ),
    "Posting": ("fitting", "post", "limit_alarm", "publish", "Severity", "Alarm"),
    "Other IOCs, masters and threads": (*("Monitor", "SequenceServer", "SubGroup", "ThreadQueue"),),
}
"""Public names of the kit in the order in which they are told; the others have their own page."""

STEPS = {
    "Form": (),
    "Strict": (),
    "Context": (
        *("put", "channel", "value", "amount", "timeout", "text", "operand", "head", "attempt"),
        *("find", "warn"),
    ),
    "Node": (
        *("puts", "reads", "evaluates", "inside", "takes", "run"),
        *("waits", "binds", "samples", "calls", "marks", "names"),
    ),
    "Put": None,
    "Operand": (),
    "InOrder": (),
    "Timing": None,
    "Doing": ("put", "delay", "value", "number", "truth", "limit", "evaluate", "steps", "inside"),
    "reading": None,
    "constant": None,
    "positive": None,
    "not_negative": None,
    "at_once": None,
}
"""What a step of one's own is made of, and which of its members; None = all."""

DEVICES = (
    *("Device", "DeviceGroup", "Queued", "Direct", "Read", "Published", "Remote", "Sample"),
    *("DeviceError", "WiringError"),
)
_GIVEN = frozenset({"Run", "IocServer"})
"""Which nobody makes by hand."""
_INNER = frozenset(
    {"write_from_dbr", "preprocess_value", "calculate_length", "check_access", "taken"}
    | {"carry_out", "placed"}
)
"""Which caproto, the engine and the command line call."""


def api() -> Iterator[str]:
    """Every public name."""
    yield from (*part("api"), "", "## `orchestrator`", "")
    for name in orchestrator.__all__:
        yield from _entry(name, getattr(orchestrator, name))
    yield from ("## `orchestrator.ioc`", "", words_of(ioc), "")
    for title, names in KIT.items():
        yield from (f"**{title}**", "")
        for name in names:
            yield from _entry(name, getattr(ioc, name))
    yield from _of_devices()
    yield from ("## `orchestrator.verbs`", "", *part("own-steps"), "")
    for name, wanted in STEPS.items():
        yield from _entry(name, getattr(verbs, name), wanted)


def _of_devices() -> Iterator[str]:
    links = ", ".join(code(name) for name in DEVICES)
    yield from (f"**[Devices](device.md)**: {links}.", "")
    yield from ("`GroupFactory` is the type of what `run_ioc` runs.", "")


def _entry(name: str, owner: object, wanted: tuple[str, ...] | None = None) -> Iterator[str]:
    if inspect.isroutine(owner):
        yield from (f"### {code(f'{name}{signature(owner)}')}", "", *prose(owner))
        return
    if not isinstance(owner, type):
        yield from (f"### {code(name)}", "", code(repr(owner)), "")
        return
    yield from (f"### {code(name)}", "", *prose(owner))
    if "Args:" in words_of(owner.__init__) and name not in _GIVEN:
        yield from (code(f"{name}{signature(owner.__init__)}"), "", *prose(owner.__init__))
    if wanted is None and (dataclasses.is_dataclass(owner) or issubclass(owner, Enum)):
        yield from fields(owner)
    if not issubclass(owner, Enum):
        yield from members(owner, wanted, _INNER)
