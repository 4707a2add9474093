"""The verbs that a Python sequence calls, as its source shows them: read, never run.

What a verb is given is known where it is written down: literals, constants of the module, arguments
of this run, names that are bound once to such, and loop variables over them.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from types import FunctionType
from typing import Any, TypeAlias, cast

from orchestrator.syntax_trees import syntax_tree

MOST_CASES = 100
"""Combinations of loop variables with which one call is looked at."""


class _Unknown:
    def __repr__(self) -> str:
        return "?"


UNKNOWN = _Unknown()
"""A value that is known only when the sequence runs."""
State: TypeAlias = Mapping[str, object]
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class VerbCall:
    """One call of a verb, with the values of one pass of the loops around it."""

    where: str
    """file:line."""
    verb: str
    args: tuple[object, ...]
    fields: Mapping[str, object]
    """By keyword."""
    complete: bool
    """Whether these are all that it is given: there is no `*` or `**`."""
    conditional: bool
    """Whether it may not be reached, or its error be caught."""


@dataclass(slots=True)
class Source:
    """What was found in the source of a sequence and of what it hands its run to."""

    calls: list[VerbCall] = field(default_factory=list)
    conditions: list[VerbCall] = field(default_factory=list)
    """Those of machines, as calls of `When`."""
    not_awaited: list[tuple[str, str]] = field(default_factory=list)
    """file:line and the verb of calls whose coroutine nobody awaits."""
    unseen: list[str] = field(default_factory=list)
    """What was not looked into, each with file:line."""


def read_source(
    function: Callable[..., object],
    arguments: Mapping[str, object],
    verbs: frozenset[str],
    machine: object,
) -> Source:
    """Read a sequence.

    Args:
        function: The sequence; its first parameter is the run.
        arguments: What it is given beside.
        verbs: The names of the run's coroutine methods.
        machine: The class whose calls make a condition of a machine, `When`.
    """
    reader = _Reader(verbs, machine)
    reader.function(inspect.unwrap(function), arguments)
    return reader.found


class _Reader:
    """Reads functions, each once."""

    def __init__(self, verbs: frozenset[str], machine: object) -> None:
        self._verbs = verbs
        self._machine = machine
        self._known: set[object] = set()
        self.found = Source()

    def function(self, function: Callable[..., object], arguments: Mapping[str, object]) -> None:
        """One function whose first parameter is the run."""
        code = getattr(function, "__code__", None)
        if code in self._known:
            return
        self._known.add(code)
        read = _source_of(function)
        if read is None:
            name = getattr(function, "__qualname__", repr(function))
            self.found.unseen.append(f"{name}: its source is not there, or is another by now")
            return
        node, file, first = read
        space = getattr(function, "__globals__", {})
        self._body(node, _Names(node, arguments, space), file, first - 1)

    def _body(self, node: Function, names: _Names, file: str, above: int) -> None:
        _Body(self, node, names, file, above).read()

    # What a body asks its reader ---------------------------------------------------------------

    def is_verb(self, name: str) -> bool:
        """Whether it is a coroutine method of the run."""
        return name in self._verbs

    def makes_condition(self, value: object) -> bool:
        """Whether it is the class of a machine's conditions."""
        return value is self._machine


def _source_of(function: Callable[..., object]) -> tuple[Function, str, int] | None:
    """A function's source, its file and first line; None where it is not what was imported."""
    try:
        lines, first = inspect.getsourcelines(function)
        body = syntax_tree(textwrap.dedent("".join(lines))).body
        file = inspect.getsourcefile(function) or "?"
    except (OSError, TypeError, SyntaxError):
        return None
    node = body[0] if body else None
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    same = node.name == getattr(function, "__name__", "") and _parameters(node)
    return (node, file, first) if same else None


def _parameters(node: Function) -> list[str]:
    return [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]


class _Names:
    """The names of a function whose values are known."""

    def __init__(
        self, node: Function, arguments: Mapping[str, object], space: Mapping[str, object]
    ) -> None:
        self.space = space
        self._bound = _bindings(node)
        """How often each name is bound in the function."""
        parameters = _parameters(node)
        self._loops: dict[str, int] = {}
        """Which loop binds a name."""
        self._states: list[list[State]] = []
        """The values that each loop binds, together."""
        self._values = {n: v for n, v in arguments.items() if self._bound.get(n) == 1}
        own = {name for name in self._bound if name not in parameters}
        for statement in ast.walk(node):
            if isinstance(statement, ast.Assign | ast.For | ast.comprehension):
                self._bind(statement, own)

    def _bind(self, statement: ast.Assign | ast.For | ast.comprehension, own: set[str]) -> None:
        if isinstance(statement, ast.Assign):
            target, several = statement.targets[0], False
            values = [self.value(statement.value, {})] if len(statement.targets) == 1 else []
        else:
            target, several = statement.target, True
            values = _points(statement.iter, self) or []
        names = _target_names(target)
        if not names or not all(n in own and self._bound[n] == 1 for n in names):
            return
        states = [_unpacked(target, value) for value in values if value is not UNKNOWN]
        if not states or len(states) < len(values) or any(state is None for state in states):
            return
        if several:
            self._loops |= dict.fromkeys(names, len(self._states))
            self._states.append(cast(list[State], states))
        else:
            self._values |= cast(dict[str, object], states[0])

    def states(self, nodes: Sequence[ast.AST]) -> Iterator[State]:
        """The values that loop variables can have together where these are evaluated."""
        used = {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}
        loops = sorted({self._loops[name] for name in used if name in self._loops})
        for states in islice(product(*(self._states[loop] for loop in loops)), MOST_CASES):
            yield {name: value for state in states for name, value in state.items()}

    def value(self, node: ast.expr, state: State) -> object:
        """The value of an expression, `UNKNOWN` where that is not written down."""
        match node:
            case ast.Constant(value):
                return value
            case ast.Name(name):
                return self._named(name, state)
            case ast.List(items) | ast.Tuple(items):
                return _known([self.value(item, state) for item in items])
            case ast.Dict(keys, values) if None not in keys:
                return self._dict([key for key in keys if key is not None], values, state)
            case ast.UnaryOp(op, operand):
                return _computed(type(op), self.value(operand, state))
            case ast.BinOp(left, op, right):
                return _computed(type(op), self.value(left, state), self.value(right, state))
            case ast.JoinedStr(parts):
                return self._text(parts, state)
            case _:
                return UNKNOWN

    def _named(self, name: str, state: State) -> object:
        for known in (state, self._values):
            if name in known:
                return known[name]
        if name in self._bound:
            return UNKNOWN
        value = self.space.get(name, UNKNOWN)
        return value if _is_plain(value) else UNKNOWN

    def _dict(self, keys: list[ast.expr], values: list[ast.expr], state: State) -> object:
        known = [self.value(key, state) for key in keys]
        if any(not isinstance(key, str | int | float) for key in known):
            return UNKNOWN
        return dict(zip(known, (self.value(v, state) for v in values), strict=True))

    def _text(self, parts: Sequence[ast.expr], state: State) -> object:
        """An f-string, where its parts are known and have no format of their own."""
        text = ""
        for part in parts:
            if isinstance(part, ast.FormattedValue):
                if part.format_spec is not None or part.conversion not in (-1, ord("s")):
                    return UNKNOWN
                value = self.value(part.value, state)
            else:
                value = self.value(part, state)
            if value is UNKNOWN:
                return UNKNOWN
            text += str(value)
        return text


def _bindings(node: Function) -> dict[str, int]:
    """How often each name is bound in a function, those within it included."""
    bound: dict[str, int] = {}
    for inner in ast.walk(node):
        match inner:
            case ast.Name(name, ast.Store() | ast.Del()) | ast.arg(name):
                names = [name]
            case ast.Global(names) | ast.Nonlocal(names):
                names = names * 2  # what others bind is not known
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) if inner is not node:
                names = [name]
            case ast.AugAssign(ast.Name(name)) | ast.ExceptHandler(name=str(name)):
                names = [name]
            case _:
                continue
        for name in names:
            bound[name] = bound.get(name, 0) + 1
    return bound


def _target_names(target: ast.expr) -> list[str]:
    items = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    names = [item.id for item in items if isinstance(item, ast.Name)]
    return names if len(names) == len(items) else []


def _unpacked(target: ast.expr, value: object) -> State | None:
    """The names of a target with their values."""
    names = _target_names(target)
    if isinstance(target, ast.Name):
        return {target.id: value}
    if not isinstance(value, list | tuple) or len(value) != len(names):
        return None
    return dict(zip(names, value, strict=True))


def _points(node: ast.expr, names: _Names) -> list[object] | None:
    """What a `for` runs over; of the points of a range its ends are enough."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr not in ("linspace", "arange") or len(node.args) < 3:
            return None
        ends = [names.value(end, {}) for end in node.args[1:3]]
        # The last point of `arange` may lie before its end.
        return ends if node.func.attr == "linspace" else ends[:1]
    value = names.value(node, {})
    return list(value) if isinstance(value, list | tuple) else None


def _known(values: list[object]) -> object:
    return UNKNOWN if any(value is UNKNOWN for value in values) else values


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float)


_OPERATIONS: Mapping[type, Callable[..., Any]] = {
    ast.UAdd: lambda a: +a,
    ast.USub: lambda a: -a,
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
}


def _computed(operation: type, *values: object) -> object:
    """Plain arithmetic; text is joined, and never repeated."""
    compute = _OPERATIONS.get(operation)
    numbers = all(isinstance(value, int | float) for value in values)
    joined = operation is ast.Add and all(isinstance(value, str) for value in values)
    if compute is None or not (numbers or joined):
        return UNKNOWN
    try:
        return compute(*values)
    except ArithmeticError:
        return UNKNOWN


_CARRIES_ON: tuple[type[ast.AST], ...] = (
    ast.Await,
    ast.Call,
    ast.keyword,
    ast.Lambda,
    ast.Return,
    ast.List,
    ast.Tuple,
    ast.Set,
    ast.Dict,
    ast.Starred,
    ast.ListComp,
    ast.GeneratorExp,
    ast.SetComp,
    ast.Yield,
    ast.IfExp,
    ast.NamedExpr,
)
"""Where a coroutine may stand that is awaited elsewhere."""
_TAKES_VALUES = frozenset(
    {"float", "int", "str", "bool", "abs", "round", "min", "max", "sum", "len", "print", "repr"}
)
"""Functions that nobody hands a coroutine."""
_UNSURE = (ast.If, ast.IfExp, ast.While, ast.Try, ast.Match, ast.ExceptHandler, ast.BoolOp)


class _Body:
    """Reads the body of one function."""

    def __init__(
        self, reader: _Reader, node: Function, names: _Names, file: str, above: int
    ) -> None:
        self._reader = reader
        self._node = node
        self._names = names
        self._file = file
        self._above = above
        self._around: dict[ast.AST, ast.AST] = {
            child: parent for parent in ast.walk(node) for child in ast.iter_child_nodes(parent)
        }
        self._runs = {_parameters(node)[0]}
        """What the run is called, here and in functions within."""
        self._found = reader.found

    def read(self) -> None:
        """Note what there is."""
        self._inner_runs()
        for node in ast.walk(self._node):
            match node:
                case ast.Name(name, ast.Load()) if name in self._runs:
                    self._run(node)
                case ast.Call(func=ast.Name(name)) if self._reader.makes_condition(
                    self._names.space.get(name)
                ):
                    self._found.conditions += self._calls(node, "When")
                case _:
                    pass

    def _inner_runs(self) -> None:
        """Functions within that are handed the run: what they call it."""
        inner = {
            node.name: node
            for node in ast.walk(self._node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node is not self._node
        }
        for node in ast.walk(self._node):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                callee = inner.get(node.func.id)
                for argument, own in zip(
                    node.args, _parameters(callee) if callee else [], strict=False
                ):
                    if isinstance(argument, ast.Name) and argument.id in self._runs:
                        self._runs.add(own)

    def _run(self, name: ast.Name) -> None:
        """One use of the run: a verb, or it is handed to something else."""
        parent = self._around[name]
        outer = self._around.get(parent)
        if isinstance(parent, ast.Attribute):
            if isinstance(outer, ast.Call) and outer.func is parent:
                self._verb(outer, parent.attr)
            elif self._reader.is_verb(parent.attr):
                self._unseen(parent, f"run.{parent.attr} is called elsewhere")
            return
        if isinstance(parent, ast.Call) and name in parent.args:
            self._handed(parent, name)
        else:
            self._unseen(name, "the run is kept under another name")

    def _handed(self, call: ast.Call, name: ast.Name) -> None:
        if isinstance(call.func, ast.Name):
            if call.func.id in self._names._bound:  # noqa: SLF001 - of this module
                return  # a function within, which is read with this one
            callee = self._names.space.get(call.func.id)
            if isinstance(callee, FunctionType) and call.args.index(name) == 0:
                self._reader.function(inspect.unwrap(callee), {})
                return
        self._unseen(call, f"{ast.unparse(call.func)}(…), which is handed the run")

    def _verb(self, call: ast.Call, verb: str) -> None:
        self._found.calls += self._calls(call, verb)
        if self._reader.is_verb(verb) and not self._is_awaited(call):
            self._found.not_awaited.append((self._where(call), verb))

    def _calls(self, call: ast.Call, verb: str) -> Iterator[VerbCall]:
        args = [a for a in call.args if not isinstance(a, ast.Starred)]
        fields = {k.arg: k.value for k in call.keywords if k.arg is not None}
        complete = len(args) == len(call.args) and len(fields) == len(call.keywords)
        where, conditional = self._where(call), self._is_conditional(call)
        for state in self._names.states([*args, *fields.values()]):
            yield VerbCall(
                where,
                verb,
                tuple(self._names.value(arg, state) for arg in args),
                {name: self._names.value(value, state) for name, value in fields.items()},
                complete,
                conditional,
            )

    def _is_awaited(self, call: ast.Call) -> bool:
        """Whether somebody may await what a call gives; `False` is sure."""
        parent = self._around.get(call)
        if isinstance(parent, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            names = {name for target in targets for name in _target_names(target)}
            return not names or any(self._is_carried(use) for use in self._uses(names))
        return self._is_carried(call)

    def _uses(self, names: set[str]) -> Iterator[ast.Name]:
        for node in ast.walk(self._node):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
                yield node

    def _is_carried(self, node: ast.AST) -> bool:
        parent = self._around.get(node)
        if isinstance(parent, ast.Call):
            takes_values = isinstance(parent.func, ast.Name) and parent.func.id in _TAKES_VALUES
            return parent.func is not node and not takes_values
        if isinstance(parent, ast.IfExp):
            return node is not parent.test
        return isinstance(parent, _CARRIES_ON)

    def _is_conditional(self, node: ast.AST) -> bool:
        while (parent := self._around.get(node)) is not None:
            if isinstance(parent, ast.Try):
                in_body = isinstance(node, ast.stmt) and node in parent.body
                if not (in_body and not parent.handlers) and node not in parent.finalbody:
                    return True
            elif isinstance(parent, _UNSURE):
                return True
            node = parent
        return False

    def _unseen(self, node: ast.expr, text: str) -> None:
        self._found.unseen.append(f"{self._where(node)}: {text}")

    def _where(self, node: ast.expr) -> str:
        return f"{self._file}:{node.lineno + self._above}"
