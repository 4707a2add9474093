"""Who is let in: names, tokens, rates."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config.tokens import read_tokens
from orchestrator.errors import InputError
from orchestrator.web.callers import Callers
from orchestrator.web.gate import Rate
from orchestrator.web.problems import ProblemError

TOKEN = "0123456789abcdef"  # noqa: S105 - of the tests


def test_a_client_may_send_a_burst_and_then_as_fast_as_allowed() -> None:
    now = 0.0
    rate = Rate(10, lambda: now)
    assert [rate.take("a") for _ in range(50)] == [0.0] * 50
    assert rate.take("a") == pytest.approx(0.1)
    assert rate.take("b") == 0.0, "another client has its own"
    now = 0.5
    assert [rate.take("a") for _ in range(5)] == [0.0] * 5
    assert rate.take("a") > 0.0


def test_what_is_remembered_of_clients_is_bounded() -> None:
    rate = Rate(1, lambda: 0.0)
    for number in range(30_000):
        rate.take(str(number))
    assert len(rate._buckets) <= 10_000


@pytest.mark.parametrize(
    ("claimed", "owner"), [("me@desk", "me@desk"), ("me", "me@10.0.0.1"), (None, "http@10.0.0.1")]
)
def test_without_tokens_a_caller_is_who_it_says(claimed: str | None, owner: str) -> None:
    headers = {} if claimed is None else {"x-caller": claimed}
    assert Callers(None, ()).owner(headers, "10.0.0.1") == owner


@pytest.mark.parametrize("claimed", ["", "a b", "a@b@c", "a\x00b", "x" * 65, "a\u202eb"])
def test_a_name_that_is_none_is_refused(claimed: str) -> None:
    with pytest.raises(ProblemError) as caught:
        Callers(None, ()).owner({"x-caller": claimed}, "10.0.0.1")
    assert caught.value.status == 400


def test_with_tokens_a_caller_is_whose_it_has_whatever_it_says() -> None:
    callers = Callers({TOKEN: "alice"}, ())
    headers = {"authorization": f"bearer {TOKEN}", "x-caller": "bob@desk"}
    assert callers.owner(headers, "10.0.0.1") == "alice@10.0.0.1"
    for wrong in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", "Bearer é"):
        with pytest.raises(ProblemError) as caught:
            callers.owner({"authorization": wrong}, "10.0.0.1")
        assert caught.value.status == 401


def test_the_rules_of_access_hold_by_http_too() -> None:
    callers = Callers(None, ("operator@console",))
    callers.check_may_write("operator@console")
    with pytest.raises(ProblemError) as caught:
        callers.check_may_write("me@desk")
    assert caught.value.status == 403


def test_the_file_of_tokens_has_a_name_and_a_token_a_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# who\n\nalice {TOKEN} # the night shift\nbob@desk  {TOKEN}2\n")
    assert read_tokens(file) == {TOKEN: "alice", f"{TOKEN}2": "bob@desk"}


@pytest.mark.parametrize("line", ["alice", "alice short", f"alice {TOKEN} more", f"a@b@c {TOKEN}"])
def test_a_line_of_it_that_is_none_is_told_with_its_number(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# who\n{line}\n")
    with pytest.raises(InputError, match=r"tokens:2: expected NAME TOKEN"):
        read_tokens(file)


def test_a_file_of_tokens_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_tokens(tmp_path / "tokens")
    (tmp_path / "tokens").write_text("# nobody\n")
    with pytest.raises(InputError, match="nobody could ask"):
        read_tokens(tmp_path / "tokens")
