"""The PVs of the service that are there whatever it chains: their types, units, words."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import caproto as ca
import numpy as np
import structlog
from caproto.server import PvpropertyDouble, pvproperty

from orchestrator.api.stream import LONGEST
from orchestrator.config.access import may_write
from orchestrator.errors import PutError
from orchestrator.ioc import CommandPV, CommandTextPV, Group, ReadOnly, TextPV, TextRO
from orchestrator.ioc.pvs.decimal import PreciseText
from orchestrator.language.text.indices import NO_INDEX
from orchestrator.language.text.trajectory import MOST_ITEMS
from orchestrator.server.requests import Requests
from orchestrator.types import START_UNITS, RunState, RunStatus, Verb

CMD_BYTES = 65536
UNTOLD = frozenset(
    {"cmd", "seq", "args"}  # what clients write
    | {"events", "snapshot_text"}
    | {"clients", "clients_count", "push_dropped", "tasks"}  # what is known here only
)
"""Fields that EVENTS does not tell of."""
_MOST_LOOPS = 64
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

    group: ServicePVs

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


class _Text(_Guarded, TextPV):
    """A text that is kept."""


class _Asked(_Guarded, TextPV):
    """A text whose puts are shown once they have been accepted, and not before.

    Without a NUL at its end: sequence servers of the older kind read the bytes as they are, and
    Python takes none with a NUL in it.
    """

    closing_nul = False

    async def write_from_dbr(
        self, data: Any, data_type: Any, metadata: Any, *, flags: int = 0
    ) -> None:
        """Hand a client's text to the putter; called by caproto."""
        del data_type, metadata, flags
        await self.putter(self, self.taken(data))


class _Snapshot(TextRO):
    """All fields as JSON, made when a client reads it."""

    group: ServicePVs

    async def _read(self, data_type: Any) -> tuple[Any, Any]:
        self._data["value"] = self.group.snapshot()
        self._data["timestamp"] = ca.TimeStamp.from_unix_timestamp(time.time())
        return await super()._read(data_type)


def _text(name: str, most: int, doc: str, **more: Any) -> Any:
    return pvproperty(name=name, dtype=TextRO, value="", max_length=most, doc=doc, **more)


def _int(name: str, doc: str, units: str = "") -> Any:
    return pvproperty(name=name, value=0, read_only=True, units=units, doc=doc)


def _flag(name: str, doc: str) -> Any:
    limits = {"upper_ctrl_limit": 1, "upper_disp_limit": 1}
    return pvproperty(name=name, value=0, read_only=True, doc=doc, **limits)


class _Double(ReadOnly, PreciseText, PvpropertyDouble):  # type: ignore[misc] # caproto is untyped
    """A number that clients can't write."""


def _double(name: str, doc: str, units: str, precision: int, **more: Any) -> Any:
    return pvproperty(
        name=name, dtype=_Double, value=0.0, units=units, precision=precision, doc=doc, **more
    )


def _enum(name: str, labels: Sequence[str], doc: str) -> Any:
    return pvproperty(
        name=name,
        dtype=ca.ChannelType.ENUM,
        value=labels[0],
        enum_strings=list(labels),
        read_only=True,
        doc=doc,
    )


def _button(name: str, put: Any, doc: str, units: str = "") -> Any:
    more = {"upper_ctrl_limit": 1, "upper_disp_limit": 1} | ({"units": units} if units else {})
    return pvproperty(name=name, dtype=_Button, value=0, put=put, doc=doc, **more)


def _momentary(name: str, verb: Verb, doc: str) -> Any:
    async def put(group: ServicePVs, pv: Any, value: int) -> None:
        if value:
            await pv.write(1, verify_value=False)
            await pv.write(0, verify_value=False)
            await group.requests.ask(verb)

    return _button(name, put, doc)


async def _command(group: ServicePVs, _pv: Any, text: str) -> None:
    await group.requests.ask(Verb.COMMAND, text)


async def _indices(group: ServicePVs, _pv: Any, text: str) -> None:
    await group.requests.ask(Verb.INDICES, text)


async def _select(group: ServicePVs, _pv: Any, text: str) -> None:
    group.requests.tell(Verb.SELECT, text)


async def _start(group: ServicePVs, _pv: Any, value: int) -> None:
    # START shows 1 and 0 when the device says so: only it knows whether there is a run.
    if value:
        await group.requests.ask(Verb.START, group.seq.value, group.args.value)
    else:
        await group.requests.ask(Verb.ABORT)


async def _pause(group: ServicePVs, _pv: Any, value: int) -> None:
    await group.requests.ask(Verb.PAUSE if value else Verb.RESUME)


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


class ServicePVs(Group):
    """The service's PVs, but for those of the channels; an attribute is an `Update`'s field."""

    def __init__(self, prefix: str, requests: Requests, write_access: Sequence[str] = ()) -> None:
        super().__init__(escaped(prefix), name="service")
        self.snapshot: Callable[[], str] = str
        """Makes the text of SNAPSHOT; set by who serves."""
        self.requests = requests
        self.writers = Writers(write_access)

    cmd = pvproperty(
        name="CMD",
        dtype=_CommandText,
        value="",
        max_length=CMD_BYTES,
        put=_command,
        doc="A command: run NAME [key=value …], submit NAME [key=value …], pause, resume, stop, "
        "abort [reason], skip, answer, queue clear|start|hold|remove N|move N POSITION, ping; "
        "or a whole sequence, text that begins with { or has several lines; or a trajectory, text "
        "that begins with [ or linear(. A plain string and a long string are taken alike. "
        "Put-callback completes when the command is accepted.",
    )
    ack = _flag(
        "ACK",
        "0 when a command, trajectory or index arrives; 1 when it is accepted, loaded or reached; "
        "0 in alarm if it is refused or has failed.",
    )
    message = _text(
        "message",
        4096,
        "The last thing worth telling; why a command was refused or a run has failed.",
    )
    values = pvproperty(
        name="values",
        dtype=float,
        value=np.array([np.nan, np.nan]),
        max_length=MOST_ITEMS,
        read_only=True,
        precision=6,
        doc="The trajectory, or the last sampled row: an enum is its index, text, arrays and "
        "arguments are NaN.",
    )
    index = pvproperty(
        name="INDEX",
        dtype=int,
        value=list(NO_INDEX),
        max_length=2,
        read_only=True,
        doc="seq and index that were reached last with this trajectory, [-1, -1] before the first; "
        "posted before ACK. seq is -1 where the master gives none.",
    )
    nested_indices = pvproperty(
        name="Nested_Indices",
        dtype=_Asked,
        value="",
        max_length=CMD_BYTES,
        put=_indices,
        doc="Where the sequence servers are to be, a JSON object: their indices by name, and seq, "
        "which counts. Written by the step nested, or by hand while no run is under way.",
    )

    seq = pvproperty(
        name="SEQ",
        dtype=_Text,
        value="",
        max_length=4096,
        put=_select,
        doc="Name of the sequence that START and the index of a master run; read then.",
    )
    args = pvproperty(
        name="ARGS",
        dtype=_Text,
        value="",
        max_length=CMD_BYTES,
        doc="Its arguments, a JSON object; read when START is written.",
    )
    sequences = _text(
        "SEQUENCES",
        CMD_BYTES,
        "The names that can be run, a JSON list; of more than it holds the last item is "
        "“… and 12 more”.",
    )

    start = _button(
        "START",
        _start,
        "1 starts a run; put-callback completes when it has ended, and fails unless it was a "
        "Success. 1 until the run has ended. Writing 0 is one ABORT. Its units tell another "
        "orchestrator what it is: a step that writes 1 and is ended early writes 0.",
        START_UNITS,
    )
    busy = _flag("BUSY", "1 while a run is under way; goes to 0 after everything else.")
    state = _enum(
        "STATE",
        [state.value for state in RunState],
        "What is going on; changes when a pause, stop or abort is requested.",
    )
    status = _enum(
        "STATUS",
        [status.value for status in RunStatus],
        "Outcome of the last run; Failed and Timeout are MAJOR, Aborted and Stopped MINOR. Alarm "
        "status SOFT or LINK: it failed before its first step, see errors.",
    )

    pause = _button("PAUSE", _pause, "1 asks for a pause, 0 resumes; 0 again when a run ends.")
    stop = _momentary(
        "STOP",
        Verb.STOP,
        "1: finish at the next boundary of the innermost steps, run the finalisers.",
    )
    abort = _momentary(
        "ABORT",
        Verb.ABORT,
        "1: interrupt, stop what moves, run the finalisers. A second one gives up on outstanding "
        "completions, a third drops the finalisers. Harmless when idle.",
    )
    skip = _momentary(
        "SKIP", Verb.SKIP, "1: interrupt the innermost running steps and go on; no failure."
    )

    run_id = _text("RUN_ID", 256, "Identifies the current or last run.")
    run_name = _text("RUN_NAME", 256, "Name of its sequence.")
    owner = _text("OWNER", 256, "Who asked for it: user@host, as the client claims.")
    step = _int("STEP", "Steps done.")
    nsteps = _int("NSTEPS", "Steps known; 0 = not known.")
    step_name = _text("STEP_NAME", 1024, "Path and name of the current step.")
    progress = _double(
        "PROGRESS", "How far it is.", "%", 1, upper_disp_limit=100.0, lower_disp_limit=0.0
    )
    elapsed = _double("ELAPSED", "Time since its start, without pauses.", "s", 1)
    remaining = _double("REMAINING", "Estimated time to its end, without pauses.", "s", 1)
    hung_sec = _double("HUNG_SEC", "Time since anything moved.", "s", 1)
    loop_index = pvproperty(
        name="LOOP_INDEX",
        value=np.zeros(0, np.int32),
        dtype=int,
        max_length=_MOST_LOOPS,
        read_only=True,
        doc="Indices of the nested loops, outermost first, from 0.",
    )

    events = _text(
        "EVENTS",
        LONGEST + 1,
        "What has happened since the post before, at most 20 a second, as JSON: n, the number of "
        "the post; fields, those PVs of this table that have changed, with their values; alarms, "
        "the severity and alarm status of those in alarm; events, those of runs; lost, how much "
        "could not be kept. For programs that follow the service.",
        max_subscription_backlog=20,  # caproto warns of more
    )
    snapshot_text = pvproperty(
        name="SNAPSHOT",
        dtype=_Snapshot,
        value="",
        max_length=4 * LONGEST,
        max_subscription_backlog=2,
        doc="All fields that EVENTS tells of as they are when it is read, and the number of its "
        "last post: where a program begins, and begins anew when it has missed one.",
    )

    queue_len = _int(
        "QUEUE_LEN",
        "Runs waiting; in alarm while held, by a command or by one that did not succeed.",
    )
    queue = _text(
        "QUEUE",
        CMD_BYTES,
        "Them, next first: a JSON list of number, name, args, owner and, of one that did not "
        "succeed, how it ended; of more than it holds the last item is left_out, how many more.",
    )

    chain_count = _int("CHAIN:COUNT", "Channels known.")
    chain_connected = _int("CHAIN:CONNECTED", "Channels connected.")
    chain_disconnected = _text("CHAIN:DISCONNECTED", CMD_BYTES, "Names of those that are not.")
    data_npts = _int("DATA:NPTS", "Points sampled in the current or last run; posted last.")

    pull_len = _int("PULL:LEN", "Items waiting in the pull queue.")
    pull_max = _int("PULL:MAX", "The most that ever waited.")
    pull_merged = _int("PULL:MERGED", "Readings replaced by newer ones before they were examined.")
    pull_rate = _double("PULL:RATE", "Items a second.", "1/s", 1)
    push_len = _int("PUSH:LEN", "Updates waiting in the push queue.")
    push_max = _int("PUSH:MAX", "The most that ever waited.")
    push_merged = _int("PUSH:MERGED", "Updates replaced by newer ones before they were published.")
    push_merged_mon = _int("PUSH:MERGED:MON", "Of these, values of mirrors.")
    push_dropped = _int("PUSH:DROPPED", "Updates dropped because their clients did not read.")
    clients = _text(
        "CLIENTS",
        CMD_BYTES,
        "Who is connected, a JSON list, those first of whom most was dropped: who (user@host as "
        "they claim), address, since, circuits, channels, subscriptions, puts without an answer; "
        "of their updates posts, which are delivered, merged (their subscription ended before), "
        "dropped or waiting; lost, the PVs of which most was dropped; unread_bytes.",
    )
    clients_count = _int("CLIENTS:COUNT", "Circuits of clients.")
    tasks = _int("TASKS", "Tasks of the event loop.")
    loop_lag = _double("LOOP_LAG", "How late the event loop runs.", "s", 6)
    heartbeat = _int("HEARTBEAT", "Counts once a second from the working loop.")


class ReadOnlyDouble(ReadOnly, PreciseText, ca.ChannelDouble):  # type: ignore[misc] # caproto is untyped
    """A number or waveform outside of the group."""


class ReadOnlyInteger(ReadOnly, ca.ChannelInteger):  # type: ignore[misc]
    """An integer outside of the group."""


class ReadOnlyEnum(ReadOnly, ca.ChannelEnum):  # type: ignore[misc]
    """An enum outside of the group."""
