"""Hostile clients, from the program that has them all: a few, for a second each."""

from __future__ import annotations

import json

import pytest

from orchestrator.bench.hostile.__main__ import line, main
from orchestrator.bench.hostile.attacks import ATTACKS
from orchestrator.bench.hostile.campaign import Result, campaign

ATTACKS_TRIED = ["channels", "plain_puts", "types", "fuzz"]


@pytest.mark.parametrize("attack", ATTACKS_TRIED)
def test_an_ioc_of_the_kit_withstands(attack: str) -> None:
    (result,) = campaign("kit", [attack], seed=7, seconds=1.0, quiet_s=0.5, rest_s=10.0)
    assert result.survived, line(result)
    assert result.sent > 100
    # What others do on the machine is no fault of ours: latencies only as far as they show a stop.
    assert result.during["reads"] > 5, line(result)
    assert result.during["max_ms"] < 2000, line(result)
    assert result.during["disconnects"] == 0
    assert result.log_lines <= 100, result.log_end
    before, _, after = result.memory_mb
    assert after < before + 20, line(result)
    assert result.descriptors[1] <= result.descriptors[0] + 2


def test_every_attack_says_what_it_is_and_an_unknown_one_is_refused(capsys) -> None:
    assert all(doc for doc, _ in ATTACKS.values())
    with pytest.raises(SystemExit) as ended:
        main(["no_such_attack"])
    assert ended.value.code == 2
    assert "no_such_attack" in capsys.readouterr().err


def test_what_is_worse_than_promised_is_named() -> None:
    quiet = {"p50_ms": 0.3, "p99_ms": 1.0, "max_ms": 3.0, "longest_gap_s": 1.0, "disconnects": 0}
    good = Result(
        target="kit",
        attack="gets",
        seconds=1.0,
        sent=1,
        quiet=quiet,
        during=quiet,
        memory_mb=(50.0, 60.0, 51.0),
        descriptors=(10, 10),
        tasks=(None, None),
        log_lines=3,
        log_end="",
        survived=True,
    )
    assert good.faults() == []
    text = json.dumps(
        Result(
            **{
                name: getattr(good, name)
                for name in good.__slots__
                if name not in ("during", "memory_mb")
            },
            during=quiet | {"p99_ms": 3.1, "max_ms": 101.0, "longest_gap_s": 3.0},
            memory_mb=(50.0, 90.0, 80.0),
        ).faults()
    )
    assert "p99 3.1 ms" in text
    assert "max 101 ms" in text
    assert "no heartbeat for 3.0 s" in text
    assert "30 MB more" in text
