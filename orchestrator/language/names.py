"""What a channel is called: aliases of the config, and full PV names."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.errors import InputError


class Channel(str):
    """A parameter of a sequence that is the name of a channel: an alias or a PV.

    >>> from orchestrator import Channel
    >>> Channel("stage.x")
    'stage.x'
    """

    __slots__ = ()


SCHEME = "ca://"
"""Marks a PV name that has no colon; never part of the name."""


def plain_pv(pv: str) -> str:
    """The shorter of the two names that a PV has: `REC` and `REC.VAL` are one (EPICS)."""
    return pv.removesuffix(".VAL")


def record_of(pv: str) -> str:
    """What is written by a put to a PV: that of `REC.VAL`, as long text or filtered, is `REC` too.

    (EPICS database channels: a field is followed by `$` and by a filter in JSON, `REC.VAL${"…"}`.)
    """
    if pv.endswith("}"):
        for mark in (".VAL{", ".VAL${", ".{", ".${"):
            record, found, _ = pv.partition(mark)
            if found:
                return record
    for end in (".VAL", ".VAL$", ".$", "."):
        if pv.endswith(end):
            return pv.removesuffix(end)
    return pv


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that `word` most likely should have been, None where none is near."""
    by_fold: dict[str, str] = {}
    for candidate in sorted(known):
        by_fold.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.55)
    return by_fold[close[0]] if close else None


def suggestion(word: str, known: Collection[str], *, kind: str = "", most: int = 12) -> str:
    """The end of an error message: `; did you mean 'x'?`, or else the few that there are.

    Args:
        word: What was given.
        known: What would be right.
        kind: What these are, `fields`; with it they are listed where none is near.
        most: As many are listed; none where there are more.
    """
    if near := nearest(word, known):
        return f"; did you mean {near!r}?"
    if kind and 0 < len(known) <= most:
        return f"; the {kind} are {', '.join(sorted(known))}"
    return ""


@dataclass(frozen=True, slots=True)
class ServerChannels:
    """A chained sequence server: what it is called, and the canonical names of its channels."""

    name: str
    """Its key in `Nested_Indices`, and its name in sequences."""
    cmd: str
    ack: str
    message: str
    values: str
    index: str

    @property
    def all(self) -> tuple[str, ...]:
        """The five channels."""
        return self.cmd, *self.told

    @property
    def told(self) -> tuple[str, ...]:
        """Those that it tells by."""
        return self.ack, self.message, self.values, self.index


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a sequence may use; turns each into the one name that we call it by."""

    iocs: frozenset[str] = frozenset()
    """The chained IOCs."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Alias `ioc.channel` -> full PV name; no PV has two."""
    servers: Mapping[str, ServerChannels] = field(default_factory=dict)
    """The chained sequence servers, by name."""
    _by_pv: dict[str, str] = field(init=False, repr=False, compare=False)
    _by_record: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The dataclass is frozen; this is the documented way to set a derived field.
        by_pv = {plain_pv(pv): alias for alias, pv in self.aliases.items()}
        by_record = {record_of(pv): alias for alias, pv in self.aliases.items()}
        object.__setattr__(self, "_by_pv", by_pv)
        object.__setattr__(self, "_by_record", by_record | by_pv)

    def resolve(self, text: str) -> str:
        """The canonical name of a channel: its alias where it has one, else its full PV name.

        Text whose part before the first dot is a chained IOC is an alias and must exist; other
        text is a PV name if it contains `:` or begins with `ca://` (which is taken off).

        Raises:
            InputError: It is neither; names the nearest known one.
        """
        if text in self.aliases:
            return text
        if text.startswith(SCHEME):
            return self._pv(text.removeprefix(SCHEME), text)
        ioc, dot, channel = text.partition(".")
        if dot and ioc in self.iocs:
            raise InputError(self._no_such_channel(text, ioc, channel))
        if ":" in text:
            return self._pv(text, text)
        raise InputError(self._unknown(text))

    def server(self, name: str) -> ServerChannels:
        """The sequence server of a name.

        Raises:
            InputError: There is none; names the nearest one.
        """
        if name in self.servers:
            return self.servers[name]
        if not self.servers:
            raise InputError(
                f"there is no sequence server {name!r}: no chained IOC of the configuration has "
                "a 'sequence_server'"
            )
        hint = suggestion(name, self.servers, kind="sequence servers")
        raise InputError(f"there is no sequence server {name!r}{hint}")

    def pv(self, name: str) -> str:
        """The full PV name behind a canonical name."""
        return self.aliases.get(name, name)

    def record(self, name: str) -> str:
        """By what a canonical name is the same as others that write the same: an alias, a PV."""
        if name in self.aliases:
            return name
        record = record_of(name)
        return self._by_record.get(record, record)

    def _pv(self, pv: str, text: str) -> str:
        if not pv or any(c.isspace() or not c.isprintable() for c in pv):
            raise InputError(f"{text!r} is no PV name: it is empty or has a blank in it")
        alias = self._by_pv.get(plain_pv(pv))
        if alias is None and pv in self.aliases:
            # Both would have the same canonical name, and one of them would be unreachable.
            raise InputError(f"the PV {pv!r} is hidden by the alias of that name")
        return alias or pv

    def _no_such_channel(self, text: str, ioc: str, channel: str) -> str:
        own = [a.removeprefix(f"{ioc}.") for a in self.aliases if a.startswith(f"{ioc}.")]
        hint = suggestion(channel, own, kind=f"channels of {ioc}")
        if near := nearest(channel, own):
            hint = f"; did you mean '{ioc}.{near}'?"
        return f"unknown channel {text!r}{hint}"

    def _unknown(self, text: str) -> str:
        if near := nearest(text, [*self.aliases, *self.aliases.values()]):
            return f"unknown channel {text!r}; did you mean {near!r}?"
        if not self.iocs:
            return (
                f"unknown channel {text!r}: no chained IOCs are configured, whose aliases could be "
                "used (is orchestrator.toml in another folder?); "
                f"a PV name contains ':' or is written 'ca://{text}'"
            )
        iocs = f", one of {', '.join(sorted(self.iocs))}" if 0 < len(self.iocs) <= 12 else ""
        return (
            f"unknown channel {text!r}: an alias begins with the name of a chained IOC{iocs}; "
            f"a PV name contains ':' or is written 'ca://{text}'"
        )


def some_of(names: Sequence[str], most: int = 5) -> str:
    """As many names as a text has room for, and how many more there are.

    >>> some_of(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
