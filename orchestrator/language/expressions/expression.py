"""Expressions: a whitelist of Python's syntax, compiled once into closures.

Nothing is ever given to eval, exec or compile: `ast.parse` makes a tree, each node of which is
refused unless it stands in a table here. What a closure can reach is its operands, the closed
list in `functions`, and an `Environment`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Mapping

import numpy as np

from orchestrator.errors import (
    InputError,
    NotConnectedError,
    OrchestratorError,
    ReadError,
    StepTimeoutError,
)
from orchestrator.language.expressions.expression_text import Refusal, parsed, refused
from orchestrator.language.expressions.functions import (
    ABOUT_CHANNELS,
    CLOCKS,
    FUNCTIONS,
    KNOWN_FUNCTIONS,
    LATCHED,
    WORDS,
)
from orchestrator.language.expressions.operand import (
    Code,
    Environment,
    Operand,
    as_condition,
    folded,
    latch_key,
    shortened,
)
from orchestrator.language.names import Names, suggestion
from orchestrator.language.values.operations import (
    ARITHMETIC,
    COMPARISONS,
    Fault,
    described,
    inverted,
    item,
    negative,
    part,
    plain,
    positive,
    truth,
)

__all__ = [
    "Environment",
    "Operand",
    "compile_condition",
    "compile_expression",
]

UNREADABLE = (NotConnectedError, ReadError, StepTimeoutError)
"""What tells that a channel can't be read now. One side of `or` or `and` that can't be matters only
where the others don't decide."""
_BITS = (ast.BitAnd, ast.BitXor, ast.BitOr)
DEEPEST = 100
"""Levels of nesting."""
MOST_NODES = 500
"""Operators, names and numbers in one expression."""


def compile_expression(
    text: str,
    names: Names,
    variables: Collection[str] = (),
    constants: Mapping[str, object] = {},
) -> Operand:
    """Compile an expression.

    Args:
        text: The expression.
        names: The channels that it may name.
        variables: Names that are bound when it is evaluated.
        constants: Names whose values are known already (parameters).

    Raises:
        InputError: It is not an expression of ours, names something unknown, is too large, or is a
            constant that can't be computed.
    """
    tree = parsed(text)
    compiler = _Compiler(names, frozenset(variables), constants)
    try:
        code = compiler.compile(tree)
    except Refusal as refusal:
        raise InputError(f"{shortened(text)}: {refusal}") from refusal
    operand = Operand(
        text,
        code,
        constant=compiler.is_constant,
        channels=frozenset(compiler.channels | compiler.ages),
        ages=frozenset(compiler.ages - compiler.channels),
        links=frozenset(compiler.links),
        data=frozenset(compiler.data),
        variables=frozenset(compiler.used),
        timed=compiler.is_timed,
        compared=frozenset(compiler.compared),
        changed=frozenset(compiler.changed),
        latches=frozenset(compiler.latches),
        parameters=frozenset(compiler.known),
    )
    return folded(operand) if operand.constant else operand


def compile_condition(
    text: str,
    names: Names,
    variables: Collection[str] = (),
    constants: Mapping[str, object] = {},
) -> Operand:
    """Compile an expression whose value is a bool; text, arrays and NaN are errors."""
    return as_condition(compile_expression(text, names, variables, constants))


class _Compiler:
    """Turns a tree into closures, and notes what they will ask the environment for."""

    def __init__(
        self, names: Names, variables: frozenset[str], constants: Mapping[str, object]
    ) -> None:
        self._names = names
        self._variables = variables
        self._constants = constants
        self._nodes = 0
        self._depth = 0
        self.channels: set[str] = set()
        self.ages: set[str] = set()
        self.links: set[str] = set()
        self.data: set[str] = set()
        self.used: set[str] = set()
        self.known: set[str] = set()
        self.compared: set[tuple[str, str]] = set()
        self.changed: set[str] = set()
        self.latches: set[str] = set()
        self.is_timed = False

    @property
    def is_constant(self) -> bool:
        asked = self.channels or self.ages or self.links or self.data or self.latches
        return not (asked or self.used or self.is_timed)

    def compile(self, node: ast.expr) -> Code:
        self._nodes += 1
        self._depth += 1
        if self._nodes > MOST_NODES:
            raise Refusal(f"more than {MOST_NODES} operators, names and numbers")
        if self._depth > DEEPEST:
            raise Refusal(f"nested more than {DEEPEST} levels deep")
        code = self._node(node)
        self._depth -= 1
        return code

    def _node(self, node: ast.expr) -> Code:
        match node:
            case ast.Constant():
                return _literal(node.value)
            case ast.Name():
                return self._name(node.id)
            case ast.Attribute():
                field = _field(node)
                known = field in self._variables  # of an error that is handled
                return self._name(field) if known else self._read(self._alias(node))
            case ast.UnaryOp():
                return self._unary(node)
            case ast.BinOp():
                return self._binary(node)
            case ast.BoolOp():
                return self._logic(node)
            case ast.IfExp():
                return self._either(node)
            case ast.Compare():
                return self._compare(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.Call():
                return self._call(node)
            case ast.List():
                return self._list(node)
            case _:
                raise refused(node)

    def _name(self, name: str) -> Code:
        if name in self._variables:
            self.used.add(name)
            return lambda env: env.variable(name)
        if name in self._constants or name in WORDS:
            self.known |= {name} & self._constants.keys()
            value = self._constants.get(name, WORDS.get(name))
            return lambda _env: value
        if name in KNOWN_FUNCTIONS:
            raise Refusal(f"{name} is a function: {name}(…)")
        known = {*self._variables, *self._constants, *WORDS, *self._names.aliases}
        known = {word for word in known if not word.startswith("$")}
        hint = suggestion(name, known, kind="names")
        is_text = name[:1].isupper() or not hint
        quotes = f" (a text needs quotes of its own: '{name}')" if is_text else ""
        raise Refusal(f"unknown name {name!r}{hint}{quotes}")

    def _unary(self, node: ast.UnaryOp) -> Code:
        value = self.compile(node.operand)
        match node.op:
            case ast.Not():
                return lambda env: not truth(value(env))
            case ast.USub():
                return lambda env: negative(value(env))
            case ast.UAdd():
                return lambda env: positive(value(env))
            case ast.Invert():
                return lambda env: inverted(value(env))
            case _:
                raise refused(node.op)

    def _either(self, node: ast.IfExp) -> Code:
        test, yes, no = map(self.compile, (node.test, node.body, node.orelse))
        return lambda env: yes(env) if truth(test(env)) else no(env)

    def _binary(self, node: ast.BinOp) -> Code:
        operate = ARITHMETIC.get(type(node.op).__name__)
        if operate is None:
            raise refused(node.op)
        left, right = self.compile(node.left), self.compile(node.right)
        return lambda env: operate(left(env), right(env))

    def _logic(self, node: ast.BoolOp) -> Code:
        values = [self.compile(value) for value in node.values]
        decisive = isinstance(node.op, ast.Or)

        def decide(env: Environment) -> bool:
            unread: OrchestratorError | None = None
            for value in values:
                try:
                    if truth(value(env)) is decisive:
                        return decisive
                except UNREADABLE as error:
                    unread = unread or error
            if unread is not None:
                raise unread
            return not decisive

        return decide

    def _compare(self, node: ast.Compare) -> Code:
        for middle in node.comparators[:-1]:
            if isinstance(middle, ast.BinOp) and isinstance(middle.op, _BITS):
                raise Refusal(
                    "& ^ | bind closer than comparisons; conditions are joined by and, or"
                )
        first = self.compile(node.left)
        rest = []
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            compare = COMPARISONS.get(type(op).__name__)
            if compare is None:
                raise refused(op)
            rest.append((compare, self.compile(right)))
            self._note_texts(op, left, right)
            left = right
        if len(rest) == 1:
            compare, second = rest[0]
            return lambda env: compare(first(env), second(env))

        def chained(env: Environment) -> bool:
            left = first(env)
            for compare, operand in rest:
                right = operand(env)
                if not truth(compare(left, right)):
                    return False
                left = right
            return True

        return chained

    def _note_texts(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> None:
        """Note the texts with which a channel is compared."""
        match op:
            case ast.Eq() | ast.NotEq():
                pairs = [(left, right), (right, left)]
            case ast.In() | ast.NotIn() if isinstance(right, ast.List):
                pairs = [(left, element) for element in right.elts]
            case _:
                return
        for side, other in pairs:
            channel, text = self._read_by(side), self._known_text(other)
            if channel is not None and text is not None:
                self.compared.add((channel, text))

    def _read_by(self, node: ast.expr) -> str | None:
        """The channel whose value a part of an expression is, if it is one's."""
        match node:
            case ast.Attribute() if _field(node) in self._variables:
                return None
            case ast.Attribute() | ast.Call(func=ast.Name(id="pv")):
                return self._channel(node)
            case _:
                return None

    def _known_text(self, node: ast.expr) -> str | None:
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id=name) if name not in self._variables:
                value = self._constants.get(name)
                return value if isinstance(value, str) else None
            case _:
                return None

    def _subscript(self, node: ast.Subscript) -> Code:
        value = self.compile(node.value)
        if not isinstance(node.slice, ast.Slice):
            index = self.compile(node.slice)
            return lambda env: item(value(env), index(env))
        if node.slice.step is not None:
            raise Refusal("a slice is x[i:j], without a step")
        start = self._bound(node.slice.lower)
        stop = self._bound(node.slice.upper)
        return lambda env: part(value(env), start(env), stop(env))

    def _bound(self, node: ast.expr | None) -> Code:
        return (lambda _env: None) if node is None else self.compile(node)

    def _list(self, node: ast.List) -> Code:
        items = [self.compile(element) for element in node.elts]

        def build(env: Environment) -> list[object]:
            values = [plain(value(env)) for value in items]
            for value in values:
                if isinstance(value, list | np.ndarray):
                    raise Fault(f"a list holds numbers and texts, not {described(value)}")
            return values

        return build

    def _call(self, node: ast.Call) -> Code:
        if not isinstance(node.func, ast.Name):
            raise Refusal("only functions of the list can be called")
        name = node.func.id
        if name not in KNOWN_FUNCTIONS:
            near = suggestion(name, KNOWN_FUNCTIONS)
            there_are = f"functions are {', '.join(sorted(KNOWN_FUNCTIONS))}"
            hint = f"{near} The {there_are}" if near else f"; the {there_are}"
            raise Refusal(f"unknown function {name!r}{hint}")
        if node.keywords:
            raise Refusal(f"{name} takes its arguments by position, without 'name='")
        if name == LATCHED:
            return self._latched(node.args)
        if name in CLOCKS:
            return self._clock(name, node.args)
        if name in FUNCTIONS:
            return self._function(name, node.args)
        if len(node.args) != 1:
            raise Refusal(f"{name} takes one channel, not {len(node.args)} arguments")
        return self._about(name, node.args[0])

    def _function(self, name: str, arguments: list[ast.expr]) -> Code:
        function, fewest, most = FUNCTIONS[name]
        if not fewest <= len(arguments) <= most:
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            raise Refusal(f"{name} takes {wanted} arguments, not {len(arguments)}")
        codes = [self.compile(argument) for argument in arguments]

        def call(env: Environment) -> object:
            try:
                return function(*[code(env) for code in codes])
            except Fault as fault:
                # Named once, by the innermost function.
                if str(fault).startswith(tuple(f"{n}: " for n in FUNCTIONS)):
                    raise
                raise Fault(f"{name}: {fault}") from fault

        return call

    def _latched(self, arguments: list[ast.expr]) -> Code:
        """Whether a latch is set."""
        match arguments:
            case [ast.Constant(value=str(name))]:
                pass
            case _:
                raise Refusal("latched takes the name of a latch in quotes: latched('kick')")
        if latch_key(name) not in self._variables:
            begin = latch_key("")
            known = [v.removeprefix(begin) for v in self._variables if v.startswith(begin)]
            raise Refusal(f"there is no latch {name!r}{suggestion(name, known, kind='latches')}")
        self.latches.add(name)
        return lambda env: env.latched(name)

    def _clock(self, name: str, arguments: list[ast.expr]) -> Code:
        """A function of the time alone."""
        if arguments:
            raise Refusal(f"{name}() takes no arguments")
        self.is_timed = True
        return CLOCKS[name]

    def _about(self, name: str, argument: ast.expr) -> Code:
        """A function of a channel rather than of its value."""
        if name == "pv":
            return self._read(self._pv(argument))
        channel = self._sampled(argument) if name == "data" else self._channel(argument)
        others = {"connected": self.links, "data": self.data, "age": self.ages}
        others.get(name, self.channels).add(channel)
        self.is_timed |= name == "age"
        if name == "changed":
            self.changed.add(channel)
        ask = ABOUT_CHANNELS[name]
        return lambda env: ask(env, channel)

    def _sampled(self, node: ast.expr) -> str:
        """What rows have a column of: a channel, or a name that `sample` gives to an expression."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            return text if text.isidentifier() else self._resolve(text)
        return self._channel(node)

    def _read(self, channel: str) -> Code:
        self.channels.add(channel)
        return lambda env: env.channel(channel)

    def _channel(self, node: ast.expr) -> str:
        """The channel that an argument names: an alias, quoted or not, a quoted PV, or pv(…)."""
        match node:
            case ast.Constant(value=str(text)):
                return self._resolve(text)
            case ast.Attribute():
                return self._alias(node)
            case ast.Call(func=ast.Name(id="pv"), args=[argument], keywords=[]):
                return self._pv(argument)
            case _:
                raise Refusal("this function takes a channel, such as 'stage.x'")

    def _pv(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._resolve(node.value)
        raise Refusal("pv takes a PV's name in quotes: pv('SIM:X')")

    def _alias(self, node: ast.Attribute) -> str:
        parts = [node.attr]
        inner = node.value
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            raise Refusal(f"'.{parts[-1]}' can only follow the name of a chained IOC")
        if inner.id not in self._names.iocs:
            hint = suggestion(inner.id, self._names.iocs, kind="chained IOCs")
            raise Refusal(f"'.{parts[-1]}' can't follow {inner.id!r}, which is no IOC{hint}")
        return self._resolve(".".join([inner.id, *reversed(parts)]))

    def _resolve(self, text: str) -> str:
        try:
            return self._names.resolve(text)
        except InputError as error:
            raise Refusal(str(error)) from error


def _field(node: ast.Attribute) -> str:
    """`error.kind`; empty where it is the attribute of something else than a name."""
    return f"{node.value.id}.{node.attr}" if isinstance(node.value, ast.Name) else ""


def _literal(value: object) -> Code:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
        raise Refusal("a whole number beyond 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise Refusal("a number that is too large")
    if not isinstance(value, bool | int | float | str):
        shown = "…" if value is ... else repr(value)
        raise Refusal(f"{shown} is neither a number nor a text")
    return lambda _env: value
