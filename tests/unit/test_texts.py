"""Text as Channel Access carries it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.types import Latin1, Metadata, NativeType, decoded, encoded


@pytest.mark.parametrize(
    ("raw", "size", "text"),
    [
        (b"mm\0rest", 8, "mm"),
        ("°C".encode(), 8, "°C"),
        ("°C".encode("latin-1"), 8, "°C"),
        ("µm".encode("latin-1"), 26, "µm"),
        (b"\xb0C/12345", 8, "°C/12345"),  # fills it, without NUL
        ("µmol/m²s".encode()[:8], 8, "µmol/m"),  # cut in the ²
        ("x" * 38 + "é", 40, None),
        (("x" * 38 + "é").encode()[:39], 40, "x" * 38),  # a record keeps 39 of 40 bytes
        ("é".encode()[:1], 8, "Ã"),  # not cut at the end of its field: Latin-1
        (b"\xe9", 1, "é"),  # one CHAR
        (b"", 8, ""),
    ],
)
def test_text_is_utf_8_or_else_latin_1(raw: bytes | str, size: int, text: str | None) -> None:
    if isinstance(raw, str):
        raw, text = raw.encode(), raw
    assert decoded(raw, size) == text


@given(st.binary(max_size=50))
def test_every_text_goes_back_into_its_bytes(raw: bytes) -> None:
    assert encoded(decoded(raw)) == raw.partition(b"\0")[0]


def test_latin_1_is_text_like_any_other() -> None:
    text = decoded(b"\xb5m")
    assert isinstance(text, Latin1)
    assert (text, hash(text), json.dumps(text)) == ("µm", hash("µm"), json.dumps("µm"))
    assert encoded(text) == b"\xb5m"
    assert encoded("µm") == "µm".encode()


def test_an_index_has_a_text_whether_it_has_a_label_or_not() -> None:
    valve = Metadata(NativeType.ENUM, labels=("", "Open", "Closed"))
    assert [valve.label(index) for index in (0, 1, 2, 3, 65535)] == [
        "0",
        "Open",
        "Closed",
        "3",
        "65535",
    ]
