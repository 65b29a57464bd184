"""From any picture to a canvas: turned upright, flattened, cropped to the ratio, scaled to the size.

The service crops around the centre to the nominal ratio A:B, then scales to its table's size (which
is up to 1.3 % off that ratio). What the crop removed is not thrown away: up to 14 % a side stays on
the canvas as a margin, so that a camera that moves outwards finds real picture there.
"""

from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from seedance_lab.local.render.job import PictureError
from seedance_lab.local.render.planes import U8

MARGIN = 0.14  # of the side; a camera move never reaches further


class Canvas(NamedTuple):
    """A fitted picture and the real margin around it.

    `rgb` has shape (top + height + bottom, left + width + right, 3); every margin is even, so that
    the chroma planes line up.
    """

    rgb: U8
    left: int
    top: int
    width: int
    height: int


def load(file: Path | BinaryIO) -> Image.Image:
    """Open any picture, by its path or as an open file, as upright 8-bit RGB.

    EXIF orientation is applied, transparency is laid on white, 16-bit grey is scaled down, and an
    animation gives its first frame.

    Raises:
        PictureError: Not a picture, damaged, or too large to be one.
    """
    try:
        with Image.open(file) as opened:
            opened.seek(0)
            opened.load()
            # In place, and no conversion of what is RGB: each copy would take half as long as reading the file.
            ImageOps.exif_transpose(opened, in_place=True)
            return _flatten(opened)
    except FileNotFoundError as error:
        raise PictureError("The picture does not exist.") from error
    # Pillow's readers raise almost anything on damaged files: OSError, SyntaxError, struct.error, IndexError.
    except Exception as error:
        raise PictureError(f"The picture cannot be read: {type(error).__name__}: {error}") from error


def _flatten(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, np.float64)
        top = 65535.0 if values.max() > 255 else 255.0
        return Image.fromarray((np.clip(values / top, 0, 1) * 255 + 0.5).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, rgba).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def crop_box(width: int, height: int, ratio: float) -> tuple[float, float, float, float]:
    """The centred box (left, top, right, bottom) of the given ratio, in pixels and fractions of them."""
    if width / height < ratio:
        kept = width / ratio
        return 0.0, (height - kept) / 2, float(width), (height + kept) / 2
    kept = height * ratio
    return (width - kept) / 2, 0.0, (width + kept) / 2, float(height)


def fit(picture: Image.Image, width: int, height: int, ratio: float) -> Canvas:
    """Crop and scale a picture to width x height, keeping the margins that the crop cut off.

    Scaling is by area average downwards and bicubic upwards, in Pillow's integer arithmetic: the same
    bytes on every CPU.
    """
    left, top, right, bottom = crop_box(*picture.size, ratio)
    px, py = (right - left) / width, (bottom - top) / height  # picture pixels per output pixel
    mx = 2 * int(min(MARGIN * width, left / px) / 2)
    my = 2 * int(min(MARGIN * height, top / py) / 2)
    box = (
        max(0.0, left - mx * px),
        max(0.0, top - my * py),
        min(float(picture.width), right + mx * px),
        min(float(picture.height), bottom + my * py),
    )
    filter_ = Image.Resampling.BOX if px * py > 1 else Image.Resampling.BICUBIC
    scaled = picture.resize((width + 2 * mx, height + 2 * my), filter_, box=box)
    return Canvas(np.asarray(scaled), mx, my, width, height)
