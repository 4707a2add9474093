"""The step `run`: run another sequence within this run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from orchestrator.language.expressions.operand import Operand
from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.compiler import arguments, compile_inner
from orchestrator.language.program.form import Form
from orchestrator.language.program.nodes import Another, Node, Program, Timing
from orchestrator.language.text.document import Document
from orchestrator.language.text.field_kinds import AnyValue, Argument, OrText, Reference
from orchestrator.language.text.findings import Strict
from orchestrator.types import Path
from orchestrator.verbs.doing import Doing
from orchestrator.verbs.flow.group import GroupNode


class Run(Strict):
    """Another sequence and its arguments."""

    sequence: Reference
    """Its name; parameters may stand in it."""
    args: dict[Argument, AnyValue] = Field(default_factory=dict)
    """By its parameters; what is left out has its default."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: object) -> object:
        return {"sequence": data} if isinstance(data, str) else data


class RunStep(Form, verb="run"):
    """Run another sequence, with its own parameters, names, finalisers, suspenders and timeout."""

    run: Annotated[Run, OrText("The sequence's name.")]
    """A document or a Python sequence; none may run itself, not even by way of others."""

    def compiled(self, path: Path, context: Context) -> RunNode | GroupNode:
        here = (*path, "run")
        args = arguments(self.run.args, here, context)
        name = context.fixed(here, self.run.sequence)
        if name is None:
            context.notes.open_ended = True
            return GroupNode(*context.head(self, path, f"run {self.run.sequence}"), body=())
        document, program = compile_inner(name, args, here, context)
        known = all(operand.constant for _, operand in args)
        return RunNode(
            *context.head(self, path, f"run {name}"),
            sequence=name,
            args=args,
            document=document,
            program=program if known else None,
            outline=None if known else program,
        )


@dataclass(frozen=True, slots=True)
class RunNode(Node):
    """Run another sequence within this run, with its own parameters, names and finalisers."""

    sequence: str
    args: tuple[tuple[str, Operand], ...]
    document: Document | None
    """None for a Python sequence."""
    program: Program | None
    """Compiled where all arguments are known before the run.

    Where it is None and there is a document, it is compiled once they are: by `compile_program`
    with `base=(*path, "run")`.
    """
    outline: Program | None
    """Where the program is not known yet, what is known of it: its arguments are variables, and
    what hangs on a name that they decide is left out. To be looked at, never to be run."""

    @property
    def known(self) -> Program | None:
        """The program, or else its outline."""
        return self.program or self.outline

    puts = ()
    reads = ()
    evaluates = ()

    @property
    def inside(self) -> Another:
        return Another(self.sequence, self.args, self.document, self.program, self.known)

    def takes(self, known: Timing) -> float:
        """As long as its steps, where these are known."""
        return 0.0 if self.known is not None else known.count("calls")

    async def run(self, do: Doing) -> None:
        await do.course.sequence(self.inside, do)
