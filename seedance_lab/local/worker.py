"""A process that draws: one JSON job a line on stdin, JSON lines about it on stdout.

    in    {"id": "a1", "out": "/…/a1.mp4", "image": "/…/x.jpg" or null, "end_image": …, "prompt": "…",
           "width": 864, "height": 480, "ratio": 1.778, "seconds": 5, "seed": 7, "camera_fixed": false}
    out   {"id": "a1", "progress": 0.42}                             at most 4 a second
          {"id": "a1", "done": {"frames": 120, "size_bytes": 1234567, "seconds": 0.51}}
       or {"id": "a1", "error": "The picture …", "kind": "image_load_error" or "internal"}

Jobs are drawn one at a time in the order they came. A process of its own, because FFmpeg and OpenCV
may take it down with them, because drawing must not slow the server's event loop, and because
importing them takes longer than the server's whole start. It ends when stdin does: that is how it
learns that its parent died, in the middle of a clip too. Ctrl-C belongs to the parent.
"""

import json
import os
import queue
import signal
import threading
import time
from pathlib import Path
from typing import IO, Any

from seedance_lab.local import render

_PROGRESS_EVERY_S = 0.25
_FAREWELL_S = 0.5  # what an interrupted clip gets for removing its unfinished file


class _ParentGone(BaseException):
    """Raised through a clip in the making; not an Exception, so that nothing takes it for a failed job."""


class _Wire:
    """The two ends of the conversation, out of reach of libraries that print."""

    def __init__(self) -> None:
        """Keep stdout for the protocol and point descriptor 1 at stderr for everybody else."""
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
        os.dup2(2, 1)
        self._in: IO[bytes] = os.fdopen(os.dup(0), "rb")
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self.jobs: queue.Queue[bytes | None] = queue.Queue()
        self.gone = threading.Event()
        threading.Thread(target=self._listen, name="stdin", daemon=True).start()

    def _listen(self) -> None:
        for line in self._in:
            if line.strip():
                self.jobs.put(line)
        self.gone.set()
        self.jobs.put(None)
        # The main thread may be deep in a library call; it gets half a second to tidy up.
        time.sleep(_FAREWELL_S)
        os._exit(0)

    def say(self, message: dict[str, Any]) -> None:
        """Write one line; a reader that is gone is the same as a closed stdin."""
        try:
            self._out.write(json.dumps(message, ensure_ascii=False) + "\n")
            self._out.flush()
        except OSError as error:
            raise _ParentGone from error


def main() -> None:
    """Serve until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wire = _Wire()
    try:
        while not wire.gone.is_set():
            line = wire.jobs.get()
            if line is None:
                break
            _serve(line, wire)
    except _ParentGone:
        pass
    os._exit(0)  # no interpreter shutdown: threads of FFmpeg and OpenCV may hold it up


def _serve(line: bytes, wire: _Wire) -> None:
    name: Any = None
    try:
        fields = json.loads(line)
        name = fields.pop("id")
        out = Path(fields.pop("out"))
        wire.say(_draw(name, out, fields, wire))
    except Exception as error:  # noqa: BLE001  # whatever goes wrong with one job, the next one is served
        kind = "image_load_error" if type(error).__name__ == "PictureError" else "internal"
        text = str(error) if kind == "image_load_error" else f"{type(error).__name__}: {error}"
        wire.say({"id": name, "error": text, "kind": kind})


def _draw(name: str, out: Path, fields: dict[str, Any], wire: _Wire) -> dict[str, Any]:
    # Loaded with the first job and not before: see the module's docstring.
    import cv2

    cv2.setNumThreads(1)  # x264 has two threads already and machines are small
    for key in ("image", "end_image"):
        fields[key] = None if fields.get(key) is None else Path(fields[key])
    started = time.monotonic()
    said = started

    def progress(share: float) -> None:
        nonlocal said
        if wire.gone.is_set():
            raise _ParentGone
        now = time.monotonic()
        if now - said >= _PROGRESS_EVERY_S:
            said = now
            wire.say({"id": name, "progress": round(share, 3)})

    result = render.render(render.Job(**fields), out, progress=progress)
    seconds = round(time.monotonic() - started, 3)
    return {
        "id": name,
        "done": {"frames": result.frames, "size_bytes": result.size_bytes, "seconds": seconds},
    }


if __name__ == "__main__":
    main()
