"""Functions and classes of Python as Markdown."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Collection, Iterator
from enum import Enum

from writers.markdown import attribute_words, code, table, words_of, words_without_examples

_OURS = ("orchestrator", "sim_iocs")


def members(
    owner: type, wanted: tuple[str, ...] | None = None, inner: Collection[str] = ()
) -> Iterator[str]:
    """A table of the properties and methods of a class, all or those that are wanted.

    `inner` are for its own package, and never wanted.
    """
    rows = {}
    # A class may be written in several parts, its own first; not those of caproto, or of Python.
    classes = [each for each in owner.__mro__ if each.__module__.startswith(_OURS)]
    for name, member in itertools.chain.from_iterable(vars(each).items() for each in classes):
        if name.startswith("_") or name in inner or (wanted is not None and name not in wanted):
            continue
        read = getattr(member, "fget", None) or getattr(member, "func", None)
        function = read or inspect.unwrap(getattr(member, "__func__", member))
        if not inspect.isfunction(function):
            continue
        call = "" if read else signature(function)
        rows.setdefault(name, (code(f"{name}{call}"), summary(function)))
    yield from table(("", ""), rows.values())


def signature(function: Callable[..., object]) -> str:
    """As it is called: without types."""
    shown = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            stars = any(each.startswith("*") for each in shown)
            shown += [] if stars else ["*"]
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_shown(parameter.default)}"
        shown.append(f"{stars}{name}{default}")
    return f"({', '.join(shown)})"


def _shown(default: object) -> str:
    text = repr(default)
    return "…" if "<" in text else text


def fields(owner: type) -> Iterator[str]:
    """A table of the fields of a dataclass; the members of an enum in a line."""
    if issubclass(owner, Enum):
        yield from (", ".join(f"{code(each.name)} {each.value}" for each in owner), "")
        return
    yield from table(
        ("field", ""), ((code(field), text) for field, text in attribute_words(owner).items())
    )


def prose(owner: object) -> Iterator[str]:
    """A docstring with its sections as lists."""
    text, *sections = re.split(r"\n(?=(?:Args|Raises|Returns):\n)", words_of(owner))
    yield text.strip()
    for section in sections:
        head, _, body = section.partition("\n")
        yield ""
        yield {"Args:": "Takes", "Raises:": "Raises", "Returns:": "Gives"}[head]
        yield ""
        for entry in re.split(r"\n(?=\S)", inspect.cleandoc(body)):
            name, _, words = " ".join(entry.split()).partition(": ")
            yield f"- {code(name)}: {words}"
    yield ""


def summary(owner: object) -> str:
    """A docstring up to its sections."""
    return re.split(r"\n(?:Args|Raises|Returns):\n", words_without_examples(owner))[0]
