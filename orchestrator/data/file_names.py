"""Names of data files: a template, filled with what is known of the run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.types import RunHeader

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LONGEST = 200
"""Bytes of a name; a file system takes 255, and there is an end behind it."""


def file_name(template: str, header: RunHeader) -> str:
    """The name of a run's files, without their end.

    What the run does not have is told in its place: `no_sample`. What is no letter, digit, `-`, `_`
    or `.` becomes `_`.
    """
    known = _known(header)

    def text(found: re.Match[str]) -> str:
        name = found[1]
        return re.sub(r"[^\w.-]", "_", str(known[name])) if name in known else f"no_{name}"

    name = _FIELD.sub(text, template).lstrip(".")
    return name.encode()[:_LONGEST].decode(errors="ignore") or "data"


def _known(header: RunHeader) -> Mapping[str, Any]:
    at = header.started
    own = {
        "run_id": header.run_id,
        "name": header.name,
        "lane": header.lane,
        "owner": header.owner,
        "date": "" if at is None else f"{at:%Y-%m-%d}",
        "time": "" if at is None else f"{at:%H%M%S}",
    }
    return {**header.arguments, **header.metadata, **own}
