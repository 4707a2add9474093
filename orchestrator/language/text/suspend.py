"""What holds a run up, as it is written in a document or in the configuration."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, PlainValidator, StrictBool, StrictStr, WithJsonSchema

from orchestrator.language.text.field_kinds import Amount, OneValue, one_word
from orchestrator.language.text.findings import Strict


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{text!r} is no name for a suspender; messages show it")
    return text


SuspenderName: TypeAlias = Annotated[StrictStr, AfterValidator(_name)]
"""What messages call it."""
_Rewind: TypeAlias = Annotated[
    str, PlainValidator(one_word("checkpoint")), WithJsonSchema({"const": "checkpoint"})
]


class Suspend(Strict):
    """What holds a run up for as long as it is so."""

    when: OneValue
    """An expression on channels; while it is true the run is suspended."""
    resume: OneValue | None = None
    """An expression that lets the run go on, further off than `when` so that a value that wavers
    does not suspend it again and again; by default as soon as `when` is false."""
    settle: Amount = 0
    """s for which that has to hold before the run goes on."""
    rewind: _Rewind | None = None
    """`checkpoint`: go on from the last checkpoint rather than from the interrupted step."""
    accept_restart: StrictBool = False
    """Whether a channel's first value after a reconnection counts; it may be a restarted IOC's
    default. Otherwise it suspends until the next update, or until somebody resumes the run."""
