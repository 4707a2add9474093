"""Text from clients that is made to be hard to read: refused, with its place."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.engine import Library
from orchestrator.engine.sequences.registry import Registry
from orchestrator.errors import InputError
from orchestrator.language.names import Names
from orchestrator.types import RunEnded, RunRequest, RunStatus


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ('{"a": ' * 20_000, "ARGS, at character 301: nested more than 50 levels deep"),
        ("[" * 65_000, "ARGS, at character 51: nested more than 50 levels deep"),
        ('{"a": ' + "9" * 5000 + "}", "ARGS can't be read"),
        ('{"a": 1', "ARGS, at character 8"),
        ('"' + "[" * 60_000 + '"', "ARGS must be a JSON object"),
        ("[" + "1," * 30_000 + "1]", "ARGS must be a JSON object"),
    ],
)
def test_arguments_that_can_t_be_read_are_refused_with_their_place(args: str, said: str) -> None:
    library = Library(None, Names(), Registry())
    with pytest.raises(InputError) as refused:
        library.load(RunRequest(1, "", "steps: [{delay: 1}]", args=args))
    assert str(refused.value).startswith(said)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("error", [RecursionError("too deep"), OSError("no place"), KeyError("x")])
def test_a_run_that_can_t_be_made_fails_and_the_next_one_runs(play, error: Exception) -> None:
    async def scenario(it):
        whole = it.store.open

        def broken(*_args: object) -> None:
            raise error

        it.store.open = broken
        it.start("steps: [{delay: 1}]")
        await asyncio.sleep(1)
        it.store.open = whole
        it.start("steps: [{delay: 1}]")
        await asyncio.sleep(5)
        return [e for e in it.events if isinstance(e, RunEnded)], it.values("busy")

    (first, second), busy = play(scenario)
    assert first.status is RunStatus.FAILED
    assert type(error).__name__ in first.message
    assert second.status is RunStatus.SUCCESS
    assert busy == [1, 0, 1, 0]
