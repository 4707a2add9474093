"""Values of sequences in the terms of channels: labels, whole numbers, texts, arrays."""

from __future__ import annotations

import numpy as np

from orchestrator.errors import InputError, PutError
from orchestrator.language.values.number_types import held, held_array
from orchestrator.language.values.operations import Fault, described, is_sequence, numbers, plain
from orchestrator.types import Metadata, NativeType, Value, encoded

STRING_BYTES = 39
"""Bytes of a DBR_STRING, without its closing NUL (EPICS db_access.h, MAX_STRING_SIZE = 40)."""
_LABEL_BITS = 64
"""A label has at most 25 characters (EPICS db_access.h, MAX_ENUM_STRING_SIZE)."""


def as_channel_value(value: object, metadata: Metadata, name: str = "") -> Value:
    """A value of a sequence as its channel takes it, in the terms of `types.Value`.

    Args:
        value: As an expression or a document gives it.
        metadata: The channel's.
        name: The channel, for messages.

    Raises:
        PutError: The channel can't hold it; says what it can.
    """
    value = plain(value)
    try:
        if metadata.native is NativeType.ENUM and metadata.count == 1:
            if isinstance(value, str) and metadata.menu and value not in metadata.labels:
                return _string(value)  # its server may know it
            return _enum_index(value, metadata)
        if isinstance(value, int | float):  # nearly all are
            return _number(value, metadata)
        if isinstance(value, str):
            return _text(value, metadata)
        if is_sequence(value):
            return _array(value, metadata)
    except Fault as fault:
        raise PutError(f"{name}: {fault}" if name else str(fault)) from fault
    raise PutError(f"{name}: {described(value)} can't be put".removeprefix(": "))


def label_index(value: object, metadata: Metadata) -> int:
    """The index that a label or an index stands for.

    Raises:
        InputError: It is neither; lists the labels.
    """
    try:
        return _enum_index(plain(value), metadata)
    except Fault as fault:
        raise InputError(str(fault)) from fault


def unknown_label(name: str, text: str, metadata: Metadata | None) -> str:
    """Why a text equals no value of a channel; empty where it may, as far as is known."""
    if metadata is None or metadata.native is not NativeType.ENUM or not metadata.labels:
        return ""
    if text in metadata.labels or metadata.menu or _is_unlabelled(text, metadata):
        return ""
    return f"{described(text)} is none of the labels of {name}; {_listed(metadata.labels)}"


def _is_unlabelled(text: str, metadata: Metadata) -> bool:
    """Whether a text is the digits of an index that has no label, as such an enum is worded."""
    if not (text.isdecimal() and text.isascii() and len(text) <= 5):
        return False
    return int(text) < 2**16 and metadata.label(int(text)) == text


def _enum_index(value: object, metadata: Metadata) -> int:
    labels = metadata.labels
    if (label := as_label(value, labels)) is not None:
        return labels.index(label)
    if isinstance(value, int) and not isinstance(value, bool):
        # Without labels a server keeps 16 states (EPICS db_access.h, MAX_ENUM_STATES).
        if 0 <= value < (2**16 if metadata.menu else len(labels) or 16):
            return value
        raise Fault(f"{value} is no index of it; {_listed(labels)}")
    quoted = ""
    if isinstance(value, float) and repr(value) in labels:
        quoted = f" (a label that is a number needs quotes: '{value!r}')"
    raise Fault(f"{described(value)} is none of its labels{quoted}; {_listed(labels)}")


def as_label(value: object, labels: tuple[str, ...]) -> str | None:
    """The label that a text is, or that a whole number is exactly the text of; None = it is none.

    The 5 of a document, of Python and of a command line is one thing: where an enum has a label 5,
    that one.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < _LABEL_BITS:
        value = str(int(value))
    return value if isinstance(value, str) and value in labels else None


def index_or_label(value: object, metadata: Metadata | None) -> str:
    """How a number is taken that could be an index as well as a label; empty where it is but one.

    Args:
        value: As a sequence gives it, or as a command line does: a text in digits counts too.
        metadata: The channel's; None = not known.
    """
    if metadata is None or metadata.native is not NativeType.ENUM:
        return ""
    text = str(plain(value)) if not isinstance(value, bool) else ""
    labels = metadata.labels
    if not text.isascii() or not text.isdigit() or text not in labels:
        return ""
    index = int(text)
    if index >= len(labels) or labels[index] == text:
        return ""
    return (
        f"{text} is taken as the label {text!r}, which has the index {labels.index(text)}; "
        f"the index {text} is the label {labels[index]!r}"
    )


def not_quite(value: object, metadata: Metadata | None) -> str:
    """Why a channel has only a neighbour of a whole number; empty where it has just this one."""
    if metadata is None or metadata.native not in (NativeType.DOUBLE, NativeType.FLOAT):
        return ""
    value = plain(value)
    if not isinstance(value, int):
        return ""
    try:
        held(value, metadata.native)
    except Fault as fault:
        return str(fault)
    return ""


def _listed(labels: tuple[str, ...]) -> str:
    if not labels:
        return "it has no labels, so that only an index can be given"
    return "they are " + ", ".join(f"{i} = {label}" for i, label in enumerate(labels))


def _text(value: str, metadata: Metadata) -> Value:
    size = len(encoded(value))
    match metadata.native:
        case NativeType.STRING if size > STRING_BYTES:
            raise Fault(f"a text of {size} bytes; a DBR_STRING holds {STRING_BYTES}: {value!r}")
        case NativeType.STRING:
            return value
        case NativeType.CHAR if metadata.count > 1 or metadata.text:
            # A text that fills an array needs no NUL; one of a record does, which would be cut.
            if size > metadata.count - metadata.nul:
                most = metadata.count - metadata.nul
                raise Fault(f"a text of {size} bytes; the array holds {most}")
            return value
        case _:
            raise Fault(f"takes a number, not {described(value)}")


def _number(value: float, metadata: Metadata) -> Value:
    if metadata.native is NativeType.STRING:
        raise Fault(f"takes text, not {described(value)}; put it into quotes")
    return held(value, metadata.native)


def _array(value: object, metadata: Metadata) -> Value:
    items = value if isinstance(value, list) else numbers(value)
    if len(items) > metadata.count:
        raise Fault(f"{described(value)} is longer than its {metadata.count} elements")
    if not len(items) and metadata.count == 1:
        # EPICS would do nothing, and succeed.
        raise Fault("an empty list, where it takes one value")
    match metadata.native:
        case NativeType.STRING:
            return tuple(_string(item) for item in items)
        case NativeType.ENUM:
            return np.array([_enum_index(plain(item), metadata) for item in items])
        case native:
            return held_array(value, native)


def _string(item: object) -> str:
    if isinstance(item, str) and len(item.encode()) <= STRING_BYTES:
        return item
    raise Fault(f"takes texts of at most {STRING_BYTES} bytes, not {described(item)}")
