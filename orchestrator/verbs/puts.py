"""What is put where, and when it counts as arrived: as it is written, and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from pydantic import PlainValidator, StrictBool, StrictStr, WithJsonSchema, model_validator

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context, not_negative
from orchestrator.language.program.parts import Put
from orchestrator.language.text.field_kinds import Amount, AnyValue
from orchestrator.language.text.findings import Strict, expected
from orchestrator.types import Path


def _relative(value: object) -> object:
    if isinstance(value, bool) or value == "readback":
        return value
    raise ValueError(expected("true, false or readback", value))


Relative: TypeAlias = Annotated[
    bool | str,
    PlainValidator(_relative),
    WithJsonSchema({"enum": [True, False, "readback"], "x-kind": "true or `readback`"}),
]


class Target(Strict):
    """What is put where, and when it counts as arrived."""

    pv: StrictStr
    """The channel."""
    value: AnyValue
    """What is put: of an enum its label or index, of an array a list. A number that is exactly the
    text of a label is that label. What the channel's type can't hold exactly is refused."""
    relative: Relative = False
    """`true`: `value` is added to what the channel holds when the step is entered; `readback`: to
    what its readback holds then. A step that is tried again counts from the same."""
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
        if fields.relative == "readback":
            raise ValueError("'relative: readback' needs 'readback'")
        for field in NEED_READBACK:
            if getattr(fields, field) not in (None, False):
                raise ValueError(f"{field!r} does nothing without 'readback'")


def make_put(fields: Target, path: Path, context: Context, value: Operand) -> Put | None:
    """What a `set` or a loop puts; None where its channel will be known only later."""

    def optional(name: str, make: Callable[[Path, object], Operand]) -> Operand | None:
        given = getattr(fields, name)
        return None if given is None else make((*path, name), given)

    pv = context.channel((*path, "pv"), fields.pv)
    readback = None
    if fields.readback is not None:
        readback = context.channel((*path, "readback"), fields.readback)
    if readback is not None:
        context.notes.reads.add(readback)
    readback_value = optional("readback_value", context.value)
    tolerance = optional("tolerance", lambda p, v: context.amount(p, v, not_negative))
    settle = context.amount((*path, "settle"), fields.settle, not_negative)
    if pv is None:
        return None
    origin = None
    if fields.relative:
        origin = readback if fields.relative == "readback" else pv
        context.notes.reads.add(origin or pv)
    return Put(
        pv=pv,
        value=value,
        completion=fields.completion,
        readback=readback,
        readback_value=readback_value,
        tolerance=tolerance,
        settle=settle,
        origin=origin,
        accept_restart=fields.accept_restart,
        record=context.names.record(pv),
        accept_invalid=bool(fields.accept_invalid),
        leaves_invalid=fields.accept_invalid,
    )
