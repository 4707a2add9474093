"""The values of a document's parameters: given on a command line, as JSON, or by default."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from orchestrator.errors import CheckError, InputError
from orchestrator.language.names import suggestion
from orchestrator.language.text import tree
from orchestrator.language.text.document import Document, Parameter
from orchestrator.language.text.json_text import read_json
from orchestrator.language.text.table_text import as_table, read_table
from orchestrator.language.text.tree import scalar
from orchestrator.language.values.operations import described

_TYPES = {
    "float": "a number",
    "number": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "text",
    "channel": "the name of a channel",
    "list": "a list of values",
    "table": "a table, as @FILE.csv or lists by name",
}


def parse_assignments(texts: Iterable[str], noun: str = "arguments") -> dict[str, str]:
    """`["start=-1", "label=a=b"]` -> `{"start": "-1", "label": "a=b"}`.

    Raises:
        InputError: One has no `=` or no name, or a name is given twice.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            one = noun.removesuffix("s")
            raise InputError(f"{text!r} is no {one}; {noun} are written NAME=VALUE")
        if name.strip() in values:
            raise InputError(f"the {noun.removesuffix('s')} {name.strip()!r} is given twice")
        values[name.strip()] = value
    return values


def bind(document: Document, args: Mapping[str, object]) -> dict[str, object]:
    """The value of every parameter, in the order of the document.

    Text is converted to a parameter's type, other values are checked to be of it.

    Raises:
        CheckError: All that is unknown, missing, of the wrong type or not allowed.
    """
    wrong = [
        f"{document.where(('parameters', name, 'default'))}: parameters.{name}.default: {text}"
        for name, parameter in document.parameters.items()
        if (text := _wrong_default(name, parameter))
    ]
    if wrong:
        raise CheckError(wrong)
    return bind_parameters(document.name or document.origin, document.parameters, args)


def bind_parameters(
    title: str,
    parameters: Mapping[str, Parameter],
    args: Mapping[str, object],
    later: Collection[str] = (),
) -> dict[str, object]:
    """The same for any parameters, those of a Python sequence as well.

    Args:
        title: The sequence, for messages.
        parameters: What it takes, by name.
        args: What it is given.
        later: Names that are given once the run comes there; they have no value here.
    """
    given = [*args, *later]
    findings = [_unknown(name, parameters) for name in given if name not in parameters]
    values: dict[str, object] = {}
    for name, parameter in parameters.items():
        if name in later:
            continue
        try:
            values[name] = _value(name, parameter, args)
        except InputError as error:
            findings.append(str(error))
    if findings:
        raise CheckError([f"{title}: {finding}" for finding in findings])
    return values


def _wrong_default(name: str, parameter: Parameter) -> str:
    if parameter.default is None:
        return ""
    try:
        _value(name, parameter, {})
    except InputError as error:
        return str(error).removeprefix(f"parameter {name!r} ")
    return ""


def _unknown(name: str, parameters: Mapping[str, Parameter]) -> str:
    if not parameters:
        return f"unknown parameter {name!r}; it takes none"
    return f"unknown parameter {name!r}{suggestion(name, parameters, kind='parameters')}"


def _value(name: str, parameter: Parameter, args: Mapping[str, object]) -> object:
    given = args.get(name, parameter.default)
    if name not in args and given is None:
        raise InputError(f"parameter {name!r} ({allowed(parameter)}) must be given: {name}=…")
    return taken(f"parameter {name!r}", parameter, given)


def taken(what: str, parameter: Parameter, given: object) -> object:
    """What is given, as a parameter takes it: text is converted.

    Args:
        what: What it is given to, for messages.
        parameter: What it takes.
        given: A value, or the text of one.

    Raises:
        InputError: It takes something else; tells what.
    """
    value = _converted(what, parameter, given)
    _check_allowed(what, parameter, value)
    return value


def _converted(what: str, parameter: Parameter, given: object) -> object:
    if parameter.kind == "table":
        return as_table(_unpacked(what, given), what)
    if parameter.kind == "list":
        return _listed(what, parameter, given)
    if isinstance(given, str) and parameter.kind not in ("str", "channel"):
        value = _from_text(given.strip())
    else:
        value = given
    match parameter.kind, value:
        case (("str" | "channel"), str()):
            return value
        case "bool", bool():
            return value
        case (("float" | "int" | "number"), bool()):
            pass
        case "float", int() | float() if math.isfinite(value):
            return _exactly(what, value)
        case "number", int() | float() if math.isfinite(value):
            return value
        case "int", int() | float() if math.isfinite(value) and value == int(value):
            return int(value)
    raise InputError(f"{what} takes {allowed(parameter)}, not {described(given)}")


def _listed(what: str, parameter: Parameter, given: object) -> list[object]:
    """A list, or the text of one, with brackets or without."""
    wrong = InputError(f"{what} takes {allowed(parameter)}, not {described(given)}")
    given = _unpacked(what, given)
    if isinstance(given, dict) and len(given) == 1:
        (given,) = as_table(given, what).values()
    if isinstance(given, str):
        text = given.strip()
        read = tree.read(text if text.startswith("[") else f"[{text}]", what)
        given = None if read.findings else read.value
    if not isinstance(given, list | tuple):
        raise wrong
    if not all(isinstance(value, bool | int | float | str) for value in given):
        raise wrong
    return list(given)


def _unpacked(what: str, given: object) -> object:
    """What stands in the text of a table, which is JSON; other things as they are."""
    is_table = isinstance(given, str) and given.lstrip().startswith("{")
    return read_json(str(given), what) if is_table else given


def with_files(arguments: Mapping[str, str]) -> dict[str, str]:
    """The arguments with what stands in the files that they name: `@points.csv`.

    Only for who asks, on a command line: a service reads no file because somebody names it.

    Raises:
        InputError: A file can't be read, or is no table.
    """
    return {
        name: json.dumps(read_table(Path(text[1:]))) if _is_file(text) else text
        for name, text in arguments.items()
    }


def _is_file(text: str) -> bool:
    return text.startswith("@") and text.endswith(".csv")


def _exactly(what: str, value: float) -> float:
    number = float(value)
    if number != value:
        raise InputError(f"{what} takes a number that is a float, not {value!r}")
    return number


def _from_text(text: str) -> object:
    """What a text says, as in a document."""
    try:
        return scalar(text)
    except ValueError as error:
        raise InputError(str(error)) from error


def _check_allowed(what: str, parameter: Parameter, value: object) -> None:
    fits = True
    if isinstance(value, list):
        for element in value:
            _check_allowed(what, parameter, element)
        return
    if isinstance(value, int | float):
        fits &= parameter.min is None or value >= parameter.min
        fits &= parameter.max is None or value <= parameter.max
    if parameter.choices is not None:
        fits &= value in parameter.choices
    if not fits:
        raise InputError(f"{what} takes {allowed(parameter)}, not {value!r}")


def allowed(parameter: Parameter) -> str:
    """What a parameter takes: `a number from 0 to 5 mm`."""
    if parameter.choices is not None:
        return f"one of {', '.join(str(choice) for choice in parameter.choices)}"
    text = _TYPES[parameter.kind]
    if parameter.min is not None:
        text += f" from {parameter.min}"
    if parameter.max is not None:
        text += f" to {parameter.max}" if parameter.min is not None else f" up to {parameter.max}"
    if parameter.units:
        text += f" {'in ' if text == _TYPES[parameter.kind] else ''}{parameter.units}"
    return text
