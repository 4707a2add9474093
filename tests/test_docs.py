"""README and docs say what is so: reference, links, sequences, configurations, commands."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer

import orchestrator.verbs  # noqa: F401 - by this the verbs are known
from orchestrator.cli.panels.app import app
from orchestrator.config import ChainConfig, Config, load_config, names_of
from orchestrator.data.csv_file import _header
from orchestrator.engine.sequences.library import Library
from orchestrator.engine.sequences.registry import load
from orchestrator.language.names import Names
from orchestrator.language.program.compiler import compile_program
from orchestrator.language.text.document import parse
from orchestrator.language.text.steps import VERBS
from tests.own_step import configured, step_of_the_page
from tests.pages import PAGES, ROOT, Block, blocks

EXAMPLES = ROOT / "examples"
OTHER_COMMANDS = {
    *("source", "mkdir", "cd", "export", "caget", "caput", "systemctl", "journalctl", "bash"),
    *("curl", "pip"),
    *("until", "trap", "kill", "git", "softIoc", "wait", "grep", "mkfifo", "exec", "echo"),
    *("python", "pytest", "env", "silx"),
}
"""What docs may tell to type beside our own."""


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def every(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page, *languages)]


def place(block: Block) -> str:
    return block.place


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")  # as for the script
        yield importlib.import_module("generate")


@pytest.fixture(scope="module")
def pages(generate: ModuleType) -> dict[str, str]:
    """The reference as it is generated now, by the name of the file."""
    return generate.pages()


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Names:
    """The channels of all configurations in docs, demo and examples together."""
    folder = tmp_path_factory.mktemp("configurations")
    files = [ROOT / "orchestrator/demo/orchestrator.toml", ROOT / "examples/orchestrator.toml"]
    files.append(ROOT / "examples/chained/orchestrator.toml")
    for number, block in enumerate(every("toml")):
        file = folder / f"{number}.toml"
        file.write_text(block.text)
        files.append(file)
    chain, own = {}, {}
    for file in files:
        config = load_config(file)
        own |= config.own
        for name, ioc in config.chain.items():
            chain.setdefault(name, ioc)
            channels = {**ioc.channels, **chain[name].channels}
            server = ioc.server or chain[name].server
            chain[name] = ChainConfig(name, ioc.prefix, channels=channels, server=server)
    return names_of(Config(chain=chain, own=own))


# The reference --------------------------------------------------------------------------------


def test_the_reference_is_what_the_code_says(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        committed = (ROOT / "docs/reference" / name).read_text()
        assert committed == text, f"docs/reference/{name} is out of date: run scripts/docs"


def test_everything_in_the_reference_has_words(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        for line in text.splitlines():
            wordless = line.startswith("| `") and line.endswith("|  |")
            assert not wordless or name == "sim-iocs.md", f"{name}: no words in {line}"


def test_every_verb_command_and_function_is_in_the_reference(pages: dict[str, str]) -> None:
    assert [verb for verb in VERBS if f"## `{verb}`" not in pages["steps.md"]] == []
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    assert [name for name in commands if f"## {name}\n" not in pages["cli.md"]] == []
    language = importlib.import_module("writers.language")
    assert set(language.FUNCTION_WORDS) == set(language.FUNCTIONS)


def test_every_public_name_is_in_the_reference(pages: dict[str, str]) -> None:
    ours = {"BUILT_IN", "build", "own_verbs"}
    for module in ("orchestrator", "orchestrator.ioc", "orchestrator.verbs", "sim_iocs.testing"):
        page = pages["testing.md" if module == "sim_iocs.testing" else "api.md"]
        names = set(importlib.import_module(module).__all__) - ours
        if module == "orchestrator.verbs":  # those that there are have the page on steps
            names = {name for name in names if not re.search(r"\wStep$|\wNode$", name)}
        assert [name for name in names if not re.search(rf"`{name}\b", page)] == []


def test_the_columns_of_a_data_file_are_told() -> None:
    text = (ROOT / "docs/explanations/files.md").read_text()
    told = re.findall(r"^\| `([^`]+)` \|", text.partition("| column |")[2], re.MULTILINE)
    assert told == _header(["det.counts"])


# Links ----------------------------------------------------------------------------------------


def _links(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "``", text))


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("index", ["README.md", "explanations/decisions/README.md"])
def test_an_index_names_all_pages(index: str) -> None:
    folder = (ROOT / "docs" / index).parent
    named = {(folder / link).resolve() for link in _links(ROOT / "docs" / index)}
    pages = folder.glob("*.md") if "decisions" in index else folder.glob("*/*.md")
    assert [page.name for page in pages if page.name != "README.md" and page not in named] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in _links(page):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page_name(page)}: {link}"
        assert not anchor or anchor in _anchors(target), f"{page_name(page)}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            targets = ((page.parent / link.partition("#")[0]).resolve() for link in _links(page))
            waiting += [target for target in targets if target.suffix == ".md"]
    assert [page_name(page) for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_no_page_names_this_machine(page: Path) -> None:
    assert re.findall(r"/(?:work|home|root|tmp)/|pypi|pythonhosted", page.read_text()) == []


# Decisions ------------------------------------------------------------------------------------

DECISIONS = sorted((ROOT / "docs/explanations/decisions").glob("[0-9]*.md"))
SECTIONS = ["Context", "Decision", "Consequences", "Rejected"]


def test_the_index_of_the_decisions_is_theirs(generate: ModuleType) -> None:
    committed = (ROOT / "docs/explanations/decisions/README.md").read_text()
    assert committed == generate.index_of_decisions(), "out of date: run scripts/docs"


def test_decisions_have_a_number_each_in_the_order_of_their_dates() -> None:
    # Gaps may be: who works at the same time takes a number ahead, and may drop it.
    numbers = [re.fullmatch(r"(\d{4})-.*", page.name)[1] for page in DECISIONS]
    assert len(set(numbers)) == len(numbers)
    dates = [re.findall(r"^Accepted on (\S{10})", p.read_text(), re.MULTILINE) for p in DECISIONS]
    assert dates == sorted(dates)


@pytest.mark.parametrize("page", DECISIONS, ids=page_name)
def test_a_decision_tells_its_context_its_consequences_and_what_was_rejected(page: Path) -> None:
    assert re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE) == SECTIONS


# What is fenced -------------------------------------------------------------------------------


@pytest.mark.parametrize("block", every("yaml"), ids=place)
def test_sequences_compile(block: Block, names: Names, tmp_path: Path) -> None:
    library = Library(EXAMPLES / "sequences", names, load(["plans"], EXAMPLES))
    with configured(tmp_path, lab_steps=step_of_the_page()):
        compile_program(parse(block.text, block.place), {}, names, library)


@pytest.mark.parametrize("block", every("toml"), ids=place)
def test_configurations_load(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "orchestrator.toml"
    file.write_text(block.text)
    load_config(file)


@pytest.mark.parametrize("block", every("sh"), ids=place)
def test_commands_are_there(block: Block, generate: ModuleType) -> None:
    operation = importlib.import_module("writers.operation")
    functions = {operation.name_of(c): c.callback for c in app.registered_commands}
    for line in block.commands:
        words = shlex.split(line)
        if words[0] == "orchestrator":
            _look_at_options(words[1:], functions[words[1]], operation)
        elif words[0] == "python" and words[1].endswith(".py"):
            continue  # a reader's own
        elif words[0] == "python":
            assert importlib.util.find_spec(words[2]) is not None, line
        elif words[0].startswith("scripts/"):
            assert (ROOT / words[0]).is_file(), line
        else:
            assert words[0].partition("=")[0] in OTHER_COMMANDS | {"iocs"}, line


def _look_at_options(words: list[str], command: object, operation: ModuleType) -> None:
    import inspect

    usages = [usage for usage, _ in operation._parameters(inspect.unwrap(command))]  # type: ignore[arg-type]  # a function
    known = {word.strip(",") for usage in usages for word in usage.split() if word[0] == "-"}
    for word in words:
        if re.match(r"--?[a-z]", word):
            assert word in known, f"{word} in {' '.join(words)}"


def test_python_blocks_are_python() -> None:
    for block in every("python"):
        compile(block.text, block.place, "exec")


def test_the_pictures_are_of_the_demo() -> None:
    from xml.etree import ElementTree

    for name, words in (("demo-running", "Scanning"), ("demo", "Success")):
        text = (ROOT / f"docs/images/{name}.svg").read_text()
        ElementTree.fromstring(text)  # noqa: S314 - our own file
        assert words in text


def test_the_pictures_need_no_font_and_nothing_from_the_net() -> None:
    from xml.etree import ElementTree

    svg = "{http://www.w3.org/2000/svg}"
    reference = "{http://www.w3.org/1999/xlink}href"
    for file in sorted((ROOT / "docs/images").glob("*.svg")):
        assert file.stat().st_size < 300_000
        drawing = ElementTree.fromstring(file.read_text())  # noqa: S314 - our own file
        elements = list(drawing.iter())
        kinds = {element.tag.removeprefix(svg) for element in elements}
        assert not kinds & {"text", "style", "image", "font", "foreignObject"}, file
        shown = [element.get(reference, "") for element in elements if element.tag == f"{svg}use"]
        known = {f"#{element.get('id')}" for element in elements}
        assert shown
        assert set(shown) <= known, file


def test_supported_pythons_are_those_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    versions = re.findall(r"Python :: (3\.\d+)", project)
    assert ", ".join(versions[:-1]) + f" or {versions[-1]}" in (ROOT / "README.md").read_text()
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in versions
