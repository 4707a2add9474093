"""Runs the demo in a terminal of its own and draws what stood there: `docs/images/*.svg`.

One picture is taken in the middle of the scan, the other at the end. Called by `scripts/picture`.
Characters are drawn as the outlines that DejaVu Sans Mono gives them (a free font, in matplotlib's
package): a viewer needs no font of its own.
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
from collections.abc import Callable
from fcntl import ioctl
from html import escape
from pathlib import Path

import matplotlib
from fontTools.pens.svgPathPen import SVGPathPen
from fontTools.pens.transformPen import TransformPen
from fontTools.ttLib import TTFont
from rich.color import blend_rgb
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"

ROWS, COLUMNS = 50, 82
MIDDLE = "(index 12)"
"""What the picture in the middle is taken at: a point of the scan."""

_CODES = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]+")

CELL, LINE, TOP, SIDE = 12.0, 24.0, 42.0, 10.0
"""Width and height of a character, and what is left free above and beside the text, in pixels."""
BASELINE = 18.0
SIZE = 20.0
"""The font's em, in pixels."""
BRAILLE = 0x2800
"""The plot's dots: the font has none, and the code says which of them are set (Unicode, 21.1)."""
DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a Braille pattern."""


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


class Font:
    """The outlines of a font's characters, each of them defined once in a picture."""

    def __init__(self, bold: bool) -> None:
        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        self._font = TTFont(folder / f"DejaVuSansMono{'-Bold' if bold else ''}.ttf")
        self._scale = SIZE / self._font["head"].unitsPerEm

    def outline(self, character: str) -> str:
        """An SVG path whose origin is at the left of the baseline.

        Raises:
            KeyError: The font has no such character.
        """
        glyphs = self._font.getGlyphSet()
        svg = SVGPathPen(glyphs, ntos=lambda number: f"{number:.1f}".removesuffix(".0"))
        scaled = TransformPen(svg, (self._scale, 0, 0, -self._scale, 0, 0))
        glyphs[self._font.getBestCmap()[ord(character)]].draw(scaled)
        return str(svg.getCommands())


class Picture:
    """Characters at their places, as outlines: it looks the same wherever it is shown."""

    def __init__(self) -> None:
        self._fonts = {bold: Font(bold) for bold in (False, True)}
        self._defined: dict[tuple[str, bool], str] = {}
        self._drawn: list[str] = []

    def write(self, text: str, x: float, y: float, style: Style) -> None:
        """Draw a text; `y` is the top of its line."""
        colour = _colour(style)
        body = "".join(
            self._character(character, x + column * CELL, y, bool(style.bold))
            for column, character in enumerate(text)
            if not character.isspace()
        )
        if body:
            self._drawn.append(f'<g fill="{colour}">{body}</g>')

    def _character(self, character: str, x: float, y: float, bold: bool) -> str:
        if BRAILLE <= ord(character) < BRAILLE + 256:
            return self._use(character, False, x, y, _dots(character))
        return self._use(
            character, bold, x, y + BASELINE, lambda: self._fonts[bold].outline(character)
        )

    def _use(self, character: str, bold: bool, x: float, y: float, path: Callable[[], str]) -> str:
        key = (character, bold)
        if key not in self._defined:
            name = f"g{len(self._defined)}"
            self._defined[key] = name
            self._drawn.insert(0, f'<defs><path id="{name}" d="{path()}"/></defs>')
        # SVG 2 has a plain href, which older viewers don't know.
        return f'<use xlink:href="#{self._defined[key]}" x="{x:g}" y="{y:g}"/>'

    def svg(self, title: str, said: str, lines: int) -> str:
        """The whole picture, in the frame of a terminal; `said` is for those who can't see it."""
        width, height = COLUMNS * CELL + 2 * SIDE, lines * LINE + TOP + SIDE
        return FRAME.format(
            width=f"{width:g}",
            height=f"{height:g}",
            background=SVG_EXPORT_THEME.background_color.hex,
            title=escape(title),
            said=escape(said),
            drawn="\n".join(self._drawn),
        )


FRAME = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg"
  xmlns:xlink="http://www.w3.org/1999/xlink" role="img">
<title>{title}</title>
<desc>{said}</desc>
<rect fill="{background}" width="{width}" height="{height}" rx="8"/>
<circle cx="26" cy="22" r="7" fill="#ff5f57"/>
<circle cx="48" cy="22" r="7" fill="#febc2e"/>
<circle cx="70" cy="22" r="7" fill="#28c840"/>
{drawn}
</svg>
"""


def _dots(character: str) -> Callable[[], str]:
    """A Braille pattern as the small squares of a plot; its origin is the top of the line."""
    code = ord(character) - BRAILLE
    places = [place for bit, place in enumerate(DOTS) if code >> bit & 1]
    step = CELL / 2
    return lambda: "".join(
        f"M{column * step + 1.5:g} {row * step + 1.5:g}h3v3h-3z" for column, row in places
    )


def _colour(style: Style) -> str:
    theme = SVG_EXPORT_THEME
    plain = style.color is None or style.color.is_default
    colour = theme.foreground_color if plain else style.color.get_truecolor(theme)
    return blend_rgb(colour, theme.background_color, 0.4).hex if style.dim else colour.hex


def draw(screen: Screen, name: str, title: str) -> None:
    """Write a picture of a screen."""
    console = Console(width=COLUMNS, file=io.StringIO(), force_terminal=True)
    text = screen.text()
    options = console.options.update(no_wrap=True, overflow="crop")
    lines = console.render_lines(text, options, pad=False)
    picture = Picture()
    middle = (COLUMNS - len(title)) / 2 * CELL
    picture.write(title, SIDE + middle, 10, Style())
    for row, segments in enumerate(lines):
        column = 0
        for part, style, _ in segments:
            picture.write(part, SIDE + column * CELL, TOP + row * LINE, style or Style())
            column += len(part)
    svg = picture.svg(title, text.plain, len(lines))
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
