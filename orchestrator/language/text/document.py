"""Sequences as they are written: parameters and steps, and the parser that reads them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal, cast

from pydantic import Field, PrivateAttr, StrictStr, model_validator

from orchestrator.errors import CheckError
from orchestrator.language.text import tree
from orchestrator.language.text.field_kinds import (
    AnyValue,
    Bound,
    Choices,
    Identifier,
    OneValue,
    OrValue,
    WaitTimeout,
)
from orchestrator.language.text.findings import Strict, validate
from orchestrator.language.text.restore import Restore
from orchestrator.language.text.steps import VERBS, BaseStep, Steps
from orchestrator.language.text.suspend import Suspend, SuspenderName
from orchestrator.language.values.operations import described
from orchestrator.types import Path, path_text


class Parameter(Strict):
    """What a sequence can be given when it is started."""

    default: AnyValue | None = None
    """Its value where none is given; without one it must be given."""
    type: Literal["float", "int", "str", "bool", "list", "channel", "table"] | None = None
    """By default that of the default, where a whole number allows any number. `list`: several
    values, `points=[1,2,5]` or `points=1,2,5`; `min`, `max` and `choices` are those of each.
    `channel`: an alias or PV name, for `pv: $(name)`. `table`: rows for `loop: {table: name}`,
    given as `points=@points.csv` or as a list for each column; it has no default."""
    units: StrictStr = ""
    """For people."""
    min: Bound | None = None
    """The least value allowed."""
    max: Bound | None = None
    """The greatest value allowed."""
    choices: Choices | None = None
    """The only values allowed."""
    description: StrictStr = ""
    """For people."""

    @property
    def kind(self) -> Literal["float", "int", "str", "bool", "number", "list", "channel", "table"]:
        """Its type. A whole number as the default, without `type`, allows any `number`.

        `start: 0` must not refuse 0.5; whole numbers stay whole, so that they can count.
        """
        if self.type is not None:
            return self.type
        match self.default:
            case bool():
                return "bool"
            case int():
                return "number"
            case float():
                return "float"
            case tuple() | list():
                return "list"
            case _:
                return "str"

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        return data if isinstance(data, dict | Parameter) else {"default": data}

    @model_validator(mode="after")
    def _complete(self) -> Parameter:
        if self.default is None and self.type is None:
            raise ValueError("needs a 'default' or a 'type'")
        bounded = self.min is not None or self.max is not None
        if self.kind == "table" and (self.default is not None or self.choices is not None):
            raise ValueError("a table has no 'default' and no 'choices': it is given")
        if bounded and self.kind in ("str", "bool", "channel", "table"):
            raise ValueError(f"'min' and 'max' are for numbers, not for {self.kind}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"'min' {self.min} is above 'max' {self.max}")
        return self


class Document(Strict):
    """A sequence as it is written."""

    name: StrictStr = ""
    """How runs of it are called; by default as its file."""
    description: StrictStr = ""
    """For people."""
    parameters: dict[Identifier, Annotated[Parameter, OrValue()]] = Field(default_factory=dict)
    """What it can be given when it is started, by name; `name: 5` is short for
    `name: {default: 5}`."""
    variables: dict[Identifier, AnyValue] = Field(default_factory=dict)
    """Names with their first values, computed when it begins. They live as long as it runs, in
    `finally` too; `let`, `as` and the rest that binds such a name assign it."""
    latches: dict[Identifier, OneValue] = Field(default_factory=dict)
    """Conditions on channels, by name. Each is remembered when it becomes true, however shortly and
    whatever the steps do then, until it is looked at: by `wait: {latch: name}`, by
    `latched('name')`. What is true already when it begins has not become so."""
    steps: Steps
    """What it does, in order."""
    finally_: Steps = Field((), alias="finally")
    """Run at the end, however it came, if the first step was entered; each even if the one before
    failed."""
    restore: Restore | None = None
    """Channels, by name or as `{pv, readback, tolerance, settle, timeout}`, or several at the same
    time as `{group: [channels]}`. What they hold when it begins is put back behind `finally`, the
    last first."""
    suspend: dict[SuspenderName, Suspend] = Field(default_factory=dict)
    """What holds it up, by name; beside the configuration's."""
    metadata: dict[Identifier, AnyValue] = Field(default_factory=dict)
    """What is to be known of each run beside what it did, by name: kept with it, and what names of
    data files are made of. Parameters may stand in the values; `--meta name=value` replaces one."""
    baseline: tuple[StrictStr, ...] = ()
    """Channels that are read when it begins and when it has ended: kept beside the rows of
    `sample`. One that does not answer leaves an empty place."""
    timeout: WaitTimeout | None = None
    """s for all of `steps`, without pauses; by default as long as it takes."""
    _origin: str = PrivateAttr("")
    _text: str = PrivateAttr("")
    _positions: dict[Path, tree.Position] = PrivateAttr(default_factory=dict)

    def locate(self, origin: str, positions: dict[Path, tree.Position], text: str = "") -> Document:
        """Say where and what it was read from; `parse` does."""
        self._origin, self._positions, self._text = origin, positions, text
        return self

    @property
    def text(self) -> str:
        """All of it as it is written; empty where it was made from data."""
        return self._text

    @property
    def origin(self) -> str:
        """The file it was read from, or `document`."""
        return self._origin or "document"

    @property
    def positions(self) -> Mapping[Path, tree.Position]:
        """Line and column, from 1, of each value by its path."""
        return self._positions

    def position(self, path: Path) -> tree.Position:
        """Line and column of the value at `path`, or of the nearest one around it."""
        return _nearest(self._positions, path)

    def where(self, path: Path) -> str:
        """The same with the file: `align.yaml:7:5`."""
        if not self._positions:  # of a sequence in Python: where it called the verb
            return self.origin
        line, column = self.position(path)
        return f"{self.origin}:{line}:{column}"


def parse(text: str, origin: str = "") -> Document:
    """Read a document, YAML 1.2 (core schema) or JSON.

    Args:
        text: The whole document.
        origin: The file it comes from, for messages.

    Raises:
        CheckError: All that is wrong, a line each: `align.yaml:7:5: steps[2].set: …`.
    """
    shown = origin or "document"
    parsed = tree.read(text, shown)
    if not isinstance(parsed.value, dict):
        given = described(parsed.value)
        raise CheckError([f"{shown}:1:1: a document is a mapping with 'steps:', not {given}"])
    document, mistakes = validate(Document, parsed.value)
    findings = list(parsed.findings)
    told = {finding.path for finding in findings}
    for mistake in mistakes:
        # What follows from a value that is missing or unreadable has been told with that.
        follows = any(mistake.about[: len(path)] == path for path in told)
        if not follows and not _lost_its_verb(mistake.about, told):
            places = parsed.keys if mistake.at_key else parsed.positions
            position = _nearest(places, mistake.about)
            findings.append(tree.TextFinding(position, mistake.path, mistake.text))
    if findings:
        findings.sort(key=lambda finding: finding.position)
        raise CheckError([finding.line(shown) for finding in findings])
    return cast(Document, document).locate(origin, parsed.positions, text)


def _lost_its_verb(about: Path, told: Collection[Path]) -> bool:
    """Whether it is of a step whose verb has no value: that has been told, and is why."""
    return any(path[:-1] == about and path[-1] in VERBS for path in told if path)


def step_of(value: Mapping[str, object], origin: str) -> BaseStep:
    """A step from data that are no text: one that a Python sequence calls.

    Raises:
        CheckError: All that is wrong, a line each, after `origin`.
    """
    (verb,) = VERBS.keys() & value.keys()
    step, mistakes = validate(VERBS[verb], value)
    if mistakes:
        raise CheckError([f"{origin}: {_in_step(m.path, m.text)}" for m in mistakes])
    return cast(BaseStep, step)


def document_of(value: Mapping[str, object], origin: str) -> Document:
    """A document from data that are no text.

    Raises:
        CheckError: All that is wrong, a line each, after `origin`.
    """
    document, mistakes = validate(Document, value)
    if mistakes:
        # Behind `steps[0]`: such documents have one step that somebody has written.
        raise CheckError([f"{origin}: {_in_step(m.path[2:], m.text)}" for m in mistakes])
    return cast(Document, document).locate(origin, {})


def _in_step(field: Path, text: str) -> str:
    """A mistake in a step: of a field's value with the field in front."""
    return f"{path_text(field)}: {text}" if len(field) > 1 else text


def _nearest(positions: Mapping[Path, tree.Position], path: Path) -> tree.Position:
    while path and path not in positions:
        path = path[:-1]
    return positions.get(path, (1, 1))
