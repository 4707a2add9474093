"""The step `sample`: take a row of the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    Tag,
    WithJsonSchema,
    model_validator,
)

from orchestrator.errors import InputError
from orchestrator.language.expressions import template
from orchestrator.language.expressions.functions import check_name
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context, positive
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, Node, a_round_trip
from orchestrator.language.text.field_kinds import Amount, OrText
from orchestrator.language.text.findings import Strict, expected
from orchestrator.types import Path, Reading
from orchestrator.verbs.doing import Doing


def _column(value: object) -> object:
    if isinstance(value, str | tuple):  # as it is written, or validated already
        return value
    if not isinstance(value, dict):
        raise ValueError(expected("a channel or {name: expression}", value))
    for name, text in value.items():
        try:
            check_name(name)
        except InputError as error:
            raise ValueError(str(error)) from error
        if not isinstance(text, str):
            raise ValueError(expected("an expression", text))
    return tuple(value.items())


Column: TypeAlias = Annotated[
    str | tuple[tuple[str, str], ...],
    PlainValidator(_column),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
            ],
            "x-kind": "channel or {name: expression}",
        }
    ),
]
"""A channel, or names with what is computed of the row for each."""


class Sample(Strict):
    """One row of readings."""

    channels: Annotated[tuple[Column, ...], Field(min_length=1)]
    """What is read; `{name: expression}` is computed of it, and a column of that name."""
    fresh: StrictBool = True
    """Read from the servers; if not, the last updates are taken."""
    timeout: Amount = 5
    """s for all of them to answer."""
    missing: Literal["nan"] | None = None
    """`nan`: what does not answer is recorded as NaN. By default the step fails without a row."""

    @model_validator(mode="before")
    @classmethod
    def _nan(cls, data: object) -> object:
        """`.nan` is what YAML calls the number; it is meant just so."""
        if isinstance(data, dict) and data.get("missing") != data.get("missing"):
            return data | {"missing": "nan"}
        return data


def _sample_form(value: object) -> str:
    return "<mapping>" if isinstance(value, dict | Sample) else "<list>"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class SampleStep(Form, verb="sample"):
    """Read channels at the same time into one row of the data."""

    sample: Annotated[
        Annotated[
            Annotated[
                tuple[Column, ...],
                Field(min_length=1),
                BeforeValidator(_listed),
                OrText("A single channel."),
            ],
            Tag("<list>"),
        ]
        | Annotated[Sample, Tag("<mapping>")],
        Discriminator(_sample_form),
    ]
    """Each value with its own timestamp and severity; there is a row only if all answer."""

    def compiled(self, path: Path, context: Context) -> SampleNode:
        if isinstance(self.sample, Sample):
            sample, here = self.sample, (*path, "sample", "channels")
        else:
            sample, here = Sample(channels=self.sample), (*path, "sample")
        channels: list[str] = []
        derived: list[tuple[str, Operand]] = []
        for i, text in enumerate(sample.channels):
            if not isinstance(text, str):
                derived += _derived(text, (*here, i), context)
                continue
            channel = _sampled(text, (*here, i), context)
            if channel and context.names.record(channel) in map(context.names.record, channels):
                context.find((*here, i), f"{channel} stands twice in one sample")
            if channel is None:
                context.notes.open_ended = True
            else:
                channels.append(channel)
        if not channels and not context.notes.findings and not context.notes.open_ended:
            context.find(here, "names no channel: what is computed needs a row to stand in")
        names = [name for name, _ in derived]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            context.find(here, f"{twice} stands twice in one sample")
        shown = ", ".join(channels[:3]) + (", …" if len(channels) > 3 else "")
        return SampleNode(
            *context.head(self, path, f"sample {shown}"),
            channels=tuple(channels),
            derived=tuple(derived),
            fresh=sample.fresh,
            timeout=context.amount((*path, "sample", "timeout"), sample.timeout, positive),
            missing_nan=sample.missing is not None,
        )


def _derived(
    given: Iterable[tuple[str, str]], path: Path, context: Context
) -> list[tuple[str, Operand]]:
    """The columns that are computed."""
    make = template.compile_bare
    return [(name, context.operand((*path, name), make, text)) for name, text in given]


def _sampled(text: str, path: Path, context: Context) -> str | None:
    """A channel; one that is unknown and not the first may be the end of `[A:B,C]`."""
    findings = context.notes.findings
    before = len(findings)
    channel = context.channel(path, text)
    if len(findings) > before and path[-1] != 0 and "." not in text:
        position, line = findings.pop()
        findings.append((position, f"{line} (a PV name with a comma needs quotes)"))
    return channel


@dataclass(frozen=True, slots=True)
class SampleNode(Node):
    """Take a row of the data."""

    channels: tuple[str, ...]
    """Canonical names, each once."""
    derived: tuple[tuple[str, Operand], ...]
    """Further columns by name, computed of the row, and of other channels as they are then."""
    fresh: bool
    """Read from the servers; if not, the last updates are taken."""
    timeout: Operand
    """s, a float > 0."""
    missing_nan: bool
    """Record NaN for what does not answer, rather than fail."""

    puts = ()
    inside = NO_STEPS
    takes = a_round_trip

    @property
    def reads(self) -> tuple[str, ...]:
        return self.channels

    @property
    def evaluates(self) -> tuple[Operand, ...]:
        return tuple(operand for _, operand in self.derived)

    @property
    def samples(self) -> tuple[str, ...]:
        return (*self.channels, *(name for name, _ in self.derived))

    async def run(self, do: Doing) -> None:
        timeout = await do.number(self.timeout)
        began = do.world.clock
        if do.held:
            await do.world.waiter.connected(self.channels, timeout)
        await do.world.sampler.sample(
            self.channels,
            fresh=self.fresh,
            timeout=timeout - (do.world.clock - began),
            missing_nan=self.missing_nan,
            at=do.place,
            derive=partial(self._derive, do) if self.derived else None,
        )

    def _derive(self, do: Doing, readings: Mapping[str, Reading]) -> Mapping[str, object]:
        """What is computed of a row."""
        return {
            name: do.world.derive(operand, do.scope, readings) for name, operand in self.derived
        }
