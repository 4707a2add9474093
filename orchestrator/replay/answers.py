"""What the recording answers to the questions of a replay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

from orchestrator.errors import NotConnectedError, OrchestratorError
from orchestrator.ports import View
from orchestrator.replay.codec import Json, decode, encode
from orchestrator.replay.compare import Comparison, Out, short
from orchestrator.replay.index import Asked, Index, key_of
from orchestrator.replay.turn_loop import Job, TurnLoop, make_turn_loop
from orchestrator.task_context import step_here

T = TypeVar("T")


class UnansweredError(OrchestratorError):
    """The recorded world can't answer: nothing like it was asked when it was recorded."""


@dataclass(slots=True, eq=False)
class _Answer:
    """What the recording has for one question, and who waits for it."""

    asked: Asked
    line: Mapping[str, Json] | None = None
    waiter: asyncio.Future[Any] | None = None


class Answers:
    """Implements `Interceptor`: questions are answered as then, and in the turn in which they were.

    A question is taken for the first like one of the same run. `out` gathers what goes out in a
    turn.
    """

    def __init__(
        self, index: Index, comparison: Comparison, complain: Callable[[dict[str, Any]], None]
    ) -> None:
        """`comparison` is told where there is no answer."""
        self._index = index
        self._comparison = comparison
        self._answers: dict[int, _Answer] = {}
        self._jobs: dict[int, Callable[[], None]] = {}
        self.loop: TurnLoop = make_turn_loop(self._job, complain)
        """The loop of those who ask."""
        self.view: View
        """The world as they know it; set before the first question."""
        self.out: list[Out] = []
        self.run = 0
        """The number of the run under way, or the last one."""

    async def ask(
        self, kind: str, about: Mapping[str, object], work: Callable[[], Awaitable[T]]
    ) -> T:
        """See `Interceptor.ask`: answered as it was then, at the moment at which it was."""
        del work
        question = cast(Mapping[str, Json], encode(about))
        self.out.append({kind: question, "step": step_here()})
        answer = self._match(kind, question)
        if answer is None:
            return cast(T, self._without(kind, question))
        answer.waiter = self.loop.create_future()
        if answer.line is not None:  # it came earlier then than it is asked for now
            asked = answer.asked
            self.loop.call_later(max((asked.answered or 0.0) - asked.at, 0.0), _settle, answer)
        return cast(T, await answer.waiter)

    def look(self, kind: str, about: Mapping[str, object], see: Callable[[], T]) -> T:
        """See `Interceptor.look`: as it was seen then; where nobody looked, nothing is seen."""
        del see
        seen = self._index.seen[key_of(self.run, kind, about)]
        return cast(T, seen.popleft() if seen else None)

    def note(self, line: Mapping[str, object]) -> None:
        """See `Interceptor.note`."""
        self.out.append({**encode(line), "step": step_here()})

    def _match(self, kind: str, question: Mapping[str, Json]) -> _Answer | None:
        """The first like question of the same run that is not answered yet."""
        numbers = self._index.by_key[key_of(self.run, kind, question)]
        while numbers:
            number = numbers.popleft()
            asked = self._index.asked[number]
            if kind != "put" or _same_put(asked.about, question):
                return self._answers.setdefault(number, _Answer(asked))
        return None

    def _without(self, kind: str, question: Mapping[str, Json]) -> object:
        """What is answered where the recording has no answer.

        Raises:
            UnansweredError: Nothing can be.
        """
        if kind in ("close", "room"):
            return ""
        if kind == "doubled":  # an older recording has none
            return {}
        names = question.get("pvs", [])
        states = [self.view.channel(name) for name in names]
        if kind == "connect" and all(state.connected for state in states):
            return []
        if kind == "look":  # an older recording has none
            lost = NotConnectedError("not connected when it was recorded")
            return {s.name: s.reading if s.connected and s.reading else lost for s in states}
        if kind == "get" and all(state.connected and state.reading for state in states):
            text = f"{', '.join(names)} read where nobody did then: the last update is the answer"
            self._comparison.differ(f"{_step()}{text}")
            return {state.name: state.reading for state in states}
        text = f"nobody asked for this when it was recorded, {_question(kind, question)}"
        self._comparison.differ(f"{_step()}{text}: the recorded world has no answer from here on")
        raise UnansweredError(f"{text}: the recording has no answer")

    def arrived(self, line: Mapping[str, Json]) -> None:
        """An answer comes in, as it did then."""
        number = line["answer"]
        if number in self._jobs:
            self._jobs.pop(number)()
            return
        asked = self._index.asked.get(number)
        if asked is None:
            return
        answer = self._answers.setdefault(number, _Answer(asked))
        answer.line = line
        if answer.waiter is not None:
            _settle(answer)

    def give_up(self, out: Sequence[Mapping[str, Json]]) -> None:
        """What nobody waited for any longer then is not answered now."""
        for line in out:
            answer = self._answers.get(line.get("given_up", 0))
            if answer is not None and answer.waiter is not None and not answer.waiter.done():
                question = _question(answer.asked.kind, answer.asked.about)
                text = f"nobody waited any longer when it was recorded, {question}"
                self._comparison.differ(f"{text}: the recorded world has no answer from here on")
                answer.waiter.set_exception(UnansweredError(f"{text}: the recording has no answer"))

    def _job(self, job: Job) -> asyncio.Future[Any]:
        """Done when it was done then: it is no part of the outside."""
        self.out.append({"job": {}})
        future: asyncio.Future[Any] = self.loop.create_future()
        work = partial(_do, job, future)
        numbers = self._index.by_key[key_of(0, "job", {})]
        number = numbers.popleft() if numbers else None
        if number is None or self._index.asked[number].answered is None:
            self.loop.call_soon(work)
        else:
            self._jobs[number] = work
        return future


def _same_put(then: Mapping[str, Json], now: Mapping[str, Json]) -> bool:
    return _text_of_put(then) == _text_of_put(now)


def _text_of_put(about: Mapping[str, Json]) -> str:
    return json.dumps([about["value"], about["completion"]], sort_keys=True)


def _question(kind: str, about: Mapping[str, Json]) -> str:
    match kind:
        case "put":
            return f"a put of {short(about['value'])} to {about['pv']}"
        case "call":
            return f"a call of {about['function']} with {short(about['args'])}"
        case "get" | "look":
            return f"a get of {', '.join(about['pvs'])}"
    return f"the connection of {', '.join(about['pvs'])}"


def _step() -> str:
    here = step_here()
    return f"{here}: " if here else ""


def _settle(answer: _Answer) -> None:
    """Give the recorded answer to who waits for it."""
    waiter, line = answer.waiter, answer.line
    if waiter is None or line is None or waiter.done():
        return
    if "error" in line:
        waiter.set_exception(decode(line["error"]))
    elif "raised" in line:
        name, text = line["raised"]
        waiter.set_exception(type(name, (Exception,), {})(text))
    elif "unknown" in line:
        waiter.set_exception(
            UnansweredError(f"its result is not in the recording: {line['unknown']}")
        )
    else:
        waiter.set_result(decode(line["value"]))


def _do(job: Job, future: asyncio.Future[Any]) -> None:
    if future.done():
        return
    try:
        future.set_result(job())
    except Exception as error:  # noqa: BLE001 - raised where it is awaited
        future.set_exception(error)
