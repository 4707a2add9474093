"""Two processes that keep their runs in one store, and remove the old ones: each its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from orchestrator.data.journal import QueueJournal
from orchestrator.data.journal.reader import entries_of
from orchestrator.data.past import PastRuns, Wanted
from orchestrator.types import QueueChanged, QueuedRun, QueueLeft

WORKS = """
import asyncio, json, sys
from pathlib import Path
from orchestrator.data.records import RunRecords
from orchestrator.data.retention import Retention
from orchestrator.types import Place, Reading, RunEnded, RunHeader, RunStatus

store, name = Path(sys.argv[1]), sys.argv[2]
troubles = []

def header(number):
    return RunHeader(f"2026113{number % 10}T000000.{number:03}Z-{name}", name)

async def main():
    records = RunRecords(store, troubles.append)
    retention = Retention(store, 0.0, None, troubles.append)
    long = records.open(header(999))
    gone = []
    for number in range(15):
        record = records.open(header(number))
        for row in range(3):
            long.row(Place(), {"a": Reading("a", 3.0 * number + row, 1.5)})
            record.row(Place(), {"a": Reading("a", row, 1.5)})
        await record.close(RunStatus.SUCCESS)
        records.heard(RunEnded(header(number).run_id, RunStatus.SUCCESS, "", 0))
        gone += await asyncio.to_thread(retention.tidy)
    print("worked", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    file = long.file
    troubles.append(await long.close(RunStatus.SUCCESS))
    records.heard(RunEnded(header(999).run_id, RunStatus.SUCCESS, "", 0))
    await records.close()
    print(json.dumps({"troubles": [t for t in troubles if t], "file": file, "gone": gone}))

asyncio.run(main())
"""


def test_nothing_is_lost_and_nothing_is_removed_under_another(tmp_path: Path) -> None:
    names = ("one", "other")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKS, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in names
    ]
    for worker in workers:  # the runs of both are under way until both have removed all others
        assert worker.stdout is not None
        lines = iter(worker.stdout.readline, "")
        assert any(line.startswith("worked") for line in lines)
    ends = [json.loads(worker.communicate("\n")[0].splitlines()[-1]) for worker in workers]
    assert [end["troubles"] for end in ends] == [[], []]
    gone = [name for end in ends for name in end["gone"]]
    assert len(gone) == len(set(gone)), "each was removed by one of the two"
    left = {run.folder.name for run in PastRuns(tmp_path).runs(Wanted())}
    assert len(left) + len(gone) == 2 * 16
    assert not left & set(gone)
    for name, end in zip(names, ends, strict=True):
        (folder,) = (tmp_path / "runs").glob(f"*.999Z-{name}")
        assert folder.name in left
        rows = [entry["point"] for entry in entries_of(folder) if entry["event"] == "row"]
        assert rows == list(range(45))
        assert Path(end["file"]).parent == folder
        assert Path(end["file"]).exists()


QUEUES = """
import sys
from pathlib import Path
from orchestrator.data.journal import QueueJournal
from orchestrator.types import QueueChanged, QueuedRun

journal = QueueJournal(Path(sys.argv[1]), print)
journal.left()
journal.keep(QueueChanged((QueuedRun(1, "first", {}, ""),), held=False, autostart=True))
while not list(Path(sys.argv[1]).glob("queue/*/journal.jsonl")):
    pass
print("kept", flush=True)
sys.stdin.readline()
"""


def test_the_queue_of_a_service_that_lives_is_not_taken_by_another(tmp_path: Path) -> None:
    """Two in one store, where its file system has no locks for `.lock`."""
    service = subprocess.Popen(
        [sys.executable, "-c", QUEUES, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert service.stdout is not None
    assert service.stdout.readline() == "kept\n"
    other, mine = QueueJournal(tmp_path, print), QueuedRun(1, "mine", {}, "")
    assert other.left() is None
    other.keep(QueueChanged((mine,), held=False, autostart=True))
    other.close()
    other.join(10)
    assert QueueJournal(tmp_path, print).left() == QueueLeft((mine,))
    service.kill()
    service.communicate()
    assert len(list((tmp_path / "queue").iterdir())) == 2, "it has it still"
