"""What a command needs of libca is loaded, and no build system."""

import subprocess
import sys

SCRIPT = """
import sys
import orchestrator.client, aioca
assert "setuptools" not in sys.modules, "half a second"
import setuptools_dso
assert setuptools_dso.DSO, "whoever wants all of it gets it"
"""


def test_the_client_loads_libca_without_setuptools() -> None:
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
