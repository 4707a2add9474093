"""The plugin in a pytest of its own: what it loads, what it reports, what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim_iocs.process import Process
from sim_iocs.testing import until


class Session:
    """A folder with tests, and pytest run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # With CI set, pytest prints each failure once more in its summary.
        own = ("PYTEST", "EPICS_", "BUILD_NUMBER")
        self.env = {k: v for k, v in os.environ.items() if k != "CI" and not k.startswith(own)}
        (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")

    def tests(self, text: str) -> None:
        (self.folder / "test_it.py").write_text(text)

    def start(self, *options: str) -> Process:
        command = [sys.executable, "-m", "pytest", "-p", "sim_iocs.pytest_plugin", *options]
        return Process("pytest", command, self.env, cwd=self.folder)

    def run(self, *options: str) -> tuple[int, str]:
        process = self.start(*options)
        try:
            return process.end(60), process.output
        finally:
            process.close()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    return Session(tmp_path)


def test_it_loads_next_to_nothing_when_pytest_starts_and_never_libca_or_caproto(
    session: Session,
) -> None:
    session.tests(
        "import sys\n"
        "HEAVY = {'numpy', 'caproto', 'aioca', 'epicscorelibs', 'pydantic', 'structlog', 'rich'}\n"
        "def test_before():\n"
        "    assert not HEAVY & set(sys.modules)\n"
        "    ours = [m for m in sys.modules if m.startswith(('orchestrator', 'sim_iocs'))]\n"
        "    assert ours == ['sim_iocs', 'sim_iocs.pytest_plugin']\n"
        "def test_used(ioc_fleet, orchestrator_service):\n"
        "    service = orchestrator_service(ioc_fleet('motor'))\n"
        "    assert service.run('steps:\\n- sample: [motor.x]\\n').data['motor.x'][0] == 0\n"
        "    assert HEAVY & set(sys.modules) == {'numpy'}\n"
    )
    code, output = session.run("-p", "no:hypothesispytest")
    assert code == 0, output


def test_the_report_of_a_failed_test_has_the_logs_of_its_time_and_only_those(
    session: Session,
) -> None:
    session.tests(
        "import pytest\n"
        "from sim_iocs.testing import Fleet, Service\n"
        "SAY = 'steps:\\n- log: %s\\n'\n"
        "@pytest.fixture(scope='module')\n"
        "def service():\n"
        "    with Service() as service: yield service\n"
        "def test_good(service): service.run(SAY % 'sunshine')\n"
        "def test_bad(service): service.run(SAY % 'thunder'); assert False\n"
        "def test_own():\n"
        "    with Service() as service: service.run(SAY % 'hail')\n"
        "    assert False\n"
    )
    code, output = session.run()
    assert code == 1
    assert "the service (stderr)" in output
    thunder, hail = output.split("test_own ___", 1)
    assert "thunder" in thunder
    assert "hail" in hail, "of a service that the test itself has closed"
    assert "thunder" not in hail.partition("short test summary")[0]
    assert "sunshine" not in output


FALLING = """
import os, signal
from sim_iocs.testing import until
def moved(fleet, service, to):
    service.put('motor.x', to)
    assert service.get('motor.x') == to
def test_good(ioc_fleet, orchestrator_service):
    fleet = ioc_fleet('motor')
    moved(fleet, orchestrator_service(fleet), 0.1)
def test_them(ioc_fleet, orchestrator_service):
    fleet = ioc_fleet('motor')
    service = orchestrator_service(fleet)
    os.kill(fleet['motor'].pid, signal.SIGSEGV)
    os.kill(service.pid, signal.SIGSEGV)
    until(lambda: not service.running and not fleet['motor'].running)
def test_last(ioc_fleet, orchestrator_service):
    fleet = ioc_fleet('motor')
    service = orchestrator_service(fleet)
    moved(fleet, service, 0.2)
    os.kill(service.pid, signal.SIGSEGV)
    os.kill(fleet['motor'].pid, signal.SIGSEGV)
def test_clumsy(ioc_fleet):
    ioc_fleet('clumsy.py')
"""

CLUMSY = """
import sys
from orchestrator import ioc
from caproto.server import pvproperty
class Lamp(ioc.Group):
    level = pvproperty(name='Level', value=0.0)
    @level.shutdown
    async def level(self, instance, async_lib):
        sys.exit(7)
sys.exit(ioc.run_ioc(Lamp, default_prefix='LAMP:', desc='A lamp.'))
"""


@pytest.fixture(scope="module")
def fallen(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a session with two workers, side by side in the first two tests of each."""
    session = Session(tmp_path_factory.mktemp("fallen"))
    session.tests(FALLING)
    (session.folder / "clumsy.py").write_text(CLUMSY)
    code, output = session.run("-n", "2", "-rpE")
    assert code == 1, output
    return output


def errors_of(output: str, test: str) -> str:
    """What is reported of the end of a test."""
    section = rf"^_+ ERROR at teardown of {test} _+\n(.*?)^(?:___|===)"
    found = re.search(section, output, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def test_what_ends_by_itself_is_an_error_with_the_end_of_its_log(fallen: str) -> None:
    told = errors_of(fallen, "test_them")
    assert "the service ended by itself (-11)" in told
    assert '"event": "serving"' in told
    assert "IOC motor ended by itself (-11)" in told


def test_what_falls_in_the_last_moment_of_a_test_is_an_error_too(fallen: str) -> None:
    """The signal is on its way when the test is over; one that stops cleanly is none."""
    told = errors_of(fallen, "test_last")
    assert "IOC motor ended by itself (-11)" in told
    assert "the service ended by itself (-11)" in told
    assert "IOC clumsy ended by itself (7)" in errors_of(fallen, "test_clumsy")
    assert errors_of(fallen, "test_good") == ""


def test_tests_run_in_parallel_under_xdist(fallen: str) -> None:
    assert "created: 2/2 workers" in fallen
    passed = re.findall(r"^PASSED test_it.py::(\w+)", fallen, re.MULTILINE)
    assert sorted(passed) == ["test_clumsy", "test_good", "test_last", "test_them"]
    assert "\nERROR test_it.py::test_good" not in fallen


def test_an_ioc_that_does_not_start_says_why(session: Session) -> None:
    (session.folder / "broken.py").write_text("raise SystemExit('no such camera')\n")
    (session.folder / "empty.py").write_text("import sys\n")
    (session.folder / "slow.py").write_text("import time\ntime.sleep(100)\n")
    (session.folder / "own_run.py").write_text(
        "from caproto.server import PVGroup, ioc_arg_parser, run\n"
        "options, how = ioc_arg_parser(default_prefix='X:', desc='')\n"
    )
    session.tests(
        "def test_broken(ioc_fleet):\n    ioc_fleet('broken.py')\n"
        "def test_empty(ioc_fleet):\n    ioc_fleet('empty.py')\n"
        "def test_slow(ioc_fleet):\n    ioc_fleet('slow.py', timeout=0.5)\n"
        "def test_own_run(ioc_fleet):\n    ioc_fleet('own_run.py')\n"
    )
    code, output = session.run()
    assert code == 1
    assert "IOC broken did not start: exit code 1" in output
    assert "no such camera" in output
    assert "IOC empty did not start: exit code 0; nothing on stderr" in output
    assert output.count("does it call run_ioc at its end?") == 1
    assert "IOC slow was not ready in time: it still runs, and has not said READY" in output
    assert "unrecognized arguments: --port" in output
    assert "is it run by orchestrator.ioc.ioc_command, which knows --port?" in output
    assert "simulated IOC" not in output


def test_an_ioc_of_yours_is_found_beside_the_test_and_from_the_root(session: Session) -> None:
    (session.folder / "test_it.py").touch()
    below = session.folder / "below"
    below.mkdir()
    say = "raise SystemExit('it is {}')\n"
    (below / "near.py").write_text(say.format("near"))
    (session.folder / "far.py").write_text(say.format("far"))
    (below / "test_below.py").write_text(
        "from pathlib import Path\nfrom sim_iocs.testing import Member\n"
        "def test_near(ioc_fleet):\n    ioc_fleet('camera=near.py:XF:CAM:')\n"
        "def test_member(ioc_fleet):\n    ioc_fleet(Member(script=Path('near.py')))\n"
        "def test_far(ioc_fleet):\n    ioc_fleet('far.py')\n"
        "def test_none(ioc_fleet):\n    ioc_fleet('none.py')\n"
    )
    code, output = session.run("below")
    assert code == 1
    assert output.count("it is near") == 2, output
    assert "it is far" in output
    assert f"there is no IOC {below / 'none.py'}" in output


def test_a_services_files_are_among_those_of_pytest_and_go_with_the_test(session: Session) -> None:
    """A pytest that is killed can't remove them; a later one clears away what is among its own."""
    session.tests(
        "import pathlib, pytest\n"
        "PLACES = []\n"
        "def test_it(orchestrator_service, tmp_path_factory, tmp_path):\n"
        "    PLACES.append(place := orchestrator_service().directory)\n"
        "    assert place.parent == tmp_path_factory.getbasetemp()\n"
        "    assert (place / 'events.jsonl').exists()\n"
        "    (given := tmp_path / 'given').mkdir()\n"
        "    PLACES.append(orchestrator_service(directory=given).directory)\n"
        "def test_after():\n"
        "    assert [place.exists() for place in PLACES] == [False, True]\n"
    )
    code, output = session.run()
    assert code == 0, output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 2)])
def test_nothing_is_left_behind_however_pytest_ends(
    session: Session, number: signal.Signals, code: int
) -> None:
    session.tests(
        "import time\n"
        "def test_it(ioc_fleet, orchestrator_service):\n"
        "    fleet = ioc_fleet('motor', 'shutter')\n"
        "    service = orchestrator_service(fleet)\n"
        "    service.start('steps:\\n- delay: 60\\n')\n"
        "    fleet['shutter'].freeze()\n"
        "    pids = [*(ioc.pid for ioc in fleet), service.pid, service.client.pid]\n"
        "    open('pids', 'w').write(' '.join(map(str, pids)) + '\\n')\n"
        "    time.sleep(60)\n"
    )
    process = session.start()
    try:
        pids = session.folder / "pids"
        until(lambda: process.ended or (pids.exists() and pids.read_text().endswith("\n")), 40)
        assert not process.ended, process.output
        process.signal(number)
        assert process.end(20) == code
        started = [int(pid) for pid in pids.read_text().split()]
        assert len(started) == 4
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), 10, "their end")
    finally:
        process.close()
