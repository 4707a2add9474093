"""What is used from Python: simulated IOCs, devices, tests."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator

from orchestrator.ioc import Device, DeviceGroup, Direct, Published, Queued, Read, Remote, Sample
from sim_iocs import pytest_plugin, testing
from sim_iocs.fleet import FLEET
from writers.markdown import attribute_words, code, part, table, words_of
from writers.objects import fields, members, prose, signature

# Simulated IOCs -------------------------------------------------------------------------------


def simulated_iocs() -> Iterator[str]:
    """The fleet's IOCs, each with its PVs."""
    yield from (*part("sim-iocs"), "")
    yield from table(
        ("IOC", "prefix", "what it is"),
        ((f"[{n}](#{n})", code(k.prefix), k.summary) for n, k in FLEET.items()),
    )
    for name in FLEET:
        yield from (f"## {name}", "", words_of(importlib.import_module(f"sim_iocs.{name}")), "")


# Devices --------------------------------------------------------------------------------------

_WRITTEN = ("open", "acquire", "process", "on_put", "interrupt", "close")
_USED = ("publish", "window", "clear", "wait", "submit", "keep", "stopping")


def devices() -> Iterator[str]:
    """What an IOC of one's own is made of."""
    before, group, end = re.split("<!-- device -->|<!-- group -->", "\n".join(part("device")))
    yield from (*before.strip().splitlines(), "", "## `Device`", "", words_of(Device), "")
    words = {name: each for name, each in attribute_words(Device).items() if name != "clock"}
    rows = ((code(n), code(repr(getattr(Device, n))), text) for n, text in words.items())
    yield from table(("attribute", "default", "meaning"), rows)
    for title, names in (("What you write", _WRITTEN), ("What you use", _USED)):
        yield from (f"### {title}", "")
        for name in names:
            yield from _member(getattr(Device, name), name)
    yield from (*group.strip().splitlines(), "")
    for entry in (Queued, Direct, Read, Published, Remote, Sample):
        yield from (f"### `{entry.__name__}`", "", words_of(entry), "")
        rows = ((code(name), _default_of(entry, name), text) for name, text in _fields_of(entry))
        yield from table(("argument", "default", "meaning"), rows)
    yield from ("## `DeviceGroup`", "", words_of(DeviceGroup), "", "Its own PVs:", "")
    own = (pv.pvspec for pv in DeviceGroup._pvs_.values())
    yield from table(("PV", "meaning"), ((code(pv.name or pv.attr), pv.doc) for pv in own))
    yield from end.strip().splitlines()


def _member(member: object, name: str) -> Iterator[str]:
    if callable(member):
        signature = str(inspect.signature(member)).replace("(self, ", "(").replace("(self)", "()")
        plain = signature.partition(" -> ")[0].replace("'", "")
        yield from (f"`{name}{plain}`", "", words_of(member), "")
    else:
        yield from (f"`{name}`", "", words_of(member), "")


def _fields_of(entry: type) -> Iterable[tuple[str, str]]:
    words = attribute_words(entry)
    return ((field.name, words.get(field.name, "")) for field in dataclasses.fields(entry))


def _default_of(entry: type, name: str) -> str:
    (field,) = (each for each in dataclasses.fields(entry) if each.name == name)
    return "must be given" if field.default is dataclasses.MISSING else code(repr(field.default))


# Tests with simulated IOCs --------------------------------------------------------------------

TESTING = (
    ("Fleet", ("start", "stop", "names", "pvs")),
    ("Member", ("parse",)),
    ("SimIoc", None),
    ("Service", None),
    ("Run", None),
    ("Outcome", None),
    ("Event", ()),
    ("Check", ()),
    ("Finding", ()),
    ("Command", ()),
    ("Client", None),
    ("Pending", None),
    ("Monitor", None),
    ("Replayed", None),
    ("ReplayedRun", None),
)
"""The classes that tests meet, and which of their members; None = all."""
_INNER = frozenset(
    {"take", "expect", "ask", "wait_ready", "wait_event", "reply_of", "command_text", "close"}
)
"""For the plugin's own modules."""
_GIVEN = frozenset({"SimIoc", "Run", "Pending", "Monitor"})
"""Which nobody makes by hand."""


def testing_page() -> Iterator[str]:
    """The pytest plugin's fixtures, and the classes that tests meet."""
    yield from (*part("testing"), "")
    for fixture in (
        pytest_plugin.ioc_fleet,
        pytest_plugin.orchestrator_service,
        pytest_plugin.orchestrator_replay,
    ):
        function = fixture._get_wrapped_function()  # noqa: SLF001 - pytest shows it by no other way
        yield from (f"## Fixture {code(function.__name__)}", "", *prose(function))
    for name, wanted in TESTING:
        owner = getattr(testing, name)
        yield from (f"## {code(name)}", "", *prose(owner))
        if "Args:" in words_of(owner.__init__) and name not in _GIVEN:
            yield from (code(f"{name}{signature(owner.__init__)}"), "", *prose(owner.__init__))
        if dataclasses.is_dataclass(owner):
            yield from fields(owner)
        yield from members(owner, wanted, _INNER)
    for name in ("replay", "until", "alias_of", "chains_of"):
        function = getattr(testing, name)
        yield from (f"## {code(f'{name}{signature(function)}')}", "", *prose(function))
    yield from ("## Errors", "")
    errors = [name for name in testing.__all__ if name.endswith("Error")]
    yield from table(("", ""), ((code(name), words_of(getattr(testing, name))) for name in errors))
