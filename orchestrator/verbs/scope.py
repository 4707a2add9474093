"""The names that are bound where a run is, and the way back into the middle of a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.types import Path, Place

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
    """The way to a mark, taken level by level by the interpreter."""

    def __init__(self, mark: Mark) -> None:
        self._path = list(reversed(mark.path))
        """What is left of it, the next level last."""
        self._loops = iter(mark.loops)
        self._scopes = iter(mark.scope.lineage()[1:])

    def branch(self) -> str:
        """The list to enter, as the path names it: `steps`, `do`, `then`."""
        return str(self._path.pop())

    def enters(self, name: str) -> bool:
        """Whether this is the list to enter; it is taken then."""
        if self._path[-1] != name:
            return False
        self.branch()
        return True

    def index(self) -> int:
        """The step in that list."""
        return int(self._path.pop())

    def loop(self) -> int:
        """The pass of the loop that is entered."""
        return next(self._loops)

    def scope(self) -> Scope:
        """The scope of the level that is entered."""
        return next(self._scopes)

    @property
    def arrived(self) -> bool:
        """Whether the step just told by `index` is the marked one."""
        return not self._path
