"""What one run asks its operators: one question after the other, each with one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from orchestrator.engine.control.control import RunControl
from orchestrator.engine.control.step_scope import End, RewindRun, StopRun
from orchestrator.errors import InputError, StepTimeoutError
from orchestrator.language.expressions.template import as_text
from orchestrator.language.text.answers import answer_of, right_answers
from orchestrator.ports import RunEvents
from orchestrator.types import Answered, Asked, Severity, Told


class Questions:
    """Asks for one run.

    A question that takes no value pauses the run, and to resume it is the answer. One with a value
    holds up its own step only, as a `wait` does: its time runs, and other branches go on.
    """

    def __init__(
        self, control: RunControl, events: RunEvents, wall: Callable[[], datetime]
    ) -> None:
        """`wall` gives the local time."""
        self._control = control
        self._events = events
        self._wall = wall
        self._turn = asyncio.Lock()
        self._number = 0
        self._asked: Asked | None = None
        self._answer: asyncio.Future[tuple[object, str, str]] | None = None
        control.requests.on_answer = self._take

    async def ask(self, question: Asked) -> object | None:
        """Ask, once what was asked before has its answer; gives the answer.

        None where there is none: the question takes no value, or was skipped and has no default.

        Raises:
            StepTimeoutError: Nobody has answered in time, and there is no default.
            StopRun: STOP was asked for.
        """
        with self._control.step_scope(moving=False) as scope:
            await self._turn.acquire()
        if scope.ended is not None:
            _leave(scope.ended)
            return question.default
        try:
            return await self._ask(self._begin(question))
        finally:
            self._asked = self._answer = None
            self._turn.release()

    def _begin(self, question: Asked) -> Asked:
        self._number += 1
        since = self._wall().astimezone().isoformat(timespec="milliseconds")
        run_id = self._control.run_id
        self._asked = replace(question, number=self._number, since=since, run_id=run_id)
        self._events.offer(self._asked)
        return self._asked

    async def _ask(self, asked: Asked) -> object | None:
        how = Answered(asked.number, "", "ended", run_id=asked.run_id)
        try:
            if not asked.takes_a_value:
                await self._until_resumed()
                how = replace(how, how="answered")
                self._tell(f"resumed{self._control.requests.resumed_by}")
                return None
            value, how = await self._until_answered(asked, how)
            return value
        finally:
            self._events.offer(how)

    async def _until_resumed(self) -> None:
        requests = self._control.requests
        requests.pause()
        with self._control.step_scope(moving=False) as scope:
            await requests.resumed()
        # As asked, also where the end of the pause has come first.
        if scope.reason is End.SKIP:
            requests.resume()
        _leave(scope.reason)

    async def _until_answered(self, asked: Asked, how: Answered) -> tuple[object | None, Answered]:
        self._answer = asyncio.get_running_loop().create_future()
        with self._control.step_scope(moving=False, seconds=asked.timeout) as scope:
            value, text, by = await self._answer
            self._tell(f"{asked.text} {text}{f' (answered by {by})' if by else ''}")
            return value, replace(how, text=text, how="answered", by=by)
        _leave(scope.ended)
        if asked.default is None:
            if scope.ended is End.TIMEOUT:
                right = right_answers(asked)
                told = f"nobody has answered within {asked.timeout:g} s: {asked.text} ({right})"
                raise StepTimeoutError(told)
            return None, how
        text = as_text(asked.default)
        self._tell(f"{asked.text} {text} (the default: nobody has answered)", Severity.MINOR)
        return asked.default, replace(how, text=text, how="default")

    def _take(self, number: int, text: str, by: str) -> str:
        """Somebody answers; returns why not, or an empty text."""
        asked, answer = self._asked, self._answer
        if asked is None or asked.number != number or answer is None or answer.done():
            return f"the answer {text!r} came too late: its question is no longer asked"
        try:
            value = answer_of(asked, text)
        except InputError as error:
            return str(error)
        self._control.clock.touch()
        answer.set_result((value, as_text(value), by))
        return ""

    def _tell(self, text: str, severity: Severity = Severity.NO_ALARM) -> None:
        self._events.offer(Told(text, severity, run_id=self._control.run_id))


def _leave(ended: End | None) -> None:
    if ended is End.STOP:
        raise StopRun
    if ended is End.REWIND:
        raise RewindRun
