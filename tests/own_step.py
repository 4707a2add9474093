"""The step of one's own that the docs tell of, as a test can have it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.config import load_config
from orchestrator.language.text.steps import _VERBS
from orchestrator.verbs import own_verbs
from orchestrator.verbs.own import register_verbs
from tests.pages import ROOT, blocks

PAGE = ROOT / "docs/how-to/write-a-step.md"


def step_of_the_page() -> str:
    """Its module."""
    return next(b.text for b in blocks(PAGE, "python") if b.what == "lab_steps.py")


@contextmanager
def configured(folder: Path, **modules: str) -> Iterator[None]:
    """The verbs of these modules are known, by a configuration in `folder` that names them."""
    file = folder / "orchestrator.toml"
    file.write_text(f"[sequences]\nverbs = {list(modules)}\n")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    importlib.invalidate_caches()
    try:
        register_verbs(load_config(file))
        yield
    finally:
        for verb in own_verbs():
            del _VERBS[verb]
        for name in modules:
            sys.modules.pop(name, None)
        sys.path.remove(str(folder))
