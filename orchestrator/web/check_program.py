"""`python -m orchestrator.web.check_program`: one check, asked for and answered by JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

from orchestrator.client import configure_environment
from orchestrator.config import Config
from orchestrator.dryrun import check_facts, dry_run, offline
from orchestrator.engine import library_of
from orchestrator.errors import CheckError, InputError
from orchestrator.replay import decode
from orchestrator.types import RunRequest


def main() -> None:
    """Read what is asked from stdin, and write what is found to stdout."""
    asked = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):  # user code may print as it is imported
        told = _checked(decode(asked["config"]), asked)
    json.dump(told, sys.stdout)


def _checked(config: Config, asked: dict[str, Any]) -> dict[str, Any]:
    name = asked["text"]
    try:
        library = library_of(config)
        request = RunRequest(0, name, asked["document"], asked["origin"], asked["args"])
        program = library.load(request)
    except InputError as error:
        lines = error.findings if isinstance(error, CheckError) else str(error).splitlines()
        findings = [{"level": "error", "where": "", "text": line} for line in lines]
        return {"sequence": name, "ok": False, "findings": findings}
    if asked["offline"]:
        found = offline(config, program, {}, library)
    else:
        configure_environment(config)
        found = asyncio.run(dry_run(config, program, {}, library))
    return check_facts(name, program, found)


if __name__ == "__main__":
    main()
