"""What a command needs of libca is loaded, and no build system, nor what reads documents."""

import subprocess
import sys
from pathlib import Path

from orchestrator.quick_libca import library

SCRIPT = """
import sys
import orchestrator.client, aioca
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
