"""What every step may have, the verbs that there are, and how a step is told by its verb.

The verbs have forms, see `program.form.Form`. The built-in ones stand in `orchestrator.verbs`,
which registers them when it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from pydantic import (
    Discriminator,
    Field,
    PlainValidator,
    StrictStr,
    Tag,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import core_schema
from typing_extensions import TypeAliasType

from orchestrator.language.names import nearest, suggestion
from orchestrator.language.text.field_kinds import Amount, WaitTimeout, one_word
from orchestrator.language.text.findings import Strict
from orchestrator.language.values.operations import described


class _ByItsVerb:
    """Tells pydantic what a step is: that which the form of its verb takes, looked up each time.

    No union of the forms, which would have to be built anew with each verb of a user's own.
    """

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        """Called by pydantic."""
        return core_schema.with_info_plain_validator_function(_step)

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        """Called by pydantic; `schema` puts the verbs in its place."""
        return {}


if TYPE_CHECKING:
    Step: TypeAlias = "BaseStep"
else:
    Step = Annotated[object, _ByItsVerb()]
    """Any step, told by its verb."""

Steps = TypeAliasType("Steps", Annotated[tuple[Step, ...], Field(min_length=1)])
"""Steps in order; at least one."""


# What every step may have -------------------------------------------------------------------


class Retry(Strict):
    """Try a step again when it fails."""

    retry: Amount
    """More tries at most, a whole number from 1; counted anew each time the step is entered."""
    delay: Amount = 0
    """s before each of them."""


class ByKind(Strict):
    """Steps for errors of each kind."""

    KINDS: ClassVar = ("timeout", "disconnect", "limits", "refused", "else")

    timeout: Steps | None = None
    """Run where it did not end in its time."""
    disconnect: Steps | None = None
    """Run where a channel was not there, or was lost."""
    limits: Steps | None = None
    """Run where a value lies beyond the limits of its channel; nothing was written."""
    refused: Steps | None = None
    """Run where a put was refused otherwise: by the IOC, for want of access, as no such value."""
    else_: Steps | None = Field(None, alias="else")
    """Run for all other errors; without it these are passed on."""


_ErrorWord: TypeAlias = Annotated[
    str,
    PlainValidator(one_word("abort", "continue", more=", {retry: N, delay: s} or a list of steps")),
    WithJsonSchema({"enum": ["abort", "continue"]}),
]
_DisconnectWord: TypeAlias = Annotated[
    str, PlainValidator(one_word("fail", "wait")), WithJsonSchema({"enum": ["fail", "wait"]})
]


def _has_kinds(value: dict[str, object]) -> bool:
    by_kind = any(isinstance(steps, list | tuple) for steps in value.values())
    return by_kind or not value.keys().isdisjoint(ByKind.KINDS)


def _error_form(value: object) -> str:
    if isinstance(value, ByKind) or (isinstance(value, dict) and _has_kinds(value)):
        return "<kinds>"
    if isinstance(value, dict | Retry):
        return "<retry>"
    return "<steps>" if isinstance(value, list | tuple) else "<word>"


OnError: TypeAlias = Annotated[
    Annotated[_ErrorWord, Tag("<word>")]
    | Annotated[Retry, Tag("<retry>")]
    | Annotated[ByKind, Tag("<kinds>")]
    | Annotated[Steps, Tag("<steps>")],
    Discriminator(_error_form),
]
"""What becomes of a step's failure."""


class BaseStep(Strict):
    """What every step may have."""

    VERB: ClassVar[str] = ""
    """The field by which it is told from other steps."""
    WORD: ClassVar[str] = ""
    """What the verb stands for where it is all of the step, as in `- checkpoint`; empty: it can't.
    """

    VARIES: ClassVar[frozenset[str]] = frozenset()
    """Fields whose numbers differ from call to call in Python: compiled once for all of them."""

    name: StrictStr = ""
    """How progress and messages call it; parameters may stand in it."""
    on_error: OnError = "abort"
    """What becomes of its failure: `abort` passes it on, `continue` goes on with the next step,
    `{retry: N, delay: s}` tries again, a list of steps is run in its place, `{timeout: [steps], …}`
    has steps for each kind of error. In these steps it is `error.kind`, `.text`, `.pv`, `.step`."""
    on_disconnect: _DisconnectWord | None = None
    """`fail` at once where a channel is disconnected (the default but for `wait`), or `wait` for
    it within the timeout."""


class Limited(BaseStep):
    """What a step with others inside may have."""

    timeout: WaitTimeout | None = None
    """Beside the verb: s for all of it, steps inside included, pauses left out; by default as long
    as it takes."""


# The verbs ----------------------------------------------------------------------------------

_VERBS: dict[str, type[BaseStep]] = {}
VERBS: Mapping[str, type[BaseStep]] = _VERBS
"""The form of each verb, in the order in which they were registered."""


def register(form: type[BaseStep]) -> None:
    """Make a form known, so that documents may use its verb.

    Raises:
        TypeError: The verb is taken, or is a field of another; or one of its fields is a verb.
    """
    verb, where = form.VERB, f"{form.__module__}.{form.__qualname__}"
    if known := VERBS.get(verb):
        raise TypeError(f"{where}: {verb!r} is a verb of {known.__module__} already")
    if clash := (_beside(form) & VERBS.keys()) or ({verb} & _besides()):
        raise TypeError(f"{where}: {min(clash)!r} can't be both a verb and a field beside one")
    _VERBS[verb] = form


def written(form: type[BaseStep]) -> set[str]:
    """The fields of a form as they are written."""
    return {field.alias or name for name, field in form.model_fields.items()}


def _beside(form: type[BaseStep]) -> set[str]:
    """Its fields that stand beside the verb."""
    return written(form) - {form.VERB}


def _besides() -> set[str]:
    """The fields that may stand beside some verb."""
    return set().union(*map(_beside, VERBS.values()))


def _step(step: object, info: ValidationInfo) -> object:
    """A step as its verb's form has it.

    Raises:
        ValueError: It is no step; or, as a ValidationError, all that its form says.
    """
    if isinstance(step, BaseStep):
        return step
    if isinstance(step, str) and step in VERBS and VERBS[step].WORD:
        step = {step: ""}
    if not isinstance(step, dict):
        raise ValueError(_no_mapping(step))
    verbs = [key for key in step if key in VERBS]
    if len(verbs) > 1:
        raise ValueError(
            f"has several verbs, {' and '.join(verbs)}; each step begins with a '-' of its own"
        )
    if not verbs:
        raise ValueError(_no_verb(step))
    return VERBS[verbs[0]].model_validate(step, context=info.context)


def _no_mapping(step: object) -> str:
    text = f"a step is a mapping such as 'delay: 1', not {described(step)}"
    near = nearest(step, VERBS) if isinstance(step, str) else None
    if near is None:
        return text
    meant = near if VERBS[near].WORD else f"{near}: …"
    return f"{text}; did you mean '{meant}'?"


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
    **dict.fromkeys(("exit", "return", "quit", "finish"), "end"),
    **dict.fromkeys(("raise", "error", "throw"), "fail"),
    "next": "continue",
}
"""What those look for who come from other languages."""


def _no_verb(step: dict[str, object]) -> str:
    besides = _besides()
    others = [key for key in step if key not in besides]
    if not others:
        return f"has no verb; the verbs are {', '.join(VERBS)}"
    word = others[0]
    if meant := _ELSEWHERE.get(word.casefold()):
        return f"unknown step {word!r}; did you mean {meant!r}?"
    return f"unknown step {word!r}{suggestion(word, set(VERBS), kind='verbs', most=len(VERBS))}"
