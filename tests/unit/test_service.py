from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.config import Config
from orchestrator.service import Service
from orchestrator.types import Command, Tick, Verb
from tests.doubles import run_virtual


def test_a_disk_that_fails_after_the_service_has_ended_harms_nobody(tmp_path: Path):
    # The file's thread goes on where the disk hung for longer than the service waits for it.
    async def make() -> Service:
        return Service(Config(store=tmp_path), None)

    asyncio.run(make())._lost("No space left on device")


FIRST_DOCUMENT = """
import asyncio, pathlib, sys
from orchestrator.config import Config
from orchestrator.language.text.document import Document
from orchestrator.service import Service

async def make():
    assert not Document.__pydantic_complete__, "at import it is paid by each command"
    Service(Config(store=pathlib.Path(sys.argv[1])), None)
    assert Document.__pydantic_complete__

asyncio.run(make())
"""


def test_what_the_first_document_needs_is_made_before_a_channel_reports(tmp_path: Path):
    command = [sys.executable, "-c", FIRST_DOCUMENT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_rate_of_the_pull_queue_is_that_of_the_time_since_the_last_look(tmp_path: Path):
    async def work() -> list[Tick]:
        service = Service(Config(store=tmp_path), None)
        ticking = asyncio.create_task(service._tick())
        ticks: list[Tick] = []
        for number in range(3):
            for _ in range(10 * number):
                service._pull.offer(Command(Verb.RESUME))
            await asyncio.sleep(1.0)
            ticks += [item for item in await service._pull.batch() if isinstance(item, Tick)]
        ticking.cancel()
        return ticks

    ticks = run_virtual(work())
    rates = [tick.figures["pull_rate"] for tick in ticks]
    assert len(rates) in (14, 15)
    # Those of a second came in its first fifth, beside the ticks themselves.
    ours = [rate for rate in rates if rate > 10]
    assert ours == [pytest.approx(5 * 11), pytest.approx(5 * 21)]
