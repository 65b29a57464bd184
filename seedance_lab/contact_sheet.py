"""Many clips on one picture: a poster each, with a caption, in a grid."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageDraw
    import PIL.ImageFont

    Font = PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont

MOST = 60
"""Posters on one sheet; more would be too small to tell apart."""

_SIDE, _GAP, _TEXT = 240, 12, 14
_LINES = 2
_PAPER, _TILE, _INK, _RED = (255, 255, 255), (236, 236, 236), (40, 40, 40), (170, 30, 30)


class Cell(NamedTuple):
    """One place on the sheet.

    Attributes:
        caption: Below it.
        poster: Gives a JPEG, or None where there is no clip; asked only for what is shown.
        why: What stands in its place then.
    """

    caption: str
    poster: Callable[[], bytes | None]
    why: str = ""


def contact_sheet(cells: Sequence[Cell], *, title: str, columns: int | None = None) -> bytes:
    """The sheet as JPEG.

    Args:
        cells: One at least; of more than `MOST` evenly chosen ones are shown.
        title: Above them.
        columns: Cells side by side; about as many as rows if not given.
    """
    import PIL.Image
    import PIL.ImageDraw

    shown = list(cells)
    if len(shown) > MOST:
        shown = [shown[i * len(cells) // MOST] for i in range(MOST)]
        title, columns = f"{title} · {MOST} of them", None
    font, bold = font_of(_TEXT), font_of(_TEXT + 4)
    columns = min(columns or math.ceil(math.sqrt(len(shown) * 1.3)), len(shown))
    posters = [_opened(cell.poster()) for cell in shown]
    height = max((p.height for p in posters if p is not None), default=_SIDE * 9 // 16)
    line = _TEXT + 5
    across, down = _SIDE + _GAP, height + _LINES * line + _GAP
    top = 2 * _GAP + _TEXT + 6
    size = (columns * across + _GAP, top + math.ceil(len(shown) / columns) * down + _GAP)
    sheet = PIL.Image.new("RGB", size, _PAPER)
    draw = PIL.ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), fitted(title, bold, size[0] - 2 * _GAP, 1)[0], fill=_INK, font=bold)
    for i, (cell, poster) in enumerate(zip(shown, posters, strict=True)):
        x, y = _GAP + i % columns * across, top + i // columns * down
        if poster is None:
            draw.rectangle((x, y, x + _SIDE - 1, y + height - 1), fill=_TILE)
            for n, text in enumerate(fitted(cell.why, font, _SIDE - 2 * _GAP, (height - _GAP) // line)):
                draw.text((x + _GAP, y + _GAP + n * line), text, fill=_RED, font=font)
        else:
            sheet.paste(poster, (x + (_SIDE - poster.width) // 2, y + (height - poster.height) // 2))
        for n, text in enumerate(fitted(cell.caption, font, _SIDE, _LINES)):
            draw.text((x, y + height + 4 + n * line), text, fill=_INK, font=font)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=85)
    return out.getvalue()


def _opened(poster: bytes | None) -> PIL.Image.Image | None:
    import PIL.Image

    if poster is None:
        return None
    picture = PIL.Image.open(io.BytesIO(poster)).convert("RGB")
    picture.thumbnail((_SIDE, _SIDE))
    return picture


def font_of(size: int) -> Font:
    """Matplotlib's own: it knows more scripts than Pillow's."""
    import matplotlib as mpl
    import PIL.ImageFont

    try:
        return PIL.ImageFont.truetype(f"{mpl.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
    except OSError:
        return PIL.ImageFont.load_default(size)


def fitted(text: str, font: Font, width: int, n_lines: int) -> list[str]:
    """The text in lines of at most so many pixels; the last one ends in an ellipsis where something is missing."""
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < n_lines:
        n = 1
        while n < len(words) and font.getlength(" ".join(words[: n + 1])) <= width:
            n += 1
        rest = words[n:]
        line = " ".join(words[:n])
        if rest and len(lines) == n_lines - 1:
            line += "…"
        while len(line) > 1 and font.getlength(line) > width:
            line = line.removesuffix("…")[:-1] + "…"
        lines.append(line)
        words = rest
    return lines
