"""The pytest plugin: fixtures for tests of sequences with simulated IOCs.

Nothing heavy may be imported here, as every pytest of an environment in which the project is
installed imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from sim_iocs.fleet import Fleet, Member
    from sim_iocs.testing.replayed import Replayed
    from sim_iocs.testing.service import Service


class FleetFactory(Protocol):
    """What `ioc_fleet` is."""

    def __call__(
        self, *members: str | Member, seed: int | None = 1, timeout: float | None = None
    ) -> Fleet:
        """Start IOCs side by side, a process and a port each."""


class ServiceFactory(Protocol):
    """What `orchestrator_service` is."""

    def __call__(self, fleet: Fleet | None = None, **options: Any) -> Service:
        """Start a service that chains a fleet."""


class Replayer(Protocol):
    """What `orchestrator_replay` is."""

    def __call__(self, file: Path | str, **options: Any) -> Replayed:
        """Replay a recording."""


@pytest.fixture
def ioc_fleet(request: pytest.FixtureRequest) -> Iterator[FleetFactory]:
    """Starts IOCs for this test: `ioc_fleet("motor", "top=motor", "iocs/camera.py:XF:CAM:")`.

    Each member is a text as `orchestrator sim` takes it, `[NAME=]KIND[:PREFIX]`, where KIND may
    also be a script or module of yours that takes the options of `run_ioc`, or a `Member`. They
    run in a process and on a port each, are started side by side, and are stopped after the test.
    `seed=1` repeats what they draw, so that a test sees the same each time; None draws anew.
    Scripts that are no absolute paths are looked for beside the test's file, then from pytest's
    root directory, then from the working directory.

    An IOC that ends by itself, or fails as it is stopped, is an error of the test, with the end of
    what it wrote.
    """
    from sim_iocs.fleet import Fleet, Member

    homes = [request.path.parent, request.config.rootpath, Path.cwd()]

    def placed(member: object) -> Any:
        parsed = Member.parse(member) if isinstance(member, str) else member
        if isinstance(parsed, Member) and parsed.script is not None:
            return replace(parsed, script=_found(parsed.script, homes))
        return parsed

    started: list[Fleet] = []
    with ExitStack() as fleets:

        def start(
            *members: str | Member, seed: int | None = 1, timeout: float | None = None
        ) -> Fleet:
            fleet = fleets.enter_context(Fleet(map(placed, members), seed=seed, timeout=timeout))
            started.append(fleet)
            return fleet

        yield start
    # When all are stopped: what a test's last words set off may take a moment.
    _report(
        f"IOC {ioc.name} ended by itself ({ioc.exit_code}):\n{ioc.errors}"
        for fleet in started
        for ioc in fleet
        if ioc.fell
    )


@pytest.fixture
def orchestrator_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceFactory]:
    """Starts a service for this test: `orchestrator_service(fleet, sequences="my_sequences")`.

    Takes what `Service` takes. `sequences` and `config` that are no absolute paths are looked for
    beside the test's file, then from pytest's root directory; modules named by `python` in both.
    It is a process of its own, stopped after the test.

    A service that ends by itself, or fails as it is stopped, is an error of the test, with the end
    of its log.
    """
    from sim_iocs.testing.service import Service

    homes = [request.path.parent, request.config.rootpath]
    started: list[Service] = []
    with ExitStack() as services:

        def start(fleet: Fleet | None = None, **options: Any) -> Service:
            for name in ("sequences", "config"):
                options[name] = _found(options.get(name), homes)
            options["path"] = [*options.get("path", ()), *homes]
            if options.get("directory") is None:
                # Among pytest's own, which later sessions clear away where this one is killed.
                among = tmp_path_factory.getbasetemp()
                temporary = TemporaryDirectory(prefix="service-", dir=among)
                options["directory"] = Path(services.enter_context(temporary))
            service = services.enter_context(Service(fleet, **options))
            started.append(service)
            return service

        yield start
    _report(
        f"the service ended by itself ({service.process.exit_code}):\n{service.process.log}"
        for service in started
        if service.fell
    )


@pytest.fixture
def orchestrator_replay(request: pytest.FixtureRequest) -> Replayer:
    """Runs a recorded night again, and tells whether it comes to the same.

    `assert orchestrator_replay("night.jsonl").same`. Takes what `replay` of `sim_iocs.testing`
    takes. Files that are no absolute paths are looked for beside the test's file, then from
    pytest's root directory; Python modules of the recording in both. It needs no IOC, and runs in
    a process of its own.
    """
    from sim_iocs.testing.replayed import replay

    homes = [request.path.parent, request.config.rootpath]

    def start(file: Path | str, **options: Any) -> Replayed:
        given = options.get("sequences") or {}
        options["sequences"] = {name: _found(own, homes) for name, own in given.items()}
        options["path"] = [*options.get("path", ()), *homes]
        return replay(_found(file, homes), **options)

    return start


def _report(fallen: Iterable[str]) -> None:
    if text := "\n".join(fallen):
        pytest.fail(text, pytrace=False)


def _found(given: Any, homes: list[Path]) -> Any:
    """The path that is meant, where it is one."""
    if not isinstance(given, str | Path) or "\n" in str(given) or "=" in str(given):
        return given
    places = [home / given for home in homes]
    return next((place for place in places if place.exists()), places[0])


# Reports ----------------------------------------------------------------------------------------


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """A run that did not end as a test wants it says why."""
    from sim_iocs.testing.outcome import Status

    status = left if isinstance(left, Status) else right
    if op != "==" or not isinstance(status, Status):
        return None
    return [f"{left!r} == {right!r}", f"the run ended as {status}: {status.message}"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What processes wrote before belongs to other tests."""
    del item
    if (loaded := _loaded()) is not None:
        loaded.CLOSED.clear()
        for process in loaded.ALIVE:
            process.mark()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Show what the IOCs and services wrote during a test that failed, those that it closed too."""
    del item
    report = yield
    if report.failed and (loaded := _loaded()) is not None:
        told = str(call.excinfo.value) if call.excinfo else ""
        alive = [(process.name, process.news) for process in loaded.ALIVE]
        for name, news in sorted([*loaded.CLOSED, *alive]):
            if (text := news.rstrip()) and text not in told:
                report.sections.append((f"{name} (stderr)", text))
    return report


def _loaded() -> ModuleType | None:
    """The module of processes, where a test has used it."""
    import sys

    return sys.modules.get("sim_iocs.process")
