"""The configuration of a service under test: a user's own with other ports, or one made up."""

from __future__ import annotations

import copy
import json
import keyword
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any, TypeAlias

from orchestrator.errors import InputError
from sim_iocs.fleet import Fleet, SimIoc

Source: TypeAlias = Path | str | Mapping[str, Any] | None
"""A file, its text, its content, or None for one that chains the fleet by `chains_of`."""

_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHER = re.compile(r"[^a-z0-9]+")
_MACRO = re.compile(r"\$\((\w+)(?:=([^()]*))?\)")


def alias_of(suffix: str) -> str:
    """The alias that a PV has without a configuration, from its name after the prefix.

    In small letters, with `_` before capitals within a word and for all else: `X.RBV` is x_rbv,
    `AcquireTime` acquire_time, `DO:Word` do_word. What begins with a digit gets `pv_` before it,
    a word of the expression language `_` after it: `In` is in_.

    >>> from sim_iocs.testing import alias_of
    >>> alias_of("DO:AcquireTime")
    'do_acquire_time'
    """
    alias = _OTHER.sub("_", _CAPITAL.sub("_", suffix).lower()).strip("_")
    if not alias[:1].isalpha():
        alias = f"pv_{alias}"
    return f"{alias}_" if keyword.iskeyword(alias) else alias


def chains_of(fleet: Fleet) -> dict[str, Any]:
    """`[chain.NAME]` for each IOC of a fleet, with every PV of it as a channel.

    A motor is stopped by its STOP, as in a configuration. Where two PVs come to one alias, the
    later ones get a number: x, x_2.

    >>> from sim_iocs.testing import Fleet, chains_of
    >>> with Fleet(["random_walk"]) as fleet:
    ...     print(chains_of(fleet)["random_walk"]["prefix"])
    SIM:WALK:
    """
    return {ioc.name: _chain(ioc) for ioc in fleet}


def _chain(ioc: SimIoc) -> dict[str, Any]:
    if ioc.kind != "sequence_server":
        return {"prefix": ioc.prefix, "channels": _channels(ioc.prefix, ioc.pvs)}
    # Its own channels come with it: `NAME.seq.ACK`.
    own = [pv for pv in ioc.pvs if not pv.startswith(f"{ioc.prefix}seq.")]
    channels = _channels(ioc.prefix, own)
    return {"prefix": ioc.prefix, "channels": channels, "sequence_server": "seq."}


def _channels(prefix: str, pvs: Iterable[str]) -> dict[str, Any]:
    suffixes = [pv.removeprefix(prefix) for pv in pvs]
    channels: dict[str, Any] = {}
    for suffix in suffixes:
        stem = alias = alias_of(suffix)
        number = 1
        while alias in channels:
            number += 1
            alias = f"{stem}_{number}"
        stop = f"{suffix}.STOP"
        channels[alias] = {"pv": suffix, "stop": stop} if stop in suffixes else suffix
    return channels


def read(source: Source, fleet: Fleet) -> tuple[dict[str, Any], Path | None]:
    """The content of a configuration, and the folder that its paths are relative to.

    Raises:
        InputError: it can't be read.
    """
    if source is None:
        return {"chain": chains_of(fleet)}, None
    if isinstance(source, Mapping):
        return copy.deepcopy(dict(source)), None
    if isinstance(source, str) and ("\n" in source or "=" in source):
        return _parse(source, "config"), None
    file = Path(source)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't read the configuration {file}: {error.strerror}") from error
    return _parse(text, str(file)), file.resolve().parent


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name}: {error}") from error


def isolated(
    config: dict[str, Any],
    port: int,
    work: Path,
    *,
    python: Sequence[str] = (),
    access: Sequence[str] = (),
) -> dict[str, Any]:
    """The same on loopback, with the fleet's IOCs and no others, and with files of its own.

    An `address` of a chained IOC would be searched as well, and is that of the real one: it goes.
    So does the list of those who may write, on which the tests are not.
    """
    config["server"] = {**config.get("server", {}), "port": port, "interfaces": ["127.0.0.1"]}
    config["ca"] = {**config.get("ca", {}), "auto_addr_list": False}
    for chain in config.get("chain", {}).values():
        chain.pop("address", None)
    config["access"] = {"write": list(access)}
    config["store"] = {**config.get("store", {}), "directory": str(work / "runs")}
    sequences = {**config.get("sequences", {}), "directory": str(work / "sequences")}
    if modules := [*sequences.get("python", []), *python]:
        sequences["python"] = list(dict.fromkeys(modules))
    config["sequences"] = sequences
    return config


def pvs_of(config: Mapping[str, Any], macros: Mapping[str, str]) -> dict[str, str]:
    """The PV of each alias."""
    return {
        f"{name}.{alias}": expanded(_pv(chain.get("prefix", ""), channel), macros)
        for name, chain in config.get("chain", {}).items()
        for alias, channel in {**chain.get("channels", {}), **_of_server(chain)}.items()
    }


def _of_server(chain: Mapping[str, Any]) -> dict[str, str]:
    """The channels that a `sequence_server` brings."""
    given = chain.get("sequence_server")
    if given is None:
        return {}
    prefix = given["prefix"] if isinstance(given, Mapping) else given
    words = [word for word in re.split(r"\W+", prefix) if word]
    names = ("CMD", "ACK", "message", "values", "INDEX")
    return {".".join([*words, name]): f"{prefix}{name}" for name in names}


def _pv(prefix: str, channel: Any) -> str:
    pv = str(channel["pv"] if isinstance(channel, Mapping) else channel)
    return pv.removeprefix("ca://") if pv.startswith("ca://") else f"{prefix}{pv}"


def expanded(text: str, macros: Mapping[str, str]) -> str:
    """A text with its `$(NAME)` replaced."""
    return _MACRO.sub(lambda found: macros.get(found[1], found[2] or ""), text)


def toml(config: Mapping[str, Any]) -> str:
    """The text of a configuration, a line for each chained IOC and other table."""
    lines = [f"{_key(k)} = {_value(v)}" for k, v in config.items() if not isinstance(v, Mapping)]
    for name, table in config.items():
        if isinstance(table, Mapping):
            lines += [
                "",
                f"[{_key(name)}]",
                *(f"{_key(k)} = {_value(v)}" for k, v in table.items()),
            ]
    return "\n".join([*lines, ""])


def _key(name: str) -> str:
    return json.dumps(name)


def _value(value: Any) -> str:
    match value:
        case bool() | str():
            return json.dumps(value)  # a JSON text is a basic string of TOML
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{_key(k)} = {_value(v)}' for k, v in value.items())}}}"
        case date() | time():
            return value.isoformat()
        case _:
            return repr(value)
