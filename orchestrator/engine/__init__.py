"""Runs sequences: the only module that decides what happens next."""

from orchestrator.engine.engine import Engine
from orchestrator.engine.library import Library, library_of, registry_of
from orchestrator.engine.report import step_here

__all__ = ["Engine", "Library", "library_of", "registry_of", "step_here"]
