"""Drawing on one thread, encoding on the caller's: both release the GIL, so the slower one sets the pace."""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator

import av

from seedance_lab.local.render.encode import blank
from seedance_lab.local.render.planes import Planes
from seedance_lab.local.render.warp import plain_opencv

_AHEAD = 6  # frames that may wait for the encoder; more only cost memory


@contextlib.contextmanager
def drawn(
    prepare: Callable[[], Callable[[int, Planes], None]], *, frames: int, width: int, height: int
) -> Generator[Iterator[av.VideoFrame], None, None]:
    """`frames` frames in order, drawn ahead of the reader in a thread that ends with the context.

    The thread starts at once, and begins with `prepare`, which gives what writes frame i into planes.
    The iterator raises whatever `prepare` or drawing raised, at the frame where it did.
    """
    ready: queue.Queue[av.VideoFrame | Exception] = queue.Queue(_AHEAD)
    unwanted = threading.Event()

    def work() -> None:
        plain_opencv()
        try:
            draw = prepare()
            for i in range(frames):
                if unwanted.is_set():
                    return
                frame, planes = blank(width, height)
                draw(i, planes)
                ready.put(frame)
        except Exception as error:  # noqa: BLE001  # crosses to the reader's thread, where it is raised
            ready.put(error)

    thread = threading.Thread(target=work, name="seedance-lab-draw", daemon=True)
    thread.start()
    try:
        yield _read(ready, frames)
    finally:
        unwanted.set()
        while thread.is_alive():  # free the drawer if it waits for room
            try:
                ready.get(timeout=0.01)
            except queue.Empty:
                thread.join(0.01)


def _read(ready: queue.Queue[av.VideoFrame | Exception], count: int) -> Iterator[av.VideoFrame]:
    for _ in range(count):
        frame = ready.get()
        if isinstance(frame, Exception):
            raise frame
        yield frame
