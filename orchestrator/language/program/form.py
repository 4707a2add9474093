"""A step as it is written, and what it becomes: the base of the form that each verb has."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from orchestrator.language.program.compile_context import Context
from orchestrator.language.program.nodes import Node
from orchestrator.language.text.steps import BaseStep, written
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
