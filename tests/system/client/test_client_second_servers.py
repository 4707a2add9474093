"""Which of the servers that have answered for a PV still have it."""

from __future__ import annotations

from client_iocs import Ioc

from orchestrator.client.servers.second_servers import ignored_servers


async def test_a_server_is_told_of_what_it_has_and_not_of_what_it_denies(
    c_ioc: Ioc, py_ioc: Ioc
) -> None:
    here, other = (f"127.0.0.1:{ioc.port}" for ioc in (c_ioc, py_ioc))
    has, denies = py_ioc.prefix + "X", c_ioc.prefix + "X"
    told = {pv: (here, [here, other]) for pv in (has, denies)}
    assert await ignored_servers(told) == {has: other}
