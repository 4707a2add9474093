"""Python's parser, asked by one thread at a time.

Expressions are parsed on the loop while documents, plans and functions are parsed in threads.
"""

import ast
import gc
from threading import Lock
from typing import Literal, overload

_ONE_AT_A_TIME = Lock()


@overload
def syntax_tree(text: str, mode: Literal["exec"] = "exec") -> ast.Module: ...
@overload
def syntax_tree(text: str, mode: Literal["eval"]) -> ast.Expression: ...
def syntax_tree(text: str, mode: Literal["exec", "eval"] = "exec") -> ast.AST:
    """What `ast.parse` makes of a text; to be called instead of it, and from any thread.

    Python up to 3.11.7 and 3.12.1 counts the depth of all trees under construction in one number
    (python/cpython#106905). Where the garbage collector runs in the midst of a tree, a finaliser or
    another thread can begin a second one, and the first ends in a SystemError.

    Raises:
        SyntaxError: It is no Python; ValueError, RecursionError, MemoryError: as of `ast.parse`.
    """
    with _ONE_AT_A_TIME:
        collects = gc.isenabled()
        gc.disable()
        try:
            return ast.parse(text, mode=mode)
        finally:
            if collects:
                gc.enable()
