"""Clips laid out as VBench reads them, and its results read back: held against VBench's own rules, written out here."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from seedance_lab.clip import Clip
from seedance_lab.errors import MeasureError
from seedance_lab.measuring import vbench
from seedance_lab.request import Request
from tests.measuring.films import texture, write

PAN = "A harbour at dawn, camera pans left"


def picture(folder: Path, seed: int = 0, size: tuple[int, int] = (640, 360)) -> Path:
    path = folder / f"{seed}.png"
    Image.fromarray(texture(*size, seed)).save(path)
    return path


def clip(folder: Path, name: str, **asked: Any) -> Clip:
    """A clip of a study; what is in the file does not matter here."""
    path = folder / f"{name}.mp4"
    path.write_bytes(name.encode())
    return Clip(path=path, request=Request(**asked) if asked else None)


def vbench_reads(videos: Path, prompts: dict[str, str]) -> dict[str, str]:
    """File → prompt by VBench's `build_full_info_json` in the mode `custom_input`."""
    files = [path for path in videos.iterdir() if path.suffix.lower() in {".mp4", ".gif", ".jpg", ".png"}]
    by_path = {(videos / name).absolute(): prompt for name, prompt in prompts.items()}
    assert len(by_path) >= len(files)
    return {path.name: by_path[path.absolute()] for path in files}


def prompt_of_name(name: str) -> str:
    """VBench's `get_prompt_from_filename`."""
    return re.sub(r"-\d+$", "", Path(name).stem)


def test_vbench_finds_every_clip_with_its_prompt(tmp_path: Path) -> None:
    """By the prompt file, and by the name alone as VBench-I2V does it."""
    image = picture(tmp_path)
    clips = [
        clip(tmp_path, f"{i}", image=image, prompt=prompt, seed=i)
        for i, prompt in enumerate([PAN, PAN, PAN, "The boats drift apart"])
    ]
    done = vbench.export(clips, tmp_path / "out")
    here = tmp_path / "out" / "16-9"
    found = vbench_reads(here / "videos", json.loads((here / "prompts.json").read_text()))
    assert sorted(found) == [f"{PAN}-0.mp4", f"{PAN}-1.mp4", f"{PAN}-2.mp4", "The boats drift apart-0.mp4"]
    assert all(prompt_of_name(name) == prompt for name, prompt in found.items())
    for name in found:
        assert (here / "images" / f"{prompt_of_name(name)}.jpg").is_file()
    assert done.n_clips == 4


def test_the_manifest_leads_back_to_the_keys_and_the_files(tmp_path: Path) -> None:
    clips = [clip(tmp_path, f"{i}", image=picture(tmp_path), prompt=PAN, seed=i) for i in range(3)]
    vbench.export(clips, tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "manifest.json").read_text())["clips"]
    assert [row["key"] for row in rows] == [c.key for c in clips]
    for row, made in zip(rows, clips, strict=True):
        assert (tmp_path / "out" / row["file"]).read_bytes() == made.path.read_bytes()
        assert Path(row["source"]) == made.path


def test_files_are_linked_where_that_is_possible_and_copied_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clip(tmp_path, "a", image=picture(tmp_path), prompt=PAN)
    vbench.export([made], tmp_path / "linked")
    assert (tmp_path / "linked" / "16-9" / "videos" / f"{PAN}-0.mp4").samefile(made.path)

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    vbench.export([made], tmp_path / "copied")
    copied = tmp_path / "copied" / "16-9" / "videos" / f"{PAN}-0.mp4"
    assert copied.read_bytes() == made.path.read_bytes()
    assert not copied.samefile(made.path)


def test_the_picture_is_the_one_that_the_service_crops(tmp_path: Path) -> None:
    """From 4:3 to 16:9 at the clip's size: the top and the bottom are gone."""
    made = clip(
        tmp_path,
        "a",
        image=picture(tmp_path, 3, (800, 600)),
        prompt=PAN,
        aspect_ratio="16:9",
        resolution="480p",
    )
    vbench.export([made], tmp_path / "out")
    shown = np.asarray(Image.open(tmp_path / "out" / "16-9" / "images" / f"{PAN}.jpg")).astype(int)
    assert made.request is not None
    assert shown.shape[1::-1] == tuple(made.request.size)
    whole = Image.fromarray(texture(800, 600, 3)).crop((0, 75, 800, 525)).resize(tuple(made.request.size))
    assert np.abs(shown - np.asarray(whole)).mean() < 3


def test_every_ratio_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """VBench-I2V is told one ratio for all."""
    clips = [
        clip(tmp_path, ratio.replace(":", "-"), image=picture(tmp_path), prompt=PAN, aspect_ratio=ratio)
        for ratio in ("16:9", "1:1", "9:16")
    ]
    done = vbench.export(clips, tmp_path / "out")
    folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert folders == {"16-9", "1-1", "9-16"}
    assert len(done.commands) == 6
    for command in done.commands:
        words = shlex.split(command)
        options = {
            word: words[i + 1] for i, word in enumerate(words) if word.startswith("--") and "=" not in word
        }
        assert "--mode=custom_input" in words
        assert Path(options["--videos_path"]).is_dir()
        if words[1] == "evaluate_i2v.py":
            assert Path(options["--custom_image_folder"]).is_dir()
            assert Path(options["--videos_path"]).parent.name == options["--ratio"]
        else:
            assert Path(options["--prompt_file"]).is_file()


def test_two_pictures_with_one_prompt_are_told_apart(tmp_path: Path) -> None:
    """VBench-I2V finds the picture by the prompt in the name."""
    clips = [clip(tmp_path, f"{i}", image=picture(tmp_path, i), prompt=PAN) for i in range(2)]
    vbench.export(clips, tmp_path / "out")
    here = tmp_path / "out" / "16-9"
    names = sorted(path.name for path in (here / "videos").iterdir())
    assert names == [f"{PAN} (2)-0.mp4", f"{PAN}-0.mp4"]
    images = [(here / "images" / f"{prompt_of_name(name)}.jpg").read_bytes() for name in names]
    assert images[0] != images[1]
    assert set(json.loads((here / "prompts.json").read_text()).values()) == {PAN}


AWKWARD = [
    "A cat / a dog: who wins?",
    "A cat   a dog  who wins",
    "line one\nline two",
    "ends with a number-7",
    "…" * 300,
    "…" * 299 + "x",
    "..",
    "Case",
    "case",
    '"quoted" and $HOME `ls`',
]


def test_any_prompt_becomes_a_name_and_no_two_become_one(tmp_path: Path) -> None:
    """Slashes, line ends, 300 characters of three bytes each, dots alone."""
    image = picture(tmp_path)
    clips = [clip(tmp_path, f"{i}", image=image, prompt=prompt) for i, prompt in enumerate(AWKWARD)]
    vbench.export(clips, tmp_path / "out")
    here = tmp_path / "out" / "16-9"
    found = vbench_reads(here / "videos", json.loads((here / "prompts.json").read_text()))
    assert sorted(found.values()) == sorted(AWKWARD)
    stems = {prompt_of_name(name).casefold() for name in found}
    assert len(stems) == len(AWKWARD)
    assert all(len(name.encode()) <= 255 and not set(name) & set('/\\:*?"<>|\n') for name in found)
    assert {path.stem.casefold() for path in (here / "images").iterdir()} == stems


def test_a_clip_of_nobody_is_laid_out_without_a_picture(tmp_path: Path) -> None:
    done = vbench.export([clip(tmp_path, "a")], tmp_path / "out")
    assert [command.split()[1] for command in done.commands] == ["evaluate.py"]
    assert (tmp_path / "out" / "unknown" / "videos" / "clip-0.mp4").is_file()


def test_what_cannot_be_laid_out_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    here = clip(tmp_path, "a", image=picture(tmp_path), prompt=PAN)
    with pytest.raises(MeasureError, match="no clip"):
        vbench.export([], tmp_path / "out")
    with pytest.raises(MeasureError, match=r"1 of 2 clips are not there: .*gone\.mp4"):
        vbench.export([here, Clip(path=tmp_path / "gone.mp4")], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old.mp4").touch()
    with pytest.raises(MeasureError, match="not an empty folder"):
        vbench.export([here], tmp_path / "full")


# ── reading back ────────────────────────────────────────────────────────────────────────────────────────


def results(folder: Path, rows: dict[str, dict[str, Any]], name: str = "a") -> Path:
    """As VBench's `evaluate` saves it: dimension → [mean, [{video_path, video_results}, …]]."""
    found = {
        dimension: [
            float(np.mean([v for v in values.values() if isinstance(v, int | float)] or [0])),
            [{"video_path": path, "video_results": value} for path, value in values.items()],
        ]
        for dimension, values in rows.items()
    }
    path = folder / f"{name}_eval_results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return path


def laid_out(tmp_path: Path, n: int = 3) -> tuple[Path, list[Clip], list[str]]:
    clips = [clip(tmp_path, f"{i}", image=picture(tmp_path), prompt=PAN, seed=i) for i in range(n)]
    vbench.export(clips, tmp_path / "out")
    files = [row["file"] for row in json.loads((tmp_path / "out" / "manifest.json").read_text())["clips"]]
    return tmp_path / "out", clips, files


@pytest.mark.parametrize("root", ["{out}", "/somewhere/else", "..\\on\\windows", "."])
def test_values_come_back_to_their_clips_wherever_vbench_ran(tmp_path: Path, root: str) -> None:
    out, clips, files = laid_out(tmp_path)
    at = root.format(out=out)
    slash = "\\" if "\\" in at else "/"
    where = [slash.join([at, *file.split("/")]) for file in files]
    path = results(
        tmp_path,
        {
            "motion_smoothness": dict(zip(where, [0.98, 0.97, 0.5], strict=True)),
            "dynamic_degree": dict(zip(where, [True, False, True], strict=True)),
        },
    )
    found = vbench.load(path, out)
    assert found.values == {
        clips[0].key: {"vbench_motion_smoothness": 0.98, "vbench_dynamic_degree": 1.0},
        clips[1].key: {"vbench_motion_smoothness": 0.97, "vbench_dynamic_degree": 0.0},
        clips[2].key: {"vbench_motion_smoothness": 0.5, "vbench_dynamic_degree": 1.0},
    }
    assert found.scores["vbench_motion_smoothness"] == pytest.approx((0.98 + 0.97 + 0.5) / 3)
    assert found.unknown == ()


def test_files_that_nobody_laid_out_are_counted_and_named(tmp_path: Path) -> None:
    out, clips, files = laid_out(tmp_path, 1)
    path = results(
        tmp_path, {"motion_smoothness": {f"/x/{files[0]}": 0.9, "/x/16-9/videos/strange-0.mp4": 0.1}}
    )
    found = vbench.load(path, out)
    assert set(found.values) == {clips[0].key}
    assert found.unknown == ("/x/16-9/videos/strange-0.mp4",)
    assert "1 files are not in the manifest: /x/16-9/videos/strange-0.mp4" in str(found)


def test_results_that_are_no_number_are_counted(tmp_path: Path) -> None:
    """Some of VBench's dimensions give lists or null."""
    out, clips, files = laid_out(tmp_path)
    path = results(tmp_path, {"motion_smoothness": dict(zip(files, [0.9, None, [1, 2]], strict=True))})
    found = vbench.load(path, out)
    assert set(found.values) == {clips[0].key}
    assert found.unusable == {"motion_smoothness": 2}
    assert "2 results are no number" in str(found)


def test_one_name_in_two_folders_is_not_guessed(tmp_path: Path) -> None:
    """The same prompt in two ratios: without the folder nobody knows which clip it is."""
    image = picture(tmp_path)
    clips = [
        clip(tmp_path, ratio.replace(":", "-"), image=image, prompt=PAN, aspect_ratio=ratio)
        for ratio in ("16:9", "1:1")
    ]
    out = tmp_path / "out"
    vbench.export(clips, out)
    found = vbench.load(results(tmp_path, {"motion_smoothness": {f"{PAN}-0.mp4": 0.9}}), out)
    assert found.values == {}
    assert found.unknown == (f"{PAN}-0.mp4",)
    exact = vbench.load(results(tmp_path, {"motion_smoothness": {f"1-1/videos/{PAN}-0.mp4": 0.9}}), out)
    assert set(exact.values) == {clips[1].key}


def test_a_folder_of_results_is_read_as_one(tmp_path: Path) -> None:
    """VBench writes one file a run, and is often run once a dimension."""
    out, clips, files = laid_out(tmp_path, 1)
    results(tmp_path / "all", {"motion_smoothness": {files[0]: 0.9}}, "a")
    results(tmp_path / "all" / "deeper", {"imaging_quality": {files[0]: 61.5}}, "b")
    (tmp_path / "all" / "a_full_info.json").write_text("[]")
    found = vbench.load(tmp_path / "all", out)
    assert found.values == {clips[0].key: {"vbench_motion_smoothness": 0.9, "vbench_imaging_quality": 61.5}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no dimensions"),
        ('{"motion_smoothness": 0.9}', "'motion_smoothness' is not"),
        ('{"motion_smoothness": [0.9, [1, 2]]}', "'motion_smoothness' is not"),
    ],
)
def test_another_file_is_refused_by_what_it_is_not(tmp_path: Path, text: str, said: str) -> None:
    out, _, _ = laid_out(tmp_path, 1)
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(MeasureError, match=re.escape(said)):
        vbench.load(path, out)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    out, _, _ = laid_out(tmp_path, 1)
    with pytest.raises(MeasureError, match="cannot be read"):
        vbench.load(tmp_path / "gone.json", out)
    with pytest.raises(MeasureError, match=r"no \*_eval_results\.json"):
        vbench.load(tmp_path / "out" / "16-9", out)
    with pytest.raises(MeasureError, match=r"vbench\.export"):
        vbench.load(tmp_path / "gone.json", tmp_path / "nowhere")
    (out / "manifest.json").write_text("{}")
    with pytest.raises(MeasureError, match="is not the manifest"):
        vbench.load(tmp_path / "gone.json", out)


def test_vbenchs_own_decoder_plays_what_was_laid_out(tmp_path: Path) -> None:
    """It reads clips with `cv2.VideoCapture`, by names with blanks and commas in them."""
    path = write(tmp_path / "real.mp4", [texture(128, 64, i) for i in range(5)])
    vbench.export([Clip(path=path, request=Request(image=picture(tmp_path), prompt=PAN))], tmp_path / "out")
    capture, n = cv2.VideoCapture(str(tmp_path / "out" / "16-9" / "videos" / f"{PAN}-0.mp4")), 0
    while capture.read()[0]:
        n += 1
    capture.release()
    assert n == 5
