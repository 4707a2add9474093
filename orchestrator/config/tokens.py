"""The file with the tokens of those who may ask by HTTP."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.errors import InputError

CALLER = re.compile(r"[^\s@]{1,64}(@[^\s@]{1,128})?")
"""What a caller may be called: a name, or user@host."""

_SHORTEST = 16
"""Characters of a token: a shorter one is guessed."""


def read_tokens(file: Path) -> dict[str, str]:
    """The names by their tokens: a line `NAME TOKEN` each; `#` begins a comment.

    Raises:
        InputError: The file can't be read, a line is none, or it lets nobody in.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"http.token_file: {file} can't be read: {error}") from error
    tokens: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not CALLER.fullmatch(words[0]) or len(words[1]) < _SHORTEST:
            form = f"NAME TOKEN, the token of {_SHORTEST} characters or more"
            raise InputError(f"{file}:{number}: expected {form}")
        tokens[words[1]] = words[0]
    if not tokens:
        raise InputError(f"{file}: there is no token in it: nobody could ask anything")
    return tokens
