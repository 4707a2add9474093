"""The file as it is written, with what each of its keys may be."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, StrictBool, StrictStr, model_validator

from orchestrator.config.automatic_form import (
    AutomationTable,
    Schedule,
    Trigger,
    automatic_name,
)
from orchestrator.config.model import CaConfig, HttpConfig
from orchestrator.config.notify_form import Notify
from orchestrator.config.own_form import Own, own_name
from orchestrator.language.names import SCHEME
from orchestrator.language.text.field_kinds import AnyValue, Identifier
from orchestrator.language.text.findings import Strict, expected
from orchestrator.language.text.suspend import Suspend, SuspenderName
from orchestrator.types import MAIN_LANE, ClientLimits, fields


def _pv_text(text: str) -> str:
    if not text or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError(f"{text!r} is no PV name: it is empty or has a blank in it")
    return text


def check_prefix(text: str) -> str:
    """The prefix of a service's own PVs, as it is.

    Raises:
        ValueError: It can't be one.
    """
    if "." in _pv_text(text):
        raise ValueError(f"{text!r} has a dot in it, which begins a field in EPICS")
    return text


def _part(name: str) -> str:
    """A name that expressions can use; a channel's may have several, with dots between."""
    for word in name.split("."):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", word):
            raise ValueError(f"{name!r} can't be used in expressions: letters, digits and _ only")
        if keyword.iskeyword(word):
            raise ValueError(f"{name!r} can't be used in expressions, where {word!r} is a keyword")
    return name


def _ioc(name: str) -> str:
    if "." in name:
        raise ValueError(f"{name!r} has a dot, but an IOC's name ends at the first one")
    return _part(name)


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[A-Za-z0-9_.-]+", host):
        raise ValueError(f"expected host:port such as '127.0.0.1:5064', got {text!r}")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"the port in {text!r} has to be a number from 1 to 65535")
    return text


def _ip(text: str) -> str:
    try:
        ip_address(text)
    except ValueError as error:
        raise ValueError(f"expected an IP address such as '127.0.0.1', got {text!r}") from error
    return text


def _module(text: str) -> str:
    words = text.split(".")
    if all(word.isidentifier() and not keyword.iskeyword(word) for word in words):
        return text
    hint = ""
    if text.endswith(".py") or "/" in text:
        guess = text.removesuffix(".py").strip("./").replace("/", ".")
        hint = f"; a module is named with dots and without .py: {guess!r}"
    raise ValueError(f"{text!r} is no Python module{hint}")


def _master(text: str) -> str:
    """A master's prefix, or the full name of its `Nested_Indices`."""
    pv = _pv_text(text).removeprefix(SCHEME)
    return f"{pv}{fields.NESTED_INDICES.name}" if pv.endswith((":", ".")) else pv


def _user_at_host(text: str) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise ValueError(f"expected user@host, got {text!r}")
    return text


_PvText: TypeAlias = Annotated[StrictStr, AfterValidator(_pv_text)]
_Prefix: TypeAlias = Annotated[StrictStr, AfterValidator(check_prefix)]
_Ip: TypeAlias = Annotated[StrictStr, AfterValidator(_ip)]
_AutomaticName: TypeAlias = Annotated[StrictStr, AfterValidator(automatic_name)]
_Whole: TypeAlias = Annotated[int, Field(strict=True, ge=0)]
_TypeName = Literal["string", "short", "float", "enum", "char", "long", "double"]


def _full(data: object, field: str, short: str, long: str) -> object:
    """The mapping for which a text is short."""
    if isinstance(data, str):
        return {field: data}
    if not isinstance(data, dict):
        raise ValueError(expected(f"text such as {short} or a table such as {long}", data))
    return data


class _Stop(Strict):
    pv: _PvText | None
    value: StrictBool | Annotated[int, Field(strict=True)] | float | StrictStr = 1

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        if data is False:
            return {"pv": None}
        return _full(data, "pv", '"M1.STOP"', '{ pv = "M1.STOP", value = 1 }')


class Channel(Strict):
    """One entry of `channels`; a text is short for its `pv`."""

    pv: _PvText
    monitor: StrictBool = True
    mirror: StrictBool = True
    buffer: _Whole = 0
    keep_all: StrictBool = False
    write: StrictBool = True
    text: StrictBool = False
    stop: _Stop | None = None
    type: _TypeName | None = None
    count: Annotated[int, Field(strict=True, ge=1)] = 1
    limits: StrictBool = True
    share: StrictBool = False
    accept_invalid: StrictBool | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        return _full(data, "pv", '"X"', '{ pv = "X", buffer = 1000 }')


class _SequenceServer(Strict):
    prefix: Annotated[StrictStr, Field(max_length=60)]
    name: StrictStr | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        return _full(data, "prefix", '"seq."', '{ prefix = "seq.", name = "stage" }')


class Chain(Strict):
    """A table `[chain.NAME]`."""

    prefix: Annotated[StrictStr, Field(max_length=60)] = ""
    address: Annotated[StrictStr, AfterValidator(_address)] | None = None
    channels: dict[Annotated[StrictStr, AfterValidator(_part)], Channel] = Field(
        default_factory=dict
    )
    sequence_server: _SequenceServer | None = None


class _Server(Strict):
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] | None = None
    interfaces: Annotated[tuple[StrictStr, ...], Field(min_length=1)] | None = None
    master: Annotated[StrictStr, AfterValidator(_master)] = ""
    name: StrictStr = ""

    @model_validator(mode="after")
    def _named(self) -> _Server:
        if self.master and not self.name:
            raise ValueError("'master' needs 'name', which is ours in its Nested_Indices")
        return self


class _Ca(Strict):
    connect_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    auto_addr_list: StrictBool = True
    max_array_bytes: Annotated[int, Field(strict=True, ge=16384)] = CaConfig().max_array_bytes


_Limit: TypeAlias = Annotated[int, Field(strict=True, ge=1)]
_MOST = ClientLimits()


class _Limits(Strict):
    circuits: _Limit = _MOST.circuits
    channels: _Limit = _MOST.channels
    subscriptions: _Limit = _MOST.subscriptions
    puts: _Limit = _MOST.puts
    all_puts: _Limit = _MOST.all_puts
    unread_bytes: Annotated[int, Field(strict=True, ge=1_000_000)] = _MOST.unread_bytes
    commands_per_second: Annotated[int, Field(strict=True, ge=10)] = _MOST.commands_per_second


class _Sequences(Strict):
    directory: StrictStr | None = None
    python: tuple[Annotated[StrictStr, AfterValidator(_module)], ...] = ()
    verbs: tuple[Annotated[StrictStr, AfterValidator(_module)], ...] = ()


_TAKEN = frozenset(field.name.partition(":")[0] for field in fields.ALL) | {"STATS"}
"""What stands behind the prefix in PVs of the service."""


def _lane(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} can't be the name of a lane: letters, digits and _ only")
    if name == MAIN_LANE:
        raise ValueError(f"the lane {MAIN_LANE!r} is there anyway; it has the service's own PVs")
    if name in _TAKEN:
        raise ValueError(f"{name!r} can't be the name of a lane: the service has PVs of that name")
    return name


def _plain(args: dict[str, Any]) -> dict[str, Any]:
    for name, value in args.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError(f"{name} can't be an argument: {value!r}; write it as text") from None
    return args


class _LaneForm(Strict):
    sequence: StrictStr = ""
    args: Annotated[dict[StrictStr, Any], AfterValidator(_plain)] = Field(default_factory=dict)
    autostart: StrictBool = False
    restart: Literal["never", "on_failure", "always"] = "never"

    @model_validator(mode="after")
    def _whole(self) -> _LaneForm:
        given = [name for name in ("args", "autostart", "restart") if name in self.model_fields_set]
        if given and not self.sequence:
            raise ValueError(f"{given[0]!r} needs 'sequence', which is run")
        return self


class _Access(Strict):
    write: tuple[Annotated[StrictStr, AfterValidator(_user_at_host)], ...] = ()


def _file_name(template: str) -> str:
    """The name of data files without their end, with fields such as `{name}`."""
    rest = re.sub(r"\{[A-Za-z_][A-Za-z0-9_]*\}", "x", template)
    if not rest or rest.startswith("."):
        raise ValueError(f"{template!r} is no name for a file")
    if wrong := next((c for c in rest if c in "{}/\\" or not c.isprintable()), ""):
        why = "fields are written {name}" if wrong in "{}" else "files stand in the run's folder"
        raise ValueError(f"{template!r} has {wrong!r} in it: {why}")
    return template


def _each_once(formats: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(formats)) < len(formats):
        raise ValueError("a format stands twice in it")
    return formats


_SECONDS = {"hours": 3600, "days": 86_400, "weeks": 604_800}
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def _quantity(text: str, units: Mapping[str, int], example: str) -> float:
    """A number with one of these units behind it, in the smallest there is of its kind."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?) (\w{2,5})", text, re.ASCII)
    if match is None or match[2] not in units or not float(match[1]):
        wanted = ", ".join(units)
        raise ValueError(f'{text!r}: expected a number and a unit ({wanted}), as in "{example}"')
    return float(match[1]) * units[match[2]]


def seconds_in(text: str) -> float:
    """How many s are `90 days`.

    >>> seconds_in("1.5 hours")
    5400.0
    """
    return _quantity(text, _SECONDS, "90 days")


def bytes_in(text: str) -> int:
    """How many bytes are `10 GB`.

    >>> bytes_in("10 GB")
    10000000000
    """
    return int(_quantity(text, _BYTES, "10 GB"))


def _duration(text: str) -> str:
    seconds_in(text)
    return text


def _size(text: str) -> str:
    bytes_in(text)
    return text


class _Store(Strict):
    directory: StrictStr = "runs"
    formats: Annotated[
        tuple[Literal["hdf5", "csv"], ...], Field(min_length=1), AfterValidator(_each_once)
    ] = ("hdf5", "csv")
    file_name: Annotated[StrictStr, AfterValidator(_file_name)] = "data"
    keep: Annotated[StrictStr, AfterValidator(_duration)] | None = None
    keep_free: Annotated[StrictStr, AfterValidator(_size)] | None = None
    on_full: Literal["pause", "fail"] = "pause"
    after_crash: Literal["nothing", "finalise"] = "nothing"


_HungLimit: TypeAlias = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]


class _Hung(Strict):
    high: _HungLimit | None = None
    hihi: _HungLimit | None = None

    @model_validator(mode="after")
    def _in_order(self) -> _Hung:
        if self.high is not None and self.hihi is not None and self.high >= self.hihi:
            raise ValueError(f"high has to be below hihi, not {self.high:g} and {self.hihi:g}")
        return self


class _Http(Strict):
    port: Annotated[int, Field(strict=True, ge=0, le=65535)] = HttpConfig().port
    interfaces: Annotated[tuple[_Ip, ...], Field(min_length=1)] = HttpConfig().interfaces
    token_file: StrictStr | None = None
    read_only: StrictBool = False
    max_body_bytes: Annotated[int, Field(strict=True, ge=1000)] = HttpConfig().max_body_bytes
    requests_per_second: Annotated[int, Field(strict=True, ge=1)] = HttpConfig().requests_per_second
    connections: Annotated[int, Field(strict=True, ge=2)] = HttpConfig().connections


def _function(text: str) -> str:
    module, colon, name = text.partition(":")
    if not colon or not name.isidentifier():
        raise ValueError(f"expected module:function, got {text!r}")
    _module(module)
    return text


class _Documents(Strict):
    jsonl: StrictBool = False
    zmq: Annotated[StrictStr, AfterValidator(_address)] | Literal[""] = ""
    call: Annotated[StrictStr, AfterValidator(_function)] | Literal[""] = ""


class File(Strict):
    """The whole file."""

    prefix: _Prefix = "ORCH:"
    server: _Server = _Server()
    ca: _Ca = _Ca()
    limits: _Limits = _Limits()
    chain: dict[Annotated[StrictStr, AfterValidator(_ioc)], Chain] = Field(default_factory=dict)
    sequences: _Sequences = _Sequences()
    own: dict[Annotated[StrictStr, AfterValidator(own_name)], Own] = Field(default_factory=dict)
    suspend: dict[SuspenderName, Suspend] = Field(default_factory=dict)
    lane: dict[Annotated[StrictStr, AfterValidator(_lane)], _LaneForm] = Field(default_factory=dict)
    schedule: dict[_AutomaticName, Schedule] = Field(default_factory=dict)
    trigger: dict[_AutomaticName, Trigger] = Field(default_factory=dict)
    automation: AutomationTable = AutomationTable()
    access: _Access = _Access()
    store: _Store = _Store()
    documents: _Documents = _Documents()
    metadata: dict[Identifier, AnyValue] = Field(default_factory=dict)
    hung: _Hung = _Hung()
    notify: Notify | None = None
    http: _Http | None = None
