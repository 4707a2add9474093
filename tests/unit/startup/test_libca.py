"""What a command needs of libca is loaded, and no build system, nor what reads documents."""

import subprocess
import sys
from pathlib import Path

from orchestrator.startup.libca import library

SCRIPT = """
import sys
from orchestrator.client import Client, get_values
import aioca
assert "setuptools" not in sys.modules, "half a second"
assert "pydantic" not in sys.modules, "a quarter of a second; who reads no file needs none of it"
import setuptools_dso
assert setuptools_dso.DSO, "whoever wants all of it gets it"
"""


def test_the_client_loads_libca_without_setuptools() -> None:
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_library_is_found_by_its_name() -> None:
    assert Path(library("Com")).is_file()


def test_the_tests_client_needs_nothing_of_ours_but_libca() -> None:
    script = "import orchestrator.client.client_process, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "aioca" in loaded
    assert not {"orchestrator.client.client", "orchestrator.config", "structlog"} & set(loaded)
