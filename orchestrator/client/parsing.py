"""What a person writes for a value -> the value in the channel's own terms."""

from __future__ import annotations

import json
import math
import re

import numpy as np

from orchestrator.errors import PutError
from orchestrator.language.values.conversion import as_label
from orchestrator.language.values.number_types import held, is_whole
from orchestrator.language.values.operations import Fault
from orchestrator.types import Metadata, NativeType, Value

_DIGITS = re.compile(r"[+-]?[0-9]{1,40}")


_INDEX_DIGITS = 6
"""More than an index has."""


def parse_value(name: str, text: str, metadata: Metadata) -> Value:
    """Understand text as a value for a channel.

    | channel              | text                                                  |
    | -------------------- | ----------------------------------------------------- |
    | ENUM                 | a label, otherwise an index                           |
    | ENUM of a long menu  | a label, an index, else itself: its server may know it |
    | STRING               | itself                                                |
    | CHAR as text         | itself                                                |
    | CHAR array           | itself; the numbers where it is a JSON list           |
    | DOUBLE, FLOAT        | a number, `nan`, `inf`                                |
    | LONG, SHORT, CHAR    | an integer, `0x…` and `0b…` too                       |
    | numeric array        | a JSON list, or numbers with commas or blanks between |
    | STRING array         | a JSON list of strings, otherwise its one element     |

    Raises:
        PutError: It is none of these; names what the channel takes.
    """
    match metadata:
        case Metadata(native=NativeType.ENUM, count=1):
            return _choice(name, text, metadata)
        case Metadata(native=NativeType.CHAR, text=True):
            return text
        case Metadata(native=NativeType.STRING):
            return text if metadata.count == 1 else _strings(text)
        case Metadata(native=NativeType.CHAR, count=count) if count > 1:
            return _numbers(name, text, metadata) if _is_list(text) else text
        case Metadata(count=1):
            return _number(name, text, metadata)
        case _:
            return _numbers(name, text, metadata)


def _choice(name: str, text: str, metadata: Metadata) -> Value:
    if metadata.menu and text not in metadata.labels:
        is_index = text.isascii() and text.isdigit() and len(text) < _INDEX_DIGITS
        return int(text) if is_index else text  # its server may know it
    return _index(name, text, metadata.labels)


def _index(name: str, text: str, labels: tuple[str, ...]) -> int:
    if (label := as_label(text, labels)) is not None:
        return labels.index(label)
    try:
        index = int(text)
    except ValueError:
        index = -1
    # 16 states at most (MAX_ENUM_STATES of db_access.h); a server may name none of them.
    if 0 <= index < (len(labels) or 16):
        return index
    known = ", ".join(f"{number} {label}" for number, label in enumerate(labels))
    raise PutError(f"{name}: {text!r} is none of its states: {known or 'it names none'}")


def _number(name: str, text: str, metadata: Metadata) -> float | int:
    whole = is_whole(metadata.native)
    try:
        number = _read(text, whole=whole)
    except ValueError:
        wanted = "an integer" if whole else "a number"
        raise PutError(f"{name}: {text!r} was to be written, it takes {wanted}") from None
    try:
        return held(number, metadata.native)
    except Fault as fault:
        raise PutError(f"{name}: {text!r} was to be written, but {fault}") from None


def _read(text: str, *, whole: bool) -> float | int:
    """The number that is written, every digit of it.

    Raises:
        ValueError: It is none, or too large.
    """
    if whole:
        return int(text, 0)
    if _DIGITS.fullmatch(text.strip()):
        return int(text)
    number = float(text)
    if math.isinf(number) and "inf" not in text.lower():
        raise ValueError(text)
    return number


def _is_list(text: str) -> bool:
    return text.startswith("[") and text.endswith("]")


def _numbers(name: str, text: str, metadata: Metadata) -> Value:
    parts = text[1:-1] if _is_list(text) else text
    return np.array([_number(name, part, metadata) for part in parts.replace(",", " ").split()])


def _strings(text: str) -> tuple[str, ...]:
    try:
        parts = json.loads(text)
    except ValueError:
        parts = text
    return tuple(str(part) for part in parts) if isinstance(parts, list) else (text,)
