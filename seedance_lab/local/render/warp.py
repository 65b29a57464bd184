"""From a coarse grid of points to a frame: the per-pixel half of the renderer.

Where each frame looks is worked out on a grid of 8 or 16 pixels in float64 and rounded to 1/128
pixel; OpenCV enlarges the grid and samples the planes. The grid has one cell to spare all around, so
that enlarging it never extrapolates.

Byte equality rests on three things: the rounding absorbs the last bit of numpy's trigonometry;
OpenCV's own `resize` and `remap` give the same bits on any number of threads; and Intel's IPP, which
does not, is off. `cv2.ipp.setUseIPP` holds for the calling thread only: hence `plain_opencv`, which
every thread that draws must call.
"""

import cv2
import numpy as np

from seedance_lab.local.render.planes import F32, F64, Planes, Still


def plain_opencv() -> None:
    """Turn IPP off in the calling thread; its results differ from machine to machine."""
    if hasattr(cv2, "ipp"):
        cv2.ipp.setUseIPP(False)


class Grid:
    """The grid of an output size: its points, and the way from points to pixels. For one thread at a time."""

    def __init__(self, width: int, height: int) -> None:
        """Cells of 8 pixels up to 300,000, 16 beyond: finer ones cost time and show nothing."""
        self.width, self.height = width, height
        self.cell = 8 if width * height <= 300_000 else 16
        cell = self.cell
        xs = (np.arange(width // cell + 2, dtype=np.float64) - 1) * cell + (cell - 1) / 2
        ys = (np.arange(height // cell + 2, dtype=np.float64) - 1) * cell + (cell - 1) / 2
        self.x: F64
        self.y: F64
        self.x, self.y = np.meshgrid(xs, ys)
        self._luma = _Maps(self.x.shape, cell, cell)
        self._pairs = _Maps(self.x.shape, cell // 4, cell // 2)
        self._full = np.empty((self.x.shape[0] * cell, self.x.shape[1] * cell), np.float32)

    def sample(self, still: Still, x: F64, y: F64, out: Planes) -> None:
        """Draw one frame.

        Args:
            still: What to look at.
            x: For every grid point, the column of the still seen there, in luma pixels.
            y: Likewise the row.
            out: Planes to write into.
        """
        maps = self._luma.fill(x * 2, y * 2)
        cv2.remap(still.y, *maps, cv2.INTER_LINEAR, dst=out.y, borderMode=cv2.BORDER_REFLECT_101)
        # The map says where the middle of a pair looks; `pairs` are found at their left pixel, half a one beside.
        maps = self._pairs.fill((x - 1.5) / 2, (y - 0.5) / 2)
        rows, cols = out.uv.shape[:2]
        uv = out.uv.reshape(rows, cols // 2, 4)  # the same memory
        cv2.remap(still.uv, *maps, cv2.INTER_LINEAR, dst=uv, borderMode=cv2.BORDER_REFLECT_101)

    def full(self, values: F32) -> F32:
        """Enlarge a map of the grid's shape to the frame's; valid until the next call."""
        cv2.resize(values, self._full.shape[::-1], dst=self._full, interpolation=cv2.INTER_LINEAR)
        return self._full[self.cell : -self.cell, self.cell : -self.cell]


class _Maps:
    """Per-pixel maps of one plane, in memory used again for every frame: fresh pages cost as much as the work."""

    def __init__(self, grid: tuple[int, ...], wide: int, high: int) -> None:
        """`wide` x `high` pixels a cell."""
        self._size = (grid[1] * wide, grid[0] * high)
        self._inner = (slice(high, -high), slice(wide, -wide))
        self._maps = tuple(np.empty(self._size[::-1], np.float32) for _ in range(2))

    def fill(self, x: F64, y: F64) -> tuple[F32, F32]:
        for values, into in zip((x, y), self._maps, strict=True):
            cv2.resize(values.astype(np.float32), self._size, dst=into, interpolation=cv2.INTER_LINEAR)
        return self._maps[0][self._inner], self._maps[1][self._inner]


def elastic(at: F64, middle: float, low: float, high: float) -> F64:
    """Keep coordinates within [low, high] along one axis by pressing the half that looks beyond.

    A still has nothing beyond its edges. Mirroring would show twins and stretching the last row would
    show streaks, so instead everything between the middle and an edge that is overstepped is pressed
    together smoothly, like a wide-angle lens does. Coordinates that stay inside are untouched, to the bit.

    Args:
        at: Coordinates of the grid's points, the apron included.
        middle: The coordinate where pressing begins.
        low: The first coordinate that shows something.
        high: The last one.
    """
    # The frame's border runs midway between the apron and the first points within.
    corners = (at[:-1, :-1] + at[1:, :-1] + at[:-1, 1:] + at[1:, 1:]) / 4
    for edge, way in ((high, 1.0), (low, -1.0)):
        reach = float(corners.max() if way > 0 else -corners.min())
        over = reach - edge * way
        if over > 1e-6:
            span = reach - middle * way
            beyond = np.maximum(0.0, (at - middle) * way)
            at = at - way * min(over, 0.45 * span) * (beyond / span) ** 2
    return at


def rounded(at: F64) -> F64:
    """To 1/128 pixel."""
    return np.round(at * 128) / 128
