"""Drawing on one thread, encoding on the caller's: both release the GIL, so the slower one sets the pace."""

import queue
import threading
from collections.abc import Callable, Generator

import av

from seedance_lab.local.render.encode import blank
from seedance_lab.local.render.planes import Planes
from seedance_lab.local.render.warp import plain_opencv

_AHEAD = 6  # frames that may wait for the encoder; more only cost memory


def drawn(
    draw: Callable[[int, Planes], None], *, frames: int, width: int, height: int
) -> Generator[av.VideoFrame, None, None]:
    """Yield `frames` frames in order, drawn ahead of the reader in a thread that ends with this generator.

    Raises:
        Exception: Whatever `draw` raised, at the frame where it did.
    """
    ready: queue.Queue[av.VideoFrame | Exception] = queue.Queue(_AHEAD)
    unwanted = threading.Event()

    def work() -> None:
        plain_opencv()
        try:
            for i in range(frames):
                if unwanted.is_set():
                    return
                frame, planes = blank(width, height)
                draw(i, planes)
                ready.put(frame)
        except Exception as error:  # noqa: BLE001  crosses to the reader's thread, where it is raised
            ready.put(error)

    thread = threading.Thread(target=work, name="seedance-lab-draw", daemon=True)
    thread.start()
    try:
        for _ in range(frames):
            frame = ready.get()
            if isinstance(frame, Exception):
                raise frame
            yield frame
    finally:
        unwanted.set()
        while thread.is_alive():  # free the drawer if it waits for room
            try:
                ready.get(timeout=0.01)
            except queue.Empty:
                thread.join(0.01)
