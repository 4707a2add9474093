"""What a look at something has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    """As it should be."""
    WARNING = "warning"
    """It works, and is probably not meant so."""
    ERROR = "error"
    """It does not work like this."""


@dataclass(frozen=True, slots=True)
class Symptom:
    """One finding."""

    grade: Grade
    about: str
    """What was looked at: `store`, `chain.lab`."""
    text: str
    """What was found."""
    remedy: str = ""
    """What to do; empty where there is nothing to be done."""


def ok(about: str, text: str) -> Symptom:
    """It is as it should be."""
    return Symptom(Grade.OK, about, text)


def warning(about: str, text: str, remedy: str) -> Symptom:
    """It is probably not meant."""
    return Symptom(Grade.WARNING, about, text, remedy)


def error(about: str, text: str, remedy: str) -> Symptom:
    """It does not work."""
    return Symptom(Grade.ERROR, about, text, remedy)
