"""What a YAML parser's complaint means to someone who writes a sequence."""

from __future__ import annotations

import re

from ruamel.yaml.error import MarkedYAMLError

_BRACED_NAME = re.compile(r"(?<![^\s,\[\]{}\"'])[^\s,\[\]{}\"']*+\{[^\s,{}]*+\}?[^\s,{}\"']*+")
"""A name with a brace in it, such as XF:31ID{Mtr:1}; looked for at the beginning of words only, as
a long word would be gone through from each of its letters."""


def explain(error: MarkedYAMLError, text: str) -> tuple[tuple[int, int], str]:
    """Where a text stops being YAML (line and column from 1), and what would be right.

    The place is where the mistake is: of a quote or bracket that is never closed, where it opens.
    """
    problem = str(error.problem or error)
    here, opening = _place(error.problem_mark), _place(error.context_mark)
    line = _line(text, here)
    if "quoted scalar" in str(error.context) and "unexpected" in problem:
        return opening, "this quote is never closed"
    if name := _braced(text, here, opening):
        return here, f'a name with {{ or }} needs quotes: "{name}"'
    if "<stream end>" in problem and "expected ','" in problem:
        bracket = _line(text, opening)[opening[1] - 1 : opening[1]]
        return opening, f"this '{bracket}' is never closed{_comment(_line(text, opening))}"
    if "expected ','" in problem:
        return here, f"a ',' or the closing bracket is missing before this{_comment(line)}"
    return here, _reason(problem, line[here[1] - 1 :])


def _reason(problem: str, rest: str) -> str:
    if r"'\t'" in problem or rest.startswith("\t"):
        return "a tab can't be used to indent; use spaces"
    if "mapping values are not allowed" in problem:
        return "a second ':' in this line; a key needs its own line, text with ': ' quotes"
    if match := re.search(r"character '(.)' that cannot start", problem):
        return f"text that begins with {match[1]} needs quotes"
    if "could not find expected ':'" in problem:
        return "a ':' is missing before this, after a key; or the line is indented too little"
    if "expected the node content" in problem:
        return "a value is missing before this"
    if "<block end>" in problem or "did not find expected" in problem:
        return "this does not fit the lines above: look at the indentation and at missing '-'"
    if "undefined alias" in problem:
        return "text that begins with * needs quotes"
    if "unknown escape character" in problem:
        return "an unknown escape with \\; in single quotes a \\ is only itself"
    if "block sequence" in problem or "sequence entries are not allowed" in problem:
        return "a list can't begin here; put its first '-' on a line of its own"
    if "<document start>" in problem:
        return "what stands before this is no 'key: value': is this YAML?"
    return f"not YAML: {problem}"


def _place(mark: object) -> tuple[int, int]:
    return getattr(mark, "line", 0) + 1, getattr(mark, "column", 0) + 1


def _line(text: str, place: tuple[int, int]) -> str:
    lines = text.splitlines()
    return lines[place[0] - 1] if place[0] <= len(lines) else ""


def _braced(text: str, here: tuple[int, int], opening: tuple[int, int]) -> str | None:
    """The unquoted name with a brace at the place of the error, or between it and its bracket."""
    for place in (here, opening):
        for match in _BRACED_NAME.finditer(_line(text, place)):
            name = match[0]
            if ":" in name.split("{")[0] and match.start() < here[1] <= match.end() + 2:
                return name
    return None


def _comment(line: str) -> str:
    match = re.search(r"\s#\S*", line)
    return "; '#' after a blank begins a comment, text with it needs quotes" if match else ""
