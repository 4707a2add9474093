"""The table that wires the PVs of a group to a device: one line for each PV."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from orchestrator.errors import InputError


class WiringError(InputError):
    """The table of a device group does not fit its PVs or its device: correct the line."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A put goes through the pull queue to the device's thread; the usual way to write."""

    to: str = ""
    """A method that is called with the value, or an attribute that is set to it, in the device's
    thread. Left out: `device.on_put(attribute, value)` is called. The put-callback completes
    when it has returned, after what it published. What it returns, the PV shows; None: what was
    put. If it raises, the put fails, the PV is in WRITE alarm, and `message` says why."""


@dataclass(frozen=True, slots=True)
class Direct:
    """A put calls the device at once, on the event loop, for what must not wait: stop, abort.

    It must return at once: while it runs no client is served.
    """

    to: str
    """A method, or an attribute; as for `Queued`."""


@dataclass(frozen=True, slots=True)
class Read:
    """A client's read asks the device; what monitors see is updated by it."""

    of: str
    """An attribute, or a method without arguments. It must return at once, and so must not ask
    the instrument: what takes time is acquired, and published."""


@dataclass(frozen=True, slots=True)
class Published:
    """The PV shows what the device publishes by this key."""

    key: str = ""
    """Of `publish(key=value)` and of what `process` returns; the attribute's name if left out."""
    keep_all: bool = False
    """Every value is posted, however fast they come; a thread that publishes faster than the
    clients are served is then held back. Otherwise a newer value replaces one that waits."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A PV of another IOC is followed, over its restarts; the client of a device.

    Where the group has a PV of this attribute, it shows the other one's value, time and alarm, and
    LINK/INVALID while it is not connected. The IOC finds it as every client does, by
    `EPICS_CA_ADDR_LIST`.
    """

    pv: str
    """Its full name; macros as in PV names."""
    to: str = ""
    """A method that is called with each value, or an attribute that is set to it, in the device's
    thread, in turn with puts. What it raises is told in `message`. While the device is not open
    the last value waits for it."""
    lost: str = ""
    """A method without arguments that is called in that thread when the connection is lost."""
    keep_all: bool = False
    """Every value is handed over, however fast they come, up to 1000 that wait. Otherwise a newer
    value replaces one that waits."""
    text: bool = False
    """Ask for it as text: an enum's label, in place of its number."""


Entry: TypeAlias = Queued | Direct | Read | Published | Remote
Wiring: TypeAlias = Mapping[str, Entry | tuple[Entry, ...]]
"""Attribute of the group → what it is wired to; several in a tuple."""


def entries(wiring: Wiring) -> Iterator[tuple[str, Entry]]:
    """All lines of a table, by attribute."""
    for attribute, entry in wiring.items():
        for each in entry if isinstance(entry, tuple) else (entry,):
            yield attribute, each


def check(wiring: Wiring, pvs: Mapping[str, Any], device: object) -> None:
    """Look at every line of a table.

    Args:
        wiring: the table.
        pvs: the PVs of the group by attribute.
        device: what they are wired to.

    Raises:
        WiringError: A line names an attribute or a method that there is not, or says what
            another one or the PV's own putter or getter says already.
    """
    seen: set[tuple[str, str]] = set()
    for attribute, entry in entries(wiring):
        place = f"wiring of {attribute!r}"
        if attribute not in pvs and not isinstance(entry, Remote):
            raise WiringError(f"{place}: the group has no such PV{near(attribute, pvs)}")
        if not isinstance(entry, Entry):
            kinds = "Queued, Direct, Read or Published, nor Remote"
            raise WiringError(f"{place}: {entry!r} is not {kinds}")
        role = "put" if isinstance(entry, Queued | Direct) else type(entry).__name__.lower()
        if (attribute, role) in seen:
            raise WiringError(f"{place}: {role} is said twice")
        seen.add((attribute, role))
        if attribute in pvs:
            _check_pv(place, role, pvs[attribute])
        _check_target(place, entry, device)
    _check_keys(wiring)


def call_or_set(device: object, name: str) -> Callable[[Any], Any]:
    """What a put is given to: the method of this name, or the setting of the attribute."""
    target = getattr(device, name)
    if callable(target):
        return target  # type: ignore[no-any-return]  # a method of the user's
    return lambda value: setattr(device, name, value)


def near(name: str, known: Iterable[str]) -> str:
    """«; did you mean …?», or what there is."""
    known = list(known)
    found = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {found[0]!r}?" if found else f"; there are {', '.join(known)}"


def _check_pv(place: str, role: str, pv: Any) -> None:
    spec = pv.pvspec
    if role == "put" and spec.put is not None:
        raise WiringError(f"{place}: the PV has a putter of its own")
    if role == "read" and spec.get is not None:
        raise WiringError(f"{place}: the PV has a getter of its own")


def _check_target(place: str, entry: Entry, device: object) -> None:
    match entry:
        case Queued(to=name) | Direct(to=name) | Read(of=name):
            _check_name(place, name, device)
        case Remote(pv=pv):
            if not pv:
                raise WiringError(f"{place}: Remote names no PV")
            _check_name(place, entry.to, device)
            _check_name(place, entry.lost, device)
        case _:
            pass


def _check_name(place: str, name: str, device: object) -> None:
    """Whether the device has this method or attribute; nothing where none is named."""
    kind = type(device).__name__
    if name and not hasattr(device, name):
        names = [each for each in dir(device) if not each.startswith("_")]
        found = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {found[0]!r}?" if found else ""
        raise WiringError(f"{place}: {kind} has no {name!r}{hint}")
    if name and inspect.iscoroutinefunction(getattr(device, name)):
        raise WiringError(f"{place}: {kind}.{name} is a coroutine; a device is plain Python")


def _check_keys(wiring: Wiring) -> None:
    owners: dict[str, str] = {}
    for attribute, entry in entries(wiring):
        if isinstance(entry, Published):
            key = entry.key or attribute
            if key in owners:
                raise WiringError(
                    f"wiring of {attribute!r}: {key!r} is published to {owners[key]!r} already"
                )
            owners[key] = attribute
