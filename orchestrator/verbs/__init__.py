"""The steps of the language, one module each, and all that a step of one's own is made of.

Whoever reads documents imports this: by that the verbs are known. A step of one's own is a `Form`,
what is written, and a `Node`, what it becomes; see docs/how-to/write-a-step.md.
"""

from orchestrator.language.expressions.operand import Operand, constant, reading
from orchestrator.language.program.compile_context import Context, not_negative, positive
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import NO_STEPS, InOrder, Node, Timing, at_once
from orchestrator.language.program.parts import Put
from orchestrator.language.text.document import Document
from orchestrator.language.text.field_kinds import Amount, AnyValue, OneValue
from orchestrator.language.text.findings import Strict
from orchestrator.language.text.steps import VERBS, Steps, register
from orchestrator.types import Path
from orchestrator.verbs.channels.nested import NestedNode, NestedStep
from orchestrator.verbs.channels.record import RecordNode, RecordStep
from orchestrator.verbs.channels.sample import SampleNode, SampleStep
from orchestrator.verbs.channels.set_ import SetNode, SetStep
from orchestrator.verbs.channels.trajectories import TrajectoriesNode, TrajectoriesStep
from orchestrator.verbs.channels.wait import WaitNode, WaitStep
from orchestrator.verbs.doing import Doing
from orchestrator.verbs.flow.ask import AskNode, AskStep
from orchestrator.verbs.flow.call import CallNode, CallStep
from orchestrator.verbs.flow.checkpoint import CheckpointNode, CheckpointStep
from orchestrator.verbs.flow.delay import DelayNode, DelayStep
from orchestrator.verbs.flow.group import GroupNode, GroupStep
from orchestrator.verbs.flow.if_ import IfNode, IfStep
from orchestrator.verbs.flow.leaving import (
    BreakNode,
    BreakStep,
    ContinueNode,
    ContinueStep,
    EndNode,
    EndStep,
    FailNode,
    FailStep,
)
from orchestrator.verbs.flow.let import LetNode, LetStep
from orchestrator.verbs.flow.log import LogNode, LogStep
from orchestrator.verbs.flow.loop import LoopNode, LoopStep
from orchestrator.verbs.flow.parallel import ParallelNode, ParallelStep
from orchestrator.verbs.flow.race import RaceNode, RaceStep
from orchestrator.verbs.flow.run import RunNode, RunStep

__all__ = [
    "BUILT_IN", "NO_STEPS", "Amount", "AnyValue", "AskNode", "AskStep", "BreakNode", "BreakStep",
    "CallNode", "CallStep", "CheckpointNode", "CheckpointStep", "Context", "ContinueNode",
    "ContinueStep", "DelayNode", "DelayStep", "Doing", "EndNode", "EndStep", "FailNode", "FailStep",
    "Form", "GroupNode", "GroupStep", "IfNode", "IfStep", "InOrder", "LetNode", "LetStep",
    "LogNode", "LogStep", "LoopNode", "LoopStep", "NestedNode", "NestedStep", "Node", "OneValue",
    "Operand", "ParallelNode", "ParallelStep", "Path", "Put", "RaceNode", "RaceStep", "RecordNode",
    "RecordStep", "RunNode", "RunStep", "SampleNode", "SampleStep", "SetNode", "SetStep", "Steps",
    "Strict", "Timing", "TrajectoriesNode", "TrajectoriesStep", "WaitNode", "WaitStep", "at_once",
    "build", "constant", "not_negative", "own_verbs", "positive", "reading",
]  # fmt: skip

BUILT_IN = (
    SetStep, WaitStep, DelayStep, SampleStep, RecordStep, LetStep, LoopStep, ParallelStep, RaceStep,
    GroupStep, IfStep, BreakStep, ContinueStep, EndStep, FailStep, CallStep, RunStep,
    TrajectoriesStep, NestedStep, LogStep, CheckpointStep, AskStep,
)  # fmt: skip
"""In the order in which the reference has them."""

for _form in BUILT_IN:
    register(_form)


def own_verbs() -> set[str]:
    """The verbs that are none of ours, as far as they are registered."""
    return VERBS.keys() - {form.VERB for form in BUILT_IN}


def build() -> None:
    """Build the forms of documents and of all verbs now, rather than with the first document."""
    Document.model_rebuild()
    for form in VERBS.values():
        form.model_rebuild()
