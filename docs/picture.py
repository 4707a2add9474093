"""Runs the demo in a terminal of its own and draws what stood there: `docs/images/*.svg`.

One picture is taken in the middle of the scan, the other at the end. Called by `scripts/picture`.
"""

from __future__ import annotations

import errno
import io
import os
import pty
import re
import struct
import sys
import termios
from fcntl import ioctl
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"

ROWS, COLUMNS = 50, 82
MIDDLE = "(index 12)"
"""What the picture in the middle is taken at: a point of the scan."""

_CODES = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]+")
# The format that rich offers fetches its fonts from the net.
_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Screen:
    """What a terminal shows, as far as rich's live display uses one: lines with their colours."""

    def __init__(self) -> None:
        self.lines = [""]
        self._row = 0

    def take(self, output: str) -> None:
        """Take what a program has written."""
        for match in _CODES.finditer(output):
            parameters, command = match.groups()
            if command == "A":
                self._row = max(0, self._row - int(parameters or 1))
            elif command == "K":
                self.lines[self._row] = ""
            elif match[0] == "\n":
                self._row += 1
                self.lines += [""] * (self._row + 1 - len(self.lines))
            elif match[0] != "\r" and (command is None or command == "m"):
                self.lines[self._row] += match[0]

    def text(self) -> Text:
        """What it shows, without empty lines at the end."""
        return Text.from_ansi("\n".join(self.lines).rstrip())


def run_demo() -> str:
    """What the demo writes on a terminal.

    Raises:
        RuntimeError: it was no success.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        command = [sys.executable, "-m", "orchestrator", "demo", "--peak", "0.3"]
        os.execve(command[0], command, {**os.environ, "TERM": "xterm-256color"})  # noqa: S606
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    output = b""
    try:
        while part := os.read(terminal, 4096):
            output += part
    except OSError as error:
        if error.errno != errno.EIO:  # how Linux tells that the other end is closed
            raise
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"the demo did not succeed:\n{output.decode()}")
    return output.decode().replace(f"{ROOT}/", "")


def draw(screen: Screen, name: str, title: str) -> None:
    """Write a picture of a screen."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False
    )
    console.print(screen.text(), no_wrap=True, overflow="crop")
    svg = console.export_svg(title=title, code_format=_FORMAT, unique_id=name)
    (IMAGES / f"{name}.svg").write_text(svg, encoding="utf-8")


def main() -> None:
    """Run the demo once and draw both pictures."""
    output = run_demo()
    middle, end = Screen(), Screen()
    # A whole redraw: up to the spinner that begins the next one.
    middle.take(output[: output.index("\x1b[2K\x1b[1A", output.index(MIDDLE))])
    end.take(output)
    IMAGES.mkdir(exist_ok=True)
    draw(middle, "demo-running", "scripts/demo, in the middle of the scan")
    draw(end, "demo", "scripts/demo, at the end")


if __name__ == "__main__":
    main()
