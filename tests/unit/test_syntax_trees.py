"""Python's parser, asked by one thread at a time."""

import ast
import gc
from collections.abc import Iterator

import pytest

from orchestrator.syntax_trees import syntax_tree

TEXT = "+".join(["(a*(b+1))"] * 50)


class Garbage:
    """Parses when it is collected, as another thread may at that moment."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        ast.parse("1+1")


@pytest.fixture
def collected_all_the_time() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(20)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collected_all_the_time")
def test_a_tree_survives_the_garbage_collector_in_its_midst() -> None:
    for _ in range(20):
        Garbage()
        assert ast.unparse(syntax_tree(TEXT, "eval")).count("a") == 50
    assert gc.isenabled()


def test_the_garbage_collector_stays_as_it_was_after_a_mistake() -> None:
    with pytest.raises(SyntaxError):
        syntax_tree("a +", "eval")
    assert gc.isenabled()
    gc.disable()
    try:
        syntax_tree("a")
        assert not gc.isenabled()
    finally:
        gc.enable()
