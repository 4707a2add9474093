"""The process of a service under test, and how it may be lost."""

from __future__ import annotations

import signal

from orchestrator.errors import OrchestratorError
from sim_iocs.process import Process


class ServiceError(OrchestratorError):
    """The service did not come up, ended, or refused a run: the text holds the end of its log."""


class ServiceProcess:
    """What a service is to its operating system."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._process: Process | None = None

    @property
    def log(self) -> str:
        """What it has written to stderr: lines of JSON."""
        return self._process.errors if self._process else ""

    @property
    def process(self) -> Process:
        """Its process, with `exit_code`, `end(timeout)`, `signal(number)`.

        Raises:
            ServiceError: it has not been started.
        """
        if self._process is None:
            raise ServiceError("the service has not been started")
        return self._process

    @property
    def pid(self) -> int:
        """Of its process."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether its process exists; a frozen one does."""
        return self._process is not None and not self._process.ended

    @property
    def fell(self) -> bool:
        """Whether it ended without being asked to, or of something else just then."""
        return self._process is not None and self._process.fell

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        self.process.kill()

    def terminate(self, timeout: float = 15) -> int | None:
        """SIGTERM, and wait for its end; its exit code."""
        self.process.terminate(timeout)
        return self.process.exit_code

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        self.process.signal(number)

    def freeze(self) -> None:
        """SIGSTOP: it stays connected and answers nothing, until `thaw`."""
        self.process.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        self.process.thaw()

    @property
    def _log_end(self) -> str:
        return self._process.log if self._process else ""

    def _alive(self, what: str) -> None:
        if self._process is not None and self._process.ended:
            raise ServiceError(
                f"the service {what}, with exit code {self._process.exit_code}:\n{self._log_end}"
            )
