"""The commands; with `display` the only package that prints.

`app` declares all commands and imports nothing heavy, so that `--help` is quick; each imports the
module that does its work when it is called.
"""

import gc
import io
import signal
import sys
from types import FrameType

from orchestrator.display.output import open_missing_streams


def main() -> None:
    """Run the command that the process was started with."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # no shell has it ignored
        signal.signal(signal.SIGINT, _leave)
    # Nearly all that an import makes stays: with Python's own settings (700 new objects) the
    # collector looks through it again and again, for a tenth of a command's start.
    gc.set_threshold(50_000, 20, 50)
    from orchestrator.cli.app import app

    open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no … or ° gets a ?
            stream.reconfigure(errors="replace")
    app(prog_name="orchestrator")


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End at once while nothing but imports is under way; a command hears of Ctrl-C by itself."""
    raise SystemExit(3)


__all__ = ["main"]
