"""Values of names as JSON, from which they come back exactly as they were."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_LONGEST = 1 << 20
"""Characters of the text of a value; a longer one is not kept."""


class NotKept:
    """Stands for a value that a journal does not have."""

    def __init__(self, why: str) -> None:
        self.why = why


def exact_text(value: object) -> str:
    """A value as JSON; of one that can't be kept, or is too long, why."""
    try:
        text = json.dumps(_plain(value), separators=(",", ":"))
    except (TypeError, ValueError) as error:
        return json.dumps({"not kept": str(error)})
    if len(text) > _LONGEST:
        return json.dumps({"not kept": f"it takes {len(text):,} characters"})
    return text


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case np.ndarray():
            return _array(value)
        case np.generic():
            return {"scalar": _array(np.asarray(value))}
        case float():
            return value if math.isfinite(value) else {"float": repr(value)}
        case list():
            return [_plain(item) for item in value]
        case tuple():
            return {"tuple": [_plain(item) for item in value]}
        case Mapping():
            return {"mapping": [[_plain(key), _plain(item)] for key, item in value.items()]}
        case NotKept(why=why):
            return {"not kept": why}
    raise TypeError(f"it is a {type(value).__name__}")


def _array(value: np.ndarray[Any, Any]) -> Mapping[str, object]:
    if value.dtype.kind not in "biufcSU":
        raise TypeError(f"it is an array of {value.dtype}")
    data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
    return {"array": data, "type": value.dtype.str, "shape": list(value.shape)}


def exact_value(of: Any) -> object:
    """The value of which `exact_text` has made this, as `json` reads it."""
    match of:
        case {"float": str(text)}:
            return float(text)
        case {"array": str(data), "type": str(kind), "shape": list(shape)}:
            return np.frombuffer(base64.b64decode(data), np.dtype(kind)).reshape(shape).copy()
        case {"scalar": inner}:
            return exact_value(inner)[()]  # type: ignore[index]  # an array without axes
        case {"tuple": list(items)}:
            return tuple(exact_value(item) for item in items)
        case {"mapping": list(pairs)}:
            return {exact_value(key): exact_value(item) for key, item in pairs}
        case {"not kept": why}:
            return NotKept(str(why))
        case list():
            return [exact_value(item) for item in of]
    return of
