"""How hard hypothesis tries: HYPOTHESIS_PROFILE=long for the 10,000 examples of a long run."""

import os
from collections.abc import Collection, Mapping

import numpy as np
import pytest
from hypothesis import settings

import orchestrator.verbs  # noqa: F401 - by this the verbs are known
from orchestrator.errors import InputError, NotConnectedError
from orchestrator.language.names import Names, suggestion
from orchestrator.language.program.sequence_library import PythonSignature
from orchestrator.language.text.document import Document, parse

# No deadlines: a machine shared with others is late now and then, which is no defect of ours.
settings.register_profile("ci", max_examples=60, deadline=None)
settings.register_profile("long", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

ALIASES = {
    "stage.x": "SIM:STAGE:X",
    "stage.x_rbv": "SIM:STAGE:X.RBV",
    "stage.fine.x": "SIM:STAGE:FX",
    "det.counts": "SIM:DET:COUNTS",
    "det.acquire": "SIM:DET:ACQ",
    "shutter.state": "SIM:SH:STATE",
    "shutter.state_rbv": "SIM:SH:STATE:RBV",
}


class World:
    """An Environment of plain mappings."""

    def __init__(
        self,
        channels: Mapping[str, object] = {},
        variables: Mapping[str, object] = {},
        data: Mapping[str, object] = {},
    ) -> None:
        self.channels, self.variables, self.columns = channels, variables, data

    def variable(self, name: str) -> object:
        return self.variables[name]

    def channel(self, name: str) -> object:
        if name not in self.channels:
            raise NotConnectedError(f"{name} is not connected")
        return self.channels[name]

    def check_label(self, name: str, text: str) -> None:
        pass

    def connected(self, name: str) -> bool:
        return name in self.channels

    def severity(self, name: str) -> int:
        return 2

    def age(self, name: str) -> float:
        return 1.5

    def timestamp(self, name: str) -> float:
        return 1.75e9

    def changed(self, name: str) -> bool:
        return self.channels[name] == 7

    def now(self) -> float:
        return 1.8e9

    def elapsed(self) -> float:
        return 12.5

    def index(self, name: str) -> int:
        return 1

    def data(self, name: str) -> np.ndarray:
        return np.asarray(self.columns.get(name, []), dtype=float)


@pytest.fixture
def names() -> Names:
    return Names(frozenset({"stage", "det", "shutter"}), ALIASES)


class Shelf:
    """A SequenceLibrary of texts."""

    def __init__(
        self,
        documents: Mapping[str, str] = {},
        functions: Collection[str] = (),
        python: Mapping[str, PythonSignature] = {},
    ) -> None:
        self._documents, self._functions, self._python = documents, functions, python
        self.read: list[str] = []

    def document(self, name: str) -> Document:
        self.read.append(name)
        if name not in self._documents:
            hint = suggestion(name, self._documents, kind="sequences")
            raise InputError(f"there is no sequence {name!r}{hint}")
        return parse(self._documents[name], f"{name}.yaml")

    def functions(self) -> Collection[str]:
        return self._functions

    def python(self, name: str) -> PythonSignature | None:
        return self._python.get(name)

    def left_out(self) -> str:
        return ""
