"""`orchestrator.toml` -> a frozen Config. Errors name file, line and key."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, TypeAlias, cast

from orchestrator.config.automatic_form import Schedule, Trigger
from orchestrator.config.file_form import Chain, Channel, File, bytes_in, seconds_in
from orchestrator.config.lines import lines_of, nearest_line, written_twice
from orchestrator.config.model import (
    OWN,
    CaConfig,
    ChainConfig,
    ChannelConfig,
    Config,
    DocumentsConfig,
    HttpConfig,
    HungLimits,
    LaneConfig,
    NotifyConfig,
    OwnConfig,
    ScheduleConfig,
    ServerConfig,
    StopChannel,
    TriggerConfig,
)
from orchestrator.config.notify_form import notify_rule, quiet_hours
from orchestrator.config.own_form import Own
from orchestrator.errors import CheckError, InputError
from orchestrator.language.names import SCHEME, ServerChannels, plain_pv, suggestion
from orchestrator.language.text.findings import validate
from orchestrator.language.text.suspend import Suspend
from orchestrator.types import ClientLimits, Field, NativeType, Path, fields, path_text

DEFAULT_FILE = FilePath("orchestrator.toml")
"""Read where it is there and no other is named."""

Finding: TypeAlias = tuple[Path, str]
"""The key that it is about, and what is wrong."""


def load_config(file: FilePath | None, macros: Mapping[str, str] = {}) -> Config:
    """Read the configuration.

    Args:
        file: The file; None = `orchestrator.toml` in the working directory where there is one,
            otherwise the defaults.
        macros: What `$(NAME)` stands for in its strings; `$(NAME=text)` has a default.

    Raises:
        CheckError: All that is wrong, a line each: `orchestrator.toml:7: chain.stage.prefix: …`.
    """
    if file is None:
        if not DEFAULT_FILE.is_file():
            return Config()
        file = DEFAULT_FILE
    text = _text(file)
    findings: list[Finding] = []
    tree = _expanded(_tree(text, file), macros, (), findings)
    parsed, mistakes = validate(File, tree, noun="key")
    if not findings:
        findings = [(m.about, f"{_key(m.path)}{m.text}") for m in mistakes]
    if not findings:
        digest = hashlib.sha256(text.encode()).hexdigest()
        config = replace(_config(cast(File, parsed), file), lines=_lines(text, tree), digest=digest)
        findings = list(_clashes(config))
    if findings:
        raise CheckError(_told(findings, file, lines_of(text)))
    return config


def _lines(text: str, tree: Mapping[str, Any]) -> dict[str, int]:
    """The lines of the keys whose values are looked at only by those who use them."""
    if not tree.keys() & _LATER:
        return {}
    found = {path: line for path, line in lines_of(text).items() if path[0] in _LATER}
    return {path_text(path): line for path, line in found.items()}


_LATER = {"documents", "prefix", "suspend", "sequences", "schedule", "trigger"}


def _told(findings: Iterable[Finding], file: FilePath, lines: Mapping[Path, int]) -> list[str]:
    """Findings with their places, in the order of the file."""
    placed = sorted((nearest_line(lines, path), text) for path, text in findings)
    return [f"{file}:{line}: {text}" if line else f"{file}: {text}" for line, text in placed]


def _text(file: FilePath) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't read the configuration {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 text (byte {error.start})") from error


def _tree(text: str, file: FilePath) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Python 3.11 tells the place only in the text.
        place = re.search(r" \(at line (\d+), column (\d+)\)", str(error))
        if place and (twice := written_twice(text, int(place[1]))):
            path, first, again = twice
            raise InputError(
                f"{file}:{again}: {_key(path)}is written already on line {first}; "
                "keep one of the two, or put what both say into one"
            ) from error
        where = f"{file}:{place[1]}:{place[2]}" if place else str(file)
        reason = str(error).replace(place[0], "") if place else str(error)
        hint = _unquoted(text, int(place[1]), int(place[2])) if place else ""
        raise InputError(f"{where}: {reason}{hint}") from error


_BARE = re.compile(r"[=\[,]\s*([^\s\"'\[\]{},=#][^\"'\[\]{},#]*)")


def _unquoted(text: str, line: int, column: int) -> str:
    """What to do about text without quotes, if that is what stands at a place."""
    written = text.splitlines()[line - 1 : line]
    for bare in _BARE.finditer(written[0] if written else ""):
        if bare.start() < column <= bare.end() + 1:
            return f'; text needs quotes: "{bare[1].strip()}"'
    return ""


_MACRO = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)(?:=([^()]*))?\)")


def _expanded(value: Any, macros: Mapping[str, str], path: Path, findings: list[Finding]) -> Any:
    """The tree with every `$(NAME)` in its strings replaced; what is undefined is a finding."""
    if isinstance(value, dict):
        return {k: _expanded(v, macros, (*path, k), findings) for k, v in value.items()}
    if isinstance(value, list):
        return [_expanded(v, macros, (*path, i), findings) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        name, default = match.groups()
        if name not in macros and default is None:
            hint = suggestion(name, macros)
            text = f"undefined macro '$({name})'{hint or f'; give --macro {name}=…'}"
            findings.append((path, f"{_key(path)}{text}"))
        return str(macros.get(name, default))

    return _MACRO.sub(replacement, value)


def _key(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return f"{text}: " if text else ""


# From the form to the model ----------------------------------------------------------------


def _config(parsed: File, file: FilePath) -> Config:
    def beside(directory: str) -> FilePath:
        return file.parent / FilePath(directory).expanduser()

    sequences = parsed.sequences.directory
    return Config(
        prefix=parsed.prefix,
        server=ServerConfig(
            parsed.server.port, parsed.server.interfaces, parsed.server.master, parsed.server.name
        ),
        ca=CaConfig(parsed.ca.connect_timeout, parsed.ca.auto_addr_list, parsed.ca.max_array_bytes),
        limits=ClientLimits(**parsed.limits.model_dump()),
        chain={name: _chain(name, chain) for name, chain in parsed.chain.items()},
        sequences=None if sequences is None else beside(sequences),
        python=parsed.sequences.python,
        verbs=parsed.sequences.verbs,
        own={f"{OWN}.{name}": _own(f"{OWN}.{name}", own) for name, own in parsed.own.items()},
        suspend=parsed.suspend,
        lanes={name: LaneConfig(name, **lane.model_dump()) for name, lane in parsed.lane.items()},
        schedules={name: _schedule(name, s) for name, s in parsed.schedule.items()},
        triggers={name: _trigger(name, t) for name, t in parsed.trigger.items()},
        automation=parsed.automation.on,
        store=beside(parsed.store.directory),
        formats=parsed.store.formats,
        file_name=parsed.store.file_name,
        keep=seconds_in(parsed.store.keep) if parsed.store.keep else None,
        keep_free=bytes_in(parsed.store.keep_free) if parsed.store.keep_free else None,
        on_full=parsed.store.on_full,
        after_crash=parsed.store.after_crash,
        documents=DocumentsConfig(**parsed.documents.model_dump()),
        metadata=parsed.metadata,
        write_access=parsed.access.write,
        hung=HungLimits(parsed.hung.high, parsed.hung.hihi),
        notify=None if parsed.notify is None else _notify(**parsed.notify.model_dump()),
        http=None if parsed.http is None else _http(parsed.http.model_dump(), file),
        file=file,
    )


def _notify(urls: tuple[str, ...], on: tuple[str, ...], quiet: str | None) -> NotifyConfig:
    hours = None if quiet is None else quiet_hours(quiet)
    return NotifyConfig(urls, tuple(map(notify_rule, on)), hours)


def _http(given: dict[str, Any], file: FilePath) -> HttpConfig:
    token_file = given.pop("token_file")
    beside = None if token_file is None else file.parent / FilePath(token_file).expanduser()
    return HttpConfig(**given, token_file=beside)


def _schedule(name: str, given: Schedule) -> ScheduleConfig:
    once = given.missed == "run_once"
    return ScheduleConfig(
        name, given.sequence, given.at, given.every, given.args, given.lane, run_missed=once
    )


def _trigger(name: str, given: Trigger) -> TriggerConfig:
    condition = Suspend(when=given.when, resume=given.rearm, settle=given.hold)
    return TriggerConfig(
        name, given.sequence, condition, given.args, given.lane, at_start=given.at_start
    )


def _own(channel: str, own: Own) -> OwnConfig:
    return OwnConfig(channel, own.metadata, own.first, own.write, own.keep)


def _chain(name: str, chain: Chain) -> ChainConfig:
    channels = {
        f"{name}.{key}": _channel(f"{name}.{key}", chain.prefix, channel)
        for key, channel in chain.channels.items()
    }
    given, server = chain.sequence_server, None
    if given is not None:
        own = _server_channels(name, chain.prefix + given.prefix, given.prefix)
        for alias, channel in own.items():
            channels.setdefault(alias, channel)
        server = ServerChannels(given.name or name, *own)
    return ChainConfig(name, chain.prefix, chain.address or "", channels, server)


def _server_channels(ioc: str, full: str, prefix: str) -> dict[str, ChannelConfig]:
    """The channels of a sequence server: with the prefix `seq.` they are `stage.seq.CMD` …."""
    inner = [word for word in re.split(r"[^A-Za-z0-9_]+", prefix) if word]
    base = ".".join([ioc, *inner])
    options: dict[Field, dict[str, Any]] = {
        fields.CMD: {"mirror": False, "text": True},
        # Of these every update counts: an acknowledgement is its edge.
        fields.ACK: {"write": False, "keep_all": True},
        fields.MESSAGE: {"write": False, "text": True},
        fields.VALUES: {"write": False},
        fields.INDEX: {"write": False, "keep_all": True},
    }
    named = {f"{base}.{field.name}": (field.name, more) for field, more in options.items()}
    return {alias: ChannelConfig(alias, full + pv, **more) for alias, (pv, more) in named.items()}


def _channel(alias: str, prefix: str, channel: Channel) -> ChannelConfig:
    stop = channel.stop
    return ChannelConfig(
        name=alias,
        pv=_full(prefix, channel.pv),
        monitor=channel.monitor,
        mirror=channel.mirror,
        buffer=channel.buffer,
        keep_all=channel.keep_all,
        write=channel.write,
        text=channel.text,
        stop=StopChannel(_full(prefix, stop.pv), stop.value) if stop and stop.pv else None,
        stops=stop is None or stop.pv is not None,
        type=None if channel.type is None else NativeType[channel.type.upper()],
        count=channel.count,
        limits=channel.limits,
        share=channel.share,
        accept_invalid=channel.accept_invalid,
    )


def _full(prefix: str, pv: str) -> str:
    """A PV's full name: `ca://NAME` stands for itself, other text follows the IOC's prefix."""
    return pv.removeprefix(SCHEME) if pv.startswith(SCHEME) else prefix + pv


def _clashes(config: Config) -> Iterator[Finding]:
    """What each entry allows but all together don't."""
    aliases: dict[str, str] = {}
    mirrors: dict[str, str] = {}
    servers: dict[str, str] = {}
    for ioc in config.chain.values():
        if ioc.server is not None:
            other = servers.setdefault(ioc.server.name, ioc.name)
            if other != ioc.name:
                text = f"the sequence servers of {other} and {ioc.name} are both named"
                text = f"{text} {ioc.server.name}; give one a 'name'"
                yield ("chain", ioc.name, "sequence_server"), text
    yield from _clashes_of_own(config)
    yield from _unknown_lanes(config)
    for alias, channel in config.channels.items():
        name, _, key = alias.partition(".")
        here: Path = (OWN, key) if alias in config.own else ("chain", name, "channels", key)
        first = aliases.setdefault(plain_pv(channel.pv), alias)
        if first != alias:
            # With two, readings, puts and samples of one PV would go by different names.
            text = f"{first} and {alias} are the same PV, {channel.pv}; a PV has one alias"
            yield here, text
        for mirror in _mirrors(channel):
            other = mirrors.setdefault(mirror, alias)
            if other != alias:
                served = f"{config.prefix}{mirror}"
                yield here, f"{other} and {alias} would both be served as {served}"


def _unknown_lanes(config: Config) -> Iterator[Finding]:
    for table, ones in (("schedule", config.schedules), ("trigger", config.triggers)):
        for name, one in ones.items():
            if one.lane and one.lane not in config.lanes:
                hint = suggestion(one.lane, config.lanes, kind="lanes")
                yield (table, name, "lane"), f"{table}.{name}: there is no lane {one.lane!r}{hint}"


def _clashes_of_own(config: Config) -> Iterator[Finding]:
    if config.own and OWN in config.chain:
        text = f"a chained IOC can't be named {OWN} where there are own PVs, [{OWN}.…]: rename it"
        yield ("chain", OWN), text
    ours = {field.name for field in fields.ALL}
    for channel in config.own:
        pv = fields.OWN.pv(channel)
        if pv in ours:
            text = (
                f"{channel} would be served as {config.prefix}{pv}, which the service has already"
            )
            yield (OWN, pv), f"{text}; give it another name"


def _mirrors(channel: ChannelConfig) -> Iterator[str]:
    base = "MON:" + channel.name.replace(".", ":")
    yield base
    if channel.buffer:
        yield from (f"{base}:{suffix}" for suffix in ("BUF", "MEAN", "STD", "RATE"))
