"""A service under test: `orchestrator serve` in a process of its own, and a client of it."""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from orchestrator.errors import InputError
from sim_iocs.fleet import Fleet
from sim_iocs.free_ports import LOOPBACK, PortHold, is_free
from sim_iocs.process import Process
from sim_iocs.testing import chain
from sim_iocs.testing.client import Client, Pending, environment, held_udp_port
from sim_iocs.testing.outcome import Check, Command, Event, EventFile, Outcome
from sim_iocs.testing.polling import until
from sim_iocs.testing.service_process import ServiceError
from sim_iocs.testing.service_pvs import ServicePvs

__all__ = ["STARTUP_TIMEOUT", "Service", "ServiceError"]

SERVING_TIMEOUT = 60.0
"""Seconds in which the service must serve: a busy machine is no reason to fail."""

STARTUP_TIMEOUT = 20.0
"""Seconds in which its channels must be connected."""

_SUFFIXES = (".yaml", ".yml", ".json", ".csv")


class Service(ServicePvs):
    """A service that chains a running fleet, on a port of loopback, with a client of both.

    `prefix`, `port` and `env` say where it is, `aliases` which PV each alias is, `client` is its
    `Client`, `directory` has its files. By itself:

    >>> from sim_iocs.testing import Fleet, Service
    >>> with Fleet(["stage=motor"]) as fleet, Service(fleet, sequences="sequences") as service:
    ...     service.run("there", x=0.2).status
    'Success'
    """

    def __init__(
        self,
        fleet: Fleet | None = None,
        *,
        sequences: Path | str | None = None,
        config: chain.Source = None,
        python: Sequence[str] = (),
        path: Sequence[Path | str] = (),
        prefix: str = "",
        macros: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        access: Sequence[str] = (),
        others: Sequence[str] = (),
        options: Sequence[str] = (),
        directory: Path | str | None = None,
        connected: bool = True,
    ) -> None:
        """Nothing is started yet.

        Args:
            fleet: whose IOCs it chains; running.
            sequences: a directory of sequences, besides the configuration's own.
            config: `orchestrator.toml` as a file, text or mapping. Ports, `address` of chained
                IOCs, `[store]` and `[access]` are replaced, so that it reaches the fleet and
                nothing else. None chains each IOC under its name in the fleet, with all its PVs
                (`sim_iocs.testing.chains_of`).
            python: modules with sequences in Python, besides the configuration's own.
            path: where these are looked for, besides the configuration's folder.
            prefix: of its own PVs; the configuration's, or ORCH:, unless given.
            macros: for `$(NAME)` in the configuration.
            env: more of its environment.
            access: user@host that may write its PVs; everybody unless given.
            others: `host:port` of more servers that it and its client shall find.
            options: more of `orchestrator serve`'s command line.
            directory: where it keeps its files; a temporary one, removed at the end, unless given.
            connected: wait at the start until every channel of the fleet is connected.
        """
        if not isinstance(fleet, Fleet | None):
            raise InputError(
                f"no fleet: {fleet!r}; wanted is one that runs, such as what "
                'ioc_fleet("motor") returns'
            )
        super().__init__()
        self.fleet = fleet
        self._sequences, self._source, self._python = sequences, config, python
        self._path, self._macros, self._env = list(path), dict(macros or {}), dict(env or {})
        self._prefix, self._access, self._others, self._options = prefix, access, others, options
        self._given = None if directory is None else Path(directory)
        self._connected = connected
        self._parts = ExitStack()
        self._linked: list[Path] = []
        self._numbers = itertools.count(1)
        self.env: dict[str, str] = {}
        """The environment in which any client reaches the service and the fleet."""

    # Its start and end --------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Start it, and wait until it serves.

        Raises:
            ServiceError: it did not come up, or a channel of the fleet is not there.
            InputError: the configuration can't be read.
        """
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        self.directory = self._given or Path(
            self._parts.enter_context(tempfile.TemporaryDirectory(prefix="orchestrator-test-"))
        )
        self._events = EventFile(self.directory / "events.jsonl")
        port = self._port_for_servers()
        if port is None:
            hold = PortHold()
            self._parts.callback(hold.close)
            port = hold.port
        self.port = port
        repeater = self._parts.enter_context(held_udp_port())
        addresses = [f"{LOOPBACK}:{self.port}", *(ioc.address for ioc in self.fleet or ())]
        self._configure()
        self.env = environment(*addresses, *self._others, repeater=repeater) | self._env
        self.client = Client(self.env)  # beside the service, as both take their time
        self._parts.callback(self.client.close)
        self._start()
        if self._connected:
            self.until_connected()

    def _port_for_servers(self) -> int | None:
        """The port where the fleet's sequence servers look for their master, if it is free."""
        port = self.fleet.service_port if self.fleet is not None else None
        if port is None or not is_free(port):
            return None
        return port

    def _configure(self) -> None:
        config, folder = chain.read(self._source, self.fleet or Fleet([]))
        (self.directory / "sequences").mkdir(parents=True, exist_ok=True)
        own = config.get("sequences", {}).get("directory")
        if own is not None:
            self._linked.append((folder or self.directory) / own)
        if self._sequences is not None:
            self._linked.append(Path(self._sequences).resolve())
        if folder is not None:
            self._path.append(folder)
        config["prefix"] = self._prefix or config.get("prefix", "ORCH:")
        self.prefix = chain.expanded(config["prefix"], self._macros)
        self.aliases = chain.pvs_of(config, self._macros)
        config = chain.isolated(
            config, self.port, self.directory, python=self._python, access=self._access
        )
        self.config = self.directory / "orchestrator.toml"
        """The configuration that it was given."""
        self.config.write_text(chain.toml(config), encoding="utf-8")
        self._link()

    def _link(self) -> None:
        """Have the sequences as they are now in the one directory that the service looks into."""
        own = self.directory / "sequences"
        for link in own.iterdir():
            if link.is_symlink():
                link.unlink()
        for directory in self._linked:
            if not directory.is_dir():
                raise ServiceError(f"there is no directory of sequences {directory}")
            for file in directory.iterdir():
                if file.suffix in _SUFFIXES and not (own / file.name).exists():
                    (own / file.name).symlink_to(file)

    def _with_modules(self, path: Sequence[Path | str] = ()) -> dict[str, str]:
        places = [str(Path(each).resolve()) for each in (*path, *self._path)]
        inherited = self.env.get("PYTHONPATH", "")
        return self.env | {"PYTHONPATH": ":".join(filter(None, [*places, inherited]))}

    def _start(self) -> None:
        env = self._with_modules()
        macros = [f"--macro={name}={value}" for name, value in self._macros.items()]
        events = ["--events", str(self._events.path), "--stop-with-stdin"]
        # -P: a file of the caller's folder must not take the place of a module
        serve = [sys.executable, "-P", "-m", "orchestrator", "serve", "--config", str(self.config)]
        self._process = Process(
            "the service", [*serve, *events, *macros, *self._options], env, cwd=self.directory
        )
        deadline = time.monotonic() + SERVING_TIMEOUT
        while '"serving"' not in self.log:
            self._alive("did not come up")
            if time.monotonic() > deadline:
                raise ServiceError(f"the service did not come up in time:\n{self._log_end}")
            time.sleep(0.01)

    def close(self) -> None:
        """Stop it, as by SIGTERM; a run under way is aborted and its finalisers run."""
        if self._process is not None:
            self._process.terminate(15)
            self._process.close()
        self._parts.close()

    def restart(self) -> None:
        """Stop it if it runs, and start it anew on the same port with the same files.

        Its clients find it after some seconds: libca searches more and more rarely.
        """
        if self._process is not None:
            self._process.terminate(15)
            self._process.close()
        self._start()
        self.until("STATE", "Idle", timeout=STARTUP_TIMEOUT)

    def until_connected(self, timeout: float = STARTUP_TIMEOUT) -> None:
        """Wait until every channel that the fleet has is connected.

        Raises:
            ServiceError: one is not, by name.
        """
        ours = {pv for ioc in self.fleet or () for pv in ioc.pvs}
        wanted = {alias for alias, pv in self.aliases.items() if pv in ours}
        missing: set[str] = wanted

        def all_there() -> bool:
            nonlocal missing
            missing = wanted.intersection(_names(self.get("CHAIN:DISCONNECTED")))
            return not missing and self.get("CHAIN:COUNT") == len(self.aliases)

        try:
            until(all_there, timeout)
        except AssertionError:
            names = ", ".join(sorted(missing))
            raise ServiceError(f"not connected: {names}\n{self._log_end}") from None

    # Sequences ----------------------------------------------------------------------------------

    def run(self, sequence: str, *, timeout: float = 60, **arguments: Any) -> Outcome:
        """Run a sequence to its end, by `START` with put-callback; its parameters by name.

        `sequence` is its name, or a whole document as text of several lines. It must have ended
        within `timeout` seconds.

        Raises:
            ServiceError: the service refused it, died in it, or it did not end in time.
        """
        return self.start(sequence, timeout=timeout, **arguments).wait()

    def start(self, sequence: str, *, timeout: float = 60, **arguments: Any) -> Run:
        """Start a sequence and go on; see `run`."""
        self._link()
        name = self.sequence(sequence) if "\n" in sequence else sequence
        self.put("SEQ", name)
        self.put("ARGS", json.dumps(arguments))
        after = len(self._events.news())
        waiting = self.client.put_later(f"{self.prefix}START", 1, timeout=timeout)
        begun = self._begun(name, after, waiting)
        return Run(self, waiting, str(begun["run_id"]), after, timeout)

    def _begun(self, name: str, after: int, waiting: Pending) -> Event:
        def found() -> Event | None:
            refused = waiting.done  # first: what began has its event before the reply
            event = next((e for e in self._events.news()[after:] if e.kind == "run_started"), None)
            if event is None and refused:
                why = self.get("message") if self.reply_of(waiting) else "it did not begin"
                raise ServiceError(f"the service refused to run {name}: {why}")
            return event

        return self._wait(found, f"a run of {name}", 10)

    def sequence(self, text: str, name: str = "") -> str:
        """Put a document into its directory; its name."""
        name = name or f"s{next(self._numbers)}"
        text = textwrap.dedent(text).lstrip("\n")
        (self.directory / "sequences" / f"{name}.yaml").write_text(text, encoding="utf-8")
        return name

    def check(
        self,
        sequence: str,
        *,
        path: Sequence[Path | str] = (),
        timeout: float = 60,
        **arguments: Any,
    ) -> Check:
        """What `orchestrator check` finds, which looks at the IOCs and writes nothing.

        Args:
            sequence: a name, a file or the text of a document.
            path: where Python modules are looked for, besides the service's own `path`.
            timeout: seconds that it may take.
            arguments: of the sequence.
        """
        self._link()
        name = self.sequence(sequence) if "\n" in sequence else sequence
        words = [f"{key}={_word(value)}" for key, value in arguments.items()]
        done = self.command("check", name, *words, "--json", path=path, timeout=timeout)
        try:
            return Check.read(done.output)
        except ValueError:
            raise ServiceError(f"check {name}: exit code {done.code}: {done.errors}") from None

    def command(self, *words: str, path: Sequence[Path | str] = (), timeout: float = 60) -> Command:
        """Run `orchestrator …` with the service's configuration and modules, to its end.

        Args:
            words: the command and what it is given.
            path: where Python modules are looked for, besides the service's own `path`.
            timeout: seconds that it may take.

        Raises:
            ProcessError: it has not ended after `timeout` seconds.
        """
        command = [sys.executable, "-P", "-m", "orchestrator", *words, "--config", str(self.config)]
        env = self._with_modules(path)
        process = Process(f"orchestrator {words[0]}", command, env, cwd=self.directory)
        try:
            return Command(process.end(timeout), process.output, process.errors)
        finally:
            process.close()

    # Its events ---------------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """Everything that has happened in its runs so far."""
        return list(self._events.news())

    def wait_event(
        self, after: int, wanted: Callable[[Event], bool], *, what: str, timeout: float = 10
    ) -> Event:
        """Wait for an event behind the first `after` of them.

        Raises:
            ServiceError: it did not come in time, or the service died.
        """
        return self._wait(
            lambda: next(filter(wanted, self._events.news()[after:]), None), what, timeout
        )

    def _wait(self, found: Callable[[], Event | None], what: str, timeout: float) -> Event:
        def alive() -> Event | None:
            event = found()
            if event is None:
                self._alive(f"ended before {what}")
            return event

        try:
            event = until(alive, timeout, what)
        except AssertionError as error:
            raise ServiceError(f"{error}\n{self._log_end}") from None
        assert event is not None  # noqa: S101 - `until` has seen to it
        return event


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _names(text: str) -> list[str]:
    return text.replace(",", " ").split()


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
