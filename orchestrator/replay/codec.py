"""Values of Python as JSON and back, exactly: a recording's own notation.

What JSON has is written as it is. All else is an object of one key that begins with `!`:
`{"!Reading": {…}}` is a dataclass of ours, without the fields that are at their default.
"""

from __future__ import annotations

import base64
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from pydantic import BaseModel

from orchestrator import config, errors, types
from orchestrator.errors import InputError, OrchestratorError
from orchestrator.language import names
from orchestrator.language.text import suspend

Json: TypeAlias = Any
"""What `json` writes: None, bool, int, float, str, list, dict."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What is encoded already."""

    data: Json


class RecordingError(InputError):
    """A file is no recording, or one that this version can't read."""


class UnrecordableError(OrchestratorError):
    """A value that a recording can't hold."""


def _known() -> dict[str, type]:
    modules: tuple[ModuleType, ...] = (types, config, errors, names, suspend)
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__.startswith("orchestrator.")
    }


_KNOWN = _known()


def encode(value: object) -> Json:
    """A value in the notation of recordings.

    Raises:
        UnrecordableError: It is none that a recording can hold.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"!float": repr(value)}
    if isinstance(value, Encoded):
        return value.data
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return _encoded_mapping(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {_tag(value): {f.name: encode(v) for f, v in _told(value)}}
    return _encoded_rest(value)


def _encoded_mapping(value: Mapping[Any, Any]) -> Json:
    if all(isinstance(key, str) and not key.startswith("!") for key in value):
        return {key: encode(item) for key, item in value.items()}
    return {"!map": [[encode(key), encode(item)] for key, item in value.items()]}


def _encoded_rest(value: object) -> Json:
    match value:
        case tuple():
            return {"!tuple": [encode(item) for item in value]}
        case Enum():
            return {_tag(value): value.value}
        case np.ndarray() | np.generic() if value.dtype.hasobject:
            pass
        case np.ndarray():
            return {"!array": [value.dtype.str, list(value.shape), _base64(value.tobytes())]}
        case np.generic():
            return {"!number": [value.dtype.str, _base64(value.tobytes())]}
        case Path():
            return {"!path": str(value)}
        case BaseModel():
            return {_tag(value): value.model_dump(mode="json", exclude_defaults=True)}
        case OrchestratorError():
            return {_tag(value): str(value)}
        case bytes():
            return {"!bytes": _base64(value)}
    raise UnrecordableError(f"a {type(value).__qualname__} can't be recorded")


def _tag(value: object) -> str:
    name = type(value).__name__
    if _KNOWN.get(name) is type(value):
        return f"!{name}"
    raise UnrecordableError(f"a {type(value).__qualname__} can't be recorded")


def _told(value: Any) -> list[tuple[Field[Any], object]]:
    """The fields that are not at their default."""
    pairs = [(f, getattr(value, f.name)) for f in fields(value)]
    return [(f, v) for f, v in pairs if not _is_default(f, v)]


def _is_default(field: Field[Any], value: object) -> bool:
    if field.default is MISSING or type(field.default) is not type(value):
        return False
    return bool(field.default == value)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decode(data: Json) -> Any:
    """The value that `encode` was given.

    Raises:
        RecordingError: It is no such notation, or names what this version does not have.
    """
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    tag = next(iter(data), "")
    if not tag.startswith("!"):
        return {key: decode(item) for key, item in data.items()}
    try:
        return _special(tag, data[tag])
    except RecordingError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise RecordingError(f"{tag[1:]} can't be read by this version: {reason}") from error


def _special(tag: str, data: Json) -> Any:
    if tag in _SPECIAL:
        return _SPECIAL[tag](data)
    kind = _KNOWN.get(tag[1:])
    if kind is None:
        raise RecordingError(f"this version knows no {tag[1:]}")
    if issubclass(kind, BaseModel):
        return kind.model_validate(data)
    if is_dataclass(kind):
        return kind(**{name: decode(item) for name, item in data.items()})
    if issubclass(kind, errors.CheckError):
        return kind(data.splitlines())
    return kind(data)  # type: ignore[call-arg] # an enum, an error or a path by its one value


def _array(data: Json) -> Any:
    dtype, shape, text = data
    return np.frombuffer(base64.b64decode(text), dtype=np.dtype(dtype)).reshape(shape)


_SPECIAL: Mapping[str, Callable[[Json], Any]] = {
    "!float": float,
    "!tuple": lambda data: tuple(decode(item) for item in data),
    "!map": lambda data: {decode(key): decode(item) for key, item in data},
    "!array": _array,
    "!number": lambda data: np.frombuffer(base64.b64decode(data[1]), dtype=np.dtype(data[0]))[0],
    "!path": Path,
    "!bytes": base64.b64decode,
}
