"""Makes random changes to the code, one at a time, and tells which of them no test notices.

    scripts/mutate                          200 changes anywhere in what decides what a run does
    scripts/mutate -n 40 --seed 7           others, and fewer
    scripts/mutate -n 40 orchestrator/engine/steps/waits.py

The changes are those of cosmic-ray's operators (another comparison, number, operator or boolean, a
handler that catches nothing, a loop without passes) and one of our own: a statement is left out.
They are made in a copy of the checkout. For each, the unit tests that reach its line are run, until
one fails; for the client and the server, if none did, the system tests of that room too.

A change that no test notices either shows a test that is missing, or changes nothing that anybody
could notice: those are listed, with why, in tests/unnoticed.toml, and are not counted.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import parso.python.tree as parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator, operator_names
from coverage import CoverageData

ROOT = Path(__file__).parents[1]
ROOMS = (
    "engine",
    "device",
    "client",
    "server",
    "language",
    "config",
    "queues.py",
    "store.py",
    "timers.py",
    "buffers.py",
    "lock.py",
    "dryrun.py",
    "service.py",
)
"""Of `orchestrator`: what is changed unless other places are named."""
SYSTEM = {"client": "tests/system/client", "server": "tests/system/serving"}
"""Rooms that real IOCs and clients test, and where."""
KNOWN = ROOT / ".mutate"
"""Where that is kept which need not be found out again."""
ENOUGH = 90
"""% of the changes that have to be noticed; the exit code is 1 where fewer are."""
SPARED = ("orchestrator/client/client_process.py",)
"""What only tests use."""
UNNOTICED = ROOT / "tests" / "unnoticed.toml"
COPIED = ("orchestrator", "sim_iocs", "tests", "docs", "examples", "pyproject.toml", "README.md")
CPU = 60
"""s of processor for the unit tests of one change, beside three times what they took without it."""
WALL = 600
"""s for all tests of one change, which may be starved beside other work."""


_NOT_FOUND = 4
"""pytest's exit code where a test that is named is not there."""


class DropStatement(Operator):
    """Leaves out a call, an await, a raise or an assignment to something that was there."""

    def mutation_positions(self, node: object) -> Iterator[tuple[object, object]]:
        """See cosmic-ray."""
        if _can_be_dropped(node):
            yield node.children[0].start_pos, node.children[0].end_pos  # type: ignore[attr-defined]  # a simple statement

    def mutate(self, node: object, index: int) -> object:
        """See cosmic-ray."""
        assert isinstance(node, parso.PythonNode)
        dropped = node.children[0]
        node.children[0] = parso.Keyword("pass", dropped.start_pos, dropped.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """See cosmic-ray."""
        return (Example("f(1)\n", "pass\n"), Example("x.y = 1\n", "pass\n"))


def _can_be_dropped(node: object) -> bool:
    if not isinstance(node, parso.PythonNode) or node.type != "simple_stmt":
        return False
    first = node.children[0]
    if first.type in ("raise_stmt", "del_stmt"):
        return True
    if first.type == "expr_stmt":  # without a name, it would be an error and no change
        target = first.children[0]
        sign = getattr(first.children[1], "value", "=")
        return target.type in ("power", "atom_expr") or sign != "="
    return first.type in ("power", "atom_expr", "await_expr")


@dataclass(frozen=True)
class Change:
    """One change of one file."""

    file: str
    """Below the root."""
    operator: Operator
    occurrence: int
    line: int
    """Of the statement's code that is changed, from 1."""

    def apply(self, source: str) -> str:
        """The file's text with it."""
        return mutate_code(source, self.operator, self.occurrence) or source

    def told(self, source: str) -> str:
        """What it does: the line before and after."""
        before, after = source.splitlines(), self.apply(source).splitlines()
        pairs = [(b, a) for b, a in zip(before, after, strict=False) if a != b]
        old, new = pairs[0] if pairs else ("", "")
        return f"{old.strip()}  →  {new.strip()}"


def main() -> int:
    """Run as a command."""
    options = _options()
    random_ = random.Random(options.seed)  # noqa: S311 - to be repeated
    sites = [s for file in _files(options.places) for s in _sites(file)]
    chosen = random_.sample(sites, min(options.number, len(sites)))
    changes = [random_.choice(site) for site in chosen]
    _say(f"seed {options.seed}: {len(changes)} changes of {len(sites)} places")
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        bench = Bench(Path(folder), options.limit)
        _say(f"{bench.prepared()} tests reach something")
        return _tell([_try(bench, change) for change in changes])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]  # it is there
    parser.add_argument("-n", dest="number", type=int, default=200, help="how many (200)")
    parser.add_argument("--seed", type=int, default=1, help="others for each (1)")
    parser.add_argument(
        "--limit", type=int, default=WALL, help=f"s for the tests of one change ({WALL})"
    )
    parser.add_argument("places", nargs="*", help="files or folders instead of the usual ones")
    return parser.parse_args()


def _tell(results: list[str]) -> int:
    noticed, survived = results.count("noticed"), results.count("SURVIVED")
    listed = results.count("listed")
    share = 100 * noticed / max(noticed + survived, 1)
    _say(
        f"{noticed} of {noticed + survived} noticed, {share:.0f} %; "
        f"{listed} more are listed in {UNNOTICED.relative_to(ROOT)}"
    )
    return 0 if share >= ENOUGH else 1


def _try(bench: Bench, change: Change) -> str:
    began = time.monotonic()
    source = (bench.root / change.file).read_text()
    told = change.told(source)
    by = bench.noticed_by(change)
    result = "noticed" if by else "listed" if _is_listed(change, told) else "SURVIVED"
    took = time.monotonic() - began
    _say(f"{result:8} {change.file}:{change.line}: {told}  [{by or 'by none'}, {took:.0f} s]")
    return result


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _is_listed(change: Change, told: str) -> bool:
    if not UNNOTICED.exists():
        return False
    entries = tomllib.loads(UNNOTICED.read_text()).get("unnoticed", [])
    return any(entry["file"] == change.file and entry["change"] == told for entry in entries)


# Where and what is changed ----------------------------------------------------------------------


def _files(places: list[str]) -> list[str]:
    roots = [ROOT / place for place in places] or [ROOT / "orchestrator" / r for r in ROOMS]
    found = [f for r in roots for f in ([r] if r.is_file() else sorted(r.rglob("*.py")))]
    names = [str(file.relative_to(ROOT)) for file in found]
    return [name for name in names if name not in SPARED]


def _sites(file: str) -> list[list[Change]]:
    """The places of a file that can be changed, each with the changes that there are of it."""
    source = (ROOT / file).read_text()
    spared = _spared(ast.parse(source))
    nodes = list(ast_nodes(get_ast(source)))
    sites: dict[object, list[Change]] = defaultdict(list)
    for operator in _operators():
        occurrence = 0
        for node in nodes:
            for start, end in operator.mutation_positions(node):
                line = start[0]
                # Comparisons, operators … of one place are one place.
                key = (start, end)
                if not any(low <= line <= high for low, high in spared):
                    sites[key].append(Change(file, operator, occurrence, line))
                occurrence += 1
    return list(sites.values())


def _operators() -> list[Operator]:
    classes = [get_operator(name) for name in operator_names()]
    usual = [own() for own in classes if not own.arguments() and not _is_silly(own)]
    return [*usual, DropStatement()]


def _is_silly(operator: type[Operator]) -> bool:
    """Whether nearly all that it does is told by the first line that runs."""
    name = operator.__name__
    if "RemoveDecorator" in name or "Invert" in name:
        return True
    # A | of types is no operation, and one of numbers is rarely found beside it.
    return name.startswith("ReplaceBinaryOperator_BitOr") or (
        name.startswith("ReplaceBinaryOperator") and name.endswith(("Shift", "Xor", "Pow", "BitOr"))
    )


def _spared(tree: ast.Module) -> list[tuple[int, int]]:
    """Lines whose change nobody need notice: types, imports, log lines, what is said of types."""
    found = []
    for node in ast.walk(tree):
        own: list[ast.AST | None] = []
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                every = ast.walk(node.args)
                own = [a.annotation for a in every if isinstance(a, ast.arg)] + [node.returns]
            case ast.AnnAssign(target=ast.Name("__all__") | ast.Name()) if (
                ast.unparse(node.annotation) == "TypeAlias"
            ):
                own = [node]
            case ast.AnnAssign():
                own = [node.annotation]
            case ast.Import() | ast.ImportFrom() | ast.Assert():
                own = [node]
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                own = [node]
            case ast.Expr(ast.Call(func=ast.Attribute(value=ast.Name("log")))):
                own = [node]
            case ast.Call(func=ast.Name("TypeVar" | "ParamSpec" | "cast")):
                own = [node]
            case _:
                pass
        found += [(n.lineno, n.end_lineno or n.lineno) for n in own if n is not None]  # type: ignore[attr-defined]  # all of these have lines
    return found


# Running the tests ------------------------------------------------------------------------------


class Bench:
    """A copy of the checkout, and which of its tests reach which lines."""

    def __init__(self, root: Path, limit: int) -> None:
        """In an empty folder; `limit`: s for all tests of one change."""
        self.root = root / "copy"
        self._limit = limit
        self._lines: dict[str, dict[int, list[str]]] = {}
        self._took: dict[str, float] = {}
        self._statements: dict[str, list[tuple[int, int]]] = {}
        self._sources: dict[str, str] = {}

    def prepared(self) -> int:
        """Copy, and run all unit tests once; how many there are that reach something."""
        self.root.mkdir()
        hidden = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.root / name, ignore=hidden)
            else:
                shutil.copy2(ROOT / name, self.root / name)
        self._read(*self._reach())
        return len({test for lines in self._lines.values() for t in lines.values() for test in t})

    def _reach(self) -> tuple[CoverageData, str]:
        """What the tests reach, and how long they take: known still where nothing has changed."""
        known = KNOWN / f"{_digest(self.root)}.coverage"
        log = known.with_suffix(".log")
        if not log.exists():
            shutil.rmtree(KNOWN, ignore_errors=True)
            KNOWN.mkdir()
            cover = ("--cov=orchestrator", "--cov-context=test", "--cov-report=", "--durations=0")
            done = self._pytest(["tests/unit", *cover, "-vv"], writes=True, seconds=3600)
            if done.returncode:
                raise SystemExit(f"the tests fail without a change:\n{done.stdout[-3000:]}")
            shutil.move(self.root / ".coverage", known)
            log.write_text(done.stdout)
        return CoverageData(str(known)), log.read_text()

    def _read(self, data: CoverageData, output: str) -> None:
        data.read()
        for name in data.measured_files():
            file = name.partition("/copy/")[2]
            lines = data.contexts_by_lineno(name)
            self._lines[file] = {
                line: sorted({c.partition("|")[0] for c in contexts if c})
                for line, contexts in lines.items()
            }
        for line in output.splitlines():
            words = line.split()
            if len(words) > 2 and words[1] in ("call", "setup") and words[0].endswith("s"):
                test = line.split(maxsplit=2)[2]
                self._took[test] = self._took.get(test, 0) + float(words[0][:-1])

    def noticed_by(self, change: Change) -> str:
        """The test that fails with a change, or what else tells of it; empty where nothing does."""
        file = self.root / change.file
        source = self._sources[change.file] = file.read_text()
        try:
            file.write_text(change.apply(source))
            by = self._unit(change)
            room = Path(change.file).parts[1]
            if not by and room in SYSTEM:
                by = self._failed([SYSTEM[room]], cpu=None)
        finally:
            file.write_text(source)
        return by

    def _unit(self, change: Change) -> str:
        tests = self._reaching(change)
        if not tests:
            return ""
        tests = sorted(tests, key=lambda test: self._took.get(test, 0.0))
        cpu = CPU + 3 * sum(self._took.get(test, 0.0) for test in tests)
        return self._failed(tests, cpu=cpu)

    def _reaching(self, change: Change) -> list[str]:
        """The tests that run a statement.

        Of what is run at the import, as constants are, those of the module and of all that name it
        in an import.
        """
        lines = self._lines.get(change.file, {})
        first, last = self._statement(change)
        own = {test for line in range(first, last + 1) for test in lines.get(line, ())}
        if own or any(line in lines for line in range(first, last + 1)) is False:
            return sorted(own)
        module = change.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        files = [change.file, *(f for f in self._lines if self._imports(f, module))]
        return sorted(
            {test for f in files for tests in self._lines.get(f, {}).values() for test in tests}
        )

    def _imports(self, file: str, module: str) -> bool:
        return re.search(rf"\b{re.escape(module)}\b", (self.root / file).read_text()) is not None

    def _statement(self, change: Change) -> tuple[int, int]:
        """The lines of the innermost statement, or of its head, around a change."""
        if change.file not in self._statements:
            tree = ast.parse(self._sources[change.file])
            self._statements[change.file] = [
                (node.lineno, _last_of_head(node))
                for node in ast.walk(tree)
                if isinstance(node, ast.stmt)
            ]
        around = [s for s in self._statements[change.file] if s[0] <= change.line <= s[1]]
        return max(around, default=(change.line, change.line))

    def _failed(self, tests: list[str], cpu: float | None) -> str:
        """The first of these that fails; or what else ended them."""
        listed = self.root / "tests.txt"
        listed.write_text("\n".join(tests))
        try:
            done = self._pytest(["-x", f"@{listed}"], seconds=self._limit, cpu=cpu)
        except subprocess.TimeoutExpired:
            return "no end"
        if done.returncode == 0:
            return ""
        files = sorted({test.partition("::")[0] for test in tests})
        if done.returncode == _NOT_FOUND and files != tests:  # an id with a changed number in it
            return self._failed(files, cpu)
        failed = [w for w in done.stdout.splitlines() if w.startswith(("FAILED ", "ERROR "))]
        return failed[0].split()[1] if failed else f"exit code {done.returncode}"

    def _pytest(
        self,
        arguments: list[str],
        *,
        seconds: float,
        cpu: float | None = None,
        writes: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(self.root), "OPENBLAS_NUM_THREADS": "1"}
        env["HYPOTHESIS_PROFILE"] = "ci"
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        if not writes:  # a changed file may have the size and the second of the one before
            env["PYTHONDONTWRITEBYTECODE"] = "1"

        def limited() -> None:
            os.nice(10)
            if cpu is not None:
                resource.setrlimit(resource.RLIMIT_CPU, (int(cpu), int(cpu) + 5))

        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=limited,
        ) as process:
            try:
                output, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)  # what it has started is of its session
                raise
        return subprocess.CompletedProcess(command, process.returncode, output, "")


def _digest(folder: Path) -> str:
    """Of all that is in a folder."""
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            found.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return found.hexdigest()[:16]


def _last_of_head(node: ast.stmt) -> int:
    body = getattr(node, "body", None)
    if isinstance(body, list) and body:
        return max(node.lineno, body[0].lineno - 1)
    return node.end_lineno or node.lineno


if __name__ == "__main__":
    raise SystemExit(main())
