"""A service, the IOC that is struck, one that is not, and the wire between."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

from orchestrator.bench.hostile import wire
from orchestrator.bench.matrix.proxy import Proxy
from orchestrator.bench.matrix.victims import PREFIX, VICTIMS, Direct, Victim
from orchestrator.errors import OrchestratorError
from sim_iocs.fleet import Fleet, Member, SimIoc
from sim_iocs.testing import Service
from sim_iocs.testing.outcome import Event
from sim_iocs.testing.polling import until

WITNESS = "SIM:W:"
"""Prefix of the IOC that is not struck; its chain is `w`."""
_SOMEWHERE = 0.05
CONNECT_S = 3.0
"""The service's `connect_timeout`."""
_RETYPED = "orchestrator.bench.matrix.retyped"
_CALM_S = 10.5
"""After a loss and its end: one that is lost again sooner is looked for more slowly."""
_BACK_S = 30.0
"""Until a healed IOC must have been found."""
_START_S = 60.0
"""Until all must run, on a machine that does other things as well."""


Act = Callable[["Testbed"], None]


class TestbedError(OrchestratorError):
    """What is needed for a cell does not work before anything was struck."""

    __test__ = False  # for pytest, which takes it for one


class Testbed:
    """All that a cell needs; used for one after the other, each finds it healed.

    `service` is the service under test, `ioc` the victim's process, `twin` the same IOC at another
    port, `retyped` one with other types at the same port; the latter two are down.
    """

    __test__ = False  # for pytest, which takes it for a class of tests

    def __init__(self, victim: str, *, wired: bool) -> None:
        """Nothing is started before `with`.

        Args:
            victim: A key of `VICTIMS`.
            wired: Whether there is a proxy between service and victim.
        """
        self.victim: Victim = VICTIMS[victim]
        self.wired = wired
        self._parts = ExitStack()
        self._late: list[threading.Thread] = []
        self._over = threading.Event()
        self._found = -_CALM_S

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def _open(self) -> None:
        victim = Member(self.victim.kind, "d", PREFIX)
        self._fleet = self._parts.enter_context(
            Fleet([victim, f"w=plain:{WITNESS}"], timeout=_START_S)
        )
        texts = ["--text", *self.victim.pvs]
        retyped = Member(name="retyped", prefix=PREFIX, module=_RETYPED, options=texts)
        self._others = Fleet([victim, retyped])
        self._parts.callback(self._others.stop)
        self.ioc = self._fleet["d"]
        self.twin = self._others["d"]
        self.retyped = self._others["retyped"]
        self.retyped.port = self.ioc.port
        self.direct = Direct(self.ioc.port)
        self.witness = Direct(self._fleet["w"].port)
        if self.wired:
            self.proxy = self._parts.enter_context(Proxy(self.ioc.port))
            self.ioc.address = self.proxy.address
        self.service = self._parts.enter_context(
            Service(
                self._fleet,
                config=self._config(),
                python=["orchestrator.bench.matrix.plans"],
                others=[self.twin.address],
                connected=False,
            )
        )
        self.until_connected()

    def _config(self) -> dict[str, Any]:
        witness = {"passed": "Double", "finals": "Integer", "hold": "Choice"}
        return {
            "ca": {"connect_timeout": CONNECT_S},
            "chain": {"d": self.victim.chain(), "w": {"prefix": WITNESS, "channels": witness}},
        }

    # Before and after a cell --------------------------------------------------------------------

    def until_connected(self) -> None:
        """Wait until the service has found everything.

        Raises:
            TestbedError: It has not.
        """
        try:
            for name in ("d", "w"):
                self.service.until(f"CHAIN:{name}:STATUS", "Connected", timeout=_BACK_S)
        except AssertionError as error:
            answers = "answers" if self.answers() else "does not answer"
            raise TestbedError(
                f"not found again within {_BACK_S:g} s, though it {answers} a search: {error}"
            ) from None

    def answers(self) -> bool:
        """Whether the victim answers a search where the service searches for it."""
        host, _, port = self.ioc.address.partition(":")
        name = f"{PREFIX}{self.victim.sp}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1.0)
            client.sendto(
                wire.message(wire.VERSION, 0, 13) + wire.search(name, 1), (host, int(port))
            )
            with contextlib.suppress(OSError):
                return bool(client.recv(1024))
        return False

    def prepare(self, take: float) -> None:
        """Have the victim stand somewhere, and take so long to leave; the witness knows nothing."""
        self.direct.write(f"{PREFIX}{self.victim.take}", self.victim.quick)
        self.direct.write(f"{PREFIX}{self.victim.sp}", _SOMEWHERE)  # no record is UDF any more
        self.direct.until(f"{PREFIX}{self.victim.rbv}", _SOMEWHERE, _BACK_S)
        self.direct.write(f"{PREFIX}{self.victim.take}", take)
        for name in ("Double", "Integer"):
            self.witness.write(f"{WITNESS}{name}", 0)
        until(lambda: self.service.get("w.finals") == 0, 10, "a witness that knows of nothing")

    def heal(self) -> None:
        """Have the victim run as it did at the start, and be found."""
        for thread in self._late:
            thread.join()
        self._late.clear()
        if self.wired:
            self.proxy.heal()
        for other in (self.twin, self.retyped):
            other.kill()
        self.ioc.kill()
        self.ioc.restart(_START_S)
        time.sleep(0.1)  # that one was killed is known by then: its host has closed the connection
        self.until_connected()
        self._found = time.monotonic()

    def until_calm(self) -> None:
        """Wait until a loss counts as the first."""
        time.sleep(max(0.0, self._found + _CALM_S - time.monotonic()))

    # What strikes -------------------------------------------------------------------------------

    def strike(self, strike: Act, lasts: float | None, end: Act) -> None:
        """Begin with a fault; it ends by itself, in a thread of its own, where it lasts."""
        strike(self)
        self._over.clear()
        if lasts is None:
            self._over.set()
            return
        wait = lasts

        def later() -> None:
            time.sleep(wait)
            end(self)
            self._over.set()

        self.later(later)

    def until_over(self, timeout: float) -> bool:
        """Wait until the fault has ended, where it does; whether it has within the time."""
        return self._over.wait(timeout)

    def until_found(self, timeout: float = 4.0) -> None:
        """Wait until the fault has ended, where it does, and the victim is found: not for ever."""
        self.until_over(_START_S)
        with contextlib.suppress(AssertionError):
            self.service.until("CHAIN:d:STATUS", "Connected", timeout=timeout)

    def moved(self, value: float) -> bool:
        """Write the victim's setpoint as another client does; whether it took it."""
        port = self.ioc.port if self.ioc.running else self.twin.port
        try:
            Direct(port).write(f"{PREFIX}{self.victim.sp}", value)
        except (OSError, TimeoutError):
            return False
        return True

    def mode(self, number: int) -> None:
        """Have the victim misbehave by itself, see `sim_iocs.faulty`."""
        self.direct.write(f"{PREFIX}{self.victim.mode}", number)

    def start(self, ioc: SimIoc) -> None:
        """Start one that is down; returns when it is ready."""
        ioc.start()
        ioc.wait_ready(time.monotonic() + _START_S)

    def later(self, what: Callable[[], object]) -> None:
        """Call what may block in a thread of its own; `heal` waits for it."""

        def call() -> None:
            with contextlib.suppress(OSError, AssertionError, OrchestratorError):
                what()

        thread = threading.Thread(target=call, name="strikes", daemon=True)
        thread.start()
        self._late.append(thread)

    # What it says -------------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """Of all runs so far."""
        return self.service.events

    @property
    def log(self) -> str:
        """What the service has written so far."""
        return self.service.log

    @property
    def finals(self) -> int:
        """How often finalisers have run since `prepare`."""
        return round(self.witness.read(f"{WITNESS}Integer"))
