"""How many videos play in step in Chromium: our clock beside bare `<video>` elements in the same page.

    python benchmarks/playing.py [--seconds 12] [--rounds 3] [--check]

64 small copies, 9 small copies, and 9 and 64 full 480p clips, of 5 s and 24 frames a second, made by the embedded
engine and held by the page as blobs, as the grid does. Ours and bare take turns, and the figures are medians over the
rounds: a shared machine is not the same from minute to minute.

shown: frames that a video presented in a second of the wall's clock; median of the videos. speed: seconds of the clip
in a second. Both within the rounds of a clip, from its first frame to its last. loop ms: how long the way from the
last frame to the second takes beyond its time. p50, p95: how many frames the videos are apart, looked at every 20 ms,
loops included. slowed: share of the time in which the clock said so. task ms: the page's longest task over 50 ms.
scrub ms: from asking for a moment, while paused, to its frame in all cells; drag ms: the same after a second of
dragging. numbers: how many frame numbers are seen after a pause, at worst. With `--check` the exit code is 1 when a
target is missed.
"""

from __future__ import annotations

import argparse
import http.server
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from seedance_lab.local.render import FPS, Job, render
from seedance_lab.local.render.warp import plain_opencv
from seedance_lab.media import proxy

HERE = Path(__file__).resolve().parent
JS = HERE.parent / "seedance_lab" / "view" / "js"
PICTURE = HERE.parent / "seedance_lab" / "pictures" / "harbour.jpg"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS, DIFFERENT = 5, 8
FACTS = {"fps": FPS, "frames": FPS * SECONDS, "seconds": SECONDS}
CASES = ((64, "proxy"), (9, "proxy"), (9, "full"), (64, "full"))
TYPES = {".js": "text/javascript", ".html": "text/html", ".mp4": "video/mp4"}


def make_clips(folder: Path) -> None:
    """Eight clips as the engine delivers them, and their small copies."""
    plain_opencv()
    for seed in range(DIFFERENT):
        job = Job(image=PICTURE, end_image=None, prompt="slow push in, the boats drift", width=864, height=480,
                  ratio=16 / 9, seconds=SECONDS, seed=seed, camera_fixed=False)  # fmt: skip
        render(job, folder / f"full-{seed}.mp4")
        proxy(folder / f"full-{seed}.mp4", folder / f"proxy-{seed}.mp4")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The page, its scripts and the clips on the loopback; the address of the page."""

    class Files(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = Path(self.path).name or "playing.html"
            places = (HERE / name, JS / name, folder / name)
            file = next((place for place in places if place.suffix in TYPES and place.is_file()), None)
            body = file.read_bytes() if file else b""
            self.send_response(200 if file else 404)
            self.send_header("Content-Type", TYPES.get(Path(name).suffix, "text/plain"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def measure(page: Page, n: int, kind: str, ours: bool, seconds: float) -> dict[str, float]:
    """One turn of one of the two."""
    urls = [f"/{kind}-{seed}.mp4" for seed in range(DIFFERENT)]
    page.evaluate("how => bench.open(how)", {"urls": urls, "n": n, "ours": ours, "facts": FACTS})
    found: dict[str, Any] = page.evaluate("seconds => bench.play(seconds)", seconds)
    if n <= 9:
        found["scrub"] = statistics.median(page.evaluate("bench.scrub(20)"))
        found["drag"] = statistics.median(page.evaluate("bench.drag(3)"))
    found["numbers"] = max(page.evaluate("bench.pauses(3)"))
    return found


def misses(ours: dict[str, float], bare: dict[str, float], n: int, kind: str) -> list[str]:
    """Which targets of the case were not reached, in words."""
    wrong = []
    if (n, kind) == (64, "proxy"):
        in_step = ours["fps"] >= FPS - 0.5 and 0.98 <= ours["speed"] <= 1.02 and ours["p95"] <= 2
        if not in_step and not ours["slowed"]:
            wrong.append(f"{ours['fps']:.1f} shown a second at {ours['speed']:.2f}×, p95 {ours['p95']:.0f}")
    if (n, kind) == (9, "full") and ours["fps"] < 0.9 * bare["fps"]:
        wrong.append(f"{ours['fps']:.1f} shown frames a second, bare {bare['fps']:.1f}")
    if (n, kind) == (9, "proxy") and ours["scrub"] >= 100:
        wrong.append(f"{ours['scrub']:.0f} ms from scrub to frame")
    if ours["numbers"] > 1:
        wrong.append(f"{ours['numbers']:.0f} frame numbers after a pause")
    return [f"{n} {kind}: {line}" for line in wrong]


def main() -> int:
    """Make the clips, measure in turn, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=12.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default="", help="such as 64-proxy,9-full; all unless told")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a target is missed")
    args = parser.parse_args()
    table = Table(title="Chromium, headless; our clock and bare <video> elements")
    for title in ("clips", "by", "shown", "slowest", "speed", "loop ms", "p50", "p95", "slowed", "task ms",
                  "scrub ms", "drag ms", "numbers"):  # fmt: skip
        table.add_column(title, justify="right")
    wrong = []
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        make_clips(Path(name))
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=["--no-sandbox", "--disable-gpu"]
        )
        with served(Path(name)) as url:
            for n, kind in CASES:
                if args.cases and f"{n}-{kind}" not in args.cases.split(","):
                    continue
                turns: dict[bool, list[dict[str, float]]] = {True: [], False: []}
                for _ in range(args.rounds):
                    for ours in (True, False):
                        page = chromium.new_page(viewport={"width": 1400, "height": 900})
                        page.goto(url)
                        page.wait_for_function("() => window.ready")
                        turns[ours].append(measure(page, n, kind, ours, args.seconds))
                        found = {key: round(value, 2) for key, value in turns[ours][-1].items()}
                        print(n, kind, "clock" if ours else "bare", found, file=sys.stderr, flush=True)
                        page.close()
                middle = {
                    ours: {key: statistics.median(one[key] for one in all_) for key in all_[0]}
                    for ours, all_ in turns.items()
                }
                for ours, found in middle.items():
                    table.add_row(
                        f"{n} {kind}", "clock" if ours else "bare", f"{found['fps']:.1f}", f"{found['slowest']:.1f}",
                        f"{found['speed']:.3f}", f"{found['gap']:.0f}", f"{found['p50']:.0f}", f"{found['p95']:.0f}",
                        f"{found['slowed']:.2f}", f"{found['longest']:.0f}",
                        *(f"{found[key]:.0f}" if key in found else "" for key in ("scrub", "drag")),
                        f"{found['numbers']:.0f}",
                    )  # fmt: skip
                wrong += misses(middle[True], middle[False], n, kind)
        chromium.close()
    Console(width=130).print(table)
    for line in wrong:
        print(f"Missed: {line}")
    return 1 if args.check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
