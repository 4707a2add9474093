"""A service killed at random moments, from the program that does so: a few kills, and its eyes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.bench.crash.__main__ import line, main
from orchestrator.bench.crash.campaign import Campaign, Kill
from orchestrator.bench.crash.witness import Kept, Next, Seen, untold, untrue


def test_what_a_killed_service_leaves_is_true(tmp_path: Path) -> None:
    with Campaign(7, tmp_path) as campaign:
        for kill in campaign.kills(5):
            assert not kill.findings, line(kill)


ID = "20261201T000000.000Z-aa"
RUN = {"event": "run", "name": "scan"}
ENTERED = {"event": "step_entered", "step": 1}
ROW = {"event": "row", "point": 0}
LEAVES = {"event": "put_leaves", "put": 1, "pv": "rec.ao", "value": 2.5}
DONE = {"event": "put_ended", "put": 1, "how": "completed"}
WELL = {"event": "run_ended", "status": "Success"}


def kept(*entries: Mapping[str, object]) -> list[Kept]:
    return [Kept(ID, [RUN, *entries])]


@pytest.mark.parametrize(
    ("seen", "runs", "finding"),
    [
        (Seen("another"), kept(), "has no journal"),
        (Seen(points=2), kept(ROW), "2 points were told"),
        (Seen(ended={ID: "Success"}), kept(), "was told to be Success"),
        (Seen(reached={"rec.ao": [0.0, 2.0]}), kept(LEAVES), "no journal has such a put"),
        (Seen(reached={"rec.ao": [0.0]}), kept(LEAVES, DONE), "2.5 was completed"),
    ],
)
def test_a_journal_that_is_not_true_is_found(seen: Seen, runs: list[Kept], finding: str) -> None:
    (found,) = untrue(seen, runs)
    assert finding in found


SHOWN = Next("Interrupted", ID, "finalisers have not run", [], held=False, busy=False)
TELLS = "the put of 2.5 to rec.ao had left; finalisers have not run"


@pytest.mark.parametrize(
    ("seen", "runs", "shown", "finding"),
    [
        (Seen(), kept(), Next("Undefined", "", "", [], held=False, busy=False), "is Undefined"),
        (Seen(), kept(WELL), SHOWN, "but no run was"),
        (Seen(), kept(ENTERED, LEAVES), SHOWN, "rec.ao was in flight, and is not told"),
        (Seen(accepted=["a"]), kept(), SHOWN, "the queue is []"),
        (
            Seen(),
            kept(WELL),
            Next("Undefined", "", "", [{"name": "scan"}], held=True, busy=False),
            "wait again",
        ),
        (
            Seen(),
            kept(),
            Next("Interrupted", ID, "", [{"name": "a"}], held=False, busy=False),
            "not held",
        ),
        (Seen(), [], Next("Undefined", "", "", [], held=False, busy=True), "by itself"),
    ],
)
def test_what_is_not_told_is_found(seen: Seen, runs: list[Kept], shown: Next, finding: str) -> None:
    (found,) = untold(seen, runs, shown)
    assert finding in found


def test_what_is_true_and_told_is_none() -> None:
    runs = kept(ENTERED, ROW, LEAVES)
    seen = Seen(ID, 1, {}, {"rec.ao": [0.0, 2.5]}, ["a"])
    shown = Next("Interrupted", ID, TELLS, [{"name": "a"}], held=True, busy=False)
    assert [*untrue(seen, runs), *untold(seen, runs, shown)] == []
    assert "ok" in line(Kill(1, 0.5, 1, TELLS, ()))


def test_an_option_that_is_none_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--kill", "many"])
    assert ended.value.code == 2
