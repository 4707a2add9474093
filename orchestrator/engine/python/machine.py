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
from typing import Literal, TypeAlias

from orchestrator.errors import InputError
from orchestrator.language.names import suggestion

Action: TypeAlias = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class When:
    """A way out of a state: an expression that is true, a time since it was entered, or both."""

    condition: str = ""
    """An expression of the language; empty where `after` alone decides."""
    to: str = ""
    """The next state."""
    after: float | str | None = None
    """s since the state was entered, on the run's clock; a text is an expression, computed then.
    With a condition the way is open when these are over and it is true."""
    action: Action | None = None
    """What is done on this way, before the exit of the state."""
    on_disconnect: Literal["wait", "fail"] = "wait"
    """What becomes of it while a channel that the condition reads is disconnected: it is not met,
    or the machine fails."""
    accept_restart: bool = False
    """Whether a channel's first value after a reconnection counts."""
    accept_invalid: bool = False
    """Whether a value with severity INVALID counts."""


@dataclass(frozen=True, slots=True)
class State:
    """One state. Its `when` are tried in order, on entry and with each update.

    >>> from orchestrator import Run, State, When, sequence
    >>> @sequence
    ... async def warmed(run: Run, to: float = 23.0) -> None:
    ...     states = {
    ...         "heating": State(
    ...             entry=lambda: run.set_all({"temp.ramp_rate": 5.0, "temp.setpoint": to}),
    ...             when=[When(f"temp.readback > {to} - 0.5", "warm"), When(after=60, to="cold")],
    ...         ),
    ...         "warm": State(),
    ...         "cold": State(),
    ...     }
    ...     await run.log(f"It is {await run.machine(states)}.")
    """

    when: Sequence[When] = ()
    """The ways out; without any the machine ends here."""
    entry: Action | None = None
    """Done when the state is entered, also from itself."""
    exit: Action | None = None
    """Done when it is left, also by STOP and ABORT: what it calls are finalisers."""


class Machine:
    """Runs states until one has no way out."""

    def __init__(
        self,
        states: Mapping[str, State],
        way_out: Callable[[str, State], Awaitable[When | None]],
        cleaning_up: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`way_out` waits in a state, and gives the `When` that is open, None = there is none.

        Inside `cleaning_up` what is called are finalisers.

        Raises:
            InputError: A `when` names a state that there is not, or has neither a condition nor a
                time.
        """
        self._states = states
        self._way_out = way_out
        self._cleaning_up = cleaning_up
        for name, state in states.items():
            for when in state.when:
                self._check(name, when)

    def _check(self, name: str, when: When) -> None:
        if when.to not in self._states:
            hint = suggestion(when.to, self._states, kind="states")
            raise InputError(f"state {name!r}: there is no state {when.to!r}{hint}")
        if not when.condition and when.after is None:
            raise InputError(f"state {name!r}: a `when` has a condition, `after`, or both")
        if when.on_disconnect not in ("wait", "fail"):
            text = f"on_disconnect is 'wait' or 'fail', not {when.on_disconnect!r}"
            raise InputError(f"state {name!r}: {text}")

    async def run(self, start: str) -> str:
        """Run from `start`; gives the state that had no way out."""
        if start not in self._states:
            hint = suggestion(start, self._states, kind="states")
            raise InputError(f"there is no state {start!r}{hint}")
        name = start
        while True:
            following = await self._stay(name, self._states[name])
            if following is None:
                return name
            name = following

    async def _stay(self, name: str, state: State) -> str | None:
        """Be in a state until a way out is open; gives the next state."""
        try:
            if state.entry is not None:
                await state.entry()
            taken = await self._way_out(name, state)
            if taken is None:
                return None
            if taken.action is not None:
                await taken.action()
            return taken.to
        finally:
            if state.exit is not None:
                with self._cleaning_up():
                    await state.exit()
