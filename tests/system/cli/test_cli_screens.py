"""`screens` writes files, and says what is wrong."""

from __future__ import annotations

from cli_rig import Shell


def test_screens_are_written_where_it_was_asked_for(shell: Shell) -> None:
    done = shell.run("screens", "drawn/here")
    assert (done.code, done.err) == (0, "")
    files = sorted(path.name for path in (shell.folder / "drawn/here").iterdir())
    assert files == ["channels.bob", "data.bob", "orchestrator.bob"]
    assert [line.rpartition("/")[2] for line in sorted(done.lines)] == files


def test_a_format_that_there_is_not_and_a_folder_that_can_not_be_are_told(shell: Shell) -> None:
    done = shell.run("screens", "drawn", "--format", "edl")
    assert (done.code, done.err) == (2, "--format edl: expected one of bob, ui, alarms, archive\n")
    shell.write("file", "")
    done = shell.run("screens", "file")
    assert done.code == 2
    assert "file: can't be written: File exists" in done.err
