"""The steps with steps inside, as they are written, and the union of all steps.

Adding a verb takes a model here or in `leaves`, its line in `VERBS` and in `Step`, a node in
`nodes` and a compile function.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    StrictBool,
    StrictStr,
    Tag,
    model_validator,
)
from typing_extensions import TypeAliasType

from orchestrator.language.names import nearest, suggestion
from orchestrator.language.text import chained, leaves
from orchestrator.language.text.chained import NestedStep, TrajectoriesStep
from orchestrator.language.text.fields import (
    Amount,
    AnyValue,
    Identifier,
    OneValue,
    OrText,
    Several,
)
from orchestrator.language.text.findings import Strict
from orchestrator.language.text.leaves import (
    NEED_READBACK,
    AskStep,
    BaseStep,
    Call,
    CallStep,
    CheckpointStep,
    DelayStep,
    ErrorWord,
    LetStep,
    LogStep,
    Retry,
    Run,
    RunStep,
    Sample,
    SampleStep,
    SetAll,
    SetOne,
    SetStep,
    Target,
    Wait,
    WaitStep,
    check_readback,
)
from orchestrator.language.values.operations import described

__all__ = [
    "VERBS", "AskStep", "BaseStep", "Call", "CallStep", "CheckpointStep", "DelayStep", "GroupStep",
    "IfStep", "LetStep", "LogStep", "Loop", "LoopStep", "NestedStep", "ParallelStep", "Retry",
    "Run", "RunStep", "Sample", "SampleStep", "SetAll", "SetOne", "SetStep", "Step", "Steps",
    "Target", "TrajectoriesStep", "Wait", "WaitStep",
]  # fmt: skip


class Loop(Strict):
    """What a loop runs over, and how each point is set."""

    pv: StrictStr | None = None
    """The channel that is set to each value; with it all fields of `set` but `value`."""
    from_: Amount | None = Field(None, alias="from")
    """The first value."""
    to: Amount | None = None
    """The last value, visited only if a whole number of steps reaches it."""
    step: Amount | None = None
    """From each value to the next, negative downwards; or `num`."""
    num: Amount | None = None
    """How many values, both ends included; or `step`."""
    values: Several | None = None
    """A list of values, in place of from/to."""
    count: Amount | None = None
    """How many times, where nothing is set."""
    while_: OneValue | None = Field(None, alias="while")
    """An expression; runs as long as it is true, looked at before each pass."""
    as_: Identifier | None = Field(None, alias="as")
    """Names the value in `do`; with `count` and `while` the pass from 0."""
    serpentine: StrictBool = False
    """Runs the values backwards in every other pass of the loop around it, the second first."""
    completion: StrictBool | None = None
    """As in `set`."""
    readback: StrictStr | None = None
    """As in `set`."""
    readback_value: AnyValue | None = None
    """As in `set`; the value's name may stand in it."""
    tolerance: Amount | None = None
    """As in `set`."""
    settle: Amount | None = None
    """As in `set`."""
    accept_restart: StrictBool | None = None
    """As in `set`."""
    accept_invalid: StrictBool | None = None
    """As in `set`."""
    timeout: Amount | None = None
    """s for each setting, 10 by default."""

    @model_validator(mode="after")
    def _one_kind(self) -> Loop:
        is_range = any(v is not None for v in (self.from_, self.to, self.step, self.num))
        others = [v for v in (self.values, self.count, self.while_) if v is not None]
        if is_range + len(others) != 1:
            raise ValueError("runs over one of from/to with step or num, values, count, while")
        if is_range and (self.from_ is None or self.to is None):
            raise ValueError("needs both 'from' and 'to'")
        if is_range and self.step is None and self.num is None:
            raise ValueError("needs one of 'step' and 'num'")
        if self.step is not None and self.num is not None:
            raise ValueError("takes 'step' or 'num', not both: each follows from the other")
        if self.serpentine and self.while_ is not None:
            raise ValueError("'serpentine' does nothing with 'while', which has no values to turn")
        return self

    @model_validator(mode="after")
    def _has_use(self) -> Loop:
        passes = "count" if self.count is not None else "while" if self.while_ is not None else ""
        if self.pv is not None:
            if passes:
                raise ValueError(
                    f"{passes!r} sets no 'pv': use from/to or values, or leave 'pv' out"
                )
            check_readback(self)
            return self
        for field in (
            "completion",
            "readback",
            *NEED_READBACK,
            "accept_invalid",
            "settle",
            "timeout",
        ):
            if getattr(self, field) is not None:
                raise ValueError(f"{field!r} does nothing without 'pv'")
        if not passes and self.as_ is None:
            raise ValueError("needs 'pv', which is set to each value, or 'as', which names it")
        return self


class LoopStep(BaseStep):
    """Run steps for each of several points."""

    loop: Loop
    """What it runs over. Points are computed by index, never by adding up."""
    do: Steps
    """The steps of each pass."""


class GroupStep(BaseStep):
    """Run steps in order."""

    group: Steps
    """The steps; `name`, `on_error` and `on_disconnect` are of all of them together."""


class ParallelStep(BaseStep):
    """Run steps at the same time."""

    parallel: Steps
    """The branches; a `group` is a branch of several steps. The first failure cancels the others
    and is the error told. No two may put to one channel."""


class IfStep(BaseStep):
    """Run one list of steps or another."""

    if_: OneValue = Field(alias="if")
    """An expression; reading a disconnected channel is an error."""
    then: Steps
    """Where it is true."""
    else_: Steps | None = Field(None, alias="else")
    """Where it is false."""


VERBS: Mapping[str, type[BaseStep]] = {
    "set": SetStep,
    "wait": WaitStep,
    "delay": DelayStep,
    "sample": SampleStep,
    "let": LetStep,
    "loop": LoopStep,
    "parallel": ParallelStep,
    "group": GroupStep,
    "if": IfStep,
    "call": CallStep,
    "run": RunStep,
    "trajectories": TrajectoriesStep,
    "nested": NestedStep,
    "log": LogStep,
    "checkpoint": CheckpointStep,
    "ask": AskStep,
}
"""The model of each verb."""


def _check_step(step: object) -> object:
    """Tell what keeps a mapping from being a step."""
    if isinstance(step, BaseStep):
        return step
    if step == "checkpoint":
        return {"checkpoint": ""}
    if not isinstance(step, dict):
        raise ValueError(_no_mapping(step))
    verbs = [key for key in step if key in VERBS]
    if len(verbs) > 1:
        raise ValueError(
            f"has several verbs, {' and '.join(verbs)}; each step begins with a '-' of its own"
        )
    if not verbs:
        raise ValueError(_no_verb(step))
    return step


def _no_mapping(step: object) -> str:
    text = f"a step is a mapping such as 'delay: 1', not {described(step)}"
    near = nearest(step, VERBS) if isinstance(step, str) else None
    if near == "checkpoint":
        return f"{text}; did you mean 'checkpoint'?"
    return f"{text}; did you mean '{near}: …'?" if near else text


_ELSEWHERE = {
    **dict.fromkeys(("move", "mv", "put", "caput", "write"), "set"),
    **dict.fromkeys(("sleep", "pause"), "delay"),
    **dict.fromkeys(("read", "get", "measure", "acquire"), "sample"),
    **dict.fromkeys(("print", "echo", "message"), "log"),
    **dict.fromkeys(("for", "foreach", "scan"), "loop"),
    "repeat": "loop: {count: …}",
    "while": "loop: {while: …}",
    "until": "wait: {until: …}",
    "include": "run",
    "python": "call",
}
"""What those look for who come from other languages."""

_BESIDES = ("name", "on_error", "on_disconnect", "do", "then", "else")


def _no_verb(step: dict[str, object]) -> str:
    others = [key for key in step if key not in _BESIDES]
    if not others:
        return f"has no verb; the verbs are {', '.join(VERBS)}"
    word = others[0]
    if meant := _ELSEWHERE.get(word.casefold()):
        return f"unknown step {word!r}; did you mean {meant!r}?"
    return f"unknown step {word!r}{suggestion(word, set(VERBS), kind='verbs', most=len(VERBS))}"


def _tag(step: object) -> str | None:
    if isinstance(step, dict):
        return next((f"<{verb}>" for verb in VERBS if verb in step), None)
    return next((f"<{verb}>" for verb, model in VERBS.items() if isinstance(step, model)), None)


Step: TypeAlias = Annotated[
    Annotated[SetStep, Tag("<set>")]
    | Annotated[WaitStep, Tag("<wait>")]
    | Annotated[DelayStep, Tag("<delay>")]
    | Annotated[SampleStep, Tag("<sample>")]
    | Annotated[LetStep, Tag("<let>")]
    | Annotated[LoopStep, Tag("<loop>")]
    | Annotated[ParallelStep, Tag("<parallel>")]
    | Annotated[GroupStep, Tag("<group>")]
    | Annotated[IfStep, Tag("<if>")]
    | Annotated[CallStep, Tag("<call>")]
    | Annotated[RunStep, Tag("<run>")]
    | Annotated[TrajectoriesStep, Tag("<trajectories>")]
    | Annotated[NestedStep, Tag("<nested>")]
    | Annotated[LogStep, Tag("<log>")]
    | Annotated[CheckpointStep, Tag("<checkpoint>")]
    | Annotated[AskStep, Tag("<ask>")],
    Discriminator(_tag),
    BeforeValidator(_check_step),
    OrText("`checkpoint`, without a name.", "checkpoint"),
]
"""Any step, told apart by its verb."""

Steps = TypeAliasType("Steps", Annotated[tuple[Step, ...], Field(min_length=1)])
"""Steps in order; at least one. A named type, since it contains itself."""


def _error_form(value: object) -> str:
    if isinstance(value, dict | Retry):
        return "<retry>"
    return "<steps>" if isinstance(value, list | tuple) else "<word>"


OnError: TypeAlias = Annotated[
    Annotated[ErrorWord, Tag("<word>")]
    | Annotated[Retry, Tag("<retry>")]
    | Annotated[Steps, Tag("<steps>")],
    Discriminator(_error_form),
]
"""What becomes of a step's failure."""

for _module in (leaves, chained):
    # Steps stand in steps. Where pydantic builds a model, it looks for names in the model's module.
    vars(_module).update(Steps=Steps, OnError=OnError)
