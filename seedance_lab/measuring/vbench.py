"""Clips laid out as VBench reads them, and what it found read back. VBench itself needs a GPU, torch and its weights.

    exported = vbench.export(run.clips, "for-vbench")
    print(exported.commands[0])  # run it where VBench is installed
    found = vbench.load("for-vbench/16-9/results", "for-vbench")

One folder a ratio, because VBench-I2V takes one at a time:

    for-vbench/
      manifest.json               which file is which clip
      16-9/prompts.json           file name → prompt, for --prompt_file
      16-9/videos/<prompt>-0.mp4  hard links where the file system allows them, else copies
      16-9/images/<prompt>.jpg    the input picture, cropped and scaled as the service does it

Names and options are those of Vchitect/VBench, `evaluate.py` and `evaluate_i2v.py`, read at commit 6b1f134 and in its
I2V README. Not known, because it was not run here: whether VBench-I2V takes ratios other than the four that it names
(1-1, 8-5, 7-4, 16-9) when it is given pictures of one's own.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from seedance_lab.clip import Clip
from seedance_lab.endpoints import ratio_value
from seedance_lab.errors import MeasureError
from seedance_lab.local.render import fit
from seedance_lab.request import Request

DIMENSIONS = (
    "subject_consistency",
    "background_consistency",
    "temporal_flickering",
    "motion_smoothness",
    "dynamic_degree",
    "aesthetic_quality",
    "imaging_quality",
)
"""VBench's dimensions that take any clip. The others need its own prompts, or what its prompts are known to show."""

I2V_DIMENSIONS = ("i2v_subject", "i2v_background", "camera_motion")
"""VBench-I2V's own. `camera_motion` needs a prompt with one of its seven phrases, such as `camera pans left`."""

_MANIFEST = "manifest.json"
_LAYOUT = 1
_RESULTS = "*_eval_results.json"
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f/\\:*?"<>|]+')
_MOST_BYTES = 200  # of a name: 255 is what file systems take
_NAMED = 3


class Exported(NamedTuple):
    """Where the clips were laid out.

    Attributes:
        folder: The whole.
        n_clips: How many.
        commands: What to type in VBench's folder, one line a ratio and program.
    """

    folder: Path
    n_clips: int
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What VBench found.

    Attributes:
        values: By clip (its key, or its file where no study made it), then by dimension with `vbench_` before it; as
            they stand in the file, `True` as 1.
        scores: VBench's own mean of each dimension, likewise.
        unknown: Files that are in the results and not in the manifest.
        unusable: How many results were no number, by dimension.
    """

    values: Mapping[str, Mapping[str, float]]
    scores: Mapping[str, float]
    unknown: tuple[str, ...]
    unusable: Mapping[str, int]

    def __str__(self) -> str:
        told = f"{len(self.values)} clips, {len(self.scores)} dimensions"
        if self.unknown:
            named = ", ".join(self.unknown[:_NAMED]) + (", …" if len(self.unknown) > _NAMED else "")
            told += f"; {len(self.unknown)} files are not in the manifest: {named}"
        if self.unusable:
            told += f"; {sum(self.unusable.values())} results are no number ({', '.join(self.unusable)})"
        return told


def export(clips: Iterable[Clip], folder: str | os.PathLike[str]) -> Exported:
    """Lay clips out as VBench reads them.

    Args:
        clips: Such as a study's. One that no study made is taken without a prompt and a picture.
        folder: New or empty: VBench takes every video that it finds.

    Raises:
        MeasureError: There is no clip, a file is gone, or the folder is not empty.
        ImageError: An input picture is gone or has changed.
    """
    root, listed = Path(folder), list(clips)
    if not listed:
        raise MeasureError("There is no clip to lay out. Run study.run(plan) first.")
    if gone := [clip.path for clip in listed if not clip.path.is_file()]:
        raise MeasureError(
            f"{len(gone)} of {len(listed)} clips are not there: {gone[0]}{', …' if len(gone) > 1 else ''}. Fetch "
            "them with study.run(plan), or leave them out."
        )
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise MeasureError(
            f"{root} is not an empty folder, and VBench takes every video in it. Name another."
        )
    names = _Names()
    rows = [_laid_out(clip, root, names) for clip in listed]
    for ratio in dict.fromkeys(row["ratio"] for row in rows):
        prompts = {Path(row["file"]).name: row["prompt"] for row in rows if row["ratio"] == ratio}
        _write(root / ratio / "prompts.json", prompts)
    _write(root / _MANIFEST, {"layout": _LAYOUT, "clips": rows})
    return Exported(root, len(rows), tuple(_commands(root, rows)))


def load(results: str | os.PathLike[str], folder: str | os.PathLike[str]) -> Loaded:
    """Read what VBench found about clips that were laid out by `export`.

    Args:
        results: VBench's `<name>_eval_results.json`, or a folder with such files in it, at any depth.
        folder: Where the clips were laid out. VBench may have run elsewhere, under another path.

    Raises:
        MeasureError: A file is not there, or is not of that kind.
    """
    known = _known(Path(folder))
    values: dict[str, dict[str, float]] = {}
    scores: dict[str, float] = {}
    unknown: dict[str, None] = {}
    unusable: Counter[str] = Counter()
    for file in _result_files(Path(results)):
        for dimension, (score, clips) in _results(file).items():
            name = f"vbench_{dimension}"
            if (mean := _number(score)) is not None:
                scores[name] = mean
            for entry in clips:
                path = str(entry.get("video_path", ""))
                clip = _found(path, known)
                if clip is None:
                    unknown[path] = None
                elif (value := _number(entry.get("video_results"))) is None:
                    unusable[dimension] += 1
                else:
                    values.setdefault(clip, {})[name] = value
    return Loaded(values=values, scores=scores, unknown=tuple(unknown), unusable=dict(unusable))


# ── laying out ──────────────────────────────────────────────────────────────────────────────────────────


class _Names:
    """Names that VBench understands: `<prompt>-<index>`, one prompt for one picture."""

    def __init__(self) -> None:
        self._stems: dict[tuple[str, str, str | None], str] = {}
        self._taken: Counter[tuple[str, str]] = Counter()

    def stem(self, ratio: str, prompt: str, picture: str | None) -> str:
        """The prompt as a file name; the same for all clips of one prompt and picture, and for no others."""
        if (found := self._stems.get((ratio, prompt, picture))) is not None:
            return found
        plain = _NOT_IN_NAMES.sub(" ", prompt).strip(" .") or "clip"
        plain = plain.encode()[:_MOST_BYTES].decode(errors="ignore").strip(" .")
        used = {stem.casefold() for (other, _, _), stem in self._stems.items() if other == ratio}
        stem, n = plain, 1
        while stem.casefold() in used:  # some file systems do not tell a from A
            n += 1
            stem = f"{plain} ({n})"
        self._stems[ratio, prompt, picture] = stem
        return stem

    def index(self, ratio: str, stem: str) -> int:
        """0, 1, … for the clips of one name."""
        self._taken[ratio, stem] += 1
        return self._taken[ratio, stem] - 1


def _laid_out(clip: Clip, root: Path, names: _Names) -> dict[str, Any]:
    request = clip.request
    ratio = _ratio(request)
    picture = request.image if request else None
    prompt = request.prompt if request else ""
    stem = names.stem(ratio, prompt, picture.sha256 if picture else None)
    file = root / ratio / "videos" / f"{stem}-{names.index(ratio, stem)}.mp4"
    file.parent.mkdir(parents=True, exist_ok=True)
    _link(clip.path, file)
    image: Path | None = None
    if request is not None and picture is not None:
        image = root / ratio / "images" / f"{stem}.jpg"
        if not image.exists():
            image.parent.mkdir(parents=True, exist_ok=True)
            _cropped(request).save(image, "JPEG", quality=95)
    return {
        "file": file.relative_to(root).as_posix(),
        "key": clip.key,
        "source": str(clip.path.absolute()),
        "prompt": prompt,
        "seed": clip.seed,
        "ratio": ratio,
        "image": image.relative_to(root).as_posix() if image else None,
    }


def _ratio(request: Request | None) -> str:
    """As VBench writes it: `16-9`."""
    if request is None:
        return "unknown"
    return request.endpoint.ratio(
        request.aspect_ratio, request.image.size if request.image else None
    ).replace(":", "-")


def _cropped(request: Request) -> Image.Image:
    """The input picture as the service crops and scales it."""
    assert request.image is not None
    picture = fit.load(io.BytesIO(request.image.read()))
    ratio = ratio_value(request.endpoint.ratio(request.aspect_ratio, request.image.size))
    canvas = fit.fit(picture, request.size.width, request.size.height, ratio)
    inner = canvas.rgb[canvas.top : canvas.top + canvas.height, canvas.left : canvas.left + canvas.width]
    return Image.fromarray(inner)


def _link(source: Path, to: Path) -> None:
    try:
        os.link(source, to)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, to)


def _commands(root: Path, rows: list[dict[str, Any]]) -> Iterator[str]:
    for ratio in dict.fromkeys(row["ratio"] for row in rows):
        here = root.absolute() / ratio
        videos, results, prompts, images = (
            shlex.quote(str(here / name)) for name in ("videos", "results", "prompts.json", "images")
        )
        shared = f"--videos_path {videos} --output_path {results} --mode=custom_input"
        yield f"python evaluate.py {shared} --prompt_file {prompts} --dimension {' '.join(DIMENSIONS)}"
        if all(row["image"] for row in rows if row["ratio"] == ratio):
            yield (
                f"python evaluate_i2v.py {shared} --custom_image_folder {images} --ratio {ratio} "
                f"--dimension {' '.join(I2V_DIMENSIONS)}"
            )


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


# ── reading back ────────────────────────────────────────────────────────────────────────────────────────


def _known(folder: Path) -> dict[str, str]:
    """File as laid out → the clip's key, or its own file."""
    path = folder / _MANIFEST
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["clips"]
        return {row["file"]: row["key"] or row["source"] for row in rows}
    except OSError as error:
        raise MeasureError(
            f"{path} cannot be read ({error.strerror}). Name the folder that vbench.export(clips, folder) made."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise MeasureError(f"{path} is not the manifest that vbench.export(clips, folder) wrote.") from error


def _result_files(results: Path) -> list[Path]:
    if not results.is_dir():
        return [results]
    if found := sorted(results.rglob(_RESULTS)):
        return found
    raise MeasureError(f"There is no {_RESULTS} in {results}. Name the file, or VBench's --output_path.")


def _results(file: Path) -> dict[str, tuple[Any, list[dict[str, Any]]]]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise MeasureError(f"{file} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise MeasureError(
            f"{file} is not JSON ({error}). Name VBench's <name>_eval_results.json."
        ) from error
    if not isinstance(read, dict):
        raise MeasureError(_other_kind(file, "it holds no dimensions"))
    for dimension, found in read.items():
        if not (
            isinstance(found, list) and len(found) > 1 and isinstance(found[1], list)
            and all(isinstance(entry, dict) for entry in found[1])
        ):  # fmt: skip
            raise MeasureError(_other_kind(file, f"{dimension!r} is not [score, [results of clips]]"))
    return {dimension: (found[0], found[1]) for dimension, found in read.items()}


def _other_kind(file: Path, why: str) -> str:
    return f"{file} is not a results file of VBench: {why}. Name its <name>_eval_results.json."


def _found(path: str, known: Mapping[str, str]) -> str | None:
    """The clip of a file, by the end of its path: VBench may have run where the folder has another name."""
    parts = path.replace("\\", "/").split("/")
    if (clip := known.get("/".join(parts[-3:]))) is not None:
        return clip
    named = [clip for file, clip in known.items() if file.rsplit("/", 1)[-1] == parts[-1]]
    return named[0] if len(named) == 1 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    return None
