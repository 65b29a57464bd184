"""Studies that nobody ran: journals and tiny clips, made in the shapes that the runner writes."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL.Image

from seedance_lab import media
from seedance_lab.clip import file_name
from seedance_lab.journal import Journal
from seedance_lab.plan import Plan
from seedance_lab.request import Request
from seedance_lab.study import Study


def make_picture(width: int = 640, height: int = 360, shade: int = 0) -> bytes:
    """A JPEG with some structure in it."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    pixels = np.stack([x, y, np.full_like(x, shade)], axis=-1).astype(np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, format="JPEG", quality=85)
    return out.getvalue()


def make_clip(path: Path, *, width: int = 320, height: int = 192, seconds: float = 1.0, hue: int = 0) -> None:
    """A small H.264 file in which a bright square crosses a coloured ground."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        n = round(seconds * 24)
        for i in range(n):
            frame = np.zeros((height, width, 3), np.uint8)
            frame[:] = (60 + hue * 40 % 180, 90, 200 - hue * 30 % 150)
            left = i * (width - 40) // max(1, n - 1)
            frame[height // 2 - 20 : height // 2 + 20, left : left + 40] = (250, 240, 200)
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                sink.mux(packet)
        for packet in stream.encode(None):
            sink.mux(packet)


def write_study(
    folder: Path, plan: Plan, fates: Iterable[str] = (), *, make: Callable[..., None] = make_clip
) -> Study:
    """A study folder in which the plan was run.

    Args:
        folder: A new folder.
        plan: What was asked for.
        fates: For each request `saved` (the default), `refused`, `failed`, `unknown`, `accepted`, `gone`
            (saved, the file deleted since), `broken` (saved, the file damaged since) or `never`.
        make: Makes a clip's file; it is called as `make_clip` is.
    """
    fates = [*fates, *["saved"] * len(plan)][: len(plan)]
    with Journal(folder) as journal:
        journal.append("study", version=1, engine="local")
        journal.append("run", run="r1", n_requests=len(plan), engine_id="x", budget_usd=None, version="0")
        (folder / "inputs").mkdir(exist_ok=True)
        for n, (request, fate) in enumerate(zip(plan, fates, strict=True)):
            for picture in (request.image, request.end_image):
                if picture is not None:
                    (folder / "inputs" / picture.sha256).write_bytes(picture.read())
            if fate != "never":
                _tell(journal, folder, request, fate, n, make)
        journal.append("ended", run="r1", why=None)
    return Study(folder, track=False)


def _tell(
    journal: Journal, folder: Path, request: Request, fate: str, n: int, make: Callable[..., None]
) -> None:
    key = request.key
    wire = request.wire("http://local/cdn/a.jpg", "http://local/cdn/b.jpg")
    journal.append("sending", key, run="r1", request=request.record(), wire=wire, usd=request.usd)
    if fate == "refused":
        journal.append("refused", key, run="r1", error="duration: not today", http_status=422)
        return
    if fate == "unknown":
        journal.append("unknown", key, run="r1", error="the connection broke before the answer")
        return
    journal.append("accepted", key, run="r1", request_id=f"id-{n}", urls={})
    if fate == "accepted":
        return
    if fate == "failed":
        why = "The prompt was flagged by the content checker"
        kind = "content_policy_violation"
        journal.append("failed", key, run="r1", error=why, error_type=kind, http_status=422, metrics={})
        return
    seed = request.seed if request.seed is not None else 4000 + n
    result = {"video": {"url": f"http://local/cdn/{n}.mp4"}, "seed": seed}
    journal.append("finished", key, run="r1", result=result, metrics={"inference_time": 1.5})
    path = folder / "clips" / file_name(key)
    width, height = request.size.width // 4 * 2, request.size.height // 4 * 2
    make(path, width=width, height=height, hue=n)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    facts = media.facts(path)._asdict()
    journal.append("saved", key, run="r1", file=f"clips/{path.name}", sha256=digest, download_s=0.1, **facts)
    if fate == "gone":
        path.unlink()
    if fate == "broken":
        path.write_bytes(b"not a video at all")


def wait_until(true: Any, seconds: float = 20.0) -> None:
    """Wait for something that happens in another thread; fail when it does not."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not happen within {seconds} s")
        time.sleep(0.02)
