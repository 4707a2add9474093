"""The PVs of the service that are there whatever it chains: their types, units, words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import caproto as ca
import structlog
from caproto.server import PvpropertyDouble, pvproperty

from orchestrator.config.access import may_write
from orchestrator.errors import PutError
from orchestrator.ioc import CommandPV, CommandTextPV, Group, ReadOnly, TextPV, TextRO
from orchestrator.ioc.pvs.decimal import PreciseText
from orchestrator.transports.ca.requests import Requests
from orchestrator.types import Access, Field, Metadata, NativeType, Verb, fields

_MOST_TOLD = 1000
"""Clients that are logged: one may claim to be another each time."""

log = structlog.get_logger(__name__)


def escaped(prefix: str) -> str:
    """A prefix as it stands.

    caproto takes braces, which EPICS names may have, for macros (caproto/caproto#857).
    """
    return prefix.replace("{", "{{").replace("}", "}}")


class _Guarded:
    """Mixed in before a channel class: those may write whom the config lets."""

    group: FixedPVs

    def check_access(self, host: str | None, user: str | None) -> ca.AccessRights:
        """Called by caproto with what the client claims to be."""
        if self.group.writers.allow(user or "", host or ""):
            return ca.AccessRights.READ | ca.AccessRights.WRITE
        return ca.AccessRights.READ

    async def auth_write(
        self, host: str | None, user: str | None, data: Any, *more: Any, **options: Any
    ) -> Any:
        """Take a client's put, or refuse it with who it is and what would be needed."""
        if self.group.writers.allow(user or "", host or ""):
            return await super().auth_write(host, user, data, *more, **options)  # type: ignore[misc]
        raise PutError(f"{self.group.writers.refusal(user or '', host or '')}")


class _Button(_Guarded, CommandPV):
    """An integer to be written."""


class _CommandText(_Guarded, CommandTextPV):
    """A text that is a command."""


class _GuardedText(_Guarded, TextPV):
    """A text that is kept."""


class _Asked(_Guarded, TextPV):
    """A text whose puts are shown once they have been accepted, and not before."""

    async def write_from_dbr(
        self, data: Any, data_type: Any, metadata: Any, *, flags: int = 0
    ) -> None:
        """Hand a client's text to the putter; called by caproto."""
        del data_type, metadata, flags
        await self.putter(self, self.taken(data))


class _AskedBare(_Asked):
    """The same without a NUL at its end.

    Sequence servers of the older kind read the bytes as they are, and Python takes none with a NUL.
    """

    closing_nul = False


class _Snapshot(TextRO):
    """All fields as JSON, made when a client reads it."""

    group: FixedPVs

    async def _read(self, data_type: Any) -> tuple[Any, Any]:
        self._data["value"] = self.group.read_snapshot()
        self._data["timestamp"] = ca.TimeStamp.from_unix_timestamp(time.time())
        return await super()._read(data_type)


class _Double(ReadOnly, PreciseText, PvpropertyDouble):  # type: ignore[misc] # caproto is untyped
    """A number that clients can't write."""


class Writers:
    """Who may write; logs each client that may not, once."""

    def __init__(self, rules: Sequence[str] = ()) -> None:
        """`rules` as in the configuration."""
        self._rules = tuple(rules)
        self._told: set[tuple[str, str]] = set()

    def allow(self, user: str, host: str) -> bool:
        """Whether a client may write, by what it claims to be."""
        if may_write(self._rules, user, host):
            return True
        if (user, host) not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add((user, host))
            needed = f"access.write lists {', '.join(self._rules)}"
            log.info("a client may only read", client=f"{user}@{host}", why=needed)
        return False

    def refusal(self, user: str, host: str) -> str:
        """What a client that may not write is told."""
        return (
            f"{user}@{host} may not write here: access.write of the configuration lists "
            f"{', '.join(self._rules)}"
        )


# What puts do -----------------------------------------------------------------------------------


async def _start(group: FixedPVs, _pv: Any, value: int) -> None:
    # START shows 1 and 0 when the device says so: only it knows whether there is a run.
    if value:
        await group.requests.ask(Verb.START, group.seq.value, group.args.value)
    else:
        await group.requests.ask(Verb.ABORT)


async def _automation(group: FixedPVs, _pv: Any, value: int) -> None:
    await group.requests.ask(Verb.AUTOMATION, "on" if value else "off")


async def _pause(group: FixedPVs, _pv: Any, value: int) -> None:
    await group.requests.ask(Verb.PAUSE if value else Verb.RESUME)


def _asks(verb: Verb) -> Any:
    async def put(group: FixedPVs, _pv: Any, text: str) -> None:
        await group.requests.ask(verb, text)

    return put


def _tells(verb: Verb) -> Any:
    async def put(group: FixedPVs, _pv: Any, text: str) -> None:
        group.requests.tell(verb, text)

    return put


def _momentary(verb: Verb) -> Any:
    async def put(group: FixedPVs, pv: Any, value: int) -> None:
        if value:
            await pv.write(1, verify_value=False)
            await pv.write(0, verify_value=False)
            await group.requests.ask(verb)

    return put


_PUTS = {fields.START: _start, fields.PAUSE: _pause, fields.AUTOMATION: _automation}


def _put(field: Field) -> Any:
    """What a client's put does; None: it is kept, or refused."""
    if field.asks is None:
        return None
    if field in _PUTS:
        return _PUTS[field]
    if not field.metadata.text:
        return _momentary(field.asks)
    return _asks(field.asks) if field.access is Access.ASK else _tells(field.asks)


# The group --------------------------------------------------------------------------------------

_TEXTS = {
    fields.CMD: _CommandText,
    fields.NESTED_INDICES: _AskedBare,
    fields.ANSWER: _Asked,
    fields.SNAPSHOT: _Snapshot,
}
_BACKLOGS = {fields.EVENTS: 20, fields.SNAPSHOT: 2}
"""Posts that wait for a slow client: caproto warns of more, of PVs of this length."""


def _property(field: Field) -> Any:
    known = field.metadata
    about = {"name": field.name, "doc": field.meaning, "put": _put(field)}
    if field in _BACKLOGS:
        about["max_subscription_backlog"] = _BACKLOGS[field]
    if known.text:
        plain = TextRO if field.access is Access.READ else _GuardedText
        kind = _TEXTS.get(field, plain)
        return pvproperty(dtype=kind, value=field.first, max_length=known.count, **about)
    if field.access is not Access.READ:
        return pvproperty(dtype=_Button, value=field.first, **_numeric(known), **about)
    if known.labels:
        labels, kind = list(known.labels), ca.ChannelType.ENUM
        about |= {"dtype": kind, "enum_strings": labels, "read_only": True}
        return pvproperty(value=field.first, **about)
    if known.native is NativeType.DOUBLE and known.count == 1:
        return pvproperty(dtype=_Double, value=field.first, **_numeric(known), **about)
    about |= {"dtype": float if known.native is NativeType.DOUBLE else int, "read_only": True}
    return pvproperty(value=field.first, max_length=known.count, **_numeric(known), **about)


def _numeric(known: Metadata) -> dict[str, Any]:
    """Units, precision and limits, as caproto takes them."""
    about: dict[str, Any] = {"units": known.units}
    if known.precision is not None:
        about["precision"] = known.precision
    for kind, limits in (("ctrl", known.control), ("disp", known.display)):
        if limits.are_set:
            about |= {f"lower_{kind}_limit": limits.low, f"upper_{kind}_limit": limits.high}
    return about


class FixedPVs(Group):
    """PVs that are there whatever is chained; an attribute is an `Update`'s field."""

    def __init__(self, prefix: str, requests: Requests, write_access: Sequence[str] = ()) -> None:
        """`prefix`: with that of the lane."""
        super().__init__(escaped(prefix), name="own")
        self.read_snapshot: Callable[[], str] = str
        """Makes the text of SNAPSHOT; set by who serves."""
        self.requests = requests
        self.writers = Writers(write_access)

    def limit(self, field: Field, high: float | None, hihi: float | None) -> None:
        """Tell clients from where on a number is in alarm; None as records do, by NaN."""
        if high is None and hihi is None:
            return
        unset = math.nan
        getattr(self, str(field))._data.update(  # noqa: SLF001 - caproto has no other way, unposted
            lower_warning_limit=unset,
            upper_warning_limit=unset if high is None else high,
            lower_alarm_limit=unset,
            upper_alarm_limit=unset if hihi is None else hihi,
        )


class ServicePVs(FixedPVs):
    """Those of the service, and of its main lane."""

    # caproto gathers what stands in the body of the class.
    locals().update({str(field): _property(field) for field in fields.OF_SERVICE})


class LanePVs(FixedPVs):
    """Those of another lane."""

    locals().update({str(field): _property(field) for field in fields.OF_LANE})


class ReadOnlyDouble(ReadOnly, PreciseText, ca.ChannelDouble):  # type: ignore[misc] # caproto is untyped
    """A number or waveform outside of the group."""


class ReadOnlyInteger(ReadOnly, ca.ChannelInteger):  # type: ignore[misc]
    """An integer outside of the group."""


class ReadOnlyEnum(ReadOnly, ca.ChannelEnum):  # type: ignore[misc]
    """An enum outside of the group."""
