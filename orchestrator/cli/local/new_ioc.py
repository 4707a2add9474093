"""`new-ioc`: a folder with an IOC of one's own, its tests, and a sequence across it."""

from __future__ import annotations

import importlib.util
import keyword
from importlib import resources
from pathlib import Path

import typer

from orchestrator.cli.terminal.codes import Code
from orchestrator.errors import InputError

TEMPLATE = Path(str(resources.files("orchestrator"))) / "template"
"""The IOC named `myioc`, as it stands; it is tested and checked like any code of ours."""


def new_ioc(name: str, directory: Path | None) -> int:
    """Write the files, and print what to do with them.

    Raises:
        InputError: The name can't be a module's, or a file is there already.
    """
    _check(name)
    folder = directory or Path(name)
    files = {folder / _named(file.name, name): file for file in sorted(TEMPLATE.iterdir())}
    files = {new: file for new, file in files.items() if file.is_file()}
    if there := [str(new) for new in files if new.exists()]:
        raise InputError(f"{', '.join(there)}: already there, and nothing is overwritten")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for new, file in files.items():
            with new.open("x", encoding="utf-8") as made:
                made.write(_named(file.read_text(encoding="utf-8"), name))
    except OSError as error:
        raise InputError(f"can't write {error.filename}: {error.strerror}") from error
    typer.echo(_next(name, folder, [file.name for file in files]))
    return Code.SUCCESS


def _check(name: str) -> None:
    if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name):
        raise InputError(
            f"NAME {name!r}: a Python identifier is needed, such as my_laser: letters, digits "
            "and _, no digit first"
        )
    if name.startswith(("_", "test_")):
        raise InputError(f"NAME {name!r}: begin with a letter, and not with test_")
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin is not None:  # a folder of this name is no module
        raise InputError(
            f"NAME {name!r}: there is a Python module of this name, which it would hide"
        )


def _named(text: str, name: str) -> str:
    """The template's text with the name in place of its own, in each way of writing it."""
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    for own, new in (("myioc", name), ("Myioc", camel), ("MYIOC", name.upper())):
        text = text.replace(own, new)
    return text


def _next(name: str, folder: Path, files: list[str]) -> str:
    lines = [f"{folder}: {', '.join(files)}", ""]
    if folder.resolve() != Path.cwd():
        lines.append(f"  cd {folder}")
    return "\n".join(
        [
            *lines,
            f"  python {name}.py --list-pvs --interfaces 127.0.0.1   # in a terminal of its own",
            f"  orchestrator run {name}_curve.yaml",
            "  pytest",
            "",
            f"Then put your driver into {name}.py; README.md says where.",
        ]
    )
