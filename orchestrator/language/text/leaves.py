"""The steps without steps inside, as they are written: one model a verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    StrictStr,
    Tag,
    WithJsonSchema,
    model_validator,
)

from orchestrator.language.text.fields import (
    Amount,
    AnyValue,
    Argument,
    Identifier,
    OneValue,
    OrText,
    Reference,
    Several,
    WaitTimeout,
    one_word,
)
from orchestrator.language.text.findings import Strict

if TYPE_CHECKING:
    from orchestrator.language.text.steps import OnError

# What every step may have -------------------------------------------------------------------


class Retry(Strict):
    """Try a step again when it fails."""

    retry: Amount
    """More tries at most, a whole number from 1; counted anew each time the step is entered."""
    delay: Amount = 0
    """s before each of them."""


ErrorWord: TypeAlias = Annotated[
    str,
    PlainValidator(one_word("abort", "continue", more=", {retry: N, delay: s} or a list of steps")),
    WithJsonSchema({"enum": ["abort", "continue"]}),
]
_DisconnectWord: TypeAlias = Annotated[
    str, PlainValidator(one_word("fail", "wait")), WithJsonSchema({"enum": ["fail", "wait"]})
]


class BaseStep(Strict):
    """What every step may have."""

    name: StrictStr = ""
    """How progress and messages call it; parameters may stand in it."""
    on_error: OnError = "abort"
    """What becomes of its failure: `abort` passes it on, `continue` goes on with the next step,
    `{retry: N, delay: s}` tries again, a list of steps is run in its place."""
    on_disconnect: _DisconnectWord | None = None
    """`fail` at once where a channel is disconnected (the default but for `wait`), or `wait` for
    it within the timeout."""


# Moving -------------------------------------------------------------------------------------


class Target(Strict):
    """What is put where, and when it counts as arrived."""

    pv: StrictStr
    """The channel."""
    value: AnyValue
    """What is put: of an enum its label or index, of an array a list. A number that is exactly the
    text of a label is that label. What the channel's type can't hold exactly is refused."""
    completion: StrictBool = True
    """Whether to wait for the put-callback."""
    readback: StrictStr | None = None
    """The channel that must come to the value."""
    readback_value: AnyValue | None = None
    """What it must come to, where that is not `value`."""
    tolerance: Amount | None = None
    """How far off the readback may be, absolute. By default 0 for whole numbers, enums and texts;
    for a DOUBLE 1e-9·|value|, for a FLOAT 1e-6·|value|, or half a unit of its precision (1 to 15
    digits) where that is more."""
    settle: Amount = 0
    """s to wait once it has arrived."""
    accept_restart: StrictBool = False
    """Whether the readback's first value after a reconnection counts."""
    accept_invalid: StrictBool | None = None
    """`true`: a readback with severity INVALID counts. `false`: the step fails where the put leaves
    its own record INVALID, which is told otherwise."""

    @model_validator(mode="after")
    def _readback_fields(self) -> Target:
        check_readback(self)
        return self


NEED_READBACK = ("readback_value", "tolerance", "accept_restart")


def check_readback(fields: Any) -> None:
    """Refuse fields of a put that say something of a readback where there is none."""
    if fields.readback is None:
        for field in NEED_READBACK:
            if getattr(fields, field) not in (None, False):
                raise ValueError(f"{field!r} does nothing without 'readback'")


class SetOne(Target):
    """A single put."""

    timeout: Amount = 10
    """s for all of it."""


class SetAll(Strict):
    """Several puts, started together and awaited together."""

    all: Annotated[tuple[Target, ...], Field(min_length=1)]
    """The puts, each to another channel."""
    timeout: Amount = 10
    """s for all of them."""


def _one_or_all(value: object) -> str:
    several = isinstance(value, SetAll) or (isinstance(value, dict) and "all" in value)
    return "<all>" if several else "<one>"


class SetStep(BaseStep):
    """Put values to channels."""

    set: Annotated[
        Annotated[SetOne, Tag("<one>")] | Annotated[SetAll, Tag("<all>")],
        Discriminator(_one_or_all),
    ]
    """Put, and wait for the put-callback and for the readback where there is one, within one
    timeout. Limits and write access are looked at first."""


# Waiting ------------------------------------------------------------------------------------


class Wait(Strict):
    """A condition on one channel, or any expression."""

    COMPARISONS: ClassVar = (
        *("equals", "not", "above", "at_least", "below", "at_most", "between", "in"),
        *("increase_by", "decrease_by"),
    )
    """The fields that compare; the values of `relation.Relation`."""

    pv: StrictStr | None = None
    """The channel that is compared."""
    equals: AnyValue | None = None
    """It equals this, numbers within `tolerance`."""
    not_: AnyValue | None = Field(None, alias="not")
    """It does not equal this; a disconnected channel meets no condition, this one included."""
    above: OneValue | None = None
    """It is greater."""
    at_least: OneValue | None = None
    """It is greater or equal."""
    below: OneValue | None = None
    """It is less."""
    at_most: OneValue | None = None
    """It is less or equal."""
    between: Several | None = None
    """It lies between two values, both included."""
    in_: Several | None = Field(None, alias="in")
    """It equals one of these."""
    increase_by: Amount | None = None
    """It has grown by at least this since the step began."""
    decrease_by: Amount | None = None
    """It has fallen by at least this since the step began."""
    until: OneValue | None = None
    """An expression, in place of `pv` and a comparison."""
    tolerance: Amount | None = None
    """How far off numbers may be for `equals`, `not` and `in`, absolute. By default as for the
    readback of a `set`."""
    hold: Amount = 0
    """s for which the condition has to hold without a break."""
    edge: StrictBool = False
    """Whether it has to become true after the step began: true already is not enough."""
    timeout: WaitTimeout
    """s, or `none` to wait for ever; must be given."""
    accept_restart: StrictBool = False
    """Whether a channel's first value after a reconnection counts."""
    accept_invalid: StrictBool = False
    """Whether a value with severity INVALID counts."""

    @property
    def comparisons(self) -> dict[str, Any]:
        """The comparisons given, by field."""
        values = {field: getattr(self, _attribute(field)) for field in self.COMPARISONS}
        return {field: value for field, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _one_condition(self) -> Wait:
        given = list(self.comparisons)
        if self.until is not None:
            if self.pv is not None or given or self.tolerance is not None:
                raise ValueError("'until' stands alone, without 'pv', comparison or 'tolerance'")
        elif self.pv is None:
            raise ValueError("needs 'pv' with a comparison, or 'until'")
        elif not given:
            raise ValueError(f"needs one of {', '.join(self.COMPARISONS)}; got none")
        elif len(given) > 1:
            raise ValueError(f"takes one comparison, not {' and '.join(given)}{self._instead()}")
        elif self.tolerance is not None and given[0] not in ("equals", "not", "in"):
            raise ValueError(f"'tolerance' does nothing with {given[0]!r}")
        return self

    def _instead(self) -> str:
        """What says the same as two bounds."""
        low = self.at_least if self.above is None else self.above
        high = self.at_most if self.below is None else self.below
        if low is None or high is None or len(self.comparisons) != 2:
            return ""
        return f"; 'between: [{low}, {high}]' has both, its ends included"

    @model_validator(mode="after")
    def _two_bounds(self) -> Wait:
        if isinstance(self.between, tuple) and len(self.between) != 2:
            raise ValueError(f"'between' takes two values, not {len(self.between)}")
        return self


def _attribute(field: str) -> str:
    return f"{field}_" if field in ("not", "in") else field


class WaitStep(BaseStep):
    """Wait for a condition."""

    wait: Wait
    """Driven by monitors, never by polling."""


class DelayStep(BaseStep):
    """Wait for a time."""

    delay: Amount
    """s; a pause does not count, a skip ends it."""


# Data and names -----------------------------------------------------------------------------


class Sample(Strict):
    """One row of readings."""

    channels: Annotated[tuple[StrictStr, ...], Field(min_length=1)]
    """What is read."""
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


class SampleStep(BaseStep):
    """Read channels at the same time into one row of the data."""

    sample: Annotated[
        Annotated[
            Annotated[
                tuple[StrictStr, ...],
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


class LetStep(BaseStep):
    """Bind names for the rest of the enclosing list."""

    let: Annotated[dict[Identifier, AnyValue], Field(min_length=1)]
    """Names and expressions, evaluated in this order; never on a world older than this run's last
    completed put."""


# Other code ---------------------------------------------------------------------------------


class Call(Strict):
    """A registered function and what it is given."""

    function: Reference
    """Its name, as it is registered."""
    args: dict[Argument, AnyValue] = Field(default_factory=dict)
    """By the names of its parameters."""
    timeout: WaitTimeout | None = None
    """s; by default as long as it takes."""
    as_: Identifier | None = Field(None, alias="as")
    """Names the result for the rest of the enclosing list."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        return {"function": data} if isinstance(data, str) else data


class CallStep(BaseStep):
    """Call a Python function that is registered in code or by the configuration."""

    call: Annotated[Call, OrText("The function's name.")]
    """A blocking function runs in a thread."""


class Run(Strict):
    """Another sequence and its arguments."""

    sequence: Reference
    """Its name; parameters may stand in it."""
    args: dict[Argument, AnyValue] = Field(default_factory=dict)
    """By its parameters; what is left out has its default."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        return {"sequence": data} if isinstance(data, str) else data


class RunStep(BaseStep):
    """Run another sequence, with its own parameters, names, finalisers, suspenders and timeout."""

    run: Annotated[Run, OrText("The sequence's name.")]
    """A document or a Python sequence; none may run itself, not even by way of others."""


# Telling ------------------------------------------------------------------------------------


class LogStep(BaseStep):
    """Tell something."""

    log: OneValue
    """Text, with `$(name)` of names and of channels; goes to the log and to `message`."""


class CheckpointStep(BaseStep):
    """Mark a place to which a suspender can rewind while its sub-sequence runs."""

    checkpoint: StrictStr
    """Its name; a checkpoint without one is just `- checkpoint`."""


class AskStep(BaseStep):
    """Pause with a message until resumed."""

    ask: OneValue
    """What `message` shows; text as in `log`."""
