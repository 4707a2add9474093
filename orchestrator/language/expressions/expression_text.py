"""From the text of an expression to Python's tree, and what is said where it is none of ours."""

from __future__ import annotations

import ast
import re
import threading
import warnings

from orchestrator.errors import InputError
from orchestrator.language.expressions.operand import shortened
from orchestrator.syntax_trees import syntax_tree

LONGEST = 4000
"""Characters of an expression."""


class Refusal(Exception):  # noqa: N818 - becomes an InputError that names the expression
    """Why something is not an expression of ours."""


_SLIPS = (
    *((right, "") for right in ("==", "!=", "<=", ">=", ":=")),
    *(("&&", "and"), ("||", "or"), ("!", "not"), ("=", "==")),
)
"""What other languages write, and what it is here; what is right is taken out first."""

_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|"(?:[^"\\]|\\.)*+(?:"|\\?\Z)""", re.DOTALL)
"""To the end where it is never closed: else each quote after it would be a beginning too."""


_FILTERS = threading.Lock()
"""The filters of warnings are the process's: of two threads that set them aside at once, the one
would put back what the other has set, for ever."""


def parsed(text: str) -> ast.expr:
    """The tree of a text, none of whose nodes has been looked at.

    Raises:
        InputError: Python finds no expression in it; tells what would be right.
    """
    if len(text) > LONGEST:
        raise InputError(f"{shortened(text)}: longer than {LONGEST} characters")
    if "$(" in text:
        raise InputError(f"{shortened(text)}: in an expression a name stands bare: x, not $(x)")
    if "#" in _QUOTED.sub("", text):
        raise InputError(f"{shortened(text)}: comments are not part of expressions")
    try:
        with _FILTERS, warnings.catch_warnings():
            # Python warns of such as '\d', which is text like any other here.
            warnings.simplefilter("ignore")
            return syntax_tree(" ".join(text.split("\n")).strip(), "eval").body
    except (RecursionError, MemoryError) as error:
        raise InputError(f"{shortened(text)}: nested too deeply") from error
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{shortened(text)}: {_syntax(text, error)}") from error


def _syntax(text: str, error: Exception) -> str:
    if not text.strip():
        return "there is no expression"
    for slip, right in _SLIPS:
        if slip in text and right:
            return f"not an expression; write {right!r} instead of {slip!r}"
        text = text.replace(slip, "")
    if not isinstance(error, SyntaxError):
        return f"not an expression: {error}"
    where = f" (character {error.offset})" if error.offset else "; it ends too early"
    return f"not an expression: {error.msg}{where}"


_REFUSED = {
    "Lambda": "functions can't be defined here",
    "JoinedStr": "f-text is not part of expressions; use $(name) in a text",
    "NamedExpr": "':=' is not part of expressions; use a let step",
    "Starred": "'*' before a name is not part of expressions",
    "Dict": "{} is not part of expressions",
    "Set": "{} is not part of expressions",
    "Tuple": "a list is written in [ ]",
    "ListComp": "comprehensions are not part of expressions; functions take whole arrays",
    "SetComp": "comprehensions are not part of expressions; functions take whole arrays",
    "DictComp": "comprehensions are not part of expressions; functions take whole arrays",
    "GeneratorExp": "comprehensions are not part of expressions; functions take whole arrays",
    "Is": "'is' is not part of expressions; compare with ==",
    "IsNot": "'is not' is not part of expressions; compare with !=",
}


def refused(node: ast.AST) -> Refusal:
    """Why a node of the tree has no place in our expressions."""
    kind = type(node).__name__
    return Refusal(_REFUSED.get(kind, f"{kind} is not part of expressions"))
