"""What a document may `run` and `call`: known by name, found by who compiles it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from orchestrator.errors import InputError

if TYPE_CHECKING:
    from orchestrator.language.text.document import Document, Parameter


@dataclass(frozen=True, slots=True)
class PythonSignature:
    """What a Python sequence can be given."""

    name: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    """By name, in the order of the function."""
    description: str = ""


class SequenceLibrary(Protocol):
    """The sequences and functions that there are."""

    def document(self, name: str) -> Document:
        """A sequence by its name.

        Raises:
            InputError: There is none of that name, the message names the nearest; or it is wrong.
        """

    def functions(self) -> Collection[str]:
        """The names that `call` may use."""

    def python(self, name: str) -> PythonSignature | None:
        """What the Python sequence of that name takes; None = there is no Python sequence so."""

    def file(self, name: str) -> tuple[str, str]:
        """The text of a CSV file beside the sequences, and where it is. Reads it.

        Raises:
            InputError: There is none, or it can't be read.
        """

    def left_out(self) -> str:
        """What could not be loaded, as the end of a message that misses something; else empty."""


class _EmptyLibrary:
    """A library without anything in it."""

    def document(self, name: str) -> Document:
        raise InputError(f"there is no sequence {name!r}: none are configured")

    def functions(self) -> Collection[str]:
        return ()

    def python(self, name: str) -> PythonSignature | None:  # noqa: ARG002 - there is none
        return None

    def file(self, name: str) -> tuple[str, str]:
        raise InputError(f"there is no table {name!r}: the configuration names no [sequences]")

    def left_out(self) -> str:
        return ""


NONE: SequenceLibrary = _EmptyLibrary()
"""For documents that run and call nothing."""
