"""Writes figures: PNG, and pages of HTML that need nothing but a browser."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.display.figure import INK, PAPER, Box, Figure, Line, Mark, Words

if TYPE_CHECKING:
    from PIL import Image as PillowImage
    from PIL import ImageDraw

_SHARP = 2
"""Pixels of the PNG for one of the figure, each drawn of twice as many across."""
_SMOOTH = 2
_DASH, _GAP = 7.0, 5.0
_RADIUS = 2.6


def write_html(file: Path, figure: Figure, facts: Sequence[tuple[str, str]]) -> None:
    """Write a page with the figure and, below it, facts by name."""
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts)
    file.write_text(
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(figure.title)}</title>\n'
        "<style>body{font-family:sans-serif;margin:1.5em auto;max-width:60em;padding:0 1em;"
        f"color:{INK}}}svg{{width:100%;height:auto}}table{{border-spacing:1.2em .2em}}"
        "th{text-align:left;font-weight:normal;color:#666}"
        "circle:hover{r:5}</style></head>\n"
        f"<body>{''.join(_svg(figure))}\n<table>{rows}</table></body></html>\n",
        encoding="utf-8",
    )


def _svg(figure: Figure) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {figure.width} {figure.height}" '
        f'font-family="sans-serif" role="img" aria-label="{escape(figure.title)}">\n'
        f'<rect width="100%" height="100%" fill="{PAPER}"/>\n'
    )
    for shape in figure.shapes:
        match shape:
            case Line():
                points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
                dashes = f' stroke-dasharray="{_DASH} {_GAP}"' if shape.dashed else ""
                yield (
                    f'<polyline points="{points}" fill="none" stroke="{shape.color}" '
                    f'stroke-width="{shape.width}"{dashes} stroke-linejoin="round"/>\n'
                )
            case Mark():
                yield (
                    f'<circle cx="{shape.x:.1f}" cy="{shape.y:.1f}" r="{_RADIUS}" '
                    f'fill="{shape.color}"><title>{escape(shape.told)}</title></circle>\n'
                )
            case Box():
                told = f"<title>{escape(shape.told)}</title>" if shape.told else ""
                yield (
                    f'<rect x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" '
                    f'height="{shape.height:.1f}" fill="{shape.color}">{told}</rect>\n'
                )
            case Words():
                yield _svg_text(shape)
    yield "</svg>"


def _svg_text(words: Words) -> str:
    turned = f' transform="rotate(-90 {words.x:.1f} {words.y:.1f})"' if words.upright else ""
    bold = ' font-weight="bold"' if words.bold else ""
    return (
        f'<text x="{words.x:.1f}" y="{words.y:.1f}" font-size="{words.size}" '
        f'text-anchor="{words.anchor}" fill="{words.color}"{bold}{turned}>'
        f"{escape(words.text)}</text>\n"
    )


def write_png(file: Path, figure: Figure) -> None:
    """Write the figure as PNG, whatever the file is called."""
    from PIL import Image, ImageDraw

    scale = _SHARP * _SMOOTH
    large = Image.new("RGB", (figure.width * scale, figure.height * scale), PAPER)
    draw = ImageDraw.Draw(large)
    for shape in figure.shapes:
        match shape:
            case Line() if len(shape.points) > 1:
                _draw_line(draw, shape, scale)
            case Mark():
                x, y, r = shape.x * scale, shape.y * scale, _RADIUS * scale
                draw.ellipse((x - r, y - r, x + r, y + r), fill=shape.color)
            case Box():
                corner = (shape.x + shape.width) * scale, (shape.y + shape.height) * scale
                draw.rectangle((shape.x * scale, shape.y * scale, *corner), fill=shape.color)
            case _:
                pass
    size = (figure.width * _SHARP, figure.height * _SHARP)
    picture = large.resize(size, Image.Resampling.LANCZOS)
    for shape in figure.shapes:
        if isinstance(shape, Words):
            _draw_text(picture, shape, _SHARP)
    picture.save(file, format="PNG")


def _draw_line(draw: ImageDraw.ImageDraw, line: Line, scale: int) -> None:
    width = max(round(line.width * scale), 1)
    points = [(x * scale, y * scale) for x, y in line.points]
    pieces = _dashes(points, scale) if line.dashed else [points]
    for piece in pieces:
        draw.line(piece, fill=line.color, width=width, joint="curve")


def _dashes(
    points: Sequence[tuple[float, float]], scale: int
) -> Iterator[list[tuple[float, float]]]:
    """Pieces of a line, by how far it has gone."""
    piece, gone, period = [points[0]], 0.0, (_DASH + _GAP) * scale
    for before, point in itertools.pairwise(points):
        gone += math.dist(before, point)
        if gone % period < _DASH * scale:
            piece.append(point)
        elif len(piece) > 1:
            yield piece
            piece = [point]
        else:
            piece = [point]
    if len(piece) > 1:
        yield piece


def _draw_text(picture: PillowImage.Image, words: Words, scale: int) -> None:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(words.size * scale)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[words.anchor]
    at = (words.x * scale, words.y * scale)
    stroke = 0.6 if words.bold else 0
    if not words.upright:
        draw = ImageDraw.Draw(picture)
        draw.text(at, words.text, words.color, font, anchor=anchor, stroke_width=stroke)
        return
    _, _, right, bottom = font.getbbox(words.text)
    own = Image.new("RGB", (math.ceil(right) + 4, math.ceil(bottom) + 4), PAPER)
    ImageDraw.Draw(own).text((0, 0), words.text, words.color, font)
    turned = own.rotate(90, expand=True)
    picture.paste(turned, (round(at[0] - turned.width / 2), round(at[1] - turned.height / 2)))
