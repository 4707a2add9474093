"""Runs sequences: the only module that decides what happens next."""

from orchestrator.engine.engine import Engine
from orchestrator.engine.library import Library, RunFunction, library_of, registry_of
from orchestrator.engine.report import step_here
from orchestrator.engine.rooms import Rooms

__all__ = ["Engine", "Library", "Rooms", "RunFunction", "library_of", "registry_of", "step_here"]
