"""Real IOC processes for the client's tests, on loopback ports that libca knows from the start."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.client import Client
from orchestrator.config import ChannelConfig
from orchestrator.types import LinkChange, Reading
from sim_iocs.fleet import Fleet, Member, SimIoc

IOCS = Path(__file__).parent / "iocs"
T = TypeVar("T")


class Ioc:
    """A member of the pool: killed, frozen and restarted as a test needs."""

    def __init__(self, member: SimIoc, variant: Path) -> None:
        self.port, self.prefix = member.port, member.prefix
        self.kill, self.freeze, self.thaw = member.kill, member.freeze, member.thaw
        self._member = member
        self._variant = variant

    def start(self, variant: str = "") -> None:
        """Start it anew, with other PVs if a variant is named; wait until it is ready."""
        self._variant.write_text(variant)
        self._member.restart()

    def channel(self, suffix: str, *, text: bool = False) -> ChannelConfig:
        return ChannelConfig(f"t.{suffix.lower()}", self.prefix + suffix, text=text)


SIZES = {"c_records.py": 30, "caproto_pvs.py": 20}
"""How many of each the tests may start at most."""


class Pool:
    """A fleet that holds a port for each IOC that tests may start; none is started here.

    All ports are held until the end: libca goes on looking for what was killed, and an IOC of
    another test process that took one of them would get the searches that are meant for ours.
    """

    def __init__(self, folder: Path, repeater: int) -> None:
        self._variants = {
            script: [folder / f"{Path(script).stem}_{number}" for number in range(size)]
            for script, size in SIZES.items()
        }
        self._fleet = Fleet(
            Member(name=each.name, options=("--variant", str(each)), script=IOCS / script)
            for script, variants in self._variants.items()
            for each in variants
        )
        self.close = self._fleet.stop
        self.env = self._fleet.env | {
            "EPICS_CA_CONN_TMO": "5",
            "EPICS_CA_REPEATER_PORT": str(repeater),
        }
        """In which libca finds every IOC of these tests."""

    def start(self, script: str) -> Ioc:
        """Start one that was not used before."""
        variant = self._variants[script].pop()
        ioc = Ioc(self._fleet[variant.name], variant)
        ioc.start()
        return ioc


Victim = Callable[[str], Ioc]
"""Starts an IOC that a test may kill, freeze and restart."""


class Taken:
    """A pull queue that keeps all that it was offered."""

    def __init__(self) -> None:
        self.items: list[Reading | LinkChange] = []

    def offer(self, item: Reading | LinkChange) -> None:
        self.items.append(item)

    def of(self, name: str) -> list[Reading | LinkChange]:
        return [item for item in self.items if item.channel == name]

    def readings(self, name: str) -> list[Reading]:
        return [item for item in self.of(name) if isinstance(item, Reading)]

    def links(self, name: str) -> list[LinkChange]:
        return [item for item in self.of(name) if isinstance(item, LinkChange)]


def client_of(*channels: ChannelConfig) -> tuple[Client, Taken]:
    taken = Taken()
    return Client({channel.name: channel for channel in channels}, taken), taken


def value_of(item: Reading | LinkChange) -> Any:
    assert isinstance(item, Reading)
    return item.value


async def until(condition: Callable[[], T], timeout: float = 5.0, what: str = "") -> T:
    """Poll until it is true; gives its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        await asyncio.sleep(0.005)
    return value
