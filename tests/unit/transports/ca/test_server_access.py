"""A client that may not write is told who it is and what would be needed; the log tells it once."""

from __future__ import annotations

import caproto as ca
import pytest
from structlog.testing import capture_logs

from orchestrator.api import EVENTS, Api
from orchestrator.errors import PutError
from orchestrator.queues import pull_queue
from orchestrator.transports.ca.pvs import ServicePVs
from orchestrator.transports.ca.requests import Requests

WRITABLE = ("cmd", "start", "pause", "stop", "abort", "skip", "seq", "args", "nested_indices")


def group(*rules: str) -> ServicePVs:
    api = Api(pull_queue())
    return ServicePVs("A:", Requests(api, api.subscribe(EVENTS)), rules)


@pytest.mark.parametrize("name", WRITABLE)
async def test_a_refused_put_names_the_client_and_the_rules(name: str) -> None:
    pv = group("op@console*").attr_pvdb[name]
    assert pv.check_access("ws1", "me") == ca.AccessRights.READ
    with pytest.raises(PutError) as refused:
        await pv.auth_write("ws1", "me", b"1", ca.ChannelType.STRING, None)
    assert str(refused.value) == (
        "me@ws1 may not write here: access.write of the configuration lists op@console*"
    )


async def test_each_client_is_logged_once_and_those_who_may_never() -> None:
    pvs = group("op@console*").attr_pvdb
    with capture_logs() as lines:
        for name in WRITABLE:
            for user, host in (("me", "ws1"), ("me", "ws2"), ("op", "console7")):
                pvs[name].check_access(host, user)
    assert [line["client"] for line in lines] == ["me@ws1", "me@ws2"]
    assert "op@console*" in lines[0]["why"]


async def test_clients_that_call_themselves_anew_each_time_do_not_fill_the_log() -> None:
    pv = group("op@console").attr_pvdb["cmd"]
    with capture_logs() as lines:
        for number in range(3000):
            pv.check_access(str(number), "me")
    assert len(lines) <= 1000


async def test_without_rules_everyone_may_write() -> None:
    pv = group().attr_pvdb["seq"]
    assert ca.AccessRights.WRITE in pv.check_access(None, None)
    await pv.auth_write("ws1", "me", [b"align"], ca.ChannelType.STRING, None)
    assert pv.value == "align"
