from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator.config import Config
from orchestrator.service import Service


def test_a_disk_that_fails_after_the_service_has_ended_harms_nobody(tmp_path: Path):
    # The file's thread goes on where the disk hung for longer than the service waits for it.
    async def make() -> Service:
        return Service(Config(store=tmp_path), None, None)

    asyncio.run(make())._rows_lost("No space left on device")
