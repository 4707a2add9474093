"""What those who run it set and read: configuration, commands, environment, errors."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from typer.models import ArgumentInfo, CommandInfo, ParameterInfo

from orchestrator import errors
from orchestrator.cli.panels.app import app
from orchestrator.cli.terminal.codes import Code
from orchestrator.client.libca.ca_variables import DEFAULTS
from orchestrator.config import file_form as form
from orchestrator.ioc.caproto_settings import CAPROTO_SETTINGS
from orchestrator.language.text.findings import field_texts
from orchestrator.loops import LOOP_VARIABLE, LOOPS
from orchestrator.types import STATUS_SEVERITY
from writers.markdown import attribute_words, code, part, table, words_of

# Configuration --------------------------------------------------------------------------------

CONFIG_WORDS: Mapping[str, str] = {
    "prefix": "Of the service's own PVs; no dot in it.",
    "server.port": "TCP and UDP port of the service's PVs. Each IOC on a host has one of its own. "
    "Unless given: `EPICS_CAS_SERVER_PORT`, `EPICS_CA_SERVER_PORT`, 5064.",
    "server.interfaces": "Addresses that the service listens on. "
    "Unless given: `EPICS_CAS_INTF_ADDR_LIST`, all.",
    "server.master": "Where the service is a sequence server itself: the master's prefix, or "
    "the full name of its `Nested_Indices`.",
    "server.name": "Its own name in there; without a master, in its own `Nested_Indices`.",
    "ca.connect_timeout": "s in which the channels of a sequence must be there before it runs.",
    "ca.auto_addr_list": "Whether libca searches by broadcast as well.",
    "ca.max_array_bytes": "The largest array that is received, in bytes.",
    "limits.circuits": "Clients connected at once. Above it, one that has no channel makes room; "
    "else the new one is turned away.",
    "limits.channels": "Channels of one client; twice the PVs that are served where that is more. "
    "More are refused.",
    "limits.subscriptions": "Subscriptions of one client; twice the PVs that are served where that "
    "is more. More are refused.",
    "limits.puts": "Unanswered puts of one client; it is not read on until one has ended.",
    "limits.all_puts": "Unanswered puts of all clients; beyond, none is read on that has ten.",
    "limits.unread_bytes": "Bytes kept for all clients: answers that they do not read, requests "
    "that are not complete. Above it, the client with most is disconnected.",
    "limits.commands_per_second": "Requests of one client; it is read no faster.",
    "chain.*.prefix": "Stands before each of its PVs, but for those written `ca://NAME`.",
    "chain.*.address": "`host:port`; extends the addresses at which all channels are searched.",
    "chain.*.channels.*.pv": "The PV, after the prefix. A channel may be just this text.",
    "chain.*.channels.*.monitor": "Subscribe to it all the time, not only in runs that use it.",
    "chain.*.channels.*.mirror": "Serve it as `MON:{ioc}:{channel}`.",
    "chain.*.channels.*.buffer": "Values in its circular buffer; 0 is none.",
    "chain.*.channels.*.limits": "Whether its control limits hold for puts. `false` where a server "
    "has them for displays only, as a longout has HOPR and LOPR.",
    "chain.*.channels.*.share": "Whether runs of several [lanes](../how-to/lanes.md) may put to it "
    "at the same time.",
    "chain.*.channels.*.accept_invalid": "Whether a put may leave its record in INVALID alarm (an "
    "OUT link that leads nowhere): `false` fails it; it is told unless this is given.",
    "chain.*.channels.*.keep_all": "Never merge its updates, however fast they come.",
    "chain.*.channels.*.write": "Whether sequences may write it.",
    "chain.*.channels.*.text": "Whether its CHAR is text, of one or of many.",
    "chain.*.channels.*.stop": (
        "What stops a movement: a PV that is written 1, or `{ pv, value }`. Written without "
        "callback when a step that moves the channel is ended early, but by a skip. The `START` "
        "of another orchestrator needs none, it is written 0; `false` leaves it alone."
    ),
    "chain.*.channels.*.type": "Serve the mirror as this type before the channel first connects.",
    "chain.*.channels.*.count": "Elements of that mirror.",
    "chain.*.sequence_server.prefix": "Of the PVs of a sequence server in that IOC, after the "
    'IOC\'s own prefix; short for the mapping: `sequence_server = "seq."`. With it there are the '
    "channels `stage.seq.CMD`, `.ACK`, `.message`, `.values` and `.INDEX`.",
    "chain.*.sequence_server.name": "The server's name in sequences and in `Nested_Indices`; the "
    "IOC's by default.",
    "sequences.directory": "Where sequences are found by name: `NAME.yaml`.",
    "sequences.python": "Python modules whose sequences and functions are known by name.",
    "sequences.verbs": "Python modules with [steps of your own](../how-to/write-a-step.md).",
    "lane.*.sequence": "What runs in this [lane](../how-to/lanes.md) by itself; its `SEQ` "
    "at first.",
    "lane.*.args": "Arguments of that, by name; its `ARGS` at first.",
    "lane.*.autostart": "Start it with the service.",
    "lane.*.restart": "When it is started again: after Failed and Timeout (`on_failure`), after "
    "Success too (`always`). After 1 s, then 2, 4 … 60; never where somebody has stopped or "
    "aborted it.",
    "access.write": "`user@host` that may write our PVs, `*` is any text; empty lets everyone.",
    "store.directory": "Where all is kept of runs. One service at a time uses it.",
    "store.formats": "Of the data files. The first is the one that `DATA:FILE` names.",
    "store.file_name": "Of the data files, without their end; `{name}` and others stand for what "
    "the run has.",
    "store.keep": "How long a run is kept after its end, in `hours`, `days` or `weeks`; without "
    "it for ever. One that waits to be gone on with stays.",
    "store.keep_free": "What is kept free on the disk, in `MB`, `GB` or `TB`, by removing the "
    "oldest runs that have ended.",
    "store.on_full": "What a run does where nothing can be kept of it, as its disk is nearly "
    "full, read-only or out of reach: it waits until there is room, or fails.",
    "store.after_crash": "What a service does when it starts with runs that were killed: "
    "`finalise` runs their finalisers.",
    "documents.jsonl": "Whether each run leaves `documents.jsonl` in its folder.",
    "documents.zmq": "`host:port` at which a proxy of bluesky takes documents.",
    "documents.call": "`module:function` that is given each: its name, and what it says.",
    "metadata": "Kept of every run, by name.",
    "hung.high": "Seconds in which nothing has moved in a run from which on `HUNG_SEC` is in MINOR "
    "alarm; without it never.",
    "hung.hihi": "The same for MAJOR.",
    "notify.urls": "Of [apprise](https://github.com/caronc/apprise/wiki): mail, chats, telephones. "
    "Without a table `[notify]` nobody is told.",
    "notify.on": "Of what: [rules](../how-to/be-told.md) as `failed`, `hung > 300` (seconds).",
    "notify.quiet": "From when to when nobody is told, as `22:00-06:30`, in local time; what "
    "happened is told then.",
    "http.port": "At which HTTP is served; 0 is a free one, which the log tells. Without a table "
    "`[http]` there is no HTTP.",
    "http.interfaces": "Addresses at which it is served.",
    "http.token_file": "Who may ask: a line `NAME TOKEN` each. Without it everybody who reaches "
    "the port.",
    "http.read_only": "Nobody may change anything by HTTP.",
    "http.max_body_bytes": "The longest request; a longer one is refused.",
    "http.requests_per_second": "Of one client over some seconds; more are refused.",
    "http.connections": "At once, those of event streams included; more are refused.",
}
"""What the keys mean; `*` is a name that the user chooses."""


def configuration() -> Iterator[str]:
    """Every key of the configuration."""
    yield from part("configuration")
    yield from table(("key", "takes", "default", "meaning"), _keys(form.File, ""))


def _keys(model: type[BaseModel], path: str) -> Iterator[tuple[str, str, str, str]]:
    schema, texts = model.model_json_schema(), field_texts(model)
    for name, field in model.model_fields.items():
        key, properties = f"{path}{name}", schema["properties"][name]
        inner = _mapping_in(field.annotation)
        if inner is not None and name != "stop":
            named = "additionalProperties" in properties
            yield from _keys(inner, f"{key}.*." if named else f"{key}.")
        else:
            default = "must be given" if field.is_required() else _toml(properties.get("default"))
            words = texts.get(name) or CONFIG_WORDS.get(key, "")
            yield code(key), _kind(properties), default, words


def _mapping_in(annotation: Any) -> type[BaseModel] | None:
    """The model that stands in a key's type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_mapping_in, get_args(annotation))), None)


def _toml(default: object) -> str:
    return "" if default in (None, "", []) else code(json.dumps(default))


_KINDS: Mapping[str, str] = {
    "string": "text",
    "boolean": "`true`, `false`",
    "number": "number",
    "integer": "whole number",
    "null": "",
    "object": "mapping",
}


def _kind(schema: Mapping[str, Any]) -> str:
    """What a key takes, in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(filter(None, map(_kind, schema["anyOf"]))))
    match schema:
        case {"enum": words}:
            return ", ".join(map(code, words))
        case {"const": word}:
            return code(word)
        case {"$ref": _}:
            return "text or mapping"
        case {"type": list()}:
            return "value"
        case {"type": "array", "items": items}:
            return f"list: {_kind(items)}"
    return _KINDS[schema["type"]]


# Command line ---------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """Every command with its arguments and options."""
    yield from part("cli")
    for command in app.registered_commands:
        assert command.callback is not None  # noqa: S101 - each is registered by a function
        function = inspect.unwrap(command.callback)
        parameters = [p for p in _parameters(function) if not p[1].hidden]
        arguments = [usage for usage, info in parameters if isinstance(info, ArgumentInfo)]
        usage = " ".join(["orchestrator", name_of(command), *arguments, "[OPTION]…"])
        yield from (f"## {name_of(command)}", "", code(usage), "", words_of(function), "")
        rows = ((code(usage), _help(info.help or "")) for usage, info in parameters)
        yield from table(("", ""), rows)


def name_of(command: CommandInfo) -> str:
    """What is typed for a command."""
    assert command.callback is not None  # noqa: S101 - each is registered by a function
    return command.callback.__name__.replace("_", "-")


def _parameters(function: Callable[..., object]) -> Iterator[tuple[str, ParameterInfo]]:
    """How each is written, and what typer knows of it."""
    for name, hint in get_type_hints(function, include_extras=True).items():
        if name != "return":
            kind, info = get_args(hint)
            yield _usage(name, kind, info), info


def _usage(name: str, kind: Any, info: ParameterInfo) -> str:
    if isinstance(info, ArgumentInfo):
        written = str(info.metavar or name.upper())
        several = "…" if get_origin(_required(kind)) is list else ""
        return f"{written}{several}" if kind == _required(kind) else f"[{written}]{several}"
    given = (info.default, *(info.param_decls or ()))  # an Annotated has no default: it is a name
    names = [each for each in given if isinstance(each, str)] or [f"--{name.replace('_', '-')}"]
    if kind is bool or getattr(info, "count", False):
        return ", ".join(names)
    return f"{', '.join(names)} {(info.metavar or 'N').replace('...', ' …')}"


def _required(kind: Any) -> Any:
    """The type without its None."""
    return get_args(kind)[0] if type(None) in get_args(kind) else kind


def _help(text: str) -> str:
    return " ".join(text.replace("\\[", "[").split())


# Environment and errors -----------------------------------------------------------------------


def environment() -> Iterator[str]:
    """The variables that are read and set."""
    before, after = "\n".join(part("environment")).split("<!-- libca -->")
    yield from before.strip().splitlines()
    yield ""
    yield from table(("variable", "set to"), ((code(k), code(v)) for k, v in DEFAULTS.items()))
    middle, end = after.split("<!-- caproto -->")
    yield from middle.strip().splitlines()
    yield ""
    rows = ((code(k), code(v)) for k, v in CAPROTO_SETTINGS.items())
    yield from table(("variable", "set to"), rows)
    loops, end = end.split("<!-- loops -->")
    yield from loops.strip().splitlines()
    yield ""
    choices = ((code(choice), words) for choice, words in LOOPS.items())
    yield from table((code(LOOP_VARIABLE), "the loop is"), choices)
    yield from end.strip().splitlines()


def errors_page() -> Iterator[str]:
    """Exit codes, outcomes and kinds of errors."""
    before, after = "\n".join(part("errors")).split("<!-- codes -->")
    yield from before.strip().splitlines()
    yield ""
    words = {"SUCCESS": "Success.", **attribute_words(Code)}
    yield from table(("code", "when"), ((str(code.value), words[code.name]) for code in Code))
    middle, end = after.split("<!-- outcomes -->")
    yield from middle.strip().splitlines()
    yield ""
    rows = ((code(s.value), severity.name) for s, severity in STATUS_SEVERITY.items())
    yield from table(("outcome", "severity"), rows)
    yield from end.strip().splitlines()
    yield ""
    kinds = (kind for kind in vars(errors).values() if isinstance(kind, type))
    yield from table(("kind", "what it says"), ((code(k.__name__), words_of(k)) for k in kinds))
