"""`ask` with answers: what is right, who is first, what becomes of none."""

from __future__ import annotations

import asyncio
import json

import pytest

from orchestrator.engine.sequences.registry import Registry
from orchestrator.types import Answered, Asked, Command, Reply, RunStatus, Verb
from tests.unit.language.program.test_compiler import findings

WHICH = "steps: [{ask: {text: Which?, choices: [A, B], as: which}}, {log: 'took $(which)'}]"
HOW_MANY = (
    "steps: [{ask: {text: How many?, type: int, min: 1, max: 10, as: n}}, "
    "{set: {pv: sim.x, value: $(n)}}]"
)


def later(seconds, action, *args):
    asyncio.get_running_loop().call_later(seconds, action, *args)


def answer(it, text, by="", request=0):
    it.pull.offer(Command(Verb.ANSWER, request, text=text, owner=by))


def reply(it, request):
    return next(i for i in it.published if isinstance(i, Reply) and i.request == request)


def told(it):
    return [e.text for e in it.events if type(e).__name__ == "Told"]


def test_the_answer_has_the_name_that_as_gives(play):
    async def scenario(it):
        it.start(WHICH)
        later(3, answer, it, "B", "ann@here")
        return (await it.ended()).status, told(it)

    status, texts = play(scenario)
    assert (status, texts) == (RunStatus.SUCCESS, ["Which? B (answered by ann@here)", "took B"])


def test_an_answer_of_a_type_is_a_value_of_it(play):
    async def scenario(it):
        it.start(HOW_MANY)
        later(3, answer, it, " 4 ")
        return (await it.ended()).status, it.puts("x")

    assert play(scenario) == (RunStatus.SUCCESS, [4.0])


@pytest.mark.parametrize(
    ("document", "wrong", "right"),
    [
        (WHICH, "C", "'Which?' takes one of A, B, not 'C'"),
        (WHICH, "", "'Which?' takes one of A, B, not ''"),
        (HOW_MANY, "11", "'How many?' takes a whole number from 1 to 10, not 11"),
        (HOW_MANY, "2.5", "'How many?' takes a whole number from 1 to 10, not the text '2.5'"),
        (HOW_MANY, "many", "'How many?' takes a whole number from 1 to 10, not the text 'many'"),
        ("steps: [ask: Ready?]", "no", "'Ready?' takes no value: answer without one to go on"),
    ],
)
def test_a_wrong_answer_is_refused_with_what_is_right_and_asked_on(play, document, wrong, right):
    async def scenario(it):
        it.start(document)
        later(1, answer, it, wrong, "", 7)
        await asyncio.sleep(2)
        asked = it.values("question")[-1]
        it.ask(Verb.ABORT)
        await it.ended()
        return reply(it, 7).error, asked

    error, asked = play(scenario)
    assert (error, asked != "") == (right, True)


def test_the_first_answer_counts_and_the_second_is_refused(play):
    async def scenario(it):
        it.start(WHICH)
        await asyncio.sleep(1)
        answer(it, "A", "ann@here", 7)
        answer(it, "B", "bob@there", 8)
        await it.ended()
        return reply(it, 7).error, reply(it, 8).error, told(it)[-1]

    assert play(scenario) == ("", "'Which?' has an answer already: A by ann@here", "took A")


def test_an_answer_to_no_question_is_refused(play):
    async def scenario(it):
        answer(it, "A", "", 6)
        it.start("steps: [{delay: 5}]")
        later(1, answer, it, "A", "", 7)
        await it.ended()
        return reply(it, 6).error, reply(it, 7).error

    nothing = "nothing is asked that could be answered"
    assert play(scenario) == (nothing, nothing)


def test_an_answer_may_come_as_a_command(play):
    async def scenario(it):
        it.start(HOW_MANY)
        later(1, it.ask, Verb.COMMAND, "answer 3")
        await it.ended()
        return it.puts("x")

    assert play(scenario) == [3.0]


def test_question_and_answer_are_shown(play):
    async def scenario(it):
        it.start(HOW_MANY.replace("as: n", "as: n, default: 2, timeout: 60"))
        await asyncio.sleep(1)
        shown = json.loads(it.values("question")[-1]), it.values("message")[-1]
        answer(it, "3")
        await it.ended()
        return shown, it.values("question")[-1], it.values("answer")[-1], it.values("state")

    (question, message), after, given, states = play(scenario)
    assert question.pop("since").startswith("20")
    wanted = {"text": "How many?", "type": "int", "min": 1, "max": 10, "default": 2, "timeout": 60}
    assert (question, message) == (wanted, "How many?")
    assert (after, given) == ("", "3")
    assert "Paused" not in states


@pytest.mark.parametrize("end", [Verb.STOP, Verb.ABORT])
def test_an_end_takes_the_question_away(play, end):
    async def scenario(it):
        it.start(WHICH)
        later(1, it.ask, end)
        await it.ended()
        last = [e for e in it.events if isinstance(e, Asked | Answered)][-1]
        return it.values("question")[-1], last.how

    assert play(scenario) == ("", "ended")


def test_without_an_answer_in_time_it_fails_by_its_timeout(run):
    ended, _ = run(WHICH.replace("as: which", "as: which, timeout: 30"))
    assert ended.status is RunStatus.TIMEOUT
    assert "nobody has answered within 30 s: Which? (one of A, B)" in ended.message


def test_or_takes_the_default(run):
    ended, it = run(WHICH.replace("as: which", "as: which, timeout: 30, default: B"))
    assert ended.status is RunStatus.SUCCESS
    assert told(it) == ["Which? B (the default: nobody has answered)", "took B"]


@pytest.mark.parametrize(("how", "text"), [(Verb.SKIP, ""), (Verb.ANSWER, "")])
def test_a_skip_and_an_empty_answer_take_the_default(play, how, text):
    async def scenario(it):
        it.start(WHICH.replace("as: which", "as: which, default: A"))
        later(1, it.ask, how, text)
        return (await it.ended()).status, told(it)[-1]

    assert play(scenario) == (RunStatus.SUCCESS, "took A")


def test_its_time_stands_still_in_a_pause_and_an_answer_counts_there(play):
    async def scenario(it):
        it.start(WHICH.replace("as: which", "as: which, timeout: 30"))
        later(10, it.ask, Verb.PAUSE)
        later(100, answer, it, "A")
        later(200, it.ask, Verb.RESUME)
        return (await it.ended()).status, told(it)

    status, texts = play(scenario)
    assert (status, texts[-1]) == (RunStatus.SUCCESS, "took A")


def test_other_branches_go_on_meanwhile(play):
    async def scenario(it):
        it.start(
            "steps: [{parallel: [{ask: {text: Which?, choices: [A], as: which}},"
            " {group: [{delay: 2}, {set: {pv: sim.x, value: 1}}]}]}]"
        )
        await asyncio.sleep(5)
        seen = it.puts("x")
        answer(it, "A")
        await it.ended()
        return seen

    assert play(scenario) == [1.0]


def test_two_branches_ask_one_after_the_other(play):
    async def scenario(it):
        it.start(
            "variables: {a: 0, b: 0}\nsteps: [{parallel: ["
            "{ask: {text: First?, type: int, as: a}}, {ask: {text: Second?, type: int, as: b}}]},"
            " {log: $(a) $(b)}]"
        )
        later(1, answer, it, "1")
        later(2, answer, it, "2")
        await it.ended()
        asked = [e.text for e in it.events if isinstance(e, Asked)]
        return asked, told(it)[-1]

    assert play(scenario) == (["First?", "Second?"], "1 2")


def test_in_finally_it_asks_too(play):
    async def scenario(it):
        it.start(f"steps: [{{fail: so}}]\nfinally: {WHICH.removeprefix('steps: ')}")
        later(1, answer, it, "A")
        await it.ended()
        return told(it)[-1]

    assert play(scenario) == "took A"


def test_choices_and_bounds_may_be_computed(play):
    async def scenario(it):
        it.start(
            "parameters: {most: 3}\n"
            "steps: [{ask: {text: n?, type: float, max: '=most * 2', as: n}},"
            " {set: {pv: sim.x, value: $(n)}}]"
        )
        later(1, answer, it, "7", "", 7)
        later(2, answer, it, "6")
        await it.ended()
        return reply(it, 7).error, it.puts("x")

    assert play(scenario) == ("'n?' takes a number up to 6, not 7.0", [6.0])


@pytest.mark.parametrize(
    ("ask", "wrong"),
    [
        ("{text: a, choices: [1], type: int, as: x}", "takes 'choices' or 'type', not both"),
        ("{text: a, choices: [1]}", "needs 'as', which names the answer"),
        ("{text: a, timeout: 3}", "'timeout' does nothing without 'choices' or 'type'"),
        ("{text: a, type: str, min: 3, as: x}", "'min' and 'max' are for the types float and int"),
        ("{text: a, choices: [A], as: x, default: B}", "'it' takes one of A, not 'B'"),
    ],
)
def test_what_makes_no_sense_is_told_before_the_run(ask, wrong):
    assert wrong in "\n".join(findings(f"steps: [{{ask: {ask}}}]"))


def test_in_python_it_gives_the_answer(play):
    got = []

    async def asking(run):
        got.append(await run.ask("Which of $(these)?", choices=["A", "=B"]))
        got.append(await run.ask("Ready?"))

    async def scenario(it):
        it.start("steps: [{run: asking}]")
        later(1, answer, it, "=B")
        later(2, answer, it, "")
        return await it.ended()

    ended = play(scenario, registry=Registry({"asking": asking}, {}))
    assert (ended.status, got) == (RunStatus.SUCCESS, ["=B", None])
