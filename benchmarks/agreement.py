"""How far our measures are from FFmpeg's filters, scikit-image and VBench's definition, on the same files.

    python benchmarks/agreement.py [--seconds 2] [--size 864x480]

The files: clips of the embedded engine as they are; one of them at three compressions, blurred, with noise, with
flicker, with a freeze, with a cut and black frames. Values are compared frame by frame where the reference gives
one a frame; frames without edges are left out of `blur`. `of` is the mean of the reference's values, `rank` is
Spearman's correlation over all values of all files.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from skimage.measure import blur_effect

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seedance_lab.local.render import Job, render  # noqa: E402
from seedance_lab.measuring import detail, similarity  # noqa: E402
from seedance_lab.measuring.spec import Bytes, Floats  # noqa: E402
from tests.measuring.films import grey, lumas, measured, write_planes  # noqa: E402  the tests' own films
from tests.measuring.reference import by_filter, column  # noqa: E402

PROMPTS = {
    "harbour_dusk.jpg": "slow push in, the boats drift",
    "street.jpg": "the camera pans right",
    "coffee.jpg": "static camera, steam rises",
}


class Beside(NamedTuple):
    """A measure of ours and its reference.

    Attributes:
        name: Ours.
        reference: Whose.
        ours, theirs: Values of one file, of the same length.
    """

    name: str
    reference: str
    ours: Callable[[Path], Floats]
    theirs: Callable[[Path], Floats]


def of_lumas(take: Callable[[Bytes], float | None]) -> Callable[[Path], Floats]:
    """Of every tenth frame; not a number where there is none."""
    return lambda path: np.array([take(luma) for luma in lumas(path)[::10]], np.float64)


def of_filter(
    name: str, key: str, options: str = "", step: int = 1, start: int = 0
) -> Callable[[Path], Floats]:
    """What FFmpeg's filter notes on every `step`th frame from `start` on."""
    return lambda path: column(path, name, key, options)[start::step]


def series(measure: str, of: str) -> Callable[[Path], Floats]:
    """Over time."""
    return lambda path: measured(path, measure).series[of][:, 1]


def value(measure: str) -> Callable[[Path], Floats]:
    """The one of the clip."""
    return lambda path: np.array([measured(path, measure).values[measure]])


def freezes(path: Path) -> Floats:
    """The longest span that freezedetect names, in seconds."""
    notes = by_filter(path, "freezedetect", "d=0.5")
    begun = [float(row["freeze_start"]) for row in notes if "freeze_start" in row]
    ended = [float(row["freeze_end"]) for row in notes if "freeze_end" in row]
    ended += [len(notes) / 24] * (len(begun) - len(ended))
    return np.array([max((b - a for a, b in zip(begun, ended, strict=True)), default=0.0)])


def blacks(path: Path) -> Floats:
    """The share of the frames in the spans that blackdetect names."""
    notes = by_filter(path, "blackdetect", "d=0")
    begun = [float(row["black_start"]) for row in notes if "black_start" in row]
    ended = [float(row["black_end"]) for row in notes if "black_end" in row]
    ended += [len(notes) / 24] * (len(begun) - len(ended))
    return np.array([sum(b - a for a, b in zip(begun, ended, strict=True)) * 24 / len(notes)])


def flickering(path: Path) -> Floats:
    """VBench's temporal flickering by hand: all frames by OpenCV's reader."""
    capture, before, changes = cv2.VideoCapture(str(path)), None, []
    while True:
        there, frame = capture.read()
        if not there:
            return np.array([(255 - np.mean(changes)) / 255])
        if before is not None:
            changes.append(np.abs(frame.astype(np.float32) - before).mean(dtype=np.float64))
        before = frame.astype(np.float32)


def neighbours_ssim(path: Path) -> Floats:
    """SSIM of neighbouring frames, ours."""
    films = lumas(path)[::10]
    return np.array([similarity.ssim(a, b) for a, b in itertools.pairwise(films)])


def skimage_ssim(path: Path) -> Floats:
    """The same by scikit-image."""
    from skimage.metrics import structural_similarity

    films = lumas(path)[::10]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return np.array([structural_similarity(a, b, **options) for a, b in itertools.pairwise(films)])


ALL = (
    Beside(
        "mean_luma",
        "signalstats YAVG",
        series("exposure_range", "mean_luma"),
        of_filter("signalstats", "YAVG"),
    ),
    Beside(
        "frame_difference",
        "signalstats YDIF",
        series("frame_difference", "frame_difference"),
        of_filter("signalstats", "YDIF", start=1),
    ),
    Beside(
        "temporal_information",
        "siti TI, mean",
        value("temporal_information"),
        lambda path: column(path, "siti", "ti")[1:].mean(keepdims=True),
    ),
    Beside(
        "spatial_information",
        "siti SI",
        of_lumas(detail.spatial_information),
        of_filter("siti", "si", step=10),
    ),
    Beside(
        "cut_score",
        "scdet score",
        series("cut_score", "cut_score"),
        of_filter("scdet", "score", "threshold=10", start=1),
    ),
    Beside("longest_freeze_s", "freezedetect d=0.5", value("longest_freeze_s"), freezes),
    Beside("black_share", "blackdetect d=0", value("black_share"), blacks),
    Beside("vb_temporal_flickering", "VBench by hand", value("vb_temporal_flickering"), flickering),
    Beside(
        "blur",
        "scikit-image blur_effect",
        of_lumas(detail.blur),
        of_lumas(lambda luma: float(blur_effect(luma))),
    ),
    Beside("blur", "blurdetect", of_lumas(detail.blur), of_filter("blurdetect", "blur", step=10)),
    Beside(
        "blockiness",
        "blockdetect, frame 0",
        lambda path: np.array([detail.blockiness(lumas(path)[0])], np.float64),
        lambda path: column(path, "blockdetect", "block")[:1],
    ),
    Beside("ssim", "scikit-image", neighbours_ssim, skimage_ssim),
)
OTHER_UNIT = {("blur", "blurdetect")}
"""Only the order can be compared."""


def films(folder: Path, width: int, height: int, seconds: int) -> list[Path]:
    """The files."""
    made = []
    for name, prompt in PROMPTS.items():
        job = Job(
            image=ROOT / "data" / name,
            end_image=None,
            prompt=prompt,
            width=width,
            height=height,
            ratio=width / height,
            seconds=seconds,
            seed=0,
            camera_fixed="static" in prompt,
        )
        made.append(folder / f"{Path(name).stem}.mp4")
        render(job, made[-1])
    plain, rng = lumas(made[0]), np.random.default_rng(0)

    def add(name: str, frames: Sequence[Bytes], crf: int = 10) -> None:
        made.append(write_planes(folder / f"{name}.mp4", map(grey, frames), crf=crf))

    for crf in (20, 32, 44):
        add(f"crf_{crf}", plain, crf)
    add("blurred", [np.asarray(cv2.GaussianBlur(y, (0, 0), 2), np.uint8) for y in plain])
    add("noise", [np.clip(y + rng.normal(0, 4, y.shape), 0, 255).astype(np.uint8) for y in plain])
    add(
        "flicker",
        [np.clip(y.astype(int) + 3 * (i % 2), 0, 255).astype(np.uint8) for i, y in enumerate(plain)],
    )
    add("freeze", [plain[min(i, 10) if i < 28 else i] for i in range(len(plain))])
    half = len(plain) // 2
    black = [np.full_like(plain[0], 16)] * 5
    add("cut_black", [*plain[: half - 5], *black, *[255 - y for y in plain[half:]]])
    return made


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--size", default="864x480")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        files = films(Path(folder), width, height, options.seconds)
        table = Table(title=f"{len(files)} files of {options.seconds} s at {options.size}")
        for name in ("measure", "reference", "values", "of", "max |Δ|", "mean |Δ|", "rank"):
            table.add_column(name, justify="left" if name in {"measure", "reference"} else "right")
        for row in ALL:
            ours = np.concatenate([row.ours(path) for path in files])
            theirs = np.concatenate([row.theirs(path) for path in files])
            there = np.isfinite(ours) & np.isfinite(theirs)
            ours, theirs = ours[there], theirs[there]
            apart = np.abs(ours - theirs)
            far = (
                ("", "")
                if (row.name, row.reference) in OTHER_UNIT
                else (f"{apart.max():.2g}", f"{apart.mean():.2g}")
            )
            rank = spearmanr(ours, theirs).statistic
            table.add_row(
                row.name, row.reference, f"{len(ours):,}", f"{theirs.mean():.3g}", *far, f"{rank:.4f}"
            )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
