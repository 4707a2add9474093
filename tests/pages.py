"""The pages of README and docs: their fenced blocks, and a new user who follows them.

A comment before a block says what a reader does with it:

| comment                  | the block                                                     |
| ------------------------ | ------------------------------------------------------------- |
| `<!-- file: NAME -->`    | is written to that file                                       |
| `<!-- add: NAME -->`     | is added to it                                                |
| `<!-- start: WHAT -->`   | runs in a terminal of its own until the page ends             |
| `<!-- run -->`           | is typed line by line, and each command succeeds              |
| `<!-- run: bash -->`     | is run as a whole                                             |
| `<!-- run: python -->`   | is run as a whole                                             |
| `<!-- fails: CODE -->`   | is typed line by line, and each command exits with that code  |
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sim_iocs.free_ports import PortHold
from sim_iocs.process import Process
from sim_iocs.testing.polling import until

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs/tutorials/first-sequence.md"
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "parts"),
]

_FENCED = re.compile(
    r"^(?:<!-- *(?P<mark>[^>]*?) *-->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_SHELL = frozenset("|&;<>()$`\\*?[{~!")
"""What makes a command one that only a shell understands."""
_READY = {
    "ioc": "iocRun: All initialization complete",
    "sim": "\n# ",
    "serve": '"serving"',
    "own": "READY port",
}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def does(self) -> str:
        return self.mark.partition(":")[0]

    @property
    def what(self) -> str:
        return self.mark.partition(":")[2].strip()

    @property
    def commands(self) -> list[str]:
        """Its lines, without comments."""
        lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in self.text.splitlines())
        return [line for line in lines if line]


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """The blocks of a page, all or those in some languages."""
    text = page.read_text()
    for match in _FENCED.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        block = Block(page, line, match["language"], match["mark"] or "", match["text"])
        if not languages or block.language in languages:
            yield block


class NewUser:
    """Somebody who does what a page says, in an empty folder, with ports that are free."""

    def __init__(self, folder: Path, ports: Mapping[int, int], *, forks: bool = False) -> None:
        """With `forks`, plain commands of ours start by `tests/forks.py`, not by a shell."""
        self.folder = folder
        self._ports = ports
        self._forks = forks
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("EPICS_")}
        # A test keeps to loopback, where a reader's IOCs serve the network.
        self.env = clean | {
            "PATH": path,
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
            "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
            "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
            "EPICS_CAS_SERVER_PORT": str(ports[5064]),
        }
        self.said = ""
        self._started: list[Process] = []

    def __enter__(self) -> NewUser:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.terminate(20)
            process.close()

    def follow(self, page: Path, *, only: tuple[str, ...] = ()) -> None:
        """Do all that is marked on a page, or only some of it."""
        for block in blocks(page):
            if not only or block.does in only:
                self.do(block)

    def do(self, block: Block) -> None:
        """Do what a block's comment says."""
        text = self._with_ports(block.text)
        match block.does, block.what:
            case "file", name:
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).write_text(text)
            case "add", name:
                with (self.folder / name).open("a") as file:
                    file.write("\n" + text)
            case "start", what:
                self.start(what, self._with_ports(block.commands[0]))
            case "run", ("bash" | "python") as program:
                self.type(f"{program} -e {self._script(text)}".replace("python -e", "python"))
            case "run", _:
                for command in block.commands:
                    self.type(self._with_ports(command))
            case "fails", code:
                for command in block.commands:
                    self.type(self._with_ports(command), int(code))
            case _:
                pass

    def start(self, what: str, command: str) -> None:
        """Run something until the end; returns when it is ready."""
        if what == "serve":
            command += " --interfaces 127.0.0.1"
        words = self._ours(command) or shlex.split(command)
        process = Process(what, words, self.env, cwd=self.folder)
        self._started.append(process)

        def ready() -> bool:
            return _READY[what] in process.output + process.errors

        until(lambda: ready() or process.ended, 20, f"{command} is ready")
        assert ready(), f"{command} ended:\n{process.output}{process.errors}"
        if what == "sim":
            self._paste(process.output)

    def type(self, command: str, code: int = 0) -> None:
        """Run a command to its end; `export` lines hold for all that follow."""
        if command.startswith("export "):
            self._paste(command)
            return
        ours = self._ours(command)
        got, said = self._fork(ours) if ours else self._shell(command)
        self.said += f"$ {command}\n{said}"
        assert got == code, f"{command}: exit code {got}\n{self.said}"
        assert "Traceback" not in said, self.said

    def _ours(self, command: str) -> list[str]:
        """What to fork for it, if it is one of ours that needs no shell."""
        if self._forks and command.startswith("orchestrator ") and not set(command) & _SHELL:
            return [sys.executable, "-P", "-m", *shlex.split(command)]
        return []

    def _fork(self, command: list[str]) -> tuple[int, str]:
        with closing(Process("typed", command, self.env, cwd=self.folder)) as process:
            return process.wait(120), process.output + process.errors

    def _shell(self, command: str) -> tuple[int, str]:
        output = self.folder / "said.out"  # a file: a pipe may be inherited by a CA repeater
        with output.open("w") as file:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.env,
                stdout=file,
                stderr=file,
                timeout=120,
            )
        return done.returncode, output.read_text()

    def _paste(self, text: str) -> None:
        for line in text.splitlines():
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").partition("=")
                self.env[name] = shlex.split(value)[0]

    def _script(self, text: str) -> Path:
        file = self.folder / "as-written"
        file.write_text(text)
        return file

    def _with_ports(self, text: str) -> str:
        for written, free in self._ports.items():
            text = text.replace(str(written), str(free))
        return text


@contextmanager
def new_user(folder: Path, *, forks: bool = False) -> Iterator[NewUser]:
    """Somebody in an empty folder, with ports of their own."""
    with ExitStack() as stack:
        ports = {written: stack.enter_context(closing(PortHold())).port for written in (5064, 5066)}
        yield stack.enter_context(NewUser(folder, ports, forks=forks))
