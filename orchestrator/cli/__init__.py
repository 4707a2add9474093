"""The commands; with `display` the only package that prints.

`app` declares all commands and imports nothing heavy, so that `--help` is quick; each imports the
module that does its work when it is called.
"""

import gc
import io
import os
import signal
import sys
from types import FrameType

# Nothing more may be imported here: until `main` has begun, Ctrl-C is a traceback.


def main() -> None:
    """Run the command that the process was started with."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell and nohup have it
            signal.signal(number, _leave)
    # Nearly all that an import makes stays: with Python's own settings (700 new objects) the
    # collector looks through it again and again, for a tenth of a command's start.
    gc.set_threshold(50_000, 20, 50)
    from orchestrator.cli.panels.app import app
    from orchestrator.display.output import open_missing_streams

    open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no … or ° gets a ?
            stream.reconfigure(errors="replace")
    app(prog_name="orchestrator")


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End at once, as long as there is nothing to undo; see `interrupts`.

    An exception would be lost, with a traceback, wherever Python has nobody to raise it to: in the
    callbacks by which imports give up their locks, in those of C libraries.
    """
    os._exit(3)


__all__ = ["main"]
