"""Verbs of a user's own: what makes one, and what is wrong with those that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.config import names_of
from orchestrator.engine import Library
from orchestrator.engine.python.python_check import look_at
from orchestrator.engine.python.python_run import Run
from orchestrator.engine.sequences.python_program import PythonProgram
from orchestrator.engine.sequences.registry import Registry
from orchestrator.errors import CheckError, InputError
from orchestrator.language.foresight.checks import check_program
from orchestrator.language.text.document import parse
from orchestrator.language.text.steps import VERBS
from orchestrator.types import Limits, Metadata, NativeType
from orchestrator.verbs import own_verbs
from orchestrator.verbs.own import PYTHON_ONLY
from tests.own_step import configured, step_of_the_page
from tests.unit.engine.bench import make_config

RAMP = step_of_the_page()


def test_the_page_has_its_step_in_forty_lines() -> None:
    assert len([line for line in RAMP.splitlines() if line.strip()]) <= 40


def test_a_verb_is_known_as_long_as_it_is_configured(tmp_path: Path) -> None:
    with configured(tmp_path, lab_steps=RAMP):
        assert own_verbs() == {"ramp"}
        parse("steps: [{group: [{ramp: {pv: a:b, to: 1, rate: 1}}]}]")
    with pytest.raises(CheckError, match="unknown step 'ramp'"):
        parse("steps: [{group: [{ramp: {pv: a:b, to: 1, rate: 1}}]}]")


def test_a_mistake_in_one_is_told_as_in_any_other(tmp_path: Path) -> None:
    with configured(tmp_path, lab_steps=RAMP), pytest.raises(CheckError) as caught:
        parse("steps:\n  - ramp: {pv: a:b, to: 1, rat: 1}\n  - rampe: {}\n", "a.yaml")
    assert caught.value.findings == [
        "a.yaml:2:11: steps[0].ramp: needs 'rate'",
        "a.yaml:2:28: steps[0].ramp: unknown field 'rat'; did you mean 'rate'?",
        "a.yaml:3:5: steps[1]: unknown step 'rampe'; did you mean 'ramp'?",
    ]


@pytest.mark.parametrize(
    ("pattern", "instead", "told"),
    [
        (r"    reads = \(\)\n", "", "RampNode does not say reads"),
        (r"    @property\n    def puts.*?\n\n", "", "RampNode does not say puts"),
        (r"    def takes.*?\n\n", "", "RampNode does not say takes"),
        (r"    async def run.*", "", "RampNode does not say run"),
        (r"    def compiled.*?\n\n\n", "\n\n", "RampStep has no `compiled`"),
        (r"    ramp: Ramp", "    rump: Ramp", "RampStep has no field 'ramp'"),
        (r'verb="ramp"', 'verb="delay"', "RampStep has no field 'delay'"),
        (r'    """Units per s."""\n', "", "Ramp.rate: write below it what it means"),
        (r'    """Where to, and how fast."""\n', "", "Ramp: write below it what it means"),
        (r"class RampStep\(Form", "class RampStep(Strict", "TypeError"),
        (r"from dataclasses import dataclass", "import nothing_at_all", "No module named"),
    ],
)
def test_one_that_is_not_whole_is_an_error_of_the_configuration(
    tmp_path: Path, pattern: str, instead: str, told: str
) -> None:
    text, count = re.subn(pattern, instead, RAMP, count=1, flags=re.DOTALL)
    assert count == 1
    with pytest.raises(InputError) as caught, configured(tmp_path, lab_steps=text):
        pass
    assert re.match(r".*orchestrator\.toml:2: sequences\.verbs: ", str(caught.value))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("delay", "'delay' is a verb of orchestrator.verbs.flow.delay already"),
        ("then", "'then' can't be both a verb and a field beside one"),
        ("value", "in Python 'value' is something else already"),
    ],
)
def test_a_name_that_is_taken_is_refused(tmp_path: Path, verb: str, told: str) -> None:
    text = RAMP.replace('verb="ramp"', f'verb="{verb}"')
    text = text.replace("    ramp: Ramp", f"    {verb}: Ramp")
    with pytest.raises(InputError, match=told), configured(tmp_path, lab_steps=text):
        pass
    assert own_verbs() == set()


def test_a_name_of_another_module_is_refused(tmp_path: Path) -> None:
    both = configured(tmp_path, lab_steps=RAMP, other_steps=RAMP)
    with pytest.raises(InputError, match="'ramp' is a verb of lab_steps already"), both:
        pass


def test_the_names_that_python_has_besides_are_those_of_a_run() -> None:
    methods = {name for name in vars(Run) if not name.startswith("_")}
    assert methods - VERBS.keys() == PYTHON_ONLY


def test_a_module_without_a_verb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty has no verb"), configured(tmp_path, empty=""):
        pass


async def beyond(run: Run, to: float = 6.0) -> None:
    await run.ramp(pv="sim.x", to=to, rate=1)
    await run.ramp(pv="sim.x", to=await run.value("sim.y"), rate=1)


def test_the_check_of_python_knows_it(tmp_path: Path) -> None:
    names = names_of(make_config())
    library = Library(None, names, Registry({"beyond": beyond}))
    with configured(tmp_path, lab_steps=RAMP):
        look = look_at(PythonProgram("beyond", "", {"to": 6.0}, function=beyond), names, library)
        limited = Metadata(NativeType.DOUBLE, control=Limits(-5, 5))
        every = [v.told(check_program(v.program, lambda _: limited)) for v in look.verbs]
        found = [finding.text for told in every for finding in told]
    assert look.writes == {"sim.x"}
    assert [text for text in found if "limits" in text], found
    assert len(look.unseen) == 1


def test_what_is_no_verb_is_no_method_of_a_run() -> None:
    with pytest.raises(AttributeError, match="a run has no 'sett'; did you mean 'set'"):
        Run.__getattr__(object.__new__(Run), "sett")
