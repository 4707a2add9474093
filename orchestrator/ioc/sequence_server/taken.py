"""What a system behind a sequence server takes in hand by itself, as its code tells."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

from orchestrator.syntax_trees import syntax_tree
from orchestrator.types import fields

CMD, NESTED_INDICES, ACK = fields.CMD.name, fields.NESTED_INDICES.name, fields.ACK.name


class IndicesText(str):
    """What a system is given of `Nested_Indices`: text, and for `bytes(…)` its UTF-8.

    Systems of the older kind were given the bytes of a CHAR array, and take them so.
    """

    __slots__ = ()

    def __bytes__(self) -> bytes:
        """Without a NUL."""
        return self.encode()


@dataclass(frozen=True, slots=True)
class Taken:
    """Which requests a system handles itself; the server does all others for it."""

    names: frozenset[str] = frozenset()
    """With which `io_execute` compares its `pv_name`."""
    acknowledges: bool = False
    """Whether it puts `ACK` itself: then nothing is acknowledged for it."""

    @classmethod
    def by(cls, system: object) -> Taken:
        """What the source of a system's class tells: one need neither call it nor change it.

        Looked for are comparisons of a parameter with a text (`pv_name == "CMD"`, `pv_name in
        ("CMD", "VAL")`, `match pv_name`) in any of its methods, and methods that a parameter
        chooses by a dict (`{"CMD": self.load}[pv_name]`). Where there is no source, the texts in
        the code of `io_execute` have to do.
        """
        names: set[str] = set()
        acknowledges = False
        for kind in type(system).__mro__[:-1]:
            tree = _tree(kind)
            if tree is None:
                texts = set(_constants(getattr(vars(kind).get("io_execute"), "__code__", None)))
                names |= texts & {CMD, NESTED_INDICES}
                acknowledges |= ACK in texts
                continue
            names |= set(_compared_in(tree))
            acknowledges |= any(_is_text(node, ACK) for node in ast.walk(tree))
        return cls(frozenset(names), acknowledges)


def _tree(kind: type) -> ast.AST | None:
    try:
        return syntax_tree(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):
        return None


def _constants(constant: object) -> Iterator[str]:
    """The texts in a function's code."""
    match constant:
        case str():
            yield constant
        case CodeType():
            for each in constant.co_consts:
                yield from _constants(each)
        case tuple() | frozenset():
            for each in constant:
                yield from _constants(each)


def _is_text(node: ast.AST, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def _compared_in(tree: ast.AST) -> Iterator[str]:
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    for function in functions:
        yield from _compared(function)
    if any(_chooses(function) for function in functions):
        for node in nodes:
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if key is not None and isinstance(value, ast.Attribute | ast.Lambda):
                        yield from _texts(key)


def _chooses(function: ast.FunctionDef) -> bool:
    """Whether a function looks something up by a parameter."""
    parameters = {each.arg for each in function.args.args}
    for node in ast.walk(function):
        match node:
            case ast.Subscript(slice=ast.Name(id=name)) if name in parameters:
                return True
            case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Name(id=name), *_]) if (
                name in parameters
            ):
                return True
    return False


def _compared(function: ast.FunctionDef) -> Iterator[str]:
    """The texts with which a function compares its parameters."""
    parameters = {each.arg for each in function.args.args}

    def is_one(node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in parameters

    for node in ast.walk(function):
        match node:
            case ast.Compare(left=left, comparators=[right]) if is_one(left):
                yield from _texts(right)
            case ast.Compare(left=left, comparators=[right]) if is_one(right):
                yield from _texts(left)
            case ast.Match(subject=subject, cases=cases) if is_one(subject):
                for each in cases:
                    yield from _texts(each.pattern)


def _texts(node: ast.AST) -> Iterator[str]:
    """A text, or those of a list of texts or of a pattern."""
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            for part in parts:
                yield from _texts(part)
        case ast.MatchOr(patterns=patterns):
            for pattern in patterns:
                yield from _texts(pattern)
        case ast.MatchValue(value=value):
            yield from _texts(value)


def verdict(said: object) -> tuple[bool | None, str]:
    """What a system means by the `ACK` that it has put.

    Returns:
        True: done; False: failed, and why; None: it is at it. A number is given as such or as
        text, behind which a reason may stand: `"0no such command"`.
    """
    text = str(said).strip()
    number = text[: len(text) - len(text.lstrip("+-0123456789"))]
    reason = text[len(number) :].strip(" :,")
    if isinstance(said, bool):
        return (True, "") if said else (None, "")
    if number.isdecimal() and int(number) > 0:
        return True, ""
    return (None, "") if number.isdecimal() and not reason else (False, reason or text)
