"""`orchestrator new-ioc`: what is written, and what is refused. That it works: test_docs_run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from orchestrator.cli.local.new_ioc import TEMPLATE, new_ioc
from orchestrator.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_name_is_filled_in_everywhere(folder: Path, capsys: pytest.CaptureFixture) -> None:
    new_ioc("my_laser2", None)
    written = {file.name: file.read_text() for file in (folder / "my_laser2").iterdir()}
    assert sorted(written) == sorted(
        [
            *("README.md", "orchestrator.toml", "my_laser2_curve.yaml"),
            *("my_laser2.py", "test_my_laser2.py"),
        ]
    )
    assert not any("myioc" in text.lower() for text in written.values())
    assert "class MyLaser2(Device)" in written["my_laser2.py"]
    assert 'default_prefix="MY_LASER2:"' in written["my_laser2.py"]
    for name in ("my_laser2.py", "test_my_laser2.py"):
        ast.parse(written[name])
    told = capsys.readouterr().out
    assert "  cd my_laser2\n  python my_laser2.py --list-pvs" in told


def test_it_may_be_another_folder_or_this_one(folder: Path, capsys: pytest.CaptureFixture) -> None:
    new_ioc("laser", folder / "iocs" / "first")
    assert (folder / "iocs/first/laser.py").is_file()
    capsys.readouterr()
    new_ioc("laser", Path())
    assert (folder / "laser.py").is_file()
    assert "cd " not in capsys.readouterr().out


def test_nothing_is_overwritten(folder: Path) -> None:
    (folder / "laser").mkdir()
    (folder / "laser" / "README.md").write_text("mine")
    with pytest.raises(InputError, match=r"laser/README.md: already there"):
        new_ioc("laser", None)
    assert [file.name for file in (folder / "laser").iterdir()] == ["README.md"]
    assert (folder / "laser" / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    ["", "my-laser", "2laser", "class", "läser", "my laser", "../laser", "_laser", "test_laser"],
)
def test_a_name_that_can_not_be_a_module_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match="NAME"):
        new_ioc(name, None)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["numpy", "sys", "caproto", "orchestrator"])
def test_a_name_that_would_hide_a_module_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match="hide"):
        new_ioc(name, None)
    assert list(folder.iterdir()) == []


def test_a_place_that_can_not_be_written_is_told(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(InputError, match="can't write"):
        new_ioc("laser", folder / "file")


def test_the_template_travels_with_the_package() -> None:
    project = (Path(__file__).parents[4] / "pyproject.toml").read_text()
    assert '"template/*"' in project
    assert TEMPLATE.is_dir()
