"""VMAF of a clip against a reference, by an FFmpeg that has libvmaf.

It predicts how people would rate a clip beside its reference at the distance of a television: for another encoding or
another size of one film, or two runs of one seed. Of clips that move differently it says nothing.

FFmpeg is run as a program: PyAV's wheels have no libvmaf. `imageio-ffmpeg`'s binary has it, its models built in.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from seedance_lab.clip import Clip
from seedance_lab.errors import MeasureError
from seedance_lab.measuring import decode
from seedance_lab.measuring.spec import Floats

Model: TypeAlias = Literal["vmaf_v0.6.1", "vmaf_v0.6.1neg", "vmaf_4k_v0.6.1"]
"""Built into libvmaf; `neg` does not reward sharpening."""

_EXTRA = "pip install 'seedance-lab[vmaf]'"
_LOG = "vmaf.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vmaf:
    """VMAF over the frames of a clip, each 0 to 100; 6 is about one just noticeable difference.

    Attributes:
        mean: Mean of the frames.
        harmonic_mean: Which bad frames pull down.
        worst: The least.
        n_frames: Frames that were compared: those that both clips have.
        model: By which model.
        version: Of libvmaf.
        frames: Shape (n_frames,): each frame's.
    """

    mean: float
    harmonic_mean: float
    worst: float
    n_frames: int
    model: str
    version: str
    frames: Floats = field(repr=False, compare=False)


def score(
    clip: Clip | str | os.PathLike[str],
    reference: Clip | str | os.PathLike[str],
    *,
    model: Model = "vmaf_v0.6.1",
    threads: int = 2,
) -> Vmaf:
    """VMAF of a clip, held against a reference: 0 (bad) to 100 (the same to the eye).

    Frames of one time are compared, over the length that both have. A clip of another size is scaled to the
    reference's, bicubic.

    Args:
        clip: What is judged.
        reference: What it is held against.
        model: Of libvmaf.
        threads: How many libvmaf may use.

    Raises:
        ClipError: One of the two is no video that can be read.
        MeasureError: There is no FFmpeg with libvmaf, or it failed.

    Source: Netflix's libvmaf, as FFmpeg's filter `libvmaf` runs it.
    """
    program = ffmpeg()
    paths = [(c.path if isinstance(c, Clip) else Path(c)).absolute() for c in (clip, reference)]
    videos = []
    for path in paths:
        with decode.opened(path) as reader:
            videos.append(reader.video)
    size = f"scale={videos[1].width}:{videos[1].height}:flags=bicubic"
    # Each clip begins at 0, in the same unit of time; the nearest frames are compared, and nothing after an end.
    same_time = "settb=AVTB,setpts=PTS-STARTPTS,format=yuv420p"
    compare = (
        f"libvmaf=model=version={model}:n_threads={threads}:log_fmt=json:log_path={_LOG}"
        ":shortest=1:eof_action=endall:ts_sync_mode=nearest"
    )
    graph = f"[0:v:0]{size},{same_time}[a];[1:v:0]{same_time}[b];[a][b]{compare}"
    with tempfile.TemporaryDirectory(
        prefix="seedance-lab-vmaf-"
    ) as folder:  # the filter cannot quote every path
        inputs = [part for path in paths for part in ("-i", f"file:{path}")]
        command = [program, "-nostdin", "-v", "error", "-xerror", *inputs, "-lavfi", graph, "-f", "null", "-"]
        done = _run(command, folder)
        log = Path(folder) / _LOG
        if done.returncode or not log.is_file():
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise MeasureError(f"FFmpeg could not compare {paths[0]} with {paths[1]}: {said}")
        found = json.loads(log.read_text())
    frames = np.array([frame["metrics"]["vmaf"] for frame in found["frames"]], np.float64)
    if not frames.size:
        raise MeasureError(f"{paths[0]} and {paths[1]} have no frame of the same time.")
    pooled = found["pooled_metrics"]["vmaf"]
    return Vmaf(
        mean=pooled["mean"],
        harmonic_mean=pooled["harmonic_mean"],
        worst=pooled["min"],
        n_frames=len(frames),
        model=model,
        version=str(found.get("version", "")),
        frames=frames,
    )


def ffmpeg() -> str:
    """An FFmpeg that has libvmaf: `imageio-ffmpeg`'s, else the one on the PATH.

    Raises:
        MeasureError: There is none.
    """
    looked = [program for program in (_bundled(), shutil.which("ffmpeg")) if program]
    for program in looked:
        if _has_vmaf(program):
            return program
    without = f" {', '.join(looked)} {'has' if len(looked) == 1 else 'have'} no libvmaf." if looked else ""
    raise MeasureError(
        f"VMAF needs an FFmpeg with libvmaf, and there is none.{without} Install one: {_EXTRA}"
    )


def _bundled() -> str | None:
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # it has no binary for every machine
        return None


@functools.cache
def _has_vmaf(program: str) -> bool:
    command = [program, "-hide_banner", "-filters"]
    try:
        done = _run(command)
    except OSError:
        return False
    return any(line.split()[1:2] == ["libvmaf"] for line in done.stdout.splitlines())


def _run(command: list[str], folder: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a program that the user installed, without a shell
        command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
