"""Runs caproto's examples, each in a process of its own that this one forks.

It has imported caproto, which is nearly all of the time that an example takes to start. Lines of
JSON on stdin tell it what to do: an object starts a module, answered by the number of its process;
the number of one that has ended is answered by its exit code. It ends with its stdin, and with it
all that it has started.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import sys
from contextlib import suppress
from typing import Any

import caproto.asyncio.server
import caproto.server
import caproto.threading.client  # noqa: F401 - so that who is forked has it


def become(module: str, argv: list[str], env: dict[str, str], typed: str, output: str) -> None:
    """Run a module as a program; nothing of ours is left but what has been imported."""
    os.setsid()  # a group with its children, and a share of the processor beside ours
    os.dup2(os.open(typed, os.O_RDONLY), 0)
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1)
    os.dup2(1, 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as it lives
    # By whole lines: those of its children would stand amidst its own.
    sys.stdout.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
    os.chdir(os.path.dirname(output))
    os.environ.clear()
    os.environ.update(env)
    sys.argv[:] = [module, *argv]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main() -> None:
    gc.freeze()  # an example that collects its garbage would copy all that it shares with us
    started: list[int] = []
    while line := sys.stdin.readline():
        asked: Any = json.loads(line)
        if isinstance(asked, int):
            started.remove(asked)
            _, status = os.waitpid(asked, 0)
            answer = os.waitstatus_to_exitcode(status)
        elif answer := os.fork():
            started.append(answer)
        else:
            become(**asked)
            return
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    for pid in started:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
