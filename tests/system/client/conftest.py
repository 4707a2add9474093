"""IOC processes for the client's tests: two that many tests share, and victims of one test."""

import asyncio
from collections.abc import Iterator
from contextlib import closing

import aioca
import pytest
from client_iocs import Ioc, Pool, Victim

from sim_iocs.testing.client import held_udp_port


@pytest.fixture(scope="session", autouse=True)
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """All IOCs of these tests, in the environment that libca reads.

    It does so once a process, at its first channel: an IOC that is added later would not be
    found. Other tests don't see that environment.
    """

    async def first_channel() -> None:
        await aioca.connect("NO:SUCH:PV", wait=False)
        aioca.purge_channel_caches()

    with held_udp_port() as repeater, closing(Pool(tmp_path_factory.mktemp("iocs"), repeater)) as p:
        with pytest.MonkeyPatch.context() as patch:
            for key, text in p.env.items():
                patch.setenv(key, text)
            asyncio.run(first_channel())
        yield p


def _started(pool: Pool, script: str) -> Iterator[Ioc]:
    ioc = pool.start(script)
    yield ioc
    ioc.kill()


# One a module: the tests of one put what those of another expect to find as it was.


@pytest.fixture(scope="module")
def c_ioc(pool: Pool) -> Iterator[Ioc]:
    """C records; nobody harms it."""
    yield from _started(pool, "c_records.py")


@pytest.fixture(scope="module")
def py_ioc(pool: Pool) -> Iterator[Ioc]:
    """caproto's PVs; nobody harms it."""
    yield from _started(pool, "caproto_pvs.py")


@pytest.fixture
def victim(pool: Pool) -> Iterator[Victim]:
    """Starts IOCs that this test may kill, freeze and restart."""
    iocs = []

    def start(script: str) -> Ioc:
        iocs.append(pool.start(script))
        return iocs[-1]

    yield start
    for ioc in iocs:
        ioc.kill()
