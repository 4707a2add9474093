"""What every step has to tell of itself."""

import pytest

from orchestrator.language.program.nodes import NO_STEPS, Node, at_once


def test_a_step_that_leaves_out_what_it_puts_is_refused_when_its_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"^Silent does not say puts, takes, run: see `Node`$"):

        class Silent(Node):
            reads = ()
            evaluates = ()
            inside = NO_STEPS


def test_a_step_that_says_all_is_taken() -> None:
    class Whole(Node):
        puts = ()
        reads = ()
        evaluates = ()
        inside = NO_STEPS
        takes = at_once

        async def run(self, do: object) -> None:
            pass

    node = Whole((), "", "")
    assert (node.writes, node.claims, node.names, node.takes_time) == ((), (), frozenset(), False)
