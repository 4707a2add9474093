"""Runs that wait, shown."""

import io

from rich.console import Console

from orchestrator.display.queue import queue_lines, queue_table, queue_text

WAITING = [
    {"number": 2, "name": "scan", "args": {"points": 5}, "owner": "me@here", "ended": "Failed: x"},
    {"number": 3, "name": "move", "args": {}, "owner": "me@here"},
]


def test_a_line_a_run_with_its_number_first() -> None:
    assert queue_lines(WAITING) == [
        "2  scan  points=5  me@here  Failed: x",
        "3  move  me@here",
    ]


def test_a_table_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(queue_table(WAITING))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
    for word in ("sequence", "scan", "points=5", "Failed: x", "move"):
        assert word in text


def test_in_short_what_the_pv_leaves_out_is_counted() -> None:
    assert queue_text({"held": False, "waiting": [], "left_out": 0}) == ""
    told = queue_text({"held": True, "waiting": WAITING, "left_out": 7})
    assert told == "held, 9 wait: scan, move, and 7 more"
