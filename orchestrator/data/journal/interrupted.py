"""What the journal of an interrupted run tells of its end: where it was, what was in flight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.data.journal.reader import Entry, entries_of

_NAMED = 3
"""Steps, and puts, that a text names; more are counted."""
_LONG = 60
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A run whose process was killed in it."""

    folder: Path
    """Where it is kept."""
    header: Entry
    """The first line of its journal."""
    text: str
    """Where it was, what was in flight, what has not been done."""

    @property
    def run_id(self) -> str:
        """Which run it is."""
        return str(self.header["run_id"])

    @property
    def name(self) -> str:
        """Of its sequence."""
        return str(self.header.get("name", ""))

    @property
    def owner(self) -> str:
        """Who asked for it."""
        return str(self.header.get("owner", ""))

    @property
    def lane(self) -> str:
        """Of which lane it was."""
        return str(self.header.get("lane", ""))

    @property
    def foreground(self) -> bool:
        """Whether it was a run in the foreground."""
        return self.header.get("how") == "run"

    @property
    def title(self) -> str:
        """What people call it, and what has become of it, in a sentence."""
        return f"the run {self.name} {self.run_id} was interrupted: {self.text}"


def interrupted_run(folder: Path) -> Interrupted:
    """Look at what is left of a run.

    Raises:
        InputError: It is no journal, or one that this version can't read.
    """
    entries = entries_of(folder)
    header = next(entries, {})
    end = UnderWay()
    for entry in entries:
        end.take(entry)
    return Interrupted(folder, header, end.text)


@dataclass(slots=True)
class UnderWay:
    """What is under way at a line of a journal; follows it from the first one."""

    steps: dict[str, Entry] = field(default_factory=dict)
    """Entered and not left, by path: at each place there is one at a time."""
    paths: dict[int, str] = field(default_factory=dict)
    """Of these, by number."""
    puts: dict[int, Entry] = field(default_factory=dict)
    """Left and not ended, by number."""
    done: dict[int, Entry] = field(default_factory=dict)
    """The last put of a step that was completed, by the number of the step."""
    last: str = ""
    """The step that was entered last."""
    finalising: bool = False
    missing: bool = False
    """Some of its lines are missing."""

    def take(self, entry: Entry) -> None:
        """Take the next line."""
        match entry.get("event"):
            case "step_entered":
                self._enter(entry)
            case "step_left":
                self._leave(entry["step"])
            case "put_leaves":
                self.puts[entry["put"]] = entry
            case "put_ended":
                put = self.puts.pop(entry["put"], None)
                if put is not None and entry["how"] == "completed" and put["step"] in self.paths:
                    self.done[put["step"]] = put
            case "attempt":  # it was recovered: nothing of what was under way before is now
                self._forget()
                self.finalising = False
            case "left_out":
                self._forget()
                self.missing = True
            case "snapshot":
                self._restore(entry["under_way"])
            case _:
                pass

    def told(self) -> dict[str, object]:
        """All of it as JSON."""
        return {
            "steps": list(self.steps.values()),
            "puts": list(self.puts.values()),
            "done": list(self.done.values()),
            "last": self.last,
            "finalising": self.finalising,
            "missing": self.missing,
        }

    def _restore(self, told: Mapping[str, Any]) -> None:
        self.steps = {str(step["path"]): step for step in told["steps"]}
        self.paths = {step["step"]: path for path, step in self.steps.items()}
        self.puts = {put["put"]: put for put in told["puts"]}
        self.done = {put["step"]: put for put in told["done"]}
        self.last, self.finalising = told["last"], told["finalising"]
        self.missing = told["missing"]

    def _enter(self, step: Entry) -> None:
        path = str(step["path"])
        former = self.steps.get(path)
        if former is not None:
            self._leave(former["step"])
        self.steps[path], self.paths[step["step"]] = step, path
        self.last = _place(step)
        self.finalising = self.finalising or path.startswith("finally")

    def _leave(self, number: int) -> None:
        path = self.paths.pop(number, None)
        if path is not None:
            del self.steps[path]
        self.done.pop(number, None)

    def _forget(self) -> None:
        for former in (self.steps, self.paths, self.puts, self.done):
            former.clear()

    @property
    def text(self) -> str:
        """What people are told of it."""
        if not self.last:
            return "before its first step: nothing was put"
        innermost = [_place(step) for step in self._innermost()]
        where = f"in {_several(innermost)}" if innermost else f"after {self.last}"
        told = [_in_flight(put) for put in self.puts.values()]
        told += [f"the put of {_put(put)} was completed" for put in self.done.values()]
        begun = "were under way" if self.finalising else "have not run"
        texts = [where, _several(told) or "no put was in flight", f"finalisers {begun}"]
        if self.missing:
            texts.append("lines of its journal are missing: there may have been more")
        return "; ".join(texts)

    def _innermost(self) -> Iterator[Entry]:
        for path, step in self.steps.items():
            if not any(other.startswith(f"{path}.") for other in self.steps):
                yield step


def _place(step: Entry) -> str:
    """Path, loop indices, and what it does: `steps[0].do[1] 3 set stage.x`."""
    loops = "".join(f" {index}" for index in step["loops"])
    return f"{step['path']}{loops} {step['name']}"


def _in_flight(put: Entry) -> str:
    if put["completion"]:
        return f"the put of {_put(put)} had left, its completion was not seen"
    return f"the put of {_put(put)} was on its way, without completion"


def _put(put: Entry) -> str:
    return f"{_shown(put['value'])} to {put['pv']}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"an array {value.get('type', '')}{value.get('shape', '')}"
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


def _several(texts: list[str]) -> str:
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f", and {more} more" if more > 0 else "")
