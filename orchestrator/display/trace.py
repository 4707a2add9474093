"""What became of one run, step by step, as people and as programs read it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.text import Text

from orchestrator.data.past import Account, PastRun, StepDone
from orchestrator.data.past.account import PutDone
from orchestrator.display.past_list import STYLES, local_time, run_facts
from orchestrator.display.progress import duration
from orchestrator.types import Severity, fields

_NARROW = 40
_LABEL = 12
"""Characters of the names in front of facts."""
_MANY = 20
"""Lines of one kind that are shown; `--json` has more."""
_LONG = 200
"""Characters of a value that are shown."""
_HOW = {
    "run": "by orchestrator run",
    fields.START.name: f"by the PV {fields.START.name}",
    fields.CMD.name: f"by a command to {fields.CMD.name}",
    "queue": "from the queue",
    "index": "by an index of the master",
}


def trace_lines(
    run: PastRun, account: Account, width: int, *, all_steps: bool = False
) -> Iterator[Text]:
    """All that is told of a run, folded to so many characters."""
    width = max(width, _NARROW)
    yield Text(f"{run.name} {run.folder.name}", "bold")
    for label, text in _facts(run, account):
        style = STYLES.get(run.outcome, "") if label == "outcome" else ""
        yield from _fact(label, text, width, style)
    for title, lines in _sections(run, account, all_steps=all_steps):
        if told := list(lines):
            yield Text("")
            yield Text(title, "bold")
            for line in told:
                yield from _folded(line, width)


def _facts(run: PastRun, account: Account) -> Iterator[tuple[str, str]]:
    yield "outcome", run.outcome
    yield "message", run.message
    by = " ".join(filter(None, [run.owner and f"of {run.owner},", _HOW.get(run.how, run.how)]))
    yield "started", " ".join(filter(None, [local_time(run.started), by]))
    yield "repeats", str(account.header.get("repeats", ""))
    yield "attempts", str(account.attempts) if account.attempts > 1 else ""
    yield "took", _took(run, account)
    counts = [(account.entered, "step"), (account.puts, "put"), (account.rows, "row")]
    yield "counts", ", ".join(f"{n:,} {word}{'s' * (n != 1)}" for n, word in counts)
    arguments = account.header.get("arguments", {})
    yield "arguments", " ".join(f"{name}={value_text(value)}" for name, value in arguments.items())
    yield from _document(account.header.get("sources", ()))
    versions = account.header.get("versions", {})
    yield "version", str(versions.get("orchestrator", ""))
    yield "data", run.data_file
    yield "journal", str(run.folder)
    if account.is_short:
        yield "not told", "the middle of the journal: of so long a run it is not kept"
    if account.left_out:
        yield "missing", f"{account.left_out} lines of the journal: the disk did not take them"


def _took(run: PastRun, account: Account) -> str:
    if run.seconds is not None:
        return duration(run.seconds)
    if run.started is None or not account.last_line:
        return ""
    so_far = duration(max(account.last_line - run.started.timestamp(), 0.0))
    return f"{so_far} until its last sign of life, {clock(account.last_line)}"


def _document(sources: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    for number, source in enumerate(sources):
        place = source["origin"] or (
            f"{source['module']}.{source['qualname']}" if source["module"] else "given as text"
        )
        yield ("sequence", place) if not number else ("with", f"{source['name']}: {place}")


def _sections(
    run: PastRun, account: Account, *, all_steps: bool
) -> Iterator[tuple[str, Iterable[str]]]:
    if account.decisive is not None:
        yield "What it failed of", _step(account.decisive)
    if run.outcome in ("Interrupted", "Running"):
        yield "What was under way", _each(account.under_way)
    elif run.outcome in ("Aborted", "Stopped"):
        yield "What was ended early", _each(list(account.interrupted))
    yield "What was asked of it", _asked(account)
    yield "What it survived", _each(account.tolerated)
    yield "Puts without an answer", (_put(put) for put in account.lost_puts)
    yield "Finalisers", _finalisers(run, account)
    if all_steps:
        yield "Steps", (line for step in account.steps for line in _step(step))
    elif run.outcome != "Success":
        yield "The last steps", _each(list(account.steps))
    yield "What it told", _told(account)
    values = {k: v for k, v in account.values.items() if k not in account.header["arguments"]}
    yield "Values at the end", (f"{name} = {value_text(value)}" for name, value in values.items())


def _finalisers(run: PastRun, account: Account) -> Iterator[str]:
    if account.finalisers:
        yield from _each(account.finalisers)
    elif run.outcome == "Interrupted":
        yield "none has run"


def _each(steps: Sequence[StepDone]) -> Iterator[str]:
    yield from _more(len(steps))
    for step in steps[-_MANY:]:
        yield from _step(step)


def _more(number: int) -> Iterator[str]:
    if number > _MANY:
        yield f"… {number - _MANY} before these"


def _step(step: StepDone) -> Iterator[str]:
    place = _place(step)
    took = "" if step.ended is None else f", {duration(step.ended - step.began)}"
    yield f"{clock(step.began)}  {place} {step.name}: {step.how or 'not ended'}{took}"
    for put in step.puts[-_MANY:]:
        yield f"    {_put(put)}"
    for condition, by in step.met[-_MANY:]:
        seen = ", ".join(f"{name} = {_seen(reading)}" for name, reading in by.items())
        yield f"    came true: {condition}" + (f", by {seen}" if seen else "")
    if step.why and not step.holds_failed:  # else it stands at the step inside
        yield f"    {step.why}"


def _place(step: StepDone) -> str:
    index = f" (index {', '.join(map(str, step.loops))})" if step.loops else ""
    tries = f" (try {', '.join(map(str, step.tries))})" if step.tries else ""
    return f"{step.path}{index}{tries}"


def _put(put: PutDone) -> str:
    text = f"put {put.pv} = {value_text(put.value)}: {put.how or 'nothing came back'}"
    if put.ended is not None:
        text += f" after {put.ended - put.began:.3f} s"
    return f"{text}: {put.why}" if put.why else text


def _seen(reading: Mapping[str, Any]) -> str:
    severity = Severity(reading.get("severity", 0))
    alarm = f", {severity.name}" if severity else ""
    return f"{value_text(reading['value'])} of {clock(reading['time'])}{alarm}"


def _asked(account: Account) -> Iterator[str]:
    asked = [entry for entry in account.events if entry["event"] == "controlled"]
    yield from _more(len(asked))
    for entry in asked[-_MANY:]:
        by = f" by {entry['by']}" if entry.get("by") else ""
        reason = f": {entry['reason']}" if entry.get("reason") else ""
        yield f"{clock(entry['t'])}  {entry['verb']}{by}{reason}"


def _told(account: Account) -> Iterator[str]:
    told = [entry for entry in account.events if entry["event"] == "told"]
    yield from _more(len(told))
    for entry in told[-_MANY:]:
        severity = entry.get("severity", "NO_ALARM")
        alarm = "" if severity == "NO_ALARM" else f" ({severity})"
        yield f"{clock(entry['t'])}  {entry['text']}{alarm}"


def clock(moment: float) -> str:
    """The time of day here, with milliseconds."""
    return datetime.fromtimestamp(moment).astimezone().strftime("%H:%M:%S.%f")[:-3]


def value_text(value: object) -> str:
    """A value of a journal for people; a long one is cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[:_LONG]} …"


def _fact(label: str, text: str, width: int, style: str) -> Iterator[Text]:
    if not text:
        return
    first = True
    for line in text.splitlines():
        for piece in _wrapped(line, width - _LABEL) or [""]:
            yield Text.assemble(((label if first else "").ljust(_LABEL), "dim"), (piece, style))
            first = False


def _folded(line: str, width: int) -> Iterator[Text]:
    own = len(line) - len(line.lstrip())
    for number, piece in enumerate(_wrapped(line.strip(), width - own - 4)):
        yield Text(" " * (2 + own + 2 * bool(number)) + piece)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, _NARROW // 2), break_on_hyphens=False)


def trace_facts(run: PastRun, account: Account, *, all_steps: bool) -> dict[str, object]:
    """The same as an object of JSON."""
    header = account.header
    facts = run_facts(run) | {
        name: header.get(name)
        for name in ("repeats", "arguments", "versions", "sources", "host", "pid")
    }
    decisive = account.decisive
    return facts | {
        "attempts": account.attempts,
        "steps": account.entered,
        "puts": account.puts,
        "left_out": account.left_out,
        "middle_left_out": account.is_short,
        "failed_at": decisive and asdict(decisive),
        "tolerated": list(map(asdict, account.tolerated)),
        "under_way": list(map(asdict, account.under_way)),
        "ended_early": list(map(asdict, account.interrupted)),
        "finalisers": list(map(asdict, account.finalisers)),
        "unanswered_puts": list(map(asdict, account.lost_puts)),
        "asked": [e for e in account.events if e["event"] == "controlled"],
        "told": [e for e in account.events if e["event"] == "told"],
        "values": account.values,
        "all_steps" if all_steps else "last_steps": list(map(asdict, account.steps)),
    }
