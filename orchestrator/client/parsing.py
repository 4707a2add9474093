"""What a person writes for a value -> the value in the channel's own terms."""

from __future__ import annotations

import json

import numpy as np

from orchestrator.errors import PutError
from orchestrator.types import Metadata, NativeType, Value

_INTEGER_TYPES = (NativeType.SHORT, NativeType.LONG, NativeType.CHAR)


def parse_value(name: str, text: str, metadata: Metadata) -> Value:
    """Understand text as a value for a channel.

    | channel              | text                                                  |
    | -------------------- | ----------------------------------------------------- |
    | ENUM                 | a label, otherwise an index                           |
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
            return _index(name, text, metadata.labels)
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


def _index(name: str, text: str, labels: tuple[str, ...]) -> int:
    if text in labels:
        return labels.index(text)
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
    whole = metadata.native in _INTEGER_TYPES
    try:
        return int(text, 0) if whole else float(text)
    except ValueError:
        wanted = "an integer" if whole else "a number"
        raise PutError(f"{name}: {text!r} was to be written, it takes {wanted}") from None


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
