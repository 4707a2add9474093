"""This host: versions, descriptors, the store, the environment of libca."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from fcntl import LOCK_EX, LOCK_NB, flock
from importlib.metadata import version
from pathlib import Path

from orchestrator.config import Config
from orchestrator.data.store_room import lack_of_room
from orchestrator.doctor.symptom import Symptom, error, ok, warning
from orchestrator.present import NO_LOCKS, find_present

_PACKAGES = ("caproto", "aioca", "epicscorelibs", "numpy")
_PYTHONS = ((3, 11), (3, 13))
"""The first and the last that the tests run on."""
_FOR_FILES = 200
"""Descriptors for data, journals, logs and user code."""


def versions() -> Iterator[Symptom]:
    """What runs here."""
    packages = " ".join(f"{name} {version(name)}" for name in _PACKAGES)
    told = f"orchestrator {version('ioc-orchestrator')}, Python {platform.python_version()}"
    about = "versions"
    if _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]:
        yield ok(about, f"{told}, {packages}")
    else:
        yield warning(about, f"{told}, {packages}", "it is tested on Python 3.11 to 3.13")


def descriptors(config: Config) -> Iterator[Symptom]:
    """Whether all clients that may connect, and all IOCs, can have their sockets."""
    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = config.limits.circuits + 2 * len(config.chain) + _FOR_FILES
    if limit >= needed:
        yield ok("descriptors", f"{limit} may be open at once")
        return
    raised = f"ulimit -n {needed}" if needed <= highest else "LimitNOFILE of its systemd unit"
    yield warning(
        "descriptors",
        f"{limit} may be open at once; {config.limits.circuits} clients and "
        f"{len(config.chain)} IOCs may need {needed}",
        f"{raised}, or fewer clients: [limits] circuits",
    )


def store(config: Config) -> Iterator[Symptom]:
    """Whether runs can be kept."""
    folder = config.store
    if lack := lack_of_room(folder):
        text, _, remedy = lack.rpartition(": ")
        yield error("store", text, remedy)
        return
    there = _existing(folder)
    free = shutil.disk_usage(there).free / 1e9
    if not _locks(there):
        yield warning(
            "store",
            f"{folder}: no file locks: who uses it can't be told from who was killed",
            "have the service's store on a disk of its host, or mount it with locks",
        )
    users = ", ".join(present.title for present in find_present(folder))
    yield ok("store", f"{folder}: {free:.1f} GB free{users and f'; used by {users}'}")


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _locks(folder: Path) -> bool:
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except OSError as failed:
            return failed.errno not in NO_LOCKS
    return True


def search(environ: Mapping[str, str] = os.environ) -> Iterator[Symptom]:
    """Where libca looks for IOCs; after `configure_environment`."""
    about = "search"
    listed = environ.get("EPICS_CA_ADDR_LIST", "").split()
    servers = environ.get("EPICS_CA_NAME_SERVERS", "").split()
    automatic = environ.get("EPICS_CA_AUTO_ADDR_LIST", "YES").upper() != "NO"
    for word in (*listed, *servers):
        host = word.partition(":")[0]
        try:
            socket.gethostbyname(host)
        except (OSError, UnicodeError):
            yield error(
                about,
                f"{word}: no host of this name is known",
                "correct EPICS_CA_ADDR_LIST, EPICS_CA_NAME_SERVERS or the chain's address",
            )
    if not (listed or servers or automatic):
        yield error(
            about,
            "no IOC is looked for anywhere: EPICS_CA_AUTO_ADDR_LIST is NO, and "
            "EPICS_CA_ADDR_LIST empty",
            'give each [chain.NAME] its address = "host:port"',
        )
        return
    places = [*listed, *(["the local networks (broadcast)"] if automatic else [])]
    by_tcp = f", by TCP at {' '.join(servers)}" if servers else ""
    yield ok(about, f"IOCs are looked for at {', '.join(places)}{by_tcp}")
