"""The plugin in a pytest of its own: what it loads, what it reports, what it leaves behind."""

from __future__ import annotations

import os
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


def test_what_ends_by_itself_is_an_error_with_the_end_of_its_log(session: Session) -> None:
    session.tests(
        "import os, signal\n"
        "from sim_iocs.testing import until\n"
        "def test_them(ioc_fleet, orchestrator_service):\n"
        "    fleet = ioc_fleet('motor')\n"
        "    service = orchestrator_service(fleet)\n"
        "    os.kill(fleet['motor'].pid, signal.SIGSEGV)\n"
        "    os.kill(service.pid, signal.SIGSEGV)\n"
        "    until(lambda: not service.running and not fleet['motor'].running)\n"
    )
    code, output = session.run()
    assert code == 1
    assert "IOC motor ended by itself (-11)" in output
    assert "the service ended by itself (-11)" in output
    assert '"event": "serving"' in output


def test_what_falls_in_the_last_moment_of_a_test_is_an_error_too(session: Session) -> None:
    """The signal is on its way when the test is over; one that stops cleanly is none."""
    (session.folder / "clumsy.py").write_text(
        "import sys\n"
        "from orchestrator import ioc\n"
        "from caproto.server import pvproperty\n"
        "class Lamp(ioc.Group):\n"
        "    level = pvproperty(name='Level', value=0.0)\n"
        "    @level.shutdown\n"
        "    async def level(self, instance, async_lib):\n"
        "        sys.exit(7)\n"
        "sys.exit(ioc.run_ioc(Lamp, default_prefix='LAMP:', desc='A lamp.'))\n"
    )
    session.tests(
        "import os, signal\n"
        "def test_good(ioc_fleet, orchestrator_service):\n"
        "    orchestrator_service(ioc_fleet('motor'))\n"
        "def test_last(ioc_fleet, orchestrator_service):\n"
        "    fleet = ioc_fleet('motor')\n"
        "    service = orchestrator_service(fleet)\n"
        "    os.kill(service.pid, signal.SIGSEGV)\n"
        "    os.kill(fleet['motor'].pid, signal.SIGSEGV)\n"
        "def test_clumsy(ioc_fleet):\n"
        "    ioc_fleet('clumsy.py')\n"
    )
    code, output = session.run()
    assert code == 1
    assert "IOC motor ended by itself (-11)" in output
    assert "the service ended by itself (-11)" in output
    assert "IOC clumsy ended by itself (7)" in output
    assert "ERROR at teardown of test_good" not in output


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
    assert "is it run by orchestrator.ioc.run_ioc, which knows --port?" in output
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
        "    PLACES.extend(orchestrator_service().directory for _ in range(2))\n"
        "    for place in PLACES:\n"
        "        assert place.parent == tmp_path_factory.getbasetemp()\n"
        "        assert (place / 'events.jsonl').exists()\n"
        "    (given := tmp_path / 'given').mkdir()\n"
        "    PLACES.append(orchestrator_service(directory=given).directory)\n"
        "def test_after():\n"
        "    assert [place.exists() for place in PLACES] == [False, False, True]\n"
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


def test_tests_run_in_parallel_under_xdist(session: Session) -> None:
    session.tests(
        "import pytest\n"
        "@pytest.mark.parametrize('to', [0.1, 0.2])\n"
        "def test_it(ioc_fleet, orchestrator_service, to):\n"
        "    service = orchestrator_service(ioc_fleet('motor'))\n"
        "    service.put('motor.x', to)\n"
        "    assert service.get('motor.x') == to\n"
    )
    code, output = session.run("-n", "2")
    assert code == 0, output
    assert "2 passed" in output
