from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from orchestrator.config import Config
from orchestrator.service import Service


def test_a_disk_that_fails_after_the_service_has_ended_harms_nobody(tmp_path: Path):
    # The file's thread goes on where the disk hung for longer than the service waits for it.
    async def make() -> Service:
        return Service(Config(store=tmp_path), None)

    asyncio.run(make())._rows_lost("No space left on device")


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
