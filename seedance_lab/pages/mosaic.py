"""A whole view as one MP4: every clip in its place under its headings, on one clock.

It is what can be put into a mail, a slide or a chat that shows no HTML. Clips are decoded in step, one frame of each
at a time, so that memory does not grow with their length; small tiles are decoded from the small copies.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.clip import Clip
from seedance_lab.contact_sheet import fitted, font_of
from seedance_lab.errors import ClipError, LabError, StudyError
from seedance_lab.media import PROXY_SIDE, video_stream
from seedance_lab.pages import ClipOf, Snapshot, words
from seedance_lab.pages.places import Places, Steps, arrange

if TYPE_CHECKING:
    import av
    import numpy as np
    import PIL.ImageDraw

MARK = "seedance-lab contact sheet"
"""The file's comment: what tells it from a clip that was paid for."""
WIDTH = 1920
"""Pixels across unless said otherwise: what every player shows."""
MOST_HEIGHT = 2160
"""Pixels down; tiles become smaller before it becomes higher."""
LEAST_TILE = 80
"""Pixels across a tile; smaller ones could not be told apart."""

_GAP, _TEXT, _LINE = 8, 14, 19
_ROW_HEAD = 110
_PAPER, _TILE, _INK, _QUIET, _RED = (
    (24, 25, 28),
    (48, 49, 54),
    (238, 238, 240),
    (190, 192, 197),
    (255, 150, 140),
)
_MOST_FPS = 60


class _Spot(NamedTuple):
    """Where one cell's picture goes."""

    x: int
    y: int
    cell: Mapping[str, Any]


class _Plan(NamedTuple):
    """The drawing: its size, the size of a tile, and all spots."""

    width: int
    height: int
    tile: tuple[int, int]
    spots: list[_Spot]
    texts: list[tuple[int, int, int, str, tuple[int, int, int]]]


def mosaic(snapshot: Snapshot, clips: ClipOf, path: str | os.PathLike[str], *, width: int = WIDTH) -> Path:
    """Write the view as an H.264 MP4 without sound.

    It is as long as the longest clip; the others hold their last frame. A cell without a clip says why.

    Args:
        snapshot: What the grid shows, and in which view; pages stand below one another.
        clips: From a cell's id to its clip.
        path: Of the file; folders above it are made. An earlier contact sheet is replaced.
        width: Most pixels across; it is narrower where the clips themselves are smaller.

    Returns:
        The file.

    Raises:
        LabError: No clip to show, or so many that their tiles would be too small. Nothing was written.
        StudyError: Another file of that name is there. Nothing was written.
    """
    to = Path(path).expanduser().absolute()
    if to.suffix.lower() != ".mp4":
        raise LabError(
            f"{to.name!r} is not the name of an MP4. Nothing was written. Name it {to.stem or 'grid'}.mp4"
        )
    _check_ours(to)
    places = arrange(snapshot)
    with tempfile.TemporaryDirectory(prefix="seedance-lab-") as scratch, contextlib.ExitStack() as stack:
        plan = _planned(places, str(snapshot.get("title") or ""), width)
        tiles, why = [], {}
        for n, spot in enumerate(plan.spots):
            try:
                tiles.append(
                    (spot, stack.enter_context(_tile(clips, spot.cell, plan.tile, Path(scratch), n)))
                )
            except (ClipError, OSError):
                why[spot.cell["id"]] = "unreadable: the file is gone or damaged, or is not a video"
        if not any(tile for _, tile in tiles):
            raise LabError(
                "There is no clip in this view that could be put on a contact sheet. Nothing was written. "
                "Show the cells that are hidden, or run the plan first: study.run(plan)."
            )
        to.parent.mkdir(parents=True, exist_ok=True)
        part = to.with_name(f".{to.name}.{uuid.uuid4().hex}.part.mp4")
        try:
            _encode(part, _ground(plan, why), tiles)
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)
    return to


def _check_ours(path: Path) -> None:
    """A clip of that name would be lost, and it was paid for.

    Raises:
        StudyError: There is a folder, or another file.
    """
    import av

    if not path.exists():
        return
    try:
        with av.open(str(path)) as container:
            if container.metadata.get("comment") == MARK:
                return
    except (OSError, av.FFmpegError):
        pass
    raise StudyError(f"{path} is there and is no contact sheet. Nothing was written. Name another file.")


# ── where everything goes ───────────────────────────────────────────────────────────────────────────────


def _planned(places: Places, title: str, width: int) -> _Plan:
    """Tiles as large as the width, the height and the clips allow.

    Raises:
        LabError: They would be too small.
    """
    n_cols = _across(places)
    left = _GAP + (_ROW_HEAD if places.rows.names else 0)
    ratio = _ratio(places)
    native = max((cell.get("width") or PROXY_SIDE for cell in places.cells), default=PROXY_SIDE)
    across = _even(min(native, (width - left) // n_cols - _GAP))
    while across >= LEAST_TILE:
        plan = _placed(places, title, (across, _even(across * ratio)), n_cols, left)
        if plan.height <= MOST_HEIGHT:
            return plan
        across -= max(2, across // 32 * 2)
    raise LabError(
        f"{len(places.cells)} cells do not fit into {width} x {MOST_HEIGHT} pixels so that they can be told apart. "
        "Nothing was written. Hide some of them, or assign other rows and columns."
    )


def _across(places: Places) -> int:
    if places.rows.names or places.cols.names:
        return max(1, len(places.cols.steps))
    # Clips that follow one another: about as wide as a screen.
    return max(1, min(len(places.cells), round(math.sqrt(len(places.cells) * 1.2))))


def _ratio(places: Places) -> float:
    """Height over width of a tile: the commonest one of the clips."""
    shapes = [
        round(cell["height"] / cell["width"], 3)
        for cell in places.cells
        if cell.get("width") and cell.get("height")
    ]
    return min(2.5, max(shapes, key=shapes.count)) if shapes else 9 / 16


def _placed(places: Places, title: str, tile: tuple[int, int], n_cols: int, left: int) -> _Plan:
    step_x = tile[0] + _GAP
    width = max(left + n_cols * step_x, 320)
    texts: list[tuple[int, int, int, str, tuple[int, int, int]]] = []
    spots: list[_Spot] = []
    n_lines = 1 if places.rest else 0
    step_y = tile[1] + n_lines * _LINE + _GAP
    y = _GAP
    prompt = places.constant.get("prompt")
    same = " · ".join(" ".join(part for part in pair if part) for pair in words.same(places))
    for line, ink in ((title, _INK), (str(prompt or ""), _INK), (same, _QUIET)):
        if line:
            texts.append((_GAP, y, width - 2 * _GAP, line, ink))
            y += _LINE
    for page in places.pages.steps:
        if places.pages.names:
            texts.append((_GAP, y, width - 2 * _GAP, _heading(places, places.pages.names, page), _INK))
            y += _LINE
        if places.cols.names:
            for n, col in enumerate(places.cols.steps):
                texts.append((left + n * step_x, y, tile[0], _heading(places, places.cols.names, col), _INK))
            y += _LINE
        for row, groups in _lines(places, page, n_cols):
            if places.rows.names:
                for n, name in enumerate(places.rows.names):
                    told = words.told(places, name, row[n])
                    texts.append((_GAP, y + n * _LINE, _ROW_HEAD - _GAP, told, _INK))
            depth = max((len(group) for group in groups), default=1)
            for n, group in enumerate(groups):
                for m, cell in enumerate(group):
                    at = (left + n * step_x, y + m * step_y)
                    spots.append(_Spot(*at, cell))
                    if n_lines:
                        told = " · ".join(
                            " ".join(p for p in pair if p) for pair in words.caption(places, cell)
                        )
                        texts.append((at[0], at[1] + tile[1] + 2, tile[0], told, _QUIET))
            y += max(1, depth) * step_y
    return _Plan(_even(width), _even(y + _GAP), tile, spots, texts)


def _lines(places: Places, page: Steps, n_cols: int) -> Iterator[tuple[Steps, list[list[Mapping[str, Any]]]]]:
    """Rows of cells, several in one place where they fall together."""
    if places.rows.names or places.cols.names:
        for row in places.rows.steps:
            yield row, [list(places.at.get((page, row, col), ())) for col in places.cols.steps]
        return
    cells = list(places.at.get((page, (), ()), ()))
    for first in range(0, len(cells), n_cols):
        yield (), [[cell] for cell in cells[first : first + n_cols]]


def _heading(places: Places, names: tuple[str, ...], step: Steps) -> str:
    return " · ".join(words.told(places, n, v) for n, v in zip(names, step, strict=True))


def _even(pixels: float) -> int:
    return max(2, int(pixels) // 2 * 2)


# ── drawing ─────────────────────────────────────────────────────────────────────────────────────────────


def _ground(plan: _Plan, why: Mapping[str, str]) -> np.ndarray:
    """All that does not move: headings, captions, and the words of cells without a clip."""
    import numpy as np
    import PIL.Image
    import PIL.ImageDraw

    picture = PIL.Image.new("RGB", (plan.width, plan.height), _PAPER)
    draw = PIL.ImageDraw.Draw(picture)
    font = font_of(_TEXT)
    for x, y, width, text, ink in plan.texts:
        for line in fitted(text, font, width, 1):
            draw.text((x, y), line, fill=ink, font=font)
    for spot in plan.spots:
        _blank(draw, spot, plan.tile, why.get(spot.cell["id"], ""))
    return np.asarray(picture).copy()


def _blank(draw: PIL.ImageDraw.ImageDraw, spot: _Spot, tile: tuple[int, int], why: str) -> None:
    font = font_of(_TEXT)
    draw.rectangle((spot.x, spot.y, spot.x + tile[0] - 1, spot.y + tile[1] - 1), fill=_TILE)
    state = spot.cell["state"]
    told = why or (
        "" if state == "saved" else f"{state}: {spot.cell['why']}" if spot.cell.get("why") else state
    )
    ink = _QUIET if words.is_live(state) else _RED
    for n, line in enumerate(fitted(told, font, tile[0] - 2 * _GAP, max(1, (tile[1] - _GAP) // _LINE))):
        draw.text((spot.x + _GAP, spot.y + _GAP // 2 + n * _LINE), line, fill=ink, font=font)


class _Tile:
    """One clip, decoded as far as the clock has come."""

    def __init__(self, container: av.container.InputContainer, path: Path, size: tuple[int, int]) -> None:
        stream = video_stream(container, path)
        stream.codec_context.thread_count = (
            1  # hundreds of decoders with buffers of their own threads fill memory
        )
        self.fps = stream.average_rate or Fraction(24)
        scale = min(size[0] / stream.width, size[1] / stream.height)
        self.size = (_even(min(size[0], stream.width * scale)), _even(min(size[1], stream.height * scale)))
        self.offset = ((size[0] - self.size[0]) // 2, (size[1] - self.size[1]) // 2)
        self._frames = container.decode(stream)
        self._next = next(self._frames, None)
        if self._next is None:
            raise ClipError(f"{path} has no frame in it.")
        self._first = self._next.time or 0.0

    def at(self, seconds: float) -> np.ndarray | None:
        """The frame of that time; None where it is the one before. Times only go up."""
        import av

        latest = None
        while self._next is not None and (self._next.time or 0.0) - self._first <= seconds + 1e-6:
            latest = self._next
            try:
                self._next = next(self._frames, None)
            except av.FFmpegError:
                self._next = None  # damaged from here on: what was seen last is held
        if latest is None:
            return None
        width, height = self.size
        picture: np.ndarray = latest.reformat(width=width, height=height, format="rgb24").to_ndarray()
        return picture

    @property
    def ended(self) -> bool:
        """Whether its last frame was shown."""
        return self._next is None


@contextlib.contextmanager
def _tile(
    clips: ClipOf, cell: Mapping[str, Any], size: tuple[int, int], scratch: Path, n: int
) -> Iterator[_Tile | None]:
    """The cell's clip, open; None where the snapshot says that there is none.

    Raises:
        ClipError: The file is gone or cannot be read.
    """
    import av

    clip: Clip | None = clips(cell["id"]) if cell["state"] == "saved" else None
    if clip is None:
        yield None
        return
    path = clip.path
    if max(size) <= PROXY_SIDE:
        path = scratch / f"{n}.mp4"
        path.write_bytes(clip.proxy())
    try:
        container = av.open(str(path))
    except (OSError, av.FFmpegError) as error:
        raise ClipError(f"{clip.path} cannot be read ({error}).") from error
    with container:
        yield _Tile(container, clip.path, size)


def _encode(to: Path, canvas: np.ndarray, tiles: list[tuple[_Spot, _Tile | None]]) -> None:
    """Write frame after frame until the last clip has shown its last one."""
    import av

    playing = [(spot, tile) for spot, tile in tiles if tile is not None]
    fps = min(Fraction(_MOST_FPS), max((tile.fps for _, tile in playing), default=Fraction(24)))
    height, width = canvas.shape[:2]
    with av.open(str(to), "w", options={"movflags": "+faststart"}) as sink:
        sink.metadata["comment"] = MARK
        stream = sink.add_stream("libx264", rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "23", "preset": "veryfast", "g": str(max(1, int(fps)))}
        n = 0
        while True:
            for spot, tile in playing:
                picture = tile.at(float(n / fps))
                if picture is not None:
                    x, y = spot.x + tile.offset[0], spot.y + tile.offset[1]
                    canvas[y : y + tile.size[1], x : x + tile.size[0]] = picture
            frame = av.VideoFrame.from_ndarray(canvas, format="rgb24")
            frame.pts, frame.time_base = n, 1 / fps
            for packet in stream.encode(frame):
                sink.mux(packet)
            n += 1
            if all(tile.ended for _, tile in playing):
                break
        for packet in stream.encode(None):
            sink.mux(packet)
