"""The file of a recording: whole, torn, compressed, too slow."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.replay.codec import RecordingError
from orchestrator.replay.file import RecordingReader, RecordingWriter
from sim_iocs.testing import until


def written(file: Path, count: int = 3) -> RecordingWriter:
    writer = RecordingWriter(file)
    for number in range(count):
        writer.write({"t": float(number)})
    writer.close()
    return writer


def lines(file: Path) -> list[Any]:
    return list(RecordingReader(file))


@pytest.mark.parametrize("name", ["night.jsonl", "night.jsonl.gz"])
def test_lines_are_read_as_they_were_written(tmp_path: Path, name: str) -> None:
    file = tmp_path / "new" / name
    written(file)
    assert lines(file) == [{"t": 0.0}, {"t": 1.0}, {"t": 2.0}, {"end": {"left_out": 0}}]
    assert (file.read_bytes()[:2] == b"\x1f\x8b") is name.endswith(".gz")


def test_text_that_is_no_unicode_ends_no_recording(tmp_path: Path) -> None:
    file = tmp_path / "night.jsonl"
    writer = RecordingWriter(file)
    writer.write({"text": "half a pair: \ud83d"})
    writer.close()
    assert lines(file) == [{"text": "half a pair: \ud83d"}, {"end": {"left_out": 0}}]


def test_a_file_that_exists_stays_and_the_new_one_gets_a_number(tmp_path: Path) -> None:
    file = tmp_path / "night.jsonl.gz"
    file.write_text("mine")
    assert written(file).path.name == "night-2.jsonl.gz"
    assert written(file).path.name == "night-3.jsonl.gz"
    assert file.read_text() == "mine"


def test_a_directory_that_can_t_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match=r"can't record to .*night\.jsonl"):
        RecordingWriter(tmp_path / "file" / "night.jsonl")


def test_a_torn_last_line_is_left_out_and_known(tmp_path: Path) -> None:
    file = tmp_path / "night.jsonl"
    file.write_text('{"t":1}\n{"t":2}\n{"t":')
    reader = RecordingReader(file)
    assert list(reader) == [{"t": 1}, {"t": 2}]
    assert reader.torn


def test_a_compressed_file_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b'{"t":%d}\n' % n for n in range(10_000)))
    file = tmp_path / "night.jsonl.gz"
    file.write_bytes(whole[: len(whole) // 2])
    read = lines(file)
    assert 1000 < len(read) < 10_000
    assert read == [{"t": n} for n in range(len(read))]


@pytest.mark.parametrize("name", ["night.jsonl", "night.jsonl.gz"])
def test_the_last_line_is_on_the_disk_soon_though_none_follows(tmp_path: Path, name: str) -> None:
    """Who is killed in a quiet hour loses nothing of the busy one before it."""
    writer = RecordingWriter(tmp_path / name)
    writer.write({"t": 1})
    try:
        until(lambda: lines(writer.path) == [{"t": 1}], what="the line")
    finally:
        writer.close()


@pytest.mark.parametrize(("text", "told"), [
    ('{"t":1}\nnonsense\n{"t":2}\n', "night.jsonl:2: this is no JSON"),
    ("steps:\n- delay: 1\n", "night.jsonl:1: this is no JSON, and so no recording of `serve --rec"),
    ('{"t":1}\n[1]\n', "night.jsonl:2: expected an object"),
])  # fmt: skip
def test_what_is_no_recording_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "night.jsonl"
    file.write_text(text)
    with pytest.raises(RecordingError, match=told):
        lines(file)


def test_a_missing_or_damaged_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="can't read"):
        lines(tmp_path / "none.jsonl")
    damaged = tmp_path / "night.gz"
    damaged.write_bytes(b"\x1f\x8bnonsense that goes on")
    with pytest.raises(RecordingError, match="no gzip file"):
        lines(damaged)


def test_what_the_disk_is_too_slow_for_is_counted_and_marked(
    tmp_path: Path,
) -> None:
    go_on, reached, taken = threading.Event(), threading.Event(), threading.Event()

    class Slow(dict[str, Any]):
        def items(self) -> Any:
            reached.set()
            assert go_on.wait(10)
            return super().items()

    class Last(dict[str, Any]):
        def items(self) -> Any:
            taken.set()
            return super().items()

    file = tmp_path / "night.jsonl"
    writer = RecordingWriter(file, waiting=2)
    writer.write(Slow(t=0))
    assert reached.wait(10)
    for number in range(1, 6):
        writer.write(Last(t=number))
    assert writer.left_out == 3
    go_on.set()
    assert taken.wait(10)
    writer.write({"t": 6})
    writer.close()
    assert lines(file) == [
        {"t": 0}, {"t": 1}, {"t": 2}, {"gap": 3}, {"t": 6}, {"end": {"left_out": 3}},
    ]  # fmt: skip


def test_a_value_that_can_t_be_recorded_leaves_a_marked_gap(tmp_path: Path) -> None:
    file = tmp_path / "night.jsonl"
    writer = RecordingWriter(file)
    writer.write({"t": 1, "in": [object()]})
    writer.close()
    (gap, _end) = lines(file)
    assert gap["gap"] == 1
    assert "object can't be recorded" in gap["why"]
    assert json.loads(file.read_text().splitlines()[0]) == gap
