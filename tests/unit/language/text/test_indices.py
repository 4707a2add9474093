import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.language.text.indices import LARGEST, MOST_SERVERS, Indices, parse_indices

names = st.text(
    st.characters(exclude_characters="\"'\\", exclude_categories=["C", "Z"]),
    min_size=1,
    max_size=12,
).filter(lambda name: name != "seq")
servers = st.dictionaries(names, st.integers(-1000, LARGEST), max_size=6)


@given(servers, st.integers(0, LARGEST))
def test_both_forms_are_understood(given: dict[str, int], seq: int) -> None:
    assert parse_indices(json.dumps({"seq": seq, **given})) == Indices(seq, given)
    assert parse_indices(str(given)) == Indices(None, given)  # as Python prints a dict
    text = json.dumps({"seq": seq, **given}, ensure_ascii=False)
    assert parse_indices(text) == Indices(seq, given)
    assert parse_indices(Indices(seq, given).text) == Indices(seq, given)


@given(st.text(max_size=60))
def test_any_text_is_an_index_object_or_an_input_error(text: str) -> None:
    for candidate in (text, f"{{{text}}}", f"{{'a': {text}}}"):
        with contextlib.suppress(InputError):
            assert parse_indices(candidate).servers is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "at character 1: expected '{'"),
        ("[3]", "expected '{'"),
        ("{'stage': 3.5}", "'stage' has to be a whole number, not 3.5"),
        ("{'stage': 3.0}", "whole number"),
        ("{'stage': True}", "whole number"),
        ("{'stage': 99999999999999999999}", "at most"),
        ("{'stage': 3, 'stage': 4}", "'stage' stands twice"),
        ("{'stage': 3", "at character 2"),
        ("{'stage': 3} + 1", "expected the end"),
        ('{"seq": -1, "stage": 3}', "'seq' can't be negative"),
        ("{'stage': __import__('os')}", "at character 2"),
        ("{stage: 3}", "expected 'server': index"),
        ("{" + ", ".join(f"'s{i}': 0" for i in range(1001)) + "}", "more than 1,000"),
    ],
)
def test_what_is_no_index_object_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_indices(text)


def test_as_many_servers_as_there_may_be_are_taken_beside_their_counter() -> None:
    given = {f"s{number}": number for number in range(MOST_SERVERS)}
    assert parse_indices(Indices(3, given).text) == Indices(3, given)
