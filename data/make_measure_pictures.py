"""The pictures in `measures/`: for each measure a clip where it is low, one in the middle and one where it is high.

    python data/make_measure_pictures.py

The clips are made on the spot, with one thing planted in them (`tests/measuring/examples.py`), and measured as any
other clip. The first, the middle and the last picture of each are shown, then its middle line over time, downwards; of
a clip that is held against a picture that picture, the clip's, and four times their difference. Below is what was
measured.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import av
import matplotlib.font_manager
import PIL.Image
import PIL.ImageChops
import PIL.ImageDraw
import PIL.ImageFont

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from seedance_lab.measuring.catalog import BUILT_IN  # noqa: E402
from seedance_lab.measuring.spec import Measure  # noqa: E402
from tests.measuring.examples import EXAMPLES, Plant, asked, film  # noqa: E402
from tests.measuring.films import measured  # noqa: E402

PICTURE, SHOWN, GAP = (96, 58), 4, 14
LABEL, LINE = 250, 18
PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)


def moments(path: Path) -> list[PIL.Image.Image]:
    """The first, the middle and the last picture of a clip, and its middle line over time."""
    with av.open(str(path)) as container:
        every = [frame.to_image() for frame in container.decode(video=0)]
    width, height = every[0].size
    lines = PIL.Image.new("RGB", (width, len(every)))
    for i, picture in enumerate(every):
        lines.paste(picture.crop((0, height // 2, width, height // 2 + 1)), (0, i))
    three = [every[i].resize(PICTURE) for i in (0, len(every) // 2, len(every) - 1)]
    return [*three, lines.resize(PICTURE, PIL.Image.Resampling.BOX)]


def held_against(path: Path, plant: Plant, side: str) -> list[PIL.Image.Image]:
    """The picture that was asked for, the clip's own, and four times their difference."""
    wanted = asked(plant).image if side == "first" else asked(plant).end_image
    assert wanted is not None
    with av.open(str(path)) as container:
        every = [frame.to_image() for frame in container.decode(video=0)]
    got = every[0 if side == "first" else -1]
    with PIL.Image.open(io.BytesIO(wanted.read())) as opened:
        picture = opened.convert("RGB").resize(got.size, PIL.Image.Resampling.BOX)
    difference = PIL.ImageChops.difference(picture, got).point(lambda level: min(255, 4 * level))
    return [one.resize(PICTURE) for one in (picture, got, difference)]


def shown(value: float, measure: Measure) -> str:
    """The value with its unit."""
    return f"{value:,.0f} {measure.unit}" if abs(value) >= 1000 else f"{value:.4g} {measure.unit}".strip()


def sheet(measures: list[Measure], folder: Path) -> PIL.Image.Image:
    """A row a measure."""
    face = matplotlib.font_manager.findfont("DejaVu Sans")
    font, bold = PIL.ImageFont.truetype(face, 12), PIL.ImageFont.truetype(face, 14)
    wide, high = SHOWN * PICTURE[0] + GAP, PICTURE[1] + LINE + GAP
    out = PIL.Image.new("RGB", (LABEL + 3 * wide, high * len(measures) + LINE + GAP), PAPER)
    pen = PIL.ImageDraw.Draw(out)
    for i, word in enumerate(("low", "middle", "high")):
        pen.text((LABEL + i * wide, 4), word, INK, bold)
    for row, measure in enumerate(measures):
        top = LINE + GAP + row * high
        good = {"more": "more is better", "less": "less is better", "": ""}[measure.better]
        pen.text((8, top), measure.name, INK, bold)
        pen.text((8, top + 20), " · ".join(filter(None, (measure.unit, good))), FAINT, font)
        examples = EXAMPLES[measure.name]
        for i, plant in enumerate(examples):
            path = film(folder / f"{measure.name}-{i}.mp4", plant)
            left = LABEL + (i if len(examples) == 3 else 2 * i) * wide
            side = measure.name.split("_")[0]
            pictures = held_against(path, plant, side) if measure.group == "faithfulness" else moments(path)
            for j, picture in enumerate(pictures):
                out.paste(picture, (left + j * PICTURE[0], top))
            pen.text((left, top + PICTURE[1] + 1), caption(path, plant, measure), INK, font)
    return out


def caption(path: Path, plant: Plant, measure: Measure) -> str:
    """What was measured."""
    return shown(measured(path, measure.name, asked=asked(plant)).values[measure.name], measure)


def main() -> None:
    """Write a sheet for each group of measures."""
    (HERE / "measures").mkdir(exist_ok=True)
    groups: dict[str, list[Measure]] = {}
    for measure in BUILT_IN.values():
        if measure.name in EXAMPLES:
            groups.setdefault(measure.group, []).append(measure)
    with tempfile.TemporaryDirectory() as name:
        for group, measures in groups.items():
            sheet(measures, Path(name)).save(HERE / "measures" / f"{group}.jpg", quality=78)


if __name__ == "__main__":
    main()
