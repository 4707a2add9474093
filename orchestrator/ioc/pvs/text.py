"""Text PVs: CHAR waveforms that take and give plain strings too."""

from __future__ import annotations

from typing import Any

import caproto as ca
import numpy as np
from caproto.server import PvpropertyData

from orchestrator.ioc.pvs.read_only import ReadOnly
from orchestrator.types import Latin1, decoded, encoded

_STRING_BYTES = 39
"""What a DBR_STRING holds, without its NUL (EPICS MAX_STRING_SIZE is 40)."""


# DBR_CTRL_STRING and DBR_GR_STRING are dbr_sts_string (db_access.h); caproto's carries a stamp.
ca.DBR_TYPES[ca.ChannelType.CTRL_STRING] = ca.DBR_TYPES[ca.ChannelType.STS_STRING]


def decode(data: Any) -> str:
    """Text as it comes from a client, up to its first NUL: UTF-8, else Latin-1.

    `data` is a CHAR array, or an array of strings, of which the first counts.
    """
    if isinstance(data, np.ndarray):
        raw = data.tobytes()
    else:
        first = data[0] if len(data) else b""
        raw = first.encode("latin-1") if isinstance(first, str) else bytes(first)
    return decoded(raw)


def encode(text: str, most_bytes: int) -> bytes:
    """UTF-8, or what it came as, cut to `most_bytes` between two characters; without NUL."""
    if isinstance(text, Latin1):
        return encoded(text).partition(b"\0")[0][:most_bytes]
    raw = text.partition("\0")[0].encode("utf-8", errors="replace")
    if len(raw) <= most_bytes:
        return raw
    return raw[:most_bytes].decode("utf-8", errors="ignore").encode("utf-8")


async def metadata_for(channel: Any, data_type: Any) -> Any:
    """What stands before the value in an answer of this type, as caproto would have it."""
    if data_type in ca.native_types:
        return b""
    metadata = ca.DBR_TYPES[data_type]()
    channel._read_metadata(metadata)  # noqa: SLF001 - caproto has no other door
    alarm = await channel.alarm.read()
    metadata.status, metadata.severity = alarm.status, alarm.severity
    return metadata


class TextChannel(ca.ChannelChar):  # type: ignore[misc] # caproto is untyped
    """A text PV outside of any group.

    Clients see a CHAR waveform of `max_length` bytes, the last of them for the closing NUL, as
    caproto has it for all text (caproto/caproto#868). It takes DBR_CHAR arrays and plain
    DBR_STRINGs alike, which caproto's own refuses, and gives both; a DBR_STRING holds the first
    39 bytes. UTF-8; from inside, text that is too long is cut.
    """

    default_value = ""
    closing_nul = True
    """Whether a CHAR array ends with a NUL, for clients that count on one."""
    spare = 1
    """Bytes that no text may take; 0: one may fill it, and has no NUL then."""

    def __init__(
        self, *, value: str = "", max_length: int | None = None, alarm: Any = None, **kwargs: Any
    ) -> None:
        del alarm  # caproto's groups give all their PVs the same one
        kwargs["string_encoding"] = "utf-8"
        super().__init__(
            value=value, max_length=max_length or 1000, alarm=ca.ChannelAlarm(), **kwargs
        )

    def preprocess_value(self, value: Any) -> str:
        """The text to keep: cut to what clients can be given."""
        text = value if isinstance(value, str) else decode(np.frombuffer(bytes(value), np.uint8))
        return decoded(encode(text, self.max_length - self.spare))

    def calculate_length(self, value: Any) -> int:
        """Elements that a value takes, in whichever form caproto holds it."""
        if isinstance(value, str):
            return len(encoded(value)) + 1
        return len(value) if value is not None else 1

    async def _read(self, data_type: Any) -> tuple[Any, Any]:
        data_type = ca.ChannelType(data_type)
        if data_type in (ca.ChannelType.STSACK_STRING, ca.ChannelType.CLASS_NAME):
            return await super()._read(data_type)  # type: ignore[no-any-return] # untyped
        native = ca.native_type(data_type)
        if native == ca.ChannelType.STRING:
            return await metadata_for(self, data_type), [encode(self.value, _STRING_BYTES)]
        if native == ca.ChannelType.CHAR:
            raw = encode(self.value, self.max_length)
            if self.closing_nul or not raw:  # no client of libca's expects an empty array
                raw += b"\0"
            raw = raw[: self.max_length]
            return await metadata_for(self, data_type), np.frombuffer(raw, np.uint8)
        raise ValueError(f"text can't be read as {data_type.name}")

    async def write_from_dbr(
        self, data: Any, data_type: Any, metadata: Any, *, flags: int = 0
    ) -> None:
        """Take what a client puts; called by caproto.

        Raises:
            ValueError: It is longer than the PV; nothing was written.
        """
        del data_type, metadata
        await self.write(self.taken(data), flags=flags)

    def taken(self, data: Any) -> str:
        """The text that a client puts.

        Raises:
            ValueError: It is longer than the PV.
        """
        text = decode(data)
        size, most = len(encoded(text)), self.max_length - self.spare
        if size > most:
            raise ValueError(f"{size} bytes of text, where {most} is the most")
        return text


class TextPV(PvpropertyData, TextChannel):  # type: ignore[misc] # caproto is untyped
    """A text PV of a group: `pvproperty(dtype=TextPV, value="", max_length=1000)`."""


class TextRO(ReadOnly, TextPV):
    """A text PV of a group that clients can't write."""
