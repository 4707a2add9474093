"""What the configuration says: frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.language.names import Names, ServerChannels
from orchestrator.types import (
    ClientLimits,
    Limits,
    Metadata,
    NativeType,
    Value,
    fields,
    path_text,
)
from orchestrator.types import Path as KeyPath

if TYPE_CHECKING:
    from orchestrator.language.text.suspend import Suspend


@dataclass(frozen=True, slots=True)
class StopChannel:
    """What ends a movement: written without callback when a step that moves it ends early."""

    pv: str
    """Full PV name."""
    value: float | int | str = 1


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """One channel: a remote PV and how we treat it."""

    name: str
    """Alias, `ioc.channel`; for a PV that no config names, the full PV name."""
    pv: str
    """Full PV name."""
    monitor: bool = True
    mirror: bool = True
    """Serve it as `MON:{ioc}:{channel}`."""
    buffer: int = 0
    """Points of its circular buffer."""
    keep_all: bool = False
    """Never merge its updates in the pull queue."""
    write: bool = True
    """Whether sequences may write it."""
    text: bool = False
    """Whether a CHAR array is text."""
    stop: StopChannel | None = None
    stops: bool = True
    """Whether it is stopped where no `stop` is named, if it stops by itself: a START of ours."""
    type: NativeType | None = None
    """Serve the mirror as this type even before it first connects."""
    count: int = 1
    """Elements of that mirror."""
    limits: bool = True
    """Whether its control limits hold for puts; not where a server has them for displays only."""
    share: bool = False
    """Whether runs of several lanes may put to it at the same time."""
    accept_invalid: bool | None = None
    """Whether a put may leave its record INVALID: False fails it, None tells."""

    def of_puts(self, metadata: Metadata) -> Metadata:
        """A server's metadata as they hold for puts: without limits that are none."""
        return metadata if self.limits else replace(metadata, control=Limits())


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """One chained IOC."""

    name: str
    prefix: str
    address: str = ""
    """host:port; extends the one search list of the process."""
    channels: Mapping[str, ChannelConfig] = field(default_factory=dict)
    """By alias, `ioc.channel`; those of its sequence server included."""
    server: ServerChannels | None = None
    """The sequence server in it."""


OWN = "own"
"""What the names of own PVs begin with, as if they were of a chained IOC of that name."""


@dataclass(frozen=True, slots=True)
class OwnConfig:
    """One own PV: a value that sequences publish."""

    name: str
    """Its channel, `own.best`."""
    metadata: Metadata
    """Type, units, precision, labels, limits; `warning` and `alarm` are LOW, HIGH, LOLO, HIHI."""
    value: Value
    """What it holds before anybody has put it."""
    write: bool = False
    """Whether clients may put it; sequences may."""
    keep: bool = False
    """Whether its value survives a restart."""


@dataclass(frozen=True, slots=True)
class ScheduleConfig:
    """A sequence that is started at certain times."""

    name: str
    sequence: str
    at: str | None = None
    """As cron has it, in local time."""
    every: float | None = None
    """s, where `at` is None."""
    args: Mapping[str, object] = field(default_factory=dict)
    lane: str = ""
    """Empty = the main one."""
    run_missed: bool = False
    """Whether times that were missed are made up for by one run."""


@dataclass(frozen=True, slots=True)
class TriggerConfig:
    """A sequence that is started when a condition becomes true."""

    name: str
    sequence: str
    condition: Suspend
    """`when`; `resume` is what arms it again, `settle` for how long it has to be true."""
    args: Mapping[str, object] = field(default_factory=dict)
    lane: str = ""
    """Empty = the main one."""
    at_start: bool = False
    """Whether a condition that is true at the start triggers."""


@dataclass(frozen=True, slots=True)
class CaConfig:
    """The one libca context of the process."""

    connect_timeout: float = 5.0
    auto_addr_list: bool = True
    max_array_bytes: int = 16_777_216


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where the service's own PVs are served."""

    port: int | None = None
    """None: as EPICS_CAS_SERVER_PORT or EPICS_CA_SERVER_PORT says, else 5064; 0: a free one."""
    interfaces: tuple[str, ...] | None = None
    """None: as EPICS_CAS_INTF_ADDR_LIST says, else all."""
    master: str = ""
    """Full name of the master's `Nested_Indices`; empty where there is no master."""
    name: str = ""
    """Our name in it, and in our own."""


@dataclass(frozen=True, slots=True)
class HungLimits:
    """From how many s on, in which nothing has moved, a run is in alarm."""

    high: float | None = None
    """MINOR; None = never."""
    hihi: float | None = None
    """MAJOR."""


@dataclass(frozen=True, slots=True)
class NotifyRule:
    """Something of which people are told."""

    kind: str
    """See `NOTIFY_KINDS`."""
    above: float = 0.0
    """s for which it has to go on."""


NOTIFY_KINDS = {
    "failed": "a run ended as Failed or Timeout",
    "ended": "a run ended, however it did",
    "interrupted": "the service finds at its start that it was killed in a run",
    "ask": "a run waits for an answer",
    "suspended": "a run is suspended",
    "hung": "nothing moves in a run",
    "disconnected": "channels of a chained IOC are disconnected",
}
"""Of what people may be told."""
NOTIFY_LASTING = frozenset({"suspended", "hung", "disconnected"})
"""Those that go on, and are told after some time."""


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """Who is told of what, wherever they are."""

    urls: tuple[str, ...]
    """Of apprise."""
    on: tuple[NotifyRule, ...] = (NotifyRule("failed"), NotifyRule("interrupted"))
    quiet: tuple[int, int] | None = None
    """From when to when nobody is told, minutes of the day in local time; after it they are."""


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """Where and to whom HTTP is served."""

    port: int = 8080
    """0: a free one."""
    interfaces: tuple[str, ...] = ("127.0.0.1",)
    token_file: Path | None = None
    """Lines of a name and a token; None = nobody needs one."""
    read_only: bool = False
    """Whether nobody may change anything by it."""
    max_body_bytes: int = 1_000_000
    """Of a request."""
    requests_per_second: int = 100
    """Of one client, over some seconds."""
    connections: int = 500
    """At once, those of event streams included."""


@dataclass(frozen=True, slots=True)
class DocumentsConfig:
    """Where the documents of bluesky go."""

    jsonl: bool = False
    """A file of each run."""
    zmq: str = ""
    """host:port of a proxy; empty = none."""
    call: str = ""
    """`module:function`; empty = none."""


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """A lane: where one sequence runs at a time, beside those of other lanes."""

    name: str = ""
    """Its PVs are ORCH:name:…; empty = the main one, whose PVs are ORCH:…."""
    sequence: str = ""
    """What runs in it by itself, and what its START runs at first; empty = none."""
    args: Mapping[str, object] = field(default_factory=dict)
    """Arguments of that."""
    autostart: bool = False
    """It is started with the service."""
    restart: Literal["never", "on_failure", "always"] = "never"
    """When it is started again; never where somebody has stopped or aborted it."""


@dataclass(frozen=True, slots=True)
class Config:
    """All of `orchestrator.toml`, or its defaults."""

    prefix: str = "ORCH:"
    server: ServerConfig = ServerConfig()
    ca: CaConfig = CaConfig()
    limits: ClientLimits = field(default_factory=ClientLimits)
    """What clients may ask of the service."""
    chain: Mapping[str, ChainConfig] = field(default_factory=dict)
    sequences: Path | None = None
    """Directory of `*.yaml`; the file's name is the sequence's."""
    python: tuple[str, ...] = ()
    """Modules with `@sequence` functions, imported when the service starts."""
    verbs: tuple[str, ...] = ()
    """Modules with verbs of the user's own, imported before anything is read that uses them."""
    own: Mapping[str, OwnConfig] = field(default_factory=dict)
    """The own PVs, by channel, `own.best`."""
    suspend: Mapping[str, Suspend] = field(default_factory=dict)
    """What holds up every run, by name; `compile_suspenders` makes conditions of it."""
    lanes: Mapping[str, LaneConfig] = field(default_factory=dict)
    """Those beside the main one, by name."""
    schedules: Mapping[str, ScheduleConfig] = field(default_factory=dict)
    """By name."""
    triggers: Mapping[str, TriggerConfig] = field(default_factory=dict)
    """By name."""
    automation: bool = True
    """Whether both are on when the service starts."""
    store: Path = Path("runs")
    """Directory of all that is kept of runs."""
    formats: tuple[str, ...] = ("hdf5", "csv")
    """Of the data files; the first is the one that is told of."""
    file_name: str = "data"
    """Template of their names."""
    keep: float | None = None
    """s for which a run is kept after its end; None = for ever."""
    keep_free: int | None = None
    """Bytes of the store's disk that are kept free by removing the oldest runs; None = none."""
    on_full: str = "pause"
    """What a run does while nothing can be kept of it: `pause`, `fail`."""
    after_crash: str = "nothing"
    """What a service does by itself with runs that were killed: `nothing`, `finalise`."""
    documents: DocumentsConfig = DocumentsConfig()
    metadata: Mapping[str, object] = field(default_factory=dict)
    """What is kept of every run, by name."""
    write_access: tuple[str, ...] = ()
    """user@host that may write, `*` = any text; empty = everyone, as Channel Access does."""
    hung: HungLimits = HungLimits()
    """Of HUNG_SEC."""
    notify: NotifyConfig | None = None
    """None = nobody is told."""
    http: HttpConfig | None = None
    """None = no HTTP."""
    file: Path | None = None
    """Where it was read from."""
    digest: str = ""
    """SHA-256 of that file; empty without one."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """On which line of it a key stands, by path; of those that may be found wrong later."""

    @property
    def folder(self) -> Path | None:
        """That of the file."""
        return None if self.file is None else self.file.parent

    @property
    def remote_channels(self) -> dict[str, ChannelConfig]:
        """Every channel of every chained IOC, by alias."""
        return {a: c for ioc in self.chain.values() for a, c in ioc.channels.items()}

    @property
    def channels(self) -> dict[str, ChannelConfig]:
        """The same, and the own PVs."""
        return self.remote_channels | {own: self._own_channel(own) for own in self.own}

    def _own_channel(self, own: str) -> ChannelConfig:
        pv = f"{self.prefix}{fields.OWN.pv(own)}"
        return ChannelConfig(own, pv, mirror=False, keep_all=True)


def key_place(config: Config, path: KeyPath) -> str:
    """Where a key stands: `orchestrator.toml:7`."""
    file = config.file or "orchestrator.toml"
    while path and path_text(path) not in config.lines:
        path = path[:-1]
    return f"{file}:{config.lines[path_text(path)]}" if path else f"{file}"


def prefix_doubts(config: Config) -> list[str]:
    """What is probably not meant with the prefix of the service's own PVs; a line each."""
    prefix = config.prefix
    doubts = [
        f"the prefix {prefix!r} is that of chain.{ioc.name} too: which of the two answers for a PV "
        "that both have is chance; give the service one of its own"
        for ioc in config.chain.values()
        if ioc.prefix == prefix
    ]
    if prefix[-1:].isalnum():
        doubts.append(
            f"the prefix {prefix!r} ends with no separator: the PVs are {prefix}STATE, "
            f"{prefix}START …; is {prefix + ':'!r} meant?"
        )
    return doubts


def names_of(config: Config) -> Names:
    """The channel names that sequences may use."""
    aliases = {alias: channel.pv for alias, channel in config.channels.items()}
    servers = {ioc.server.name: ioc.server for ioc in config.chain.values() if ioc.server}
    iocs = frozenset(config.chain) | {OWN for _ in config.own}
    return Names(iocs, aliases, servers)
