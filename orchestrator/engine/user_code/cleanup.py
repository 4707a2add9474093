"""Where user code stands: the line that calls a verb, and whether the code cleans up there.

A verb that is called in a `finally` is a finaliser, whatever brought the code there: STOP does not
skip it, and a suspender does not hold it. asyncio can't tell that, the source can.
"""

from __future__ import annotations

import ast
import asyncio.events
import gc
import linecache
import sys
import sysconfig
import traceback
from functools import lru_cache
from pathlib import Path
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from orchestrator.syntax_trees import syntax_tree

_OURS = str(Path(__file__).parents[2])
_PYTHON = sysconfig.get_path("stdlib")
_INSTALLED = sysconfig.get_path("purelib"), sysconfig.get_path("platlib")
"""Below Python's own libraries where there is no virtual environment."""
_LOOP = asyncio.events.__file__
"""Where a task of asyncio's own loop begins; one of uvloop's has no frame below it."""

Lines = tuple[tuple[int, int], ...]


class Site(NamedTuple):
    """Where user code calls a verb."""

    file: str
    """Empty where no source is known."""
    line: int
    cleans: bool
    """In a `finally` or an `__aexit__`, or called from one."""
    handles: bool
    """In an `except`, or called from one; or its source is not known."""

    @property
    def where(self) -> str:
        """The file with its path, and the line."""
        return f"{self.file}:{self.line}" if self.file else ""

    @property
    def short(self) -> str:
        """The file without its path, and the line."""
        return f"{Path(self.file).name}:{self.line}" if self.file else ""


class _Blocks(NamedTuple):
    """Lines of the blocks of a function, from and to."""

    finals: Lines
    handlers: Lines
    known: bool


def call_site() -> Site:
    """Where the user's code calls what calls this: its innermost line, and all those around it."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - inspect's costs ten times as much
    file, line = "", 0
    cleans = handles = False
    while frame is not None:
        code = frame.f_code
        name = code.co_filename
        if name == _LOOP:
            break
        if not is_library(name):
            if not file:
                file, line = name, frame.f_lineno
            in_final, in_handler = _stands(code, frame.f_lineno)
            cleans |= in_final
            handles |= in_handler
        frame = frame.f_back
    return Site(file, line, cleans, handles or not file)


def cleans_up(coroutine: Any) -> bool:
    """Whether a suspended coroutine, or one that it awaits, stands in a `finally`."""
    return any(_stands(frame.f_code, frame.f_lineno)[0] for frame in _users(coroutine))


def line_of(coroutine: Any) -> str:
    """The innermost line of the user's at which a suspended coroutine stands."""
    own = _users(coroutine)
    return f"{own[-1].f_code.co_filename}:{own[-1].f_lineno}" if own else ""


def line_of_error(error: BaseException) -> str:
    """The innermost line of the user's that an error has come through; empty if there is none."""
    lines = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not is_library(frame.f_code.co_filename)
    ]
    return lines[-1] if lines else ""


def line_of_thread(ident: int) -> str:
    """The innermost line of the user's that a thread executes; empty where it executes none."""
    frame = sys._current_frames().get(ident)  # noqa: SLF001 - there is no other way to ask
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


@lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """Whether it is our code or Python's own, and none of the user's.

    anyio's too: the `__aexit__` of its task groups is where a body waits for its tasks.
    """
    if file.startswith((_OURS, "<frozen")):
        return True
    if file.startswith(_INSTALLED):
        return Path(file).parent.name == "anyio" or "/anyio/" in file
    return file.startswith(_PYTHON)


def _users(coroutine: Any) -> list[FrameType]:
    """The user's frames of a suspended coroutine and of those it awaits, the outermost first."""
    frames = []
    while coroutine is not None:
        kind = next((p for t, p in _PREFIXES.items() if isinstance(coroutine, t)), "")
        if not kind:
            coroutine = _within_awaitable(coroutine)
            continue
        frame = getattr(coroutine, f"{kind}_frame")
        if frame is not None and not is_library(frame.f_code.co_filename):
            frames.append(frame)
        coroutine = getattr(coroutine, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
    return frames


_PREFIXES = {CoroutineType: "cr", AsyncGeneratorType: "ag", GeneratorType: "gi"}


def _within_awaitable(awaitable: object) -> object | None:
    """What runs in an awaitable that has no frame of its own, as a step of an async generator.

    Python has no attribute for it; its garbage collector knows.
    """
    inner = gc.get_referents(awaitable)
    return next((each for each in inner if isinstance(each, tuple(_PREFIXES))), None)


def _stands(code: CodeType, line: int) -> tuple[bool, bool]:
    """Whether a line of a function is in a `finally`, and in an `except`."""
    if code.co_name == "__aexit__":
        return True, False
    blocks = _blocks_of(code)
    if not blocks.known:
        return False, True
    return _within(line, blocks.finals), _within(line, blocks.handlers)


def _within(line: int, blocks: Lines) -> bool:
    return any(first <= line <= last for first, last in blocks)


_known: dict[int, tuple[CodeType, _Blocks]] = {}
# By identity: to hash a code object takes the longer the longer the function is. It holds them, so
# that no other has that identity.
_MOST_KNOWN = 4096


def _blocks_of(code: CodeType) -> _Blocks:
    known = _known.get(id(code))
    if known is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        known = _known[id(code)] = (code, _blocks_in_function(code))
    return known[1]


def _blocks_in_function(code: CodeType) -> _Blocks:
    of_file = blocks_in(code.co_filename)
    first = code.co_firstlineno
    last = max((line for _, _, line in code.co_lines() if line is not None), default=first)

    def own(lines: Lines) -> Lines:
        return tuple(block for block in lines if first <= block[0] and block[1] <= last)

    return _Blocks(own(of_file.finals), own(of_file.handlers), of_file.known)


@lru_cache(maxsize=1024)
def blocks_in(file: str) -> _Blocks:
    """The blocks of a source file as it is when this is first asked: when it is imported."""
    try:
        tree = syntax_tree("".join(linecache.getlines(file)) or "(")
    except (SyntaxError, ValueError):
        return _Blocks((), (), known=False)
    tries = [node for node in ast.walk(tree) if isinstance(node, ast.Try | ast.TryStar)]
    handlers = [handler for node in tries for handler in node.handlers]
    finals = [node.finalbody for node in tries if node.finalbody]
    finals += [handler.body for handler in handlers if _takes_all(handler)]
    return _Blocks(
        tuple(_lines(body) for body in finals),
        tuple(_lines(handler.body) for handler in handlers),
        known=True,
    )


def _takes_all(handler: ast.ExceptHandler) -> bool:
    """Whether it is `except:` or `except BaseException:`, where people clean up as in `finally`."""
    return handler.type is None or ast.unparse(handler.type) == "BaseException"


def _lines(body: list[ast.stmt]) -> tuple[int, int]:
    return body[0].lineno, body[-1].end_lineno or body[-1].lineno
