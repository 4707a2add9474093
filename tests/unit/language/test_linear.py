"""No text from outside takes time that grows faster than its length.

One line of 64 KB stopped the event loop for 20 s by a pattern that went through it from each of its
letters: `re` holds Python's lock, also in a thread. All patterns of the code are found, and tried
on texts made from what they are made of.
"""

from __future__ import annotations

import ast
import re
import re._constants as codes  # type: ignore[import-untyped]  # the only way to a pattern's parts
import re._parser as parser  # type: ignore[import-untyped]
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from orchestrator.device.commands import parse_command
from orchestrator.errors import OrchestratorError
from orchestrator.language.expressions.expression_text import parsed
from orchestrator.language.expressions.template import compile_text
from orchestrator.language.names import Names, suggestion
from orchestrator.language.text.document import parse
from orchestrator.language.text.indices import parse_indices
from orchestrator.language.text.json_text import read_json
from orchestrator.language.text.trajectory import parse_trajectory
from orchestrator.language.text.tree import read, scalar

ROOT = Path(__file__).parents[3]
WHOLE = ("match", "fullmatch")
USES = (*WHOLE, "search", "split", "sub", "subn", "findall", "finditer")
LENGTH = 4000
SUSPECT_S = 0.002
"""A pattern that goes through 4000 characters from each of them takes 30 ms and more, one that goes
through them once takes 40 µs: in between lies who is looked at twice."""
GROWTH = 9
"""Of the time, where the text is four times as long: 4 where linear, 16 where quadratic."""


class Pattern(NamedTuple):
    """A regular expression of the code, and how it is used."""

    place: str
    text: str
    flags: int
    use: str

    def __str__(self) -> str:
        return f"{self.place} {self.use}"


def patterns() -> Iterator[Pattern]:
    """All that the code gives to `re`, with each of their uses."""
    for folder in ("orchestrator", "sim_iocs"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield from _in(file)


def _in(file: Path) -> Iterator[Pattern]:
    tree = ast.parse(file.read_text())
    place = f"{file.parent.name}/{file.stem}"
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=use)) if use in USES:
                yield Pattern(f"{place}:{node.lineno}", _text(node), _flags(node), use)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call) if (
                ast.unparse(call.func) == "re.compile"
            ):
                uses = {
                    attribute.attr
                    for attribute in ast.walk(tree)
                    if isinstance(attribute, ast.Attribute)
                    and isinstance(attribute.value, ast.Name)
                    and attribute.value.id == name
                    and attribute.attr in USES
                }
                for use in sorted(uses) or ["search"]:
                    yield Pattern(f"{place}:{node.lineno}", _text(call), _flags(call), use)


def _text(call: ast.Call) -> str:
    """The pattern; one that is not written out could not be tried, and is a failure."""
    text = ast.literal_eval(call.args[0])
    assert isinstance(text, str | bytes)
    return text if isinstance(text, str) else text.decode("latin-1")


def _flags(call: ast.Call) -> int:
    names = {name.attr for name in ast.walk(call) if isinstance(name, ast.Attribute)}
    known = {"DOTALL": re.DOTALL, "IGNORECASE": re.IGNORECASE, "ASCII": re.ASCII}
    known["MULTILINE"] = re.MULTILINE
    return sum(flag for name, flag in known.items() if name in names)


def _letters(parts: Any) -> Iterator[str]:
    """A character for each part of a pattern, in order."""
    for code, argument in parts:
        if code is codes.LITERAL:
            yield chr(argument)
        elif code is codes.NOT_LITERAL:
            yield next(c for c in "a0 '\\" if ord(c) != argument)
        elif code is codes.IN:
            yield next((c for c in "a0 .-_:#=,x'\"\\" if _takes(argument, c)), "a")
        elif code is codes.ANY:
            yield "a"
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            yield from _letters(argument[2])
        elif code is codes.SUBPATTERN:
            yield from _letters(argument[3])
        elif code is codes.BRANCH:
            for branch in argument[1]:
                yield from _letters(branch)
        elif code in (codes.ATOMIC_GROUP,):
            yield from _letters(argument)


def _takes(argument: Any, character: str) -> bool:
    pattern = parser.SubPattern(parser.State(), [(codes.IN, argument)])
    return re._compiler.compile(pattern).match(character) is not None  # type: ignore[attr-defined]


def attacks(pattern: Pattern) -> Iterator[Callable[[int], str]]:
    """Texts of any length: a piece again and again, with what may stand before and behind."""
    letters = list(dict.fromkeys(_letters(parser.parse(pattern.text, pattern.flags))))[:10]
    whole = "".join(_letters(parser.parse(pattern.text, pattern.flags)))
    pairs = map("".join, product(letters[:6], repeat=2))
    pieces = [piece for piece in (*letters, *pairs, whole) if piece]
    begins = ["", *{whole[:cut] for cut in range(1, min(len(whole), 8))}]
    for piece, begin, end in product(pieces, begins, ("", "\x01")):
        yield lambda n, p=piece, b=begin, e=end: b + p * (n // len(p)) + e  # type: ignore[misc]


def growth(
    use: Callable[[str], object], text: str, longer: str, times: int = 3
) -> tuple[float, float]:
    """s of the processor for both, the least of three times: others use it too."""

    def took(given: str) -> float:
        began = time.thread_time()
        use(given)
        return time.thread_time() - began

    return min(took(text) for _ in range(times)), min(took(longer) for _ in range(times))


FOUND = sorted(set(patterns()))


def test_patterns_are_found() -> None:
    assert len(FOUND) > 30
    assert {"compile", "search", "fullmatch", "finditer"} & {p.use for p in FOUND}


@pytest.mark.parametrize("pattern", FOUND, ids=str)
def test_a_pattern_goes_through_its_text_once(pattern: Pattern) -> None:
    compiled = re.compile(pattern.text, pattern.flags)
    if pattern.use in ("sub", "subn"):
        use: Callable[[str], Any] = lambda text: compiled.sub("", text)  # noqa: E731
    elif pattern.use == "finditer":
        use = lambda text: list(compiled.finditer(text))  # noqa: E731
    else:
        use = getattr(compiled, pattern.use)
    for attack in attacks(pattern):
        text = attack(LENGTH)
        began = time.thread_time()
        use(text)
        if time.thread_time() - began > SUSPECT_S:
            once, more = growth(use, text, attack(4 * LENGTH))
            assert more < GROWTH * once, f"{text[:40]!r} … {text[-5:]!r}"


PARSERS: dict[str, Callable[[str], object]] = {
    "command": parse_command,
    "trajectory": parse_trajectory,
    "indices": parse_indices,
    "json": lambda text: read_json(text, "ARGS"),
    "expression": parsed,
    "template": lambda text: compile_text(text, Names()),
    "scalar": scalar,
    "suggestion": lambda text: suggestion(text, ("run", "pause", "stage.x")),
}
HEADS = ("", "run ", "[", "linear(", "{", '{"a":', "'", '"', "$(", "steps[")
ATOMS = (
    *("a", "1", " ", "'", '"', "\\", "\\'", "[", "{", "(", "$(", "$$(", "a=", '"a":', "'a':1,"),
    *("1,", '{"a":', "=", "#", " #", "a{", "{a}", "-", "a.b", "\n", "\t", "]", "é", "not ", "-a"),
)


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_s_time_grows_as_its_text(name: str) -> None:
    def use(text: str) -> None:
        with suppress(OrchestratorError, ValueError):
            PARSERS[name](text)

    for head, atom in product(HEADS, ATOMS):
        text, longer = (head + atom * (n // len(atom)) for n in (LENGTH, 4 * LENGTH))
        began = time.thread_time()
        use(text)
        if time.thread_time() - began > 3 * SUSPECT_S:
            once, more = growth(use, text, longer)
            assert more < GROWTH * once, f"{head!r} {atom!r}"


LINES = ("a" * 9, "a{", "XF:31ID{Mtr:1} ", "- ", "'a' ", "&a ", ": ", "{a: [", "\t")


@pytest.mark.parametrize("atom", LINES)
@pytest.mark.parametrize("head", ["steps: ", "steps: [{set: {pv: "])
def test_the_time_of_a_document_of_one_line_grows_as_its_length(head: str, atom: str) -> None:
    def use(text: str) -> None:
        with suppress(OrchestratorError):
            read(text, "CMD")

    # From 1024 characters on: as far may a key of a mapping reach, for which the scanner looks.
    text, longer = (head + atom * (n // len(atom)) for n in (1500, 6000))
    once, more = growth(use, text, longer, times=1)
    if more > GROWTH * once:
        once, more = growth(use, text, longer)
    assert more < GROWTH * once or more < 5 * SUSPECT_S


def test_a_document_of_one_line_of_64_kb_is_explained_at_once() -> None:
    text = "steps: [{set: {pv: " + "a" * 65_000 + "{b: c}}}]"
    with pytest.raises(OrchestratorError):
        parse(text)
