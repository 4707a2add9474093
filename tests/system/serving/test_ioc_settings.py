import subprocess
import sys

import pytest

SHOW = (
    "import orchestrator.ioc; from caproto import _constants as k; "
    "from caproto.server import common as c; "
    "print(c.HIGH_LOAD_TIMEOUT, c.MAX_LATENCY, c.WRITE_LOCK_TIMEOUT, k.MAX_SUBSCRIPTION_BACKLOG)"
)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ({}, "1e-06 0.005 0.0 50"),
        ({"CAPROTO_MAX_SUBSCRIPTION_BACKLOG": "7"}, "1e-06 0.005 0.0 7"),
    ],
)
def test_caproto_is_imported_with_our_settings_but_for_the_users(
    environment: dict[str, str], seen: str
) -> None:
    assert python(SHOW, **environment).stdout.strip() == seen


def test_importing_caproto_first_is_warned_of() -> None:
    assert "caproto was imported before" in python(f"import caproto; {SHOW}").stderr
