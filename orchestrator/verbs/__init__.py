"""The steps of the language, one module each: how it is written, what it becomes, its facts.

Whoever reads documents imports this: by that the verbs are known.
"""

from orchestrator.language.text.document import Document
from orchestrator.language.text.steps import VERBS, register
from orchestrator.verbs.ask import AskNode, AskStep
from orchestrator.verbs.call import CallNode, CallStep
from orchestrator.verbs.checkpoint import CheckpointNode, CheckpointStep
from orchestrator.verbs.delay import DelayNode, DelayStep
from orchestrator.verbs.group import GroupNode, GroupStep
from orchestrator.verbs.if_ import IfNode, IfStep
from orchestrator.verbs.let import LetNode, LetStep
from orchestrator.verbs.log import LogNode, LogStep
from orchestrator.verbs.loop import LoopNode, LoopStep
from orchestrator.verbs.nested import NestedNode, NestedStep
from orchestrator.verbs.parallel import ParallelNode, ParallelStep
from orchestrator.verbs.run import RunNode, RunStep
from orchestrator.verbs.sample import SampleNode, SampleStep
from orchestrator.verbs.set import SetNode, SetStep
from orchestrator.verbs.trajectories import TrajectoriesNode, TrajectoriesStep
from orchestrator.verbs.wait import WaitNode, WaitStep

__all__ = [
    "AskNode",
    "AskStep",
    "CallNode",
    "CallStep",
    "CheckpointNode",
    "CheckpointStep",
    "DelayNode",
    "DelayStep",
    "GroupNode",
    "GroupStep",
    "IfNode",
    "IfStep",
    "LetNode",
    "LetStep",
    "LogNode",
    "LogStep",
    "LoopNode",
    "LoopStep",
    "NestedNode",
    "NestedStep",
    "ParallelNode",
    "ParallelStep",
    "RunNode",
    "RunStep",
    "SampleNode",
    "SampleStep",
    "SetNode",
    "SetStep",
    "TrajectoriesNode",
    "TrajectoriesStep",
    "WaitNode",
    "WaitStep",
]

BUILT_IN = (
    SetStep,
    WaitStep,
    DelayStep,
    SampleStep,
    LetStep,
    LoopStep,
    ParallelStep,
    GroupStep,
    IfStep,
    CallStep,
    RunStep,
    TrajectoriesStep,
    NestedStep,
    LogStep,
    CheckpointStep,
    AskStep,
)
"""In the order in which the reference has them."""

for _form in BUILT_IN:
    register(_form)


def build() -> None:
    """Build the forms of documents and of all verbs now, rather than with the first document."""
    Document.model_rebuild()
    for form in VERBS.values():
        form.model_rebuild()
