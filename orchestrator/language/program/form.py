"""A step as it is written, and what it becomes: the base of the form that each verb has.

A step is compiled by its form. Names are scoped statically: a parameter is a constant everywhere,
a `let` (and the result of a `call`) holds for the rest of its list, a loop's variable in the loop.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

from orchestrator.language.expressions.operand import constant_value
from orchestrator.language.program.compile_context import (
    UNKNOWN,
    Context,
    KnownLater,
    not_negative,
    tries,
)
from orchestrator.language.program.nodes import (
    OF_ERROR,
    Handler,
    Node,
    NotKnownYet,
    OnError,
    Passes,
)
from orchestrator.language.program.parts import Abort, Continue, OnDisconnect, Retry
from orchestrator.language.text.steps import BaseStep, ByKind, Limited, written
from orchestrator.language.text.steps import Retry as RetryForm
from orchestrator.types import Path


class Form(BaseStep):
    """The form of one verb: its fields, and the node that it is compiled to.

    The verb is the field that the step is told by::

        class DelayStep(Form, verb="delay"):
            delay: Amount

    A class that is not whole is refused when it is made. It is a verb of documents once it is
    registered: the built-in ones in `orchestrator.verbs`, others by the configuration.
    """

    def __init_subclass__(cls, *, verb: str, **config: Any) -> None:
        """Called by Python; `verb` is for `__pydantic_init_subclass__`."""
        super().__init_subclass__(**config)

    @classmethod
    def __pydantic_init_subclass__(cls, **config: Any) -> None:
        """Called by pydantic, when the fields are known.

        Raises:
            TypeError: Says what is missing.
        """
        cls.VERB = config.pop("verb")
        super().__pydantic_init_subclass__(**config)
        if cls.compiled is Form.compiled:
            raise TypeError(f"{cls.__name__} has no `compiled`: a form says what it becomes")
        if cls.VERB not in written(cls) - written(BaseStep):
            raise TypeError(f"{cls.__name__} has no field {cls.VERB!r}: its verb is one")

    @abstractmethod
    def compiled(self, path: Path, context: Context) -> Node:
        """What it is in a program, but for what `on_error` and `on_disconnect` say.

        Args:
            path: Where it stands; that of a field begins with it.
            context: Compiles the fields and notes what is wrong with them.
        """


def undocumented(form: type[Form]) -> list[str]:
    """The classes of a form that have no docstring, and the fields without a text below them."""
    schema = form.model_json_schema()
    models = {form.__name__: schema, **schema.get("$defs", {})}
    told = {name: model for name, model in models.items() if "properties" in model}
    silent = [name for name, model in told.items() if not model.get("description")]
    return silent + [
        f"{name}.{field}"
        for name, model in told.items()
        for field, own in model["properties"].items()
        if not own.get("description")
    ]


# Compiling steps ----------------------------------------------------------------------------


def compile_list(steps: tuple[BaseStep, ...], path: Path, context: Context) -> tuple[Node, ...]:
    """Steps in order, each in the scope of those before it."""
    nodes = []
    for index, step in enumerate(steps):
        node = compile_step(step, (*path, index), context)
        nodes.append(node)
        if node.binds:
            context = context.bound(*(name for name, _ in node.binds))
    return tuple(nodes)


def compile_step(step: BaseStep, path: Path, context: Context) -> Node:
    """One step, with what becomes of its errors."""
    assert isinstance(step, Form)  # noqa: S101 - what is registered is one
    try:
        node = step.compiled(path, context)
    except KnownLater:
        node = NotKnownYet(*context.head(step, path, step.VERB))
    context.notes.writes.update(node.writes)
    context.notes.reads.update(node.reads)
    if context.assignable and (assigned := _assigned(node, context)):
        node = replace(node, assigns=assigned)
    if isinstance(step, Limited) and step.timeout is not None:
        node = replace(node, limit=context.timeout((*path, "timeout"), step.timeout))
    if step.on_disconnect is not None:
        node = replace(node, on_disconnect=OnDisconnect(step.on_disconnect))
    if step.on_error == "abort":
        return node
    return replace(node, on_error=_on_error(step.on_error, (*path, "on_error"), context))


def _assigned(node: Node, context: Context) -> frozenset[str]:
    names = {name for name, _ in node.binds}
    if isinstance(node.inside, Passes) and node.inside.variable is not None:
        names.add(node.inside.variable)
    return context.assignable & names


def _on_error(given: object, path: Path, context: Context) -> OnError:
    match given:
        case "continue":
            return Continue()
        case RetryForm():
            return _retry(given, path, context)
        case tuple():
            return Handler((("", compile_list(given, path, context.bound(*OF_ERROR))),))
        case ByKind():
            return _by_kind(given, path, context.bound(*OF_ERROR))
        case _:
            return Abort()


def _by_kind(given: ByKind, path: Path, context: Context) -> Handler:
    kinds = {kind: getattr(given, "else_" if kind == "else" else kind) for kind in ByKind.KINDS}
    cases = [
        (kind, compile_list(steps, (*path, kind), context))
        for kind, steps in kinds.items()
        if steps is not None
    ]
    return Handler(tuple(cases))


def _retry(given: RetryForm, path: Path, context: Context) -> Retry:
    here = (*path, "retry")
    operand = context.amount(here, given.retry, tries)
    value = constant_value(operand) if operand.constant else None
    is_later = bool(operand.variables) and operand.variables <= context.later
    if not operand.constant and not is_later:
        context.find(here, "has to be known before the run starts: a number or a parameter")
    delay = context.amount((*path, "delay"), given.delay, not_negative)
    return Retry(value if operand is not UNKNOWN and isinstance(value, int) else 1, delay)
