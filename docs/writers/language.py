"""What sequences and clients use: PVs, steps, expressions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import orchestrator.verbs  # noqa: F401 - by this the verbs are known
from orchestrator.language.expressions.functions import FUNCTIONS
from orchestrator.language.text.schema import FieldRow, document_reference, step_reference
from orchestrator.language.text.steps import VERBS
from orchestrator.transports.ca.reference import ReferenceRow, reference
from writers.markdown import code, part, table, words_of

# Process variables ----------------------------------------------------------------------------


def pvs() -> Iterator[str]:
    """The service's process variables."""
    yield from part("pvs")
    rows = [row for row in reference() if not row.name.startswith("STATS:")]
    chained = [row for row in rows if "{channel}" in row.name or "{ioc}" in row.name]
    for title, mine in (
        ("Commands, state and progress", [row for row in rows if row not in chained]),
        ("Chained IOCs and their channels", chained),
    ):
        yield from (f"## {title}", "")
        yield from table(("PV", "type", "unit", "meaning"), map(_pv, mine))
    # Their words are caproto's own.
    names = [code(row.name) for row in reference() if row.name.startswith("STATS:")]
    yield from ("## Health of the process", "", "Named as those of iocStats:", "")
    yield ", ".join(names)


def _pv(row: ReferenceRow) -> tuple[str, str, str, str]:
    return code(row.name), row.type, row.units, row.doc


# Steps ----------------------------------------------------------------------------------------


def steps() -> Iterator[str]:
    """The document and its steps."""
    yield from part("steps")
    rows = step_reference()
    yield from ("## The document", "", *_fields(document_reference()))
    yield from ("## What every step may have", "")
    yield from _fields(row for row in rows if not row.step)
    for verb in VERBS:
        itself, *fields = [row for row in rows if row.step == verb]
        yield from (f"## {code(verb)}", "", itself.text, "", f"Takes: {itself.kind}.", "")
        if fields:
            yield from _fields(fields)


def _fields(rows: Iterable[FieldRow]) -> Iterator[str]:
    yield from table(
        ("field", "takes", "default", "meaning"),
        ((code(row.field), row.kind, _default(row), row.text) for row in rows),
    )


def _default(row: FieldRow) -> str:
    return "must be given" if row.default == "required" else code(row.default)


# Expressions ----------------------------------------------------------------------------------

FUNCTION_WORDS: Mapping[str, tuple[str, str]] = {
    "abs": ("abs(x)", "Without its sign."),
    "min": ("min(a) · min(x, y, …)", "The least."),
    "max": ("max(a) · max(x, y, …)", "The greatest."),
    "sum": ("sum(a)", "Their sum; 0 of none."),
    "mean": ("mean(a)", "Their mean."),
    "std": ("std(a)", "Their standard deviation, divided by n."),
    "median": ("median(a)", "Their median."),
    "sqrt": ("sqrt(x)", "The square root."),
    "exp": ("exp(x)", "e to the x."),
    "log": ("log(x)", "The natural logarithm."),
    "log10": ("log10(x)", "The logarithm to base 10."),
    "sin": ("sin(x)", "The sine of an angle in radians."),
    "cos": ("cos(x)", "Its cosine."),
    "tan": ("tan(x)", "Its tangent."),
    "atan2": ("atan2(y, x)", "The angle of the point (x, y) in radians, -pi to pi."),
    "argmax": ("argmax(a)", "The index of the greatest, from 0."),
    "argmin": ("argmin(a)", "The index of the least, from 0."),
    "len": ("len(a)", "How many elements; of a text, characters."),
    "round": ("round(x) · round(x, digits)", "Rounded; halves go to the even neighbour."),
    "interp": ("interp(x0, x, y)", ""),
    "peak": ("peak(x, y)", ""),
    "centroid": ("centroid(x, y)", ""),
    "fwhm": ("fwhm(x, y)", ""),
}
"""How each is called, and what it gives where its docstring does not say."""


def expressions() -> Iterator[str]:
    """What expressions may call."""
    before, after = "\n".join(part("expressions")).split("<!-- functions -->")
    yield from before.strip().splitlines()
    yield ""
    rows = []
    for name, (function, _, _) in FUNCTIONS.items():
        form, words = FUNCTION_WORDS[name]
        rows.append((code(form), words or _paragraphs(function)))
    yield from table(("function", "gives"), rows)
    yield from after.strip().splitlines()


def _paragraphs(function: object) -> str:
    """A docstring up to its sections, without Markdown that a table can't hold."""
    return words_of(function).partition("\nRaises:")[0].replace("\n\n", " ")
