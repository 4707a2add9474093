"""Who may write: rules, and those that match nobody."""

from __future__ import annotations

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.access import may_write, useless


@pytest.mark.parametrize(
    ("rules", "user", "host", "may"),
    [
        ((), "anyone", "anywhere", True),
        (("op@console1",), "op", "console1", True),
        (("op@console1",), "op", "console10", False),
        (("op@console1",), "Op", "console1", False),
        (("op@console*",), "op", "console10", True),
        (("op@console*",), "op2", "console1", False),
        (("*@console1",), "anyone", "console1", True),
        (("*@*",), "anyone", "anywhere", True),
        (("op@*.xf31",), "op", "ws1.xf31", True),
        (("op@*.xf31",), "op", "ws1.xf31.evil", False),
        (("op@a*a",), "op", "a", False),
        (("op@?", "op@[a]"), "op", "a", False),  # nothing but * is special
        (("x@y", "op@z"), "op", "z", True),
        (("op@z",), "", "", False),
    ],
)
def test_rules_say_who_may_write(rules: tuple[str, ...], user: str, host: str, may: bool) -> None:
    assert may_write(rules, user, host) is may


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_a_star_is_any_text(pattern: str, host: str) -> None:
    assert may_write((f"op@{pattern}",), "op", host) is fnmatch.fnmatchcase(host, pattern)


def test_what_a_client_claims_is_compared_in_linear_time() -> None:
    began = time.thread_time()
    assert not may_write(("*a*a*a*a*b@*a*a*a*a*b",), "a" * 100_000, "a" * 100_000)
    assert time.thread_time() - began < 0.1


@pytest.mark.parametrize("place", ["localhost", "LocalHost", "127.0.0.1", "::1", "10.1.2.3"])
def test_a_rule_for_what_no_client_calls_itself_is_told(place: str) -> None:
    (told,) = useless((f"op@{place}", "op@console1", "op@*"), host="ws1")
    assert f"'op@{place}' matches nobody" in told
    assert "op@ws1" in told


def test_a_host_that_is_called_localhost_is_one() -> None:
    assert list(useless(("op@localhost",), host="localhost")) == []
