"""The names that are bound where a run is, and the way back into the middle of a program."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.types import Path, Place, Point, Position

SINCE = "$since"
"""The name that holds the moment from which on `changed(…)` counts: where a pass began."""


class Scope(dict[str, object]):
    """Parameters, loop variables and `let` names; a child sees its parents' at its making."""

    __slots__ = ("parent", "variables")

    def __init__(
        self,
        values: Mapping[str, object],
        parent: Scope | None = None,
        variables: dict[str, object] | None = None,
    ) -> None:
        """`parent` is remembered for `lineage`; its values have to be in `values` already.

        `variables`: those of the document, which all scopes of it share; a name of theirs is
        assigned there by whoever binds it.
        """
        super().__init__(values)
        self.parent = parent
        self.variables: dict[str, object] = {} if variables is None else variables

    def __missing__(self, name: str) -> object:
        return self.variables[name]

    def __setitem__(self, name: str, value: object) -> None:
        if name in self.variables:
            self.variables[name] = value
        else:
            super().__setitem__(name, value)

    def child(self) -> Scope:
        """A scope of an inner list or pass."""
        return Scope(self, self, self.variables)

    def copied(self) -> Scope:
        """This one as it is now, and those around it but for the outermost, which never changes."""
        if self.parent is None:
            return self
        return Scope(self, self.parent.copied(), self.variables)

    def lineage(self) -> list[Scope]:
        """All scopes from the outermost to this one."""
        own: Scope | None = self
        scopes = []
        while own is not None:
            scopes.append(own)
            own = own.parent
        return scopes[::-1]


@dataclass(frozen=True, slots=True)
class Mark:
    """A checkpoint that a run has passed: all that is needed to go on from it."""

    path: Path
    loops: tuple[int, ...]
    scope: Scope
    """The scope of the list in which it stands."""
    done: int
    """Steps done before it."""
    variables: tuple[tuple[dict[str, object], dict[str, object]], ...] = ()
    """The variables of the documents around it, each with the values that they had there."""

    def restore(self) -> None:
        """Give the variables the values that they had there."""
        for variables, values in self.variables:
            variables.update(values)

    def stands_in(self, place: Place) -> bool:
        """Whether it stands in the step that is executed at a place."""
        own_path, own_loops = self.path[: len(place.path)], self.loops[: len(place.loops)]
        return (own_path, own_loops) == (place.path, place.loops)


class Entry:
    """The way to a place in the middle of a program, taken level by level by the interpreter."""

    afresh = False
    """Whether the world may be another one by now: what the loops around put is put again."""

    def __init__(self, path: Path, loops: tuple[int, ...]) -> None:
        self._path = list(reversed(path))
        """What is left of it, the next level last."""
        self._loops = list(reversed(loops))
        """The same of the indices of the loops."""

    def branch(self) -> str:
        """The list to enter, as the path names it: `steps`, `do`, `then`."""
        return str(self._path.pop())

    def enters(self, name: str) -> bool:
        """Whether this is the list to enter; it is taken then."""
        if not self._path or self._path[-1] != name:
            return False
        self.branch()
        return True

    def index(self) -> int:
        """The step in that list."""
        return int(self._path.pop())

    def loop(self) -> int:
        """The pass of the loop that is entered."""
        return self._loops.pop()

    @property
    def arrived(self) -> bool:
        """Whether the step just told by `index`, or the pass by `loop`, is the one it leads to."""
        return not self._path and not self._loops

    @abstractmethod
    def scope(self, around: Scope) -> Scope:
        """The scope of the level that is entered; `around` is that of the level outside."""

    @abstractmethod
    def document(self, inner: Scope) -> Scope:
        """The outermost scope of a sub-sequence that is entered; `inner` has its arguments."""


class WayBack(Entry):
    """The way back to a mark, within one run: all scopes are there yet."""

    def __init__(self, mark: Mark) -> None:
        super().__init__(mark.path, mark.loops)
        self._scopes = iter(mark.scope.lineage()[1:])

    def scope(self, around: Scope) -> Scope:
        """As it was when the mark was passed."""
        del around
        return next(self._scopes)

    def document(self, inner: Scope) -> Scope:
        """As it was when the mark was passed."""
        return self.scope(inner)


class Return(Entry):
    """The way to a position in a run that another process may have begun."""

    afresh = True

    def __init__(self, position: Position) -> None:
        super().__init__(position.path, position.loops)
        self._position = position

    @property
    def _taken(self) -> Point:
        """As far as the way was gone."""
        path, loops = self._position.place
        return path[: len(path) - len(self._path)], loops[: len(loops) - len(self._loops)]

    def scope(self, around: Scope) -> Scope:
        """A new one, with what was bound in that list."""
        scope = around.child()
        scope.update(self._position.names.get(self._taken, {}))
        return scope

    def document(self, inner: Scope) -> Scope:
        """The same one, its variables as they were."""
        inner.variables.update(self._position.variables.get(self._taken, {}))
        return inner
