"""Pages of the views' scripts in Chromium without a notebook around them, and clips to put into them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
from playwright.sync_api import Browser, BrowserContext, Page, Route

JS = Path(__file__).parents[2] / "seedance_lab" / "view" / "js"
HOST = "http://lab.test"


class Pages:
    """Opens pages, and keeps what they complained of.

    Attributes:
        complaints: Errors that nobody caught.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def new(
        self,
        size: tuple[int, int] = (1280, 720),
        *,
        dark: bool = False,
        still: bool = False,
        patience_s: int = 15,
    ) -> Page:
        """An empty page."""
        context = self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * patience_s)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def served(self, html: Path, files: Path, **asked: Any) -> Page:
        """A page that imports the scripts as modules, and has the files of a folder beside it."""

        def answer(route: Route) -> None:
            path = route.request.url.removeprefix(HOST)
            if path == "/":
                return route.fulfill(path=html)
            file = (JS if path.startswith("/js/") else files) / Path(path).name
            return route.fulfill(path=file) if file.is_file() else route.fulfill(status=404, body="")

        page = self.new(**asked)
        page.route(f"{HOST}/**", answer)
        page.goto(f"{HOST}/")
        page.wait_for_function("() => window.ready")
        return page

    def close(self) -> None:
        """All of them."""
        for context in self._contexts:
            context.close()


def write_frames(path: Path, images: Iterable[np.ndarray[Any, Any]], *, fps: int, crf: int) -> None:
    """A clip of pictures, each of shape (height, width, 3), uint8; a keyframe each second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": str(crf), "g": str(fps)})
        stream.pix_fmt = "yuv420p"
        for n, image in enumerate(images):
            if n == 0:
                stream.height, stream.width = image.shape[:2]
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def draw_number(image: np.ndarray[Any, Any], n: int, bits: int) -> None:
    """A frame's number as blocks of light and dark of 20 px along the top."""
    for bit in range(bits):
        image[:20, 20 * bit : 20 * bit + 20] = 255 * (n >> (bits - 1 - bit) & 1)
