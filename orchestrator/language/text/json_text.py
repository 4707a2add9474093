"""JSON from outside: whatever is wrong with it is told, with its place."""

from __future__ import annotations

import json
import re
from typing import Any

from orchestrator.errors import InputError

DEEPEST = 50
"""Levels of nesting, as of a document: Python's own parser ends with a RecursionError, or crashes
where it is given room for more."""

_MARKS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


def read_json(text: str, what: str, **hooks: Any) -> Any:
    """What a JSON text says.

    Args:
        text: The text.
        what: What it is, for the message: `ARGS`.
        hooks: As of `json.loads`.

    Raises:
        InputError: It is no JSON, nested too deep, or has a number of more digits than Python
            reads; tells the place.
    """
    check_depth(text, what)
    try:
        return json.loads(text, **hooks)
    except json.JSONDecodeError as error:
        at, why = error.pos, error.msg.lower()
        raise InputError(f"{what}, at character {at + 1}: no JSON: {why}") from None
    except ValueError as error:
        raise InputError(f"{what} can't be read: {error}") from None


def check_depth(text: str, what: str) -> None:
    """Look at the nesting of a JSON text only; `what` as for `read_json`.

    Raises:
        InputError: It is nested too deep; tells where.
    """
    if (at := _too_deep(text)) is not None:
        raise InputError(f"{what}, at character {at + 1}: nested more than {DEEPEST} levels deep")


def _too_deep(text: str) -> int | None:
    """Where a text is nested too deep."""
    depth = 0
    for mark in _MARKS.finditer(text):
        character = text[mark.start()]
        depth += (character in "[{") - (character in "]}")
        if depth > DEEPEST:
            return mark.start()
    return None
