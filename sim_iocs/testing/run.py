"""What a service under test was asked for: a run under way, a check, a command."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim_iocs.testing.outcome import Outcome

if TYPE_CHECKING:
    from sim_iocs.testing.client import Pending
    from sim_iocs.testing.service import Service


class Run:
    """A run that has begun."""

    def __init__(
        self, service: Service, started: Pending, run_id: str, after: int, timeout: float
    ) -> None:
        """Made by `Service.start`.

        Args:
            service: whose.
            started: waits for the put to START.
            run_id: which.
            after: the number of events before it.
            timeout: seconds that the put may take.
        """
        self._service = service
        self._started = started
        self._after = after
        self._timeout = timeout
        self._outcome: Outcome | None = None
        self.run_id = run_id

    def pause(self, *, timeout: float = 10) -> None:
        """Ask for a pause, and wait until it is Paused."""
        self._service.put("PAUSE", 1)
        self._service.until("STATE", "Paused", timeout=timeout)

    def resume(self, *, timeout: float = 10) -> None:
        """Go on, and wait until it is Running."""
        self._service.put("PAUSE", 0)
        self._service.until("STATE", "Running", timeout=timeout)

    def stop(self) -> None:
        """Have it end at its next boundary; its finalisers run. Does not wait for it."""
        self._service.put("STOP", 1)

    def abort(self, reason: str = "") -> None:
        """Interrupt it; its finalisers run. Does not wait for it; again: harder."""
        self._service.command_text("abort", reason)

    def skip(self) -> None:
        """Interrupt the step that runs, and go on with the next."""
        self._service.put("SKIP", 1)

    def until_step(self, text: str, *, timeout: float = 10) -> None:
        """Wait until a step was entered whose name or path has this text in it.

        Raises:
            ServiceError: none was, or the service died.
        """
        self._service.wait_event(
            self._after,
            lambda e: e.kind == "step_started" and (text in e["name"] or text in e["path"]),
            what=f"a step {text!r}",
            timeout=timeout,
        )

    def until_told(self, text: str, *, timeout: float = 10) -> None:
        """Wait until it told a text that has this in it, by `log` or otherwise.

        Raises:
            ServiceError: it did not, or the service died.
        """
        self._service.wait_event(
            self._after,
            lambda e: e.kind == "told" and text in e["text"],
            what=f"a message {text!r}",
            timeout=timeout,
        )

    def wait(self) -> Outcome:
        """Wait for its end.

        Raises:
            ServiceError: the service died, or the run did not end within the timeout that was
                given at its start.
        """
        if self._outcome is None:
            failed = self._service.reply_of(self._started)
            ended = self._service.wait_event(
                self._after,
                lambda e: e.kind == "run_ended" and e["run_id"] == self.run_id,
                what=f"the end of run {self.run_id} (START: {failed or 'done'})",
                timeout=1 if failed else 10,
            )
            events = tuple(self._service.events[self._after :])
            self._outcome = Outcome(
                status=ended["status"],
                message=ended["message"],
                run_id=self.run_id,
                name=next(e["name"] for e in events if e.kind == "run_started"),
                data_file=ended["data_file"],
                events=events[: events.index(ended) + 1],
            )
        return self._outcome


@dataclass(frozen=True)
class Finding:
    """Something that `orchestrator check` has to say."""

    level: str
    """error or warning."""
    where: str
    """File, line and column."""
    text: str
    """What is wrong, and what was wanted."""


@dataclass(frozen=True)
class Check:
    """What `orchestrator check` found."""

    ok: bool
    """Whether it can be run."""
    findings: Sequence[Finding]
    """Each of them."""
    facts: Mapping[str, Any]
    """All of its JSON: reads, writes, steps, seconds, not_connected, …"""
    exit_code: int
    """0, 2 with errors, 4 where a channel is not connected."""

    @classmethod
    def read(cls, output: str) -> Check:
        """From the JSON that it prints."""
        facts = json.loads(output)
        findings = tuple(Finding(**each) for each in facts["findings"])
        return cls(facts["ok"], findings, facts, facts["exit_code"])


@dataclass(frozen=True)
class Command:
    """A command that has ended."""

    code: int
    """Its exit code."""
    output: str
    """What it wrote to stdout."""
    errors: str
    """What it wrote to stderr."""
