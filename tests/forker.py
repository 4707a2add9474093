"""Runs modules as programs, each in a process that this one forks; `tests/forks.py` asks it to.

It has imported nearly all that they import, which is nearly all of the time that they take to
start. It ends with its socket.
"""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

LONGEST = 1 << 17
"""Bytes of a message."""


def main() -> None:
    """The arguments: the socket's descriptor, where we are, and the modules to import."""
    door = socket.socket(fileno=int(sys.argv[1]))
    sys.path[0] = sys.argv[2]
    for name in sys.argv[3:]:
        importlib.import_module(name)
    del sys.path[0]
    if unwanted := {"epicscorelibs.ca", "epicscorelibs.ioc"} & set(sys.modules):
        # libCom does not stand it that its process forks
        raise SystemExit(f"a forker must not import {unwanted}: one of {sys.argv[3:]} does")
    gc.collect()
    gc.freeze()  # who collects its garbage would copy all that it shares with us
    answer(door, dict(os.environ))
    while True:
        text, descriptors, _, _ = socket.recv_fds(door, LONGEST, 3)
        if not text:
            return
        asked: Any = json.loads(text)
        if "start" in asked:
            if os.fork() == 0:
                become(door, descriptors, **asked["start"])
                return
            for descriptor in descriptors:
                os.close(descriptor)  # it answers for itself
        elif "stopped" in asked:
            with suppress(ChildProcessError):  # it has ended, and that has been told
                os.waitid(os.P_PID, asked["stopped"], os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            answer(door, None)
        else:
            _, status = os.waitpid(asked["ended"], 0)
            answer(door, os.waitstatus_to_exitcode(status))


def answer(door: socket.socket, what: Any) -> None:
    door.send(json.dumps(what).encode())


def become(
    door: socket.socket,
    descriptors: list[int],
    arguments: list[str],
    env: dict[str, str],
    cwd: str,
    session: bool,
) -> None:
    """Do what Python does with `[-P] -m MODULE …`; of us remains what has been imported."""
    if session:
        os.setsid()
    else:
        os.setpgid(0, 0)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    answer(door, os.getpid())
    door.close()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    at_once = bool(env.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = stream(sys.stdin, "rb", at_once)
    sys.stdout = sys.__stdout__ = stream(sys.stdout, "wb", at_once)
    sys.stderr = sys.__stderr__ = stream(sys.stderr, "wb", at_once)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path[:0] = [place for place in env.get("PYTHONPATH", "").split(":") if place]
    if arguments[0] == "-P":
        del arguments[0]
    else:
        sys.path.insert(0, cwd)
    sys.argv[:] = arguments[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def stream(ours: Any, mode: str, at_once: bool) -> Any:
    """One for the same descriptor, as Python makes them of what is no terminal."""
    number = ours.fileno()
    buffering = 0 if at_once and number else -1
    raw: Any = open(number, mode, buffering, closefd=False)  # noqa: SIM115 - as long as it lives
    return io.TextIOWrapper(
        raw,
        ours.encoding,
        ours.errors,
        newline="\n" if number else None,
        line_buffering=number == 2 and not at_once,
        write_through=at_once,
    )


if __name__ == "__main__":
    main()
