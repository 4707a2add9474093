"""What the service publishes: each field once.

The PVs, the rules by which updates are merged, recordings, the command line and the reference are
made of these. `fields.STEP_NAME` is the field itself: elsewhere nobody types a field's name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum, auto
from typing import Any, Self

import numpy as np

from orchestrator.types.runs import RunState, RunStatus, Verb
from orchestrator.types.values import (
    START_UNITS,
    IocStatus,
    Limits,
    Metadata,
    NativeType,
    Value,
)

_ANY_IOC = "{ioc}"
_ANY_CHANNEL = "{ioc}:{channel}"
_ANY_OWN = "{own}"
_ANY_NAME = "{name}"


class Access(Enum):
    """What clients may do with a field."""

    READ = auto()
    """See it."""
    KEEP = auto()
    """Set it: what they write stays there, and is looked at when it is needed."""
    ASK = auto()
    """Ask for something by it: it shows what the service says."""


class Field(str):
    """One thing that is published.

    As text it is its key in updates and in JSON, `step_name`; what follows from its `name`.
    """

    __slots__ = ("access", "asks", "edge", "first", "meaning", "metadata", "name", "of_lane")

    name: str
    """Of its PV, after the prefix; `{ioc}`, `{channel}`, `{own}` and `{name}` stand for any."""
    metadata: Metadata
    """Type, unit, limits, labels. Of a waveform or a text `count` is the most that it holds; 0 = as
    configured."""
    meaning: str
    first: Value
    """What it shows before anything is known."""
    access: Access
    asks: Verb | None
    """What a 1, or a text, asks for."""
    edge: bool
    """Clients wait for its changes: no update replaces one before it."""
    of_lane: bool
    """Each lane has one."""

    def __new__(
        cls,
        name: str,
        metadata: Metadata,
        meaning: str,
        first: Value,
        *,
        access: Access = Access.READ,
        asks: Verb | None = None,
        edge: bool = False,
        of_lane: bool = False,
    ) -> Self:
        """As above."""
        words = name
        for any_of in (_ANY_CHANNEL, _ANY_IOC, _ANY_NAME):
            words = words.replace(f":{any_of}", "")
        field = super().__new__(cls, words.strip("{}").lower().replace(":", "_"))
        field.name, field.metadata, field.meaning, field.first = name, metadata, meaning, first
        field.access, field.asks, field.edge, field.of_lane = access, asks, edge, of_lane
        return field

    def pv(self, key: str = "", lane: str = "") -> str:
        """The name of its PV, after the prefix.

        Args:
            key: The chained IOC or channel that it is of.
            lane: The lane that it is of; empty = the main one.
        """
        # A dot in an alias would begin a record's field.
        name = self.name.replace(_ANY_CHANNEL, key.replace(".", ":"))
        name = name.replace(_ANY_OWN, key.partition(".")[2]).replace(_ANY_NAME, key)
        return f"{lane}:{name.replace(_ANY_IOC, key)}" if lane else name.replace(_ANY_IOC, key)

    @property
    def most(self) -> int:
        """The most elements that it holds; of a text the bytes, without the NUL behind them."""
        return self.metadata.count - 1 if self.metadata.text else self.metadata.count

    @property
    def is_of_ioc(self) -> bool:
        """Whether each chained IOC has one."""
        return _ANY_IOC in self.name and not self.is_of_channel

    @property
    def is_of_channel(self) -> bool:
        """Whether each channel has one, or may have."""
        return _ANY_CHANNEL in self.name

    @property
    def is_own(self) -> bool:
        """Whether each own PV of the configuration is one."""
        return _ANY_OWN in self.name

    @property
    def is_automatic(self) -> bool:
        """Whether each schedule or trigger has one."""
        return _ANY_NAME in self.name


_NO_LIMITS, _ON_OFF = Limits(), Limits(0, 1)
_SHORT, _LONG, _LONGEST = 256, 4096, 65536


def _text(name: str, most: int, meaning: str, **more: Any) -> Field:
    return Field(name, Metadata(NativeType.CHAR, most, text=True), meaning, "", **more)


def _integer(name: str, meaning: str, **more: Any) -> Field:
    return Field(name, Metadata(NativeType.LONG), meaning, 0, **more)


def _flag(name: str, meaning: str, **more: Any) -> Field:
    metadata = Metadata(NativeType.LONG, control=_ON_OFF, display=_ON_OFF)
    return Field(name, metadata, meaning, 0, edge=True, **more)


def _button(name: str, asks: Verb, meaning: str, units: str = "", **more: Any) -> Field:
    metadata = Metadata(NativeType.LONG, units=units, control=_ON_OFF, display=_ON_OFF)
    return Field(name, metadata, meaning, 0, access=Access.ASK, asks=asks, **more)


def _number(
    name: str,
    meaning: str,
    units: str = "",
    precision: int = 1,
    display: Limits = _NO_LIMITS,
    first: float = 0.0,
    **more: Any,
) -> Field:
    metadata = Metadata(NativeType.DOUBLE, units=units, precision=precision, display=display)
    return Field(name, metadata, meaning, first, **more)


def _choice(name: str, labels: Iterable[str], meaning: str, **more: Any) -> Field:
    metadata = Metadata(NativeType.ENUM, labels=tuple(map(str, labels)))
    return Field(name, metadata, meaning, metadata.labels[0], **more)


def _array(
    name: str, native: NativeType, most: int, meaning: str, first: Any = (), **more: Any
) -> Field:
    precision = 6 if native is NativeType.DOUBLE else None
    values = np.array(first, np.float64 if precision else np.int32)
    values.flags.writeable = False
    return Field(name, Metadata(native, most, precision=precision), meaning, values, **more)


# Commands, and what came of them ----------------------------------------------------------------

CMD = _text(
    "CMD",
    _LONGEST,
    "A command: run NAME [key=value …] [--meta key=value …], submit NAME …, pause, resume, stop, "
    "abort [reason], skip, answer [value], queue clear|start|hold|remove N|move N POSITION, "
    "automation on|off, ping; or a whole sequence, text that begins with { or has several lines; "
    "or a trajectory, text that begins with [ or linear(. What begins with @NAME is for that lane. "
    "A plain string and a long string are taken alike. "
    "Put-callback completes when the command is accepted.",
    access=Access.ASK,
    asks=Verb.COMMAND,
    of_lane=True,
)
ACK = _flag(
    "ACK",
    "0 when a command, trajectory or index arrives; 1 when it is accepted, loaded or reached; "
    "0 in alarm if it is refused or has failed.",
    of_lane=True,
)
MESSAGE = _text(
    "message",
    _LONG,
    "The last thing worth telling; why a command was refused or a run has failed.",
    of_lane=True,
)
VALUES = _array(
    "values",
    NativeType.DOUBLE,
    10_000,
    "The trajectory, or the last sampled row: an enum is its index, text, arrays and "
    "arguments are NaN.",
    (math.nan, math.nan),
    of_lane=True,
)
INDEX = _array(
    "INDEX",
    NativeType.LONG,
    2,
    "seq and index that were reached last with this trajectory, [-1, -1] before the first; "
    "posted before ACK. seq is -1 where the master gives none.",
    (-1, -1),
    edge=True,
)
NESTED_INDICES = _text(
    "Nested_Indices",
    _LONGEST,
    "Where the sequence servers are to be, a JSON object: their indices by name, and seq, "
    "which counts. Written by the step nested, or by hand while no run is under way.",
    access=Access.ASK,
    asks=Verb.INDICES,
    edge=True,
)
SEQ = _text(
    "SEQ",
    _LONG,
    "Name of the sequence that START and the index of a master run; read then.",
    access=Access.KEEP,
    asks=Verb.SELECT,
    of_lane=True,
)
ARGS = _text(
    "ARGS",
    _LONGEST,
    "Its arguments, a JSON object; read when START is written.",
    access=Access.KEEP,
    of_lane=True,
)
SEQUENCES = _text(
    "SEQUENCES",
    _LONGEST,
    "The names that can be run, a JSON list; of more than it holds the last item is "
    "“… and 12 more”.",
    of_lane=True,
)

# The run ----------------------------------------------------------------------------------------

START = _button(
    "START",
    Verb.START,
    "1 starts a run; put-callback completes when it has ended, and fails unless it was a "
    "Success. 1 until the run has ended. Writing 0 is one ABORT. Its units tell another "
    "orchestrator what it is: a step that writes 1 and is ended early writes 0.",
    units=START_UNITS,
    edge=True,
    of_lane=True,
)
BUSY = _flag("BUSY", "1 while a run is under way; goes to 0 after everything else.", of_lane=True)
STATE = _choice(
    "STATE",
    RunState,
    "What is going on; changes when a pause, stop or abort is requested.",
    edge=True,
    of_lane=True,
)
STATUS = _choice(
    "STATUS",
    RunStatus,
    "Outcome of the last run; Failed and Timeout are MAJOR, Aborted and Stopped MINOR. Alarm "
    "status SOFT or LINK: it failed before its first step, see errors.",
    edge=True,
    of_lane=True,
)
PAUSE = _button(
    "PAUSE", Verb.PAUSE, "1 asks for a pause, 0 resumes; 0 again when a run ends.", of_lane=True
)
STOP = _button(
    "STOP",
    Verb.STOP,
    "1: finish at the next boundary of the innermost steps, run the finalisers.",
    of_lane=True,
)
ABORT = _button(
    "ABORT",
    Verb.ABORT,
    "1: interrupt, stop what moves, run the finalisers. A second one gives up on outstanding "
    "completions, a third drops the finalisers. Harmless when idle.",
    of_lane=True,
)
SKIP = _button(
    "SKIP",
    Verb.SKIP,
    "1: interrupt the innermost running steps and go on; no failure.",
    of_lane=True,
)
RUN_ID = _text("RUN_ID", _SHORT, "Identifies the current or last run.", edge=True, of_lane=True)
RUN_NAME = _text("RUN_NAME", _SHORT, "Name of its sequence.", of_lane=True)
OWNER = _text("OWNER", _SHORT, "Who asked for it: user@host, as the client claims.", of_lane=True)
STEP = _integer("STEP", "Steps done.", of_lane=True)
NSTEPS = _integer("NSTEPS", "Steps known; 0 = not known.", of_lane=True)
STEP_NAME = _text("STEP_NAME", 1024, "Path and name of the current step.", of_lane=True)
PROGRESS = _number("PROGRESS", "How far it is.", "%", display=Limits(0.0, 100.0), of_lane=True)
ELAPSED = _number("ELAPSED", "Time since its start, without pauses.", "s", of_lane=True)
REMAINING = _number("REMAINING", "Estimated time to its end, without pauses.", "s", of_lane=True)
HUNG_SEC = _number("HUNG_SEC", "Time since anything moved.", "s", of_lane=True)
QUESTION = _text(
    "QUESTION",
    _LONG,
    "What a step ask waits for, a JSON object: text, type (float, int, str, bool; go on, where it "
    "takes no value), choices, min, max, default, timeout and since, as far as it has them. Empty "
    "where nothing is asked.",
    edge=True,
    of_lane=True,
)
ANSWER = _text(
    "ANSWER",
    _LONG,
    "An answer to it, the first of which counts; empty takes the default, or goes on. A wrong one "
    "is refused with what would be right, and fails its put. Shows the last answer.",
    access=Access.ASK,
    asks=Verb.ANSWER,
    of_lane=True,
)
LOOP_INDEX = _array(
    "LOOP_INDEX",
    NativeType.LONG,
    64,
    "Indices of the nested loops, outermost first, from 0.",
    of_lane=True,
)

LANES = _text(
    "LANES",
    _LONGEST,
    "The lanes beside the main one, a JSON list: the name of each, the fields of its run that tell "
    "how it is, and how often it was started again.",
)
RESTARTS = _integer(
    "RESTARTS",
    "Times that the sequence of a lane was started again by itself since the service started; the "
    "main lane has none.",
    of_lane=True,
)

# What programs follow ----------------------------------------------------------------------------

EVENTS = _text(
    "EVENTS",
    (1 << 19) + 1,
    "What has happened since the post before, at most 20 a second, as JSON: n, the number of "
    "the post; fields, those PVs of this table that have changed, with their values; alarms, "
    "the severity and alarm status of those in alarm; events, those of runs; lost, how much "
    "could not be kept. For programs that follow the service.",
    of_lane=True,
)
SNAPSHOT = _text(
    "SNAPSHOT",
    1 << 21,
    "All fields that EVENTS tells of as they are when it is read, and the number of its "
    "last post: where a program begins, and begins anew when it has missed one.",
    of_lane=True,
)

# The queue, the chain, the samples --------------------------------------------------------------

QUEUE_LEN = _integer(
    "QUEUE_LEN",
    "Runs waiting; in alarm while held, by a command or by one that did not succeed.",
    edge=True,
    of_lane=True,
)
QUEUE = _text(
    "QUEUE",
    _LONGEST,
    "Them, next first: a JSON list of number, name, args, owner and, of one that did not "
    "succeed, how it ended; of more than it holds the last item is left_out, how many more.",
    of_lane=True,
)
CHAIN_COUNT = _integer("CHAIN:COUNT", "Channels known.")
CHAIN_CONNECTED = _integer("CHAIN:CONNECTED", "Channels connected.")
CHAIN_DISCONNECTED = _text("CHAIN:DISCONNECTED", _LONGEST, "Names of those that are not.")
DATA_FILE = _text(
    "DATA:FILE",
    _SHORT,
    "The file with its rows, from the first one on; empty without any.",
    of_lane=True,
)
DATA_NPTS = _integer(
    "DATA:NPTS",
    "Points sampled in the current or last run; posted last.",
    edge=True,
    of_lane=True,
)

# Schedules and triggers -------------------------------------------------------------------------

AUTOMATION = _button(
    "AUTOMATION",
    Verb.AUTOMATION,
    "1: schedules and triggers are on; 0: they start nothing.",
)
SCHEDULES = _text(
    "SCHEDULES",
    _LONGEST,
    "All of them, a JSON list: kind (schedule or trigger), name, sequence, next and last (local "
    "time; null where there is none) and outcome, what came of the last.",
)
SCHEDULE_NEXT = _text(f"SCHEDULE:{_ANY_NAME}:NEXT", 64, "When a schedule is due, in local time.")
SCHEDULE_LAST = _text(f"SCHEDULE:{_ANY_NAME}:LAST", 64, "When it was due last.")
SCHEDULE_OUTCOME = _text(
    f"SCHEDULE:{_ANY_NAME}:OUTCOME",
    _SHORT,
    "What came of that: waits, runs, the STATUS of its run, or why there was none.",
)
TRIGGER_LAST = _text(f"TRIGGER:{_ANY_NAME}:LAST", 64, "When a trigger triggered last.")
TRIGGER_OUTCOME = _text(
    f"TRIGGER:{_ANY_NAME}:OUTCOME", _SHORT, "What came of that; as of a schedule."
)

# The service ------------------------------------------------------------------------------------

PULL_LEN = _integer("PULL:LEN", "Items waiting in the pull queue.")
PULL_MAX = _integer("PULL:MAX", "The most that ever waited.")
PULL_MERGED = _integer("PULL:MERGED", "Readings replaced by newer ones before they were examined.")
PULL_RATE = _number("PULL:RATE", "Items a second.", "1/s")
PUSH_LEN = _integer("PUSH:LEN", "Updates waiting in the push queue.")
PUSH_MAX = _integer("PUSH:MAX", "The most that ever waited.")
PUSH_MERGED = _integer("PUSH:MERGED", "Updates replaced by newer ones before they were published.")
PUSH_MERGED_MON = _integer("PUSH:MERGED:MON", "Of these, values of mirrors.")
PUSH_DROPPED = _integer("PUSH:DROPPED", "Updates dropped because their clients did not read.")
CLIENTS = _text(
    "CLIENTS",
    _LONGEST,
    "Who is connected, a JSON list, those first of whom most was dropped: who (user@host as "
    "they claim), address, since, circuits, channels, subscriptions, puts without an answer; "
    "of their updates posts, which are delivered, merged (their subscription ended before), "
    "dropped or waiting; lost, the PVs of which most was dropped; unread_bytes.",
)
CLIENTS_COUNT = _integer("CLIENTS:COUNT", "Circuits of clients.")
TASKS = _integer("TASKS", "Tasks of the event loop.")
LOOP_LAG = _number("LOOP_LAG", "How late the event loop runs.", "s", 6)
HEARTBEAT = _integer("HEARTBEAT", "Counts once a second from the working loop.")

# Chained IOCs and their channels ----------------------------------------------------------------

CHAIN_STATUS = _choice(
    f"CHAIN:{_ANY_IOC}:STATUS",
    IocStatus,
    "How many of its channels are connected: none (INVALID), some (MINOR), all.",
)
CHAIN_RECONNECTS = _integer(f"CHAIN:{_ANY_IOC}:RECONNECTS", "Times that it came back.")
MON = Field(
    f"MON:{_ANY_CHANNEL}",
    Metadata(NativeType.DOUBLE, 0),
    "Mirror of the channel: its value, time, alarm, labels, units, precision and limits; "
    "LINK/INVALID when it is lost. Appears when the channel first connects.",
    math.nan,
)
"""Its type, unit and limits are those of the channel."""
MON_BUF = _array(f"MON:{_ANY_CHANNEL}:BUF", NativeType.DOUBLE, 0, "Its last values, oldest first.")
MON_MEAN = _number(
    f"MON:{_ANY_CHANNEL}:MEAN", "Mean of its last values.", precision=6, first=math.nan
)
MON_STD = _number(
    f"MON:{_ANY_CHANNEL}:STD", "Standard deviation of them.", precision=6, first=math.nan
)
MON_RATE = _number(f"MON:{_ANY_CHANNEL}:RATE", "Updates a second.", "1/s")
DATA = _array(
    f"DATA:{_ANY_CHANNEL}",
    NativeType.DOUBLE,
    100_000,
    "Its samples in the current or last run; grows point by point.",
    of_lane=True,
)
"""What it can hold at first; it grows tenfold when it is full."""
OWN = Field(
    _ANY_OWN,
    Metadata(NativeType.DOUBLE, 0),
    "An own PV of the configuration, `[own.{own}]`, with its units, precision, labels, limits and "
    "alarm; clients write it where `write = true`.",
    math.nan,
)
"""Its type is as configured."""

ALL: tuple[Field, ...] = tuple(value for value in vars().values() if isinstance(value, Field))
"""Every field, in the order above."""
OF_SERVICE = tuple(
    f
    for f in ALL
    if not (f.is_of_ioc or f.is_of_channel or f.is_own or f.is_automatic or f == RESTARTS)
)
"""Those of which the service has one, or its main lane."""
OF_LANE = tuple(f for f in ALL if f.of_lane and not f.is_of_channel)
"""Those of which each lane beside the main one has one."""
