"""The finalisers of a run that has ended without them: those of sub-sequences, then its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.engine.control.control import RunControl
from orchestrator.engine.runs.going_on import GoingOn
from orchestrator.engine.steps.calls import Calls
from orchestrator.engine.steps.interpreter import Interpreter
from orchestrator.errors import NotConnectedError, OrchestratorError
from orchestrator.language.program.nodes import Another, InOrder, Node, Runnable, operands_in, walk
from orchestrator.language.program.restoring import is_restored
from orchestrator.types import Place, Position, Severity, path_text
from orchestrator.verbs.scope import Scope


@dataclass(frozen=True, slots=True)
class _Owed:
    """Finalisers that have not run."""

    of: str
    """Whose they are."""
    nodes: tuple[Node, ...]
    scope: Scope
    place: Place


class OnlyFinalising:
    """Runs what a run owes, each even if the one before has failed."""

    def __init__(
        self,
        interpreter: Interpreter,
        calls: Calls,
        connect: Callable[[Sequence[str]], Awaitable[None]],
        tell: Callable[[str, Severity], None],
    ) -> None:
        """`connect` makes sure of channels; `tell` tells the operator."""
        self._interpreter = interpreter
        self._calls = calls
        self._connect = connect
        self._tell = tell
        self._failed: list[str] = []

    async def run(self, going_on: GoingOn, control: RunControl) -> list[str]:
        """Run them, the innermost first. Gives what has failed."""
        owed = await self._owed(going_on)
        await self._connected([node for own in owed for node in walk(own.nodes)])
        control.requests.begun()
        control.finalisers.in_finally = True
        for own in reversed(owed):
            self._interpreter.entered = True
            work = self._interpreter.finalise(own.nodes, own.scope, own.place, self._note)
            await control.finalisers.finalise(work, f"the finalisers of {own.of}")
        if not owed:
            self._tell("there are no finalisers", Severity.NO_ALARM)
        return [*self._failed, *control.finalisers.dropped]

    def _note(self, error: OrchestratorError) -> None:
        self._failed.append(error.placed())

    async def _connected(self, nodes: Sequence[Node]) -> None:
        names = sorted({name for node in nodes for name in node.names})
        try:
            await self._connect(names)
        except NotConnectedError as error:  # those that can be run are
            self._tell(str(error), Severity.MINOR)

    async def _owed(self, going_on: GoingOn) -> list[_Owed]:
        """All of them, the outermost first."""
        program, position = going_on.loaded.program, going_on.position or Position((), ())
        root = self._interpreter.root = Scope(program.arguments)
        root.variables.update(position.variables.get(((), ()), {}))
        own_nodes = program.finally_ if going_on.abandoned.entered else ()
        owed = [_Owed(going_on.before.header.name, own_nodes, root, Place())]
        nodes = {node.path: node for node in walk(program.steps)}
        for place in going_on.abandoned.open:
            node = nodes.get(place.path)
            if node is None:
                continue
            try:
                inner = await self._inner(node, place, position, root)
            except OrchestratorError as error:
                self._failed.append(f"{path_text(place.path)} {node.label}: {error.placed()}")
                continue
            if inner is not None:
                own, known = inner
                nodes |= {node.path: node for node in walk(known)}
                owed.append(own)
        return [own for own in owed if own.nodes and _has_begun(own)]

    async def _inner(
        self, node: Node, place: Place, position: Position, root: Scope
    ) -> tuple[_Owed, tuple[Node, ...]] | None:
        """Those of one step that was under way, and the steps that are known with it."""
        names = position.names.get((place.path[:-1], place.loops), {})
        match node.inside:
            case InOrder(last=last) if last:
                return _Owed(node.label, last, Scope({**root, **names}, root), place), ()
            case Another(document=None, sequence=name):
                text = f"the clean-up of {name}, a Python sequence, can't be run by itself"
                self._failed.append(f"{path_text(place.path)}: {text}")
            case Another() as another:
                program = await self._program(another, place, names)
                scope = Scope(program.arguments, root)
                here = ((*place.path, "run"), place.loops)
                scope.variables.update(position.variables.get(here, {}))
                return _Owed(another.sequence, program.finally_, scope, place), program.steps
        return None

    async def _program(
        self, another: Another, place: Place, names: Mapping[str, object]
    ) -> Runnable:
        values = names.get(f"$args {path_text(place.path)}", {})
        given = values if isinstance(values, Mapping) else {}
        return await self._calls.program(another, place.path, given)


def _has_begun(owed: _Owed) -> bool:
    """Whether all was remembered that these put back: before that no step inside is entered."""
    operands = (operand for node in walk(owed.nodes) for operand in operands_in(node))
    needed = {name for operand in operands for name in operand.variables if is_restored(name)}
    return all(name in owed.scope or name in owed.scope.variables for name in needed)
