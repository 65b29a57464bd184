"""Many posters on one picture."""

from __future__ import annotations

import io
from functools import partial

import PIL.Image
import pytest

from seedance_lab.contact_sheet import _GAP, _SIDE, MOST, Cell, contact_sheet, fitted, font_of


def poster(width: int, height: int, colour: str = "green") -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", (width, height), colour).save(out, "JPEG")
    return out.getvalue()


def nothing() -> None:
    """There is no clip."""


def opened(sheet: bytes) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(sheet)).convert("RGB")


def greens(picture: PIL.Image.Image) -> set[int]:
    """The columns of the sheet in which there is a poster."""
    found = set()
    for x in range(picture.width):
        red, green, blue = picture.getpixel((x, 100))
        if green > 100 and red < 30 and blue < 30:
            found.add(x // (_SIDE + _GAP))
    return found


@pytest.mark.parametrize(
    ("n", "columns", "wide"), [(1, None, 1), (4, 2, 2), (6, 3, 3), (3, 8, 3), (9, None, 4)]
)
def test_cells_stand_side_by_side(n: int, columns: int | None, wide: int) -> None:
    sheet = opened(contact_sheet([Cell("a", lambda: poster(320, 180))] * n, title="t", columns=columns))
    assert sheet.width == wide * (_SIDE + _GAP) + _GAP
    assert greens(sheet) == set(range(wide))


def test_tall_and_wide_clips_share_a_sheet() -> None:
    """Nothing is cut off, and nothing is stretched."""
    sheet = opened(
        contact_sheet(
            [Cell("a", lambda: poster(320, 180)), Cell("b", lambda: poster(180, 320, "blue"))], title="t"
        )
    )
    blue = [sheet.getpixel((x, y))[2] > 200 for x in range(sheet.width) for y in range(sheet.height)
            if sheet.getpixel((x, y))[0] < 60]  # fmt: skip
    assert sum(blue) == pytest.approx(135 * 240, rel=0.02)


def test_a_thousand_clips_are_sixty_and_say_so() -> None:
    """Evenly chosen, the first included; a sheet of a thousand could not be opened in a browser."""
    asked: list[int] = []
    cells = [Cell(f"{i}", partial(asked.append, i), "gone") for i in range(1000)]
    few = contact_sheet(cells[: MOST + 1], title="t")
    many = contact_sheet(cells, title="t")
    assert opened(few).size == opened(many).size
    assert len(asked) == 2 * MOST
    assert asked[MOST] == 0
    assert asked[-1] >= 980


def test_a_sheet_without_any_clip_is_a_sheet() -> None:
    assert (
        opened(contact_sheet([Cell("seed 1", nothing, "failed: " + "no " * 200)] * 2, title="t")).height
        > _SIDE / 2
    )


def test_text_isfitted_into_its_lines() -> None:
    font = font_of(14)
    assert fitted("short", font, 200, 2) == ["short"]
    lines = fitted("one two three four five six seven eight nine ten eleven twelve", font, 120, 2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert all(font.getlength(line) <= 120 for line in lines)
    (word,) = fitted("W" * 100, font, 120, 1)
    assert word.endswith("…")
    assert font.getlength(word) <= 120
    assert fitted("", font, 120, 2) == []
