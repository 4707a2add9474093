"""What is put back at the end, as it is written."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, StrictStr, Tag, model_validator

from orchestrator.language.text.field_kinds import Amount, OrText
from orchestrator.language.text.findings import Strict


class ToRestore(Strict):
    """A channel, and when it counts as back."""

    pv: StrictStr
    """The channel."""
    readback: StrictStr | None = None
    """The channel that must come to the value."""
    tolerance: Amount | None = None
    """As in `set`."""
    settle: Amount = 0
    """As in `set`."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        return {"pv": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _tolerance_of_readback(self) -> ToRestore:
        if self.tolerance is not None and self.readback is None:
            raise ValueError("'tolerance' does nothing without 'readback'")
        return self

    def put(self, value: str) -> dict[str, object]:
        """The fields of a `set`."""
        given = {"pv": self.pv, "value": value, "readback": self.readback, "settle": self.settle}
        given["tolerance"] = self.tolerance
        return {field: own for field, own in given.items() if own is not None}


class Restored(ToRestore):
    """A channel that is put back."""

    timeout: Amount = 30
    """s for all of it."""


class RestoredTogether(Strict):
    """Channels that are put back at the same time."""

    group: Annotated[tuple[Annotated[ToRestore, OrText("A channel.")], ...], Field(min_length=1)]
    """The channels."""
    timeout: Amount = 30
    """s for all of them."""


def _form(value: object) -> str:
    several = isinstance(value, RestoredTogether) or (isinstance(value, dict) and "group" in value)
    return "<group>" if several else "<one>"


Restore: TypeAlias = Annotated[
    tuple[
        Annotated[
            Annotated[Annotated[Restored, OrText("A channel.")], Tag("<one>")]
            | Annotated[RestoredTogether, Tag("<group>")],
            Discriminator(_form),
        ],
        ...,
    ],
    Field(min_length=1),
]
"""What is put back, the last first."""
