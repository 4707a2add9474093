"""Who asks: the names that go with tokens, or what a caller says of itself."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from orchestrator.config.access import may_write
from orchestrator.config.tokens import CALLER
from orchestrator.web.problems import ProblemError

CLAIM = "x-caller"
"""The header in which a caller without a token says who it is."""


class Callers:
    """Knows callers by their tokens, where there are some."""

    def __init__(self, tokens: Mapping[str, str] | None, rules: tuple[str, ...]) -> None:
        """`tokens`: names by token; None = nobody needs one. `rules`: `[access] write`."""
        self._tokens = tokens
        self._rules = rules

    def owner(self, headers: Mapping[str, str], host: str) -> str:
        """The user@host of a request.

        Raises:
            ProblemError: It has no token of ours, or a name that is none.
        """
        if self._tokens is None:
            claimed = headers.get(CLAIM, "http")
        else:
            claimed = self._known(headers.get("authorization", ""))
        if not CALLER.fullmatch(claimed) or not claimed.isprintable():
            raise ProblemError(400, f"{CLAIM}: expected user@host, got {claimed!r:.200}")
        return claimed if "@" in claimed else f"{claimed}@{host}"

    def check_may_write(self, owner: str) -> None:
        """Refuse those that may not change anything.

        Raises:
            ProblemError: The owner is one.
        """
        user, _, host = owner.rpartition("@")
        if not may_write(self._rules, user, host):
            rules = ", ".join(self._rules)
            raise ProblemError(403, f"{owner} may not write; the configuration lets {rules}")

    def _known(self, authorization: str) -> str:
        assert self._tokens is not None  # noqa: S101 - else nobody looks
        scheme, _, given = authorization.partition(" ")
        found = ""
        for token, name in self._tokens.items():  # all of them: to know the time tells nothing
            if hmac.compare_digest(token.encode(), given.strip().encode()):
                found = name
        if scheme.lower() != "bearer" or not found:
            text = "expected the header Authorization: Bearer TOKEN, with one of the token file"
            raise ProblemError(401, text, {"WWW-Authenticate": "Bearer"})
        return found
