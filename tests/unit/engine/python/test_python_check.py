"""What check tells of a Python sequence from its source, and what it says that it can't see."""

from __future__ import annotations

import linecache
import sys
from itertools import count
from pathlib import Path

import pytest

from orchestrator.config import ChainConfig, ChannelConfig, Config, names_of
from orchestrator.engine.python.python_check import Look, look_at
from orchestrator.engine.sequences.library import Library
from orchestrator.engine.sequences.registry import Registry, load
from orchestrator.language.foresight.checks import check_program
from orchestrator.language.foresight.verdicts import Finding, Level
from orchestrator.types import Limits, Metadata, NativeType, RunRequest

_numbers = count()
CHANNELS = ("stage.x", "stage.x_rbv", "stage.y", "det.counts", "shutter.state")
METADATA = {
    "stage.x": Metadata(NativeType.DOUBLE, control=Limits(-10, 10)),
    "stage.y": Metadata(NativeType.DOUBLE, control=Limits(-1, 1)),
    "shutter.state": Metadata(NativeType.ENUM, labels=("Closed", "Open")),
    "det.counts": Metadata(NativeType.LONG),
}
HEAD = """
import asyncio
from orchestrator import Run, State, When, function, sequence

HOME = 2.5
AXES = ["stage.x", "stage.y"]
"""


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A library of a module with this text."""

    def make(text: str) -> tuple[Library, Config, Path]:
        name = f"looked_at_{next(_numbers)}"
        file = tmp_path / f"{name}.py"
        file.write_text(HEAD + text)
        (tmp_path / "move.yaml").write_text(
            "parameters: {to: {type: float}}\nsteps: [{set: {pv: stage.y, value: $(to)}}]\n"
        )
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        chain = {
            ioc: ChainConfig(
                ioc,
                f"{ioc}:",
                channels={
                    c: ChannelConfig(c, c.replace(".", ":")) for c in CHANNELS if c.startswith(ioc)
                },
            )
            for ioc in ("stage", "det", "shutter")
        }
        config = Config(chain=chain, sequences=tmp_path)
        registry = load([name])
        assert registry.broken == {}
        return Library(tmp_path, names_of(config), registry), config, file

    return make


@pytest.fixture
def look(plans):
    """Look at the sequence `scan` whose body this is; lines count from its first."""

    def look_at_it(body: str, signature: str = "", more: str = "", **arguments: object):
        text = more + f"\n@sequence\nasync def scan(run: Run{signature}) -> None:\n"
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        library, config, file = plans(text + lines)
        program = library.load(RunRequest(0, "scan", "", "", arguments))
        first = (HEAD + text).count("\n")
        return _Seen(look_at(program, names_of(config), library), file, first)

    return look_at_it


class _Seen:
    def __init__(self, look: Look, file: Path, first: int) -> None:
        self.look = look
        self._file, self._first = file, first
        found = [*look.findings]
        for verb in look.verbs:
            found += verb.told(check_program(verb.program, METADATA.get))
        self.errors = self._lines(found, Level.ERROR)
        self.warnings = self._lines(found, Level.WARNING)
        self.unseen = [self._short(line) for line in look.unseen]

    def _lines(self, found: list[Finding], level: Level) -> list[str]:
        return [self._short(f.line()) for f in found if f.level is level]

    def _short(self, line: str) -> str:
        place, _, text = line.removeprefix(f"{self._file}:").partition(": ")
        return f"{int(place) - self._first}: {text}" if place.isdigit() else line


def test_what_is_right_and_written_down_leaves_nothing_unseen(look) -> None:
    seen = look(
        'await run.set("shutter.state", "Open")\n'
        "try:\n"
        '    for x in run.linspace("stage.x", start, HOME, 5):\n'
        '        await run.set("stage.x", x, readback="stage.x_rbv", tolerance=0.01)\n'
        '        await run.sample("det.counts")\n'
        '    await run.wait("det.counts", above=3, timeout=None)\n'
        "    await run.until(\"stage.x > 1 or shutter.state == 'Open'\", timeout=5)\n"
        '    await run.parallel(run.set("stage.y", 0), run.set("stage.x", -start))\n'
        '    await run.run("move", to=1)\n'
        '    await run.call("nearest", a=1)\n'
        "finally:\n"
        '    await run.set("shutter.state", "Closed")\n'
        '    await run.log("done")\n',
        ", start: float = -1.0",
        "@function\ndef nearest(a: float) -> float:\n    return a\n",
    )
    assert (seen.errors, seen.warnings, seen.unseen) == ([], [], [])
    assert seen.look.writes == {"shutter.state", "stage.x", "stage.y"}
    assert seen.look.reads == {"stage.x_rbv", "det.counts", "stage.x", "shutter.state"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('await run.set("stage.xx", 5)', "1: set.pv: unknown channel 'stage.xx'; did you mean"),
        ('\nawait run.set("stage.x", 5, tolerence=1)', "2: unknown field 'tolerence'"),
        ('await run.set("stage.x", 11)', "1: set stage.x: 11 is outside"),
        ('await run.set(pv="stage.x", value=-10.5)', "stage.x: -10.5"),
        ('await run.set("stage.x", HOME * 5)', "stage.x: 12.5"),
        ("await run.set('stage.x', far)", "stage.x: 99"),
        ('near = 50\nawait run.set("stage.x", near / 2)', "2: set stage.x: 25"),
        ('await run.set_all({"stage.x": 0, "stage.y": 2})', "stage.y: 2"),
        ('await run.set("shutter.state", "Opne")', "'Opne' is none of its labels"),
        ('await run.wait("shutter.state", equals="Opne", timeout=5)', "waits in vain"),
        ('await run.wait("shutter.state", not_="Opne", timeout=5)', "'Opne'"),
        ('await run.wait("stage.x", above=1)', "1: run.wait: missing a required"),
        ("await run.until(\"shutter.state == 'Opne'\", timeout=5)", "'Opne' is none of"),
        ('await run.until(f"stage.xx > {HOME}", timeout=5)', "unknown channel 'stage.xx'"),
        ('v = await run.value("stage.xx + 1")', "unknown channel 'stage.xx'"),
        ('await run.sample("det.counts", "det.count")', "unknown channel 'det.count'"),
        ('d = run.data("det.count")', "unknown channel 'det.count'"),
        ('for x in run.linspace("stage.x", -20, 5, 4): pass', "stage.x: -20"),
        ('for x in run.arange("stage.x", 0, 11, 1): pass', "stage.x: 11"),
        ('for x in run.arange("stage.x", 0, 1, -1): pass', "-1"),
        (
            'for x in run.linspace("stage.y", 0, 1, 4):\n    await run.set("stage.y", x * 2)',
            "stage.y: 2",
        ),
        ("for pv in AXES:\n    await run.set(pv, 5)", "2: set stage.y: 5"),
        (
            'for pv, to in [("stage.x", 5), ("stage.y", 0.5), ("stage.z", 1)]:\n'
            "    await run.set(pv, to)",
            "2: set.pv: unknown channel 'stage.z'",
        ),
        ('await run.run("moev", to=1)', "there is no sequence 'moev'"),
        ('await run.run("move", to=3)', "stage.y: 3"),
        ('await run.run("other")', "unknown channel 'stage.zz'"),
        ('await run.call("nearst")', "unknown function 'nearst'"),
        ('async def inner(r):\n    await r.set("stage.xx", 1)\nawait inner(run)', "2: set.pv: "),
        ("await helper(run, 3)", "unknown channel 'stage.yy'"),
        (
            'await run.machine({"a": State(when=[When("stage.xx > 1", "b")]), "b": State()})',
            "unknown channel 'stage.xx'",
        ),
        (
            'await run.machine({"a": State(entry=lambda: run.set("stage.x", 30))})',
            "stage.x: 30",
        ),
    ],
)
def test_a_mistake_that_is_written_down_is_an_error_with_its_line(look, body, told) -> None:
    more = (
        'async def helper(own: Run, n: int) -> None:\n    await own.set("stage.yy", n)\n\n'
        "@sequence\nasync def other(run: Run) -> None:\n"
        '    await run.sample("stage.zz")\n'
    )
    seen = look(body, ", far: float = 99", more)
    [line] = seen.errors
    assert told in line
    assert seen.warnings == []


def test_a_mistake_that_may_not_be_come_to_is_a_warning(look) -> None:
    seen = look(
        "if high:\n"
        '    await run.set("stage.x", to)\n'
        "try:\n"
        '    await run.set("stage.y", 7)\n'
        "except ValueError:\n"
        "    pass\n",
        ", high: bool = False, to: float = 12",
    )
    assert seen.errors == []
    assert [line.partition(": ")[0] for line in seen.warnings] == ["2", "4"]


@pytest.mark.parametrize(
    ("body", "sure"),
    [
        ("try:\n    {}\nfinally:\n    pass", True),
        ("try:\n    pass\nfinally:\n    {}", True),
        ("try:\n    pass\nexcept ValueError:\n    pass\nfinally:\n    {}", True),
        ("try:\n    {}\nexcept ValueError:\n    pass\nfinally:\n    pass", False),
        ("try:\n    pass\nexcept ValueError:\n    {}", False),
        ("try:\n    pass\nexcept ValueError:\n    pass\nelse:\n    {}", False),
        ("for n in range(3):\n    {}", True),
        ("async with asyncio.timeout(5):\n    {}", True),
        ("if HOME:\n    pass\nelse:\n    {}", False),
        ("while HOME:\n    {}", False),
    ],
)
def test_what_is_come_to_in_any_case_is_an_error_and_what_may_not_be_a_warning(
    look, body, sure
) -> None:
    seen = look(body.replace("{}", 'await run.set("stage.x", 11)'))
    assert (len(seen.errors), len(seen.warnings)) == ((1, 0) if sure else (0, 1))


@pytest.mark.parametrize(
    "body",
    [
        'run.set("stage.x", 1)',
        'x = run.value("stage.x")\nawait run.log(f"{x}")',
        'x = run.value("stage.x") * 2',
        'if run.value("stage.x") > 2: pass',
        'while run.value("stage.x"): pass',
        'print(run.value("stage.x"))',
        'x = float(run.value("stage.x"))',
        "text = f\"{run.value('stage.x')}\"",
        'assert run.value("stage.x")',
        'run.parallel(run.set("stage.x", 1))',
        "async def inner(r):\n    r.delay(1)\nawait inner(run)",
    ],
)
def test_a_verb_without_await_is_an_error(look, body) -> None:
    seen = look(body)
    [line] = seen.errors
    assert "is not awaited" in line


@pytest.mark.parametrize(
    "body",
    [
        'work = run.set("stage.x", 1)\nawait work',
        'await asyncio.gather(run.set("stage.x", 1), run.delay(1))',
        "await run.parallel(*[run.set(pv, 0) for pv in AXES])",
        'branches = [run.set("stage.x", 1)]\nawait run.parallel(*branches)',
        'one = run.set("stage.x", 1)\nawait run.parallel(one)',
        "task = asyncio.create_task(run.delay(1))\nawait task",
        "await (run.delay(1) if HOME > 3 else run.delay(2))",
        "def make():\n    return run.delay(1)\nawait make()",
        'await run.machine({"a": State(entry=lambda: run.set("stage.x", 1))})',
    ],
)
def test_a_coroutine_that_is_awaited_elsewhere_is_right(look, body) -> None:
    assert look(body).errors == []


@pytest.mark.parametrize(
    ("body", "unseen"),
    [
        ('await run.set("stage.x", await run.value("stage.x"))', "1: run.set: value"),
        ("await run.set(input(), 1)", "1: run.set: pv"),
        ('x = 1\nx = 20\nawait run.set("stage.x", x)', "3: run.set: value"),
        ('for x in range(30):\n    await run.set("stage.x", x)', "2: run.set: value"),
        ('n = 3\nn += 1\nawait run.set("stage.x", n)', "3: run.set: value"),
        ('more = {}\nawait run.set("stage.x", 1, **more)', "2: run.set: what * and ** give"),
        ("await run.sample(*AXES)", "1: run.sample: what * and ** give"),
        ('await run.wait("stage.x", above=len(AXES), timeout=5)', "1: run.wait: above"),
        ("import builtins\nbuiltins.do(run)", "2: builtins.do(…), which is handed the run"),
        ("own = run", "1: the run is kept under another name"),
        ('put = run.set\nawait put("stage.xx", 1)', "1: run.set is called elsewhere"),
        ('await run.machine({"a": State(when=[When(input(), "a")])})', "1: When: condition"),
    ],
)
def test_what_is_known_only_when_it_runs_is_said_to_be_unseen(look, body, unseen) -> None:
    seen = look(body)
    assert seen.unseen == [unseen]
    assert seen.errors == []


def test_the_channel_is_looked_at_where_only_the_value_is_not_known(look) -> None:
    seen = look('await run.set("stage.xx", await run.value("stage.x"), readback="stage.q")')
    assert sorted(line.split("'")[1] for line in seen.errors) == ["stage.q", "stage.xx"]


def test_of_a_document_the_python_sequences_that_it_runs_are_looked_at(plans) -> None:
    library, config, _ = plans(
        "@sequence\nasync def go(run: Run, to: float, pv: str = 'stage.x') -> None:\n"
        "    await run.set(pv, to)\n"
    )
    text = "steps: [{loop: {count: 2, as: i}, do: [{run: {sequence: go, args: {to: '=i'}}}]}]"
    program = library.load(RunRequest(0, "", text, "a.yaml", {}))
    look = look_at(program, names_of(config), library)
    assert look.sequences == ["go"]
    assert look.writes == {"stage.x"}
    assert [line.rpartition(": ")[2] for line in look.unseen] == ["value"]


def test_a_sequence_whose_source_is_not_there_is_said_to_be_unseen() -> None:
    space: dict[str, object] = {}
    exec(  # noqa: S102 - made so that it has no source
        "from orchestrator import Run, sequence\n@sequence\nasync def made(run: Run): ...\n", space
    )
    library = Library(None, names_of(Config()), Registry({"made": space["made"]}))  # type: ignore[dict-item]
    program = library.load(RunRequest(0, "made", "", "", {}))
    look = look_at(program, names_of(Config()), library)
    assert look.unseen == ["made: its source is not there, or is another by now"]


def test_a_file_that_was_changed_since_it_was_imported_is_said_to_be_unseen(plans) -> None:
    text = "@sequence\nasync def go(run: Run) -> None:\n    await run.delay(1)\n"
    library, config, file = plans(text)
    program = library.load(RunRequest(0, "go", "", "", {}))
    file.write_text("\n".join(f"x{n} = 1" for n in range(40)))
    linecache.checkcache()
    look = look_at(program, names_of(config), library)
    assert look.unseen == ["go: its source is not there, or is another by now"]


def test_a_field_that_stands_beside_its_step_is_no_mistake_of_a_verb(look) -> None:
    seen = look('await run.set("stage.x", 1, on_disconnect="wait")\n')
    assert (seen.errors, seen.unseen) == ([], [])
