"""Where documents go: lines of JSON, ZeroMQ, a function of the user's."""

from __future__ import annotations

import json
import math
import pickle
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from orchestrator.errors import InputError

Take: TypeAlias = Callable[[str, Mapping[str, Any]], object]
"""Is given each document: its name, and what it says. May be called in any thread."""

_PIECE = 4096
"""Elements of an array that are turned into text at a time: no other thread runs meanwhile."""
_MOST = 100_000
"""Messages that wait for a proxy that is slow; then they are dropped, as ZeroMQ does."""
_LINGER_MS = 1000
"""ms in which the last messages may leave at the end."""


class DocumentOutputs:
    """What all runs of a service share: they may come from several threads."""

    def __init__(self, *, jsonl: bool = False, zmq: str = "", call: Take | None = None) -> None:
        """A socket is connected now, long before the first document: it takes a while.

        Args:
            jsonl: Whether each run has a file of them.
            zmq: host:port at which a proxy of bluesky takes documents; empty = none.
            call: A function; None = none.

        Raises:
            InputError: pyzmq is not there.
        """
        self.jsonl = jsonl
        self.takes: list[Take] = [] if call is None else [call]
        self._close: Callable[[], object] = lambda: None
        if zmq:
            self.takes.append(self._publisher(zmq))

    @property
    def are_any(self) -> bool:
        """Whether anybody wants documents."""
        return self.jsonl or bool(self.takes)

    def close(self) -> None:
        """No document follows."""
        self._close()

    def _publisher(self, address: str) -> Take:
        try:
            import zmq
        except ImportError as error:
            install = "pip install 'ioc-orchestrator[documents]'"
            raise InputError(f"documents.zmq needs pyzmq: {install}") from error
        context = zmq.Context()
        socket = context.socket(zmq.PUB)
        socket.setsockopt(zmq.SNDHWM, _MOST)
        socket.setsockopt(zmq.LINGER, _LINGER_MS)
        socket.connect(f"tcp://{address}")
        sending = threading.Lock()

        def close() -> None:
            socket.close()
            context.term()

        def publish(name: str, document: Mapping[str, Any]) -> None:
            # A prefix, here an empty one, the name and the pickled document, with blanks between:
            # what bluesky.callbacks.zmq.RemoteDispatcher splits.
            message = b" ".join((b"", name.encode(), pickle.dumps(dict(document))))
            with sending:
                socket.send(message)

        self._close = close
        return publish


def line_of(name: str, document: Mapping[str, Any]) -> str:
    """A line of JSON: the name and the document; null for what is no number."""
    arrays: list[np.ndarray[Any, Any]] = []

    def plain(value: Any) -> Any:
        match value:
            case float():
                return value if math.isfinite(value) else None
            case np.ndarray():
                arrays.append(value)
                return _MARK
            case Mapping():
                return {str(key): plain(item) for key, item in value.items()}
            case list() | tuple():
                return [plain(item) for item in value]
        return value

    first, *rest = json.dumps([name, plain(document)], default=str).split(json.dumps(_MARK))
    return first + "".join(map(_array_text, arrays, rest)) + "\n"


_MARK = "\0array\0"
"""Stands for an array in a text; no text of EPICS has a NUL."""


def _array_text(array: np.ndarray[Any, Any], behind: str) -> str:
    return f"{_nested(array)}{behind}"


def _nested(array: np.ndarray[Any, Any]) -> str:
    if array.ndim > 1:
        return f"[{','.join(map(_nested, array))}]"
    pieces = (array[start : start + _PIECE] for start in range(0, array.size, _PIECE))
    return f"[{','.join(_numbers(piece) for piece in pieces)}]"


def _numbers(piece: np.ndarray[Any, Any]) -> str:
    values = piece.tolist()
    if piece.dtype.kind == "f" and not np.isfinite(piece).all():
        values = [value if math.isfinite(value) else None for value in values]
    return json.dumps(values)[1:-1]
