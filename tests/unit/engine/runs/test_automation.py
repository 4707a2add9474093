"""Schedules and triggers in virtual time; the wall clock is the loop's, unless it is set."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from orchestrator.config import ScheduleConfig, load_config, names_of
from orchestrator.device import Device
from orchestrator.engine.runs.automation import (
    Automation,
    compile_triggers,
    next_time,
)
from orchestrator.errors import CheckError, InputError
from orchestrator.queues import MergeQueue, pull_queue, request_queue
from orchestrator.types import (
    Automated,
    AutomationRequest,
    Cause,
    PullItem,
    QueueChanged,
    QueuedRun,
    RunEnded,
    RunEvent,
    RunRequest,
    RunStarted,
    RunStatus,
    Severity,
    Told,
)
from tests.doubles import SimChannels, run_virtual

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 12, 1, 12, 0, tzinfo=UTC).timestamp()
CHAIN = '[chain.ring]\nprefix = "SR:"\nchannels.current = "I"\n'


class Rig:
    """Automation in a world of its own."""

    def __init__(self, automation: Automation, channels: SimChannels, pull: MergeQueue[PullItem]):
        self.automation = automation
        self.channels = channels
        self.pull = pull
        self.submitted: list[tuple[float, RunRequest]] = []
        self.events: list[RunEvent] = []
        self.refusal = ""
        self.shift = 0.0

    @property
    def now(self) -> float:
        return START + asyncio.get_running_loop().time() - self.began + self.shift

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def offer(self, item: RunEvent) -> None:
        self.events.append(item)

    async def submit(self, request: RunRequest) -> None:
        if self.refusal:
            raise InputError(self.refusal)
        self.submitted.append((self.now - START, request))

    def heard(self, *events: RunEvent) -> None:
        for event in events:
            self.automation.heard(event)

    def runs(self, request: RunRequest, status: RunStatus = RunStatus.SUCCESS) -> None:
        """A run of a request, from its beginning to its end."""
        number = str(len(self.events))
        self.heard(RunStarted(number, request.name, request.owner, 0, 1))
        self.heard(RunEnded(number, status, "", 0, Cause.NONE))

    async def set(self, value: float) -> None:
        self.channels.post("ring.current", value)
        await self.pull.idle()
        await asyncio.sleep(0.001)

    @property
    def times(self) -> list[float]:
        return [round(at, 1) for at, _ in self.submitted]

    @property
    def last(self) -> Automated:
        return next(e for e in reversed(self.events) if isinstance(e, Automated))


def automated(
    tmp_path: Path,
    text: str,
    work: Callable[[Rig], Awaitable[None]],
    last: dict[str, float] | None = None,
    zone: tzinfo = UTC,
) -> None:
    file = tmp_path / "orchestrator.toml"
    file.write_text(CHAIN + text)
    config = load_config(file)

    async def main() -> None:
        pull: MergeQueue[PullItem] = pull_queue()
        device = Device(config)
        channels = SimChannels(pull)
        channels.add("ring.current", 300.0)
        rig = Rig.__new__(Rig)
        automation = Automation(
            config,
            compile_triggers(config, names_of(config)),
            device.table,
            channels,
            rig,
            rig.wall,
            rig.submit,
            zone,
        )
        Rig.__init__(rig, automation, channels, pull)
        rig.began = asyncio.get_running_loop().time()

        class Nowhere:
            def offer(self, item: object) -> None:
                """Nobody listens."""

        examining = asyncio.create_task(device.run(pull, Nowhere(), request_queue()))
        await pull.idle()
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(asyncio.sleep(0))
            await following
            own = asyncio.TaskGroup()
            async with own:
                automation.take(own, AutomationRequest("begin", last or {}))
                await asyncio.sleep(0.01)
                await work(rig)
                for task in list(own._tasks):
                    task.cancel()
        examining.cancel()
        await channels.close()

    run_virtual(main())


# Times ------------------------------------------------------------------------------------------


def due(at: str, after: datetime, count: int, zone: tzinfo = BERLIN) -> list[str]:
    schedule, moment, found = ScheduleConfig("s", "x", at=at), after.timestamp(), []
    for _ in range(count):
        moment = next_time(schedule, moment, zone)
        found.append(datetime.fromtimestamp(moment, zone).strftime("%d %H:%M%z"))
    return found


def test_a_time_in_the_skipped_hour_comes_right_after_it_once() -> None:
    after = datetime(2026, 3, 28, 12, tzinfo=BERLIN)
    assert due("30 2 * * *", after, 2) == ["29 03:00+0200", "30 02:30+0200"]


def test_a_time_in_the_doubled_hour_is_taken_once() -> None:
    after = datetime(2026, 10, 24, 12, tzinfo=BERLIN)
    assert due("30 2 * * *", after, 2) == ["25 02:30+0200", "26 02:30+0100"]


def test_with_a_star_every_hour_that_there_is_counts() -> None:
    spring = datetime(2026, 3, 29, 1, 40, tzinfo=BERLIN)
    assert due("*/30 * * * *", spring, 3) == ["29 03:00+0200", "29 03:30+0200", "29 04:00+0200"]
    autumn = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN)
    found = due("*/30 * * * *", autumn, 4)
    assert found == ["25 02:30+0200", "25 02:00+0100", "25 02:30+0100", "25 03:00+0100"]


OURS = """
import sys
from datetime import datetime
from orchestrator.config import ScheduleConfig
from orchestrator.engine.runs.automation import SystemZone, next_time

at, moment = sys.argv[1], float(sys.argv[2])
for _ in range(8):
    moment = next_time(ScheduleConfig("s", "x", at=at), moment, SystemZone())
    print(datetime.fromtimestamp(moment, SystemZone()).strftime("%d %H:%M%z"))
"""


@pytest.mark.parametrize("at", ["30 2 * * *", "*/30 * * * *"])
@pytest.mark.parametrize("after", [datetime(2026, 3, 29), datetime(2026, 10, 25)])  # noqa: DTZ001
def test_the_systems_own_zone_is_as_good(at: str, after: datetime) -> None:
    # In a process of its own: the zone of this one is that of other tests.
    after = after.replace(tzinfo=BERLIN)
    told = subprocess.run(
        [sys.executable, "-c", OURS, at, str(after.timestamp())],
        env=os.environ | {"TZ": "Europe/Berlin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert told.splitlines() == due(at, after, 8)


# Schedules --------------------------------------------------------------------------------------

EVERY = '[schedule.often]\nevery = 100\nsequence = "x"\nargs = { points = 5 }\n'


def test_a_period_is_kept_without_drift(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        for _ in range(5):
            await asyncio.sleep(100)
            if rig.submitted:
                rig.runs(rig.submitted[-1][1])
        assert rig.times == [100, 200, 300, 400, 500]
        request = rig.submitted[0][1]
        assert (request.name, request.args, request.owner, request.how) == (
            "x",
            {"points": 5},
            "schedule often",
            "schedule",
        )
        assert rig.last.outcome == "Success"
        assert rig.last.next - START == 600

    automated(tmp_path, EVERY, work)


def test_one_whose_run_still_waits_is_not_queued_again(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await asyncio.sleep(101)
        rig.heard(QueueChanged((QueuedRun(1, "x", {}, "schedule often"),), True, True))
        await asyncio.sleep(100)
        assert rig.times == [100]
        told = [e for e in rig.events if isinstance(e, Told)]
        assert told == [
            Told(
                "schedule often: not run: its run before still waits or is under way",
                Severity.MINOR,
            )
        ]
        rig.heard(QueueChanged((), False, True))
        rig.heard(RunStarted("1", "x", "schedule often", 0, 1))
        assert rig.last.outcome == "runs"
        await asyncio.sleep(100)
        assert rig.times == [100], "it is under way"
        rig.heard(RunEnded("1", RunStatus.FAILED, "no beam", 0, Cause.DURING))
        assert rig.last.outcome == "Failed: no beam"
        await asyncio.sleep(100)
        assert rig.times == [100, 400]

    automated(tmp_path, EVERY, work)


def test_one_that_is_refused_is_told_and_tried_again_next_time(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.refusal = "there is no sequence 'x'"
        await asyncio.sleep(101)
        assert rig.last.outcome == "refused: there is no sequence 'x'"
        rig.refusal = ""
        await asyncio.sleep(100)
        assert rig.times == [200]

    automated(tmp_path, EVERY, work)


CRON = '[schedule.nightly]\nat = "0 2 * * *"\nsequence = "x"\n'
TWO = 14 * 3600
"""s from noon, when the tests begin, to 02:00."""


def test_cron_is_local_time(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await asyncio.sleep(TWO)
        assert rig.times == [TWO - 3600], "Berlin is an hour ahead"

    automated(tmp_path, CRON, work, zone=BERLIN)


@pytest.mark.parametrize(("missed", "expected"), [("skip", [TWO]), ("run_once", [0, TWO])])
def test_times_that_were_missed_while_no_service_was_there(
    tmp_path: Path, missed: str, expected: list[float]
) -> None:
    async def work(rig: Rig) -> None:
        await asyncio.sleep(1)
        if rig.submitted:
            rig.runs(rig.submitted[0][1])
        else:
            assert rig.last.outcome == "missed at 2026-11-28 02:00:00: nothing was run"
        await asyncio.sleep(TWO)
        assert rig.times == expected

    days_ago = {"nightly": START - 4 * 86400}
    automated(tmp_path, f'{CRON}missed = "{missed}"\n', work, days_ago)


def test_one_that_has_run_in_time_missed_nothing(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await asyncio.sleep(TWO)
        assert rig.times == [TWO]

    automated(tmp_path, f'{CRON}missed = "run_once"\n', work, {"nightly": START - 10 * 3600})


def test_the_clock_may_be_set(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        rig.shift = 7200  # forward: it comes so much earlier
        await asyncio.sleep(TWO - 7200 + 30)
        (first,) = rig.times
        assert TWO <= first <= TWO + 30
        rig.runs(rig.submitted[0][1])
        rig.shift = -365 * 86400.0  # it was a year ahead, by mistake
        await asyncio.sleep(86400 + 60)
        assert len(rig.times) == 2, "a clock that is set back does not stop it"

    automated(tmp_path, CRON, work)


def test_switched_off_they_start_nothing(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        async with asyncio.TaskGroup() as tasks:
            rig.automation.take(tasks, AutomationRequest("off"))
            await asyncio.sleep(250)
            assert rig.times == []
            rig.automation.take(tasks, AutomationRequest("on"))
            await asyncio.sleep(100)
        assert rig.times == [300], "the times that went by are missed"

    automated(tmp_path, EVERY, work)


# Triggers ---------------------------------------------------------------------------------------

REFILL = '[trigger.refill]\nwhen = "ring.current < 180"\nsequence = "x"\n'


async def count(rig: Rig, *values: float, wait: float = 0.1) -> int:
    """How many runs there are after these values."""
    for value in values:
        await rig.set(value)
        await asyncio.sleep(wait)
    return len(rig.submitted)


def test_it_triggers_as_the_condition_becomes_true_and_once(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        assert await count(rig, 200, 179, 178, 170) == 1
        assert await count(rig, 190, 150) == 2

    automated(tmp_path, REFILL, work)


def test_it_is_armed_again_where_rearm_says(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        assert await count(rig, 179, 185, 179, 189, 170) == 1
        assert await count(rig, 191, 179) == 2

    automated(tmp_path, f'{REFILL}rearm = "ring.current > 190"\n', work)


def test_it_has_to_hold(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        assert await count(rig, 170, 190, 170, 190, wait=4) == 0
        assert await count(rig, 170, wait=4) == 0
        await asyncio.sleep(1.1)
        assert len(rig.submitted) == 1

    automated(tmp_path, f"{REFILL}hold = 5\n", work)


@pytest.mark.parametrize(("more", "expected"), [("", 0), ("at_start = true\n", 1)])
def test_what_is_true_at_the_start_counts_if_it_is_to(
    tmp_path: Path, more: str, expected: int
) -> None:
    text = f'[trigger.full]\nwhen = "ring.current > 180"\nsequence = "x"\n{more}'

    async def work(rig: Rig) -> None:
        assert len(rig.submitted) == expected
        assert await count(rig, 170, 190) == expected + 1

    automated(tmp_path, text, work)


def test_at_the_start_it_needs_no_rearming(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        assert await count(rig, 179) == 1

    automated(tmp_path, f'{REFILL}rearm = "ring.current > 400"\n', work)


def test_what_is_lost_triggers_nothing_nor_does_its_first_value(tmp_path: Path) -> None:
    """A restarted IOC's default is 0, which is below any limit."""

    async def work(rig: Rig) -> None:
        await rig.set(200)
        rig.channels.disconnect("ring.current")
        await asyncio.sleep(1)
        assert rig.submitted == []
        rig.channels.reconnect("ring.current", 0.0)
        await asyncio.sleep(1)
        assert rig.submitted == []
        assert await count(rig, 150) == 1, "what it tells next counts"

    automated(tmp_path, REFILL, work)


def test_a_loss_breaks_what_has_to_hold(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        await rig.set(150)
        await asyncio.sleep(4)
        rig.channels.disconnect("ring.current")
        await asyncio.sleep(10)
        assert rig.submitted == []

    automated(tmp_path, f"{REFILL}hold = 5\n", work)


def test_switched_off_a_trigger_that_comes_is_gone(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        async with asyncio.TaskGroup() as tasks:
            rig.automation.take(tasks, AutomationRequest("off"))
            assert await count(rig, 170) == 0
            rig.automation.take(tasks, AutomationRequest("on"))
        await asyncio.sleep(10)
        assert rig.submitted == []
        assert await count(rig, 190, 170) == 1

    automated(tmp_path, REFILL, work)


# What is wrong with them ------------------------------------------------------------------------

WRONG = {
    '[schedule.s]\nsequence = "x"': "needs either 'at' or 'every'",
    '[schedule.s]\nsequence = "x"\nat = "0 2 * *"': "it has 4 fields; expected five fields",
    '[schedule.s]\nsequence = "x"\nat = "0 25 * * *"': "bad hour; expected five fields",
    '[schedule.s]\nsequence = "x"\nat = "0 0 30 2 *"': "bad day-of-month",
    '[schedule.s]\nsequence = "x"\nat = "0 2 * * *"\nmissed = "once"': "missed.*'run_once'",
    '[trigger.t]\nsequence = "x"': "trigger.t: .*when",
    '[trigger."a b"]\nsequence = "x"\nwhen = "ring.current > 1"': "a part of a PV's name",
    REFILL.replace("current", "currant"): r"toml:5: .*unknown channel 'ring\.currant'",
    f'{REFILL}rearm = "1 >"\n': r"trigger\.refill\.rearm",
    REFILL.replace("ring.current < 180", "1 < 2"): "names no channel",
}


def triggers_of(file: Path) -> object:
    config = load_config(file)
    return compile_triggers(config, names_of(config))


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_at_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "orchestrator.toml"
    file.write_text(CHAIN + text)
    with pytest.raises(CheckError, match=WRONG[text]):
        triggers_of(file)
