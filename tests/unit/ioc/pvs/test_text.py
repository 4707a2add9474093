import numpy as np
import pytest

from orchestrator.ioc import TextChannel
from orchestrator.ioc.pvs.text import decode, encode


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (np.frombuffer(b"abc\0def", np.uint8), "abc"),
        (np.frombuffer("für".encode(), np.uint8), "für"),
        (np.frombuffer(b"f\xfcr", np.uint8), "für"),
        (np.zeros(0, np.uint8), ""),
        ([b"abc"], "abc"),
        ([b"abc", b"ignored"], "abc"),
        ([], ""),
    ],
)
def test_text_from_a_client_ends_at_its_first_nul_and_is_read_as_utf8_or_latin_1(
    data: object, text: str
) -> None:
    assert decode(data) == text


def test_text_is_cut_between_two_characters() -> None:
    assert encode("aΩΩ", 4) == "aΩ".encode()
    assert encode("aΩΩ", 5) == "aΩΩ".encode()


async def test_text_that_is_too_long_is_cut_from_inside_and_refused_from_outside() -> None:
    channel = TextChannel(value="", max_length=5)
    await channel.write("abcdefgh", verify_value=False)
    assert channel.value == "abcd"
    with pytest.raises(ValueError, match="5 bytes of text, where 4 is the most"):
        channel.taken([b"abcde"])
    assert channel.taken([b"abcd"]) == "abcd"
