"""A state machine in the manner of the State Notation Language, on the verbs of a run.

    await run.machine(
        {
            "cold": State(
                entry=lambda: run.set("temp.setpoint", 80),
                when=[When("temp.rbv > 75", "warm"), When(after=600, to="failed")],
            ),
            "warm": State(when=[When("door.open == 'Yes'", "cold", action=warn)]),
            "failed": State(),
        }
    )

A state without `when` ends the machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias

from orchestrator.engine.environment import UnmetError
from orchestrator.engine.waits import Condition, Waiter
from orchestrator.errors import InputError, NotConnectedError
from orchestrator.language.names import suggestion

Action: TypeAlias = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class When:
    """A way out of a state: an expression that becomes true, or a time since it was entered."""

    condition: str = ""
    """An expression of the language; empty where `after` is given."""
    to: str = ""
    """The next state."""
    after: float | None = None
    """s since the state was entered; counted on the run's clock."""
    action: Action | None = None
    """What is done on this way, before the exit of the state."""


@dataclass(frozen=True, slots=True)
class State:
    """One state. Its `when` are tried in order, on entry and with each update."""

    when: Sequence[When] = ()
    entry: Action | None = None
    """Done when the state is entered, also from itself."""
    exit: Action | None = None
    """Done when it is left, also by STOP and ABORT."""


class Machine:
    """Runs states until one has no way out."""

    def __init__(
        self,
        states: Mapping[str, State],
        waiter: Waiter,
        condition: Callable[[str], Awaitable[Condition]],
        entered: Callable[[str], None],
        leaving: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`condition` compiles an expression; `entered` is told each state.

        Inside `leaving`, STOP and ABORT begin the run's clean-up.

        Raises:
            InputError: A `when` names a state that there is not, or says neither or both of
                condition and time.
        """
        self._states = states
        self._waiter = waiter
        self._condition = condition
        self._entered = entered
        self._leaving = leaving
        for name, state in states.items():
            for when in state.when:
                self._check(name, when)

    def _check(self, name: str, when: When) -> None:
        if when.to not in self._states:
            hint = suggestion(when.to, self._states, kind="states")
            raise InputError(f"state {name!r}: there is no state {when.to!r}{hint}")
        if bool(when.condition) == (when.after is not None):
            raise InputError(f"state {name!r}: a `when` has either a condition or `after`")

    async def run(self, start: str) -> str:
        """Run from `start`; gives the state that had no way out."""
        if start not in self._states:
            hint = suggestion(start, self._states, kind="states")
            raise InputError(f"there is no state {start!r}{hint}")
        name = start
        while True:
            self._entered(name)
            following = await self._stay(self._states[name])
            if following is None:
                return name
            name = following

    async def _stay(self, state: State) -> str | None:
        """Be in a state until a way out is open; gives the next state."""
        try:
            if state.entry is not None:
                await state.entry()
            with self._leaving():  # before `exit`, so that it runs as a finaliser
                taken = await self._way_out(state)
            if taken is None:
                return None
            if taken.action is not None:
                await taken.action()
            return taken.to
        finally:
            if state.exit is not None:
                await state.exit()

    async def _way_out(self, state: State) -> When | None:
        if not state.when:
            return None
        conditions = [
            await self._condition(when.condition) if when.condition else None for when in state.when
        ]
        open_way: When | None = None

        def met() -> bool:
            nonlocal open_way
            for when, condition in zip(state.when, conditions, strict=True):
                if condition is not None and _holds(condition):
                    open_way = when
                    return True
            return False

        given = [condition for condition in conditions if condition is not None]
        either = Condition(
            " or ".join(condition.text for condition in given),
            tuple({name for condition in given for name in condition.channels}),
            met,
            timed=any(condition.timed for condition in given),
            reads=frozenset().union(*(condition.reads for condition in given)),
        )
        at_last = min(
            (w for w in state.when if w.after is not None),
            key=lambda w: w.after or 0.0,
            default=None,
        )
        limit = None if at_last is None else at_last.after
        arrived = await self._waiter.either(either, limit)
        return open_way if arrived else at_last


def _holds(condition: Condition) -> bool:
    try:
        return condition.met()
    except (UnmetError, NotConnectedError):
        return False
