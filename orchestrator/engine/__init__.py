"""Runs sequences: the only module that decides what happens next."""

from orchestrator.engine.runs.automation import unfit
from orchestrator.engine.runs.engine import Engine
from orchestrator.engine.runs.going_on import GoingOn, look_up, point_text
from orchestrator.engine.sequences.described import described
from orchestrator.engine.sequences.library import Library, RunFunction, library_of, registry_of
from orchestrator.engine.steps.direct_put import DirectPuts
from orchestrator.engine.user_code.rooms import Rooms

__all__ = [
    "DirectPuts",
    "Engine",
    "GoingOn",
    "Library",
    "Rooms",
    "RunFunction",
    "described",
    "library_of",
    "look_up",
    "point_text",
    "registry_of",
    "unfit",
]
