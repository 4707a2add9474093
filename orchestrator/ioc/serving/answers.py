"""Answers to a client's requests, as a C IOC (rsrv) gives them."""

from __future__ import annotations

from typing import Any

import caproto as ca

from orchestrator.ioc.serving.outbox import bytes_of, padded

NO_CHANNEL = 0xFFFF_FFFF
"""In an error that concerns no channel that the client would know (rsrv, camessage.c)."""

_SPECIAL = (ca.ChannelType.STSACK_STRING, ca.ChannelType.CLASS_NAME)
"""Types of one value each, whatever is asked for."""
_MOST_FILLED_UP = 65_536
"""Bytes of an answer with more values than there are."""


def filled_up(reply: Any, count: int) -> Any:
    """An answer with as many values as were asked for; rsrv (camessage.c) fills up with zeros."""
    if count <= reply.data_count or reply.data_type in _SPECIAL:
        return reply
    values = padded(reply.data, count)
    return ca.ReadNotifyResponse(
        values, reply.data_type, count, 1, reply.ioid, metadata=reply.metadata
    )


def check_count(command: Any, channel: Any) -> None:
    """Refuse many more values than there are: a client may claim four thousand millions."""
    count, there_are = command.data_count, channel.native_data_count
    if count > there_are and bytes_of(command.data_type, count) > _MOST_FILLED_UP:
        raise ValueError(f"{count} values of {there_are} are too many")


def error_answer(command: Any, cid: int, status: str, text: str) -> Any:
    """The answer that a request has failed, with a status of libca by its name."""
    return ca.ErrorResponse(command, cid, status=ca.CAStatus[status], error_message=text)


def plain_name(name: str | None) -> str:
    """A client's name as it can be shown: it may claim anything."""
    text = (name or "").partition("\0")[0][:100]
    return "".join(c if c.isprintable() else "?" for c in text)


def first_line(error: Exception) -> str:
    """An error in a line: its type, and the first line of its text."""
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]:.200}"


def read_only(reply: Any) -> Any:
    """An answer that tells of access rights, without the right to write."""
    if not isinstance(reply, ca.AccessRightsResponse):
        return reply
    rights = ca.AccessRights(reply.access_rights) & ca.AccessRights.READ
    return ca.AccessRightsResponse(cid=reply.cid, access_rights=rights)
