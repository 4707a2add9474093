"""Findings of the check before a run, and how the values of an operand become some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.errors import told_at
from orchestrator.language.expressions.intervals import Interval
from orchestrator.language.expressions.operand import Operand
from orchestrator.language.foresight.reach import UNSURE, Case, Reach
from orchestrator.language.program.nodes import Node
from orchestrator.types import Path, path_text


class Level(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """It would fail, or wait in vain."""
    WARNING = "warning"
    """It is probably not meant."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with one step."""

    level: Level
    where: str
    """file:line:column."""
    path: Path
    """The step; empty where it is not about one."""
    text: str

    def line(self) -> str:
        """As people and editors read it: `align.yaml:7:5: steps[2] set stage.x: …`."""
        return f"{self.where}: {self.text}"


class Findings:
    """Gathers what is wrong."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    def error(self, node: Node, text: str) -> None:
        """Something that would fail."""
        self._add(Level.ERROR, node, text)

    def warn(self, node: Node, text: str) -> None:
        """Something that is probably not meant."""
        self._add(Level.WARNING, node, text)

    def _add(self, level: Level, node: Node, text: str) -> None:
        text = told_at(f"{path_text(node.path)} {node.label}", text)
        self.all.append(Finding(level, node.where, node.path, text))

    def first(
        self, node: Node, cases: Sequence[Case], wrong: Callable[[object], str]
    ) -> list[Case]:
        """Tell of the first value that is wrong, and how many more are; gives all of them.

        Args:
            node: The step.
            cases: The values; one that can't be computed is wrong by itself.
            wrong: Why a value, perhaps an `Interval`, is wrong; empty where it is not.
        """
        bad = [(case, text) for case in cases if (text := _verdict(case, wrong))]
        if bad:
            case, text = bad[0]
            more = f"; so do {len(bad) - 1} more of its {len(cases)} values" if bad[1:] else ""
            tell = self.warn if isinstance(case.value, Interval) else self.error
            tell(node, f"{text}{case.told()}{more}")
        return [case for case, _ in bad]

    def computed(self, node: Node, operand: Operand, reach: Reach) -> list[Case]:
        """The values of an operand that are known; tells of those that can't be computed."""
        cases = reach.cases(operand)
        self.first(node, cases, lambda _value: "")
        return [case for case in cases if case.value is not UNSURE and not case.failed]


def _verdict(case: Case, wrong: Callable[[object], str]) -> str:
    if case.value is UNSURE:
        return ""
    return str(case.value) if case.failed else wrong(case.value)
