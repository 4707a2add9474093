"""Text as Channel Access carries it: UTF-8, else Latin-1, and back into the same bytes."""

from __future__ import annotations


class Latin1(str):
    """Text that came as Latin-1; `encoded` gives its bytes again. In all else a plain str."""

    __slots__ = ()


def decoded(raw: bytes, size: int = 0) -> str:
    """The text of these bytes, up to the first NUL.

    Channel Access says nothing of encodings: what is no UTF-8 is Latin-1, in which every byte is a
    character.

    Args:
        raw: As they came.
        size: Of the field that they fill, its closing NUL included if it has one. A character of
            UTF-8 that was cut at its end is left out.
    """
    raw = raw.partition(b"\0")[0]
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        is_full = size > 2 and size - 1 <= len(raw) == error.end
        cut = is_full and error.reason == "unexpected end of data"
        return raw[: error.start].decode() if cut else Latin1(raw.decode("latin-1"))


def encoded(text: str) -> bytes:
    """The bytes of a text: those that it came as, UTF-8 if it did not come from outside.

    Raises:
        UnicodeEncodeError: It has half a surrogate pair, which is no text.
    """
    if isinstance(text, Latin1):
        return text.encode("latin-1")
    return text.encode()
