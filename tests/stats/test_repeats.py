"""Whether the same gives the same again, on clips of the embedded engine and on made-up ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from seedance_lab.clip import Clip
from seedance_lab.errors import ClipError, LabError
from seedance_lab.frames import typed
from seedance_lab.plan import sweep
from seedance_lab.stats import repeats, seeds
from seedance_lab.stats.grey import GRID, at_equal_times, distance, grey_frames
from seedance_lab.stats.repeats import THRESHOLDS, repeatability
from seedance_lab.study import Study
from tests.conftest import REPO


def write(
    path: Path, lumas: Iterable[np.ndarray], *, crf: int = 18, fps: int = 24, full: bool = False
) -> Path:
    """An MP4 of these luma planes (height, width), uint8, as they are; `full` tags them as full range."""
    first = next(lumas := iter(lumas))
    height, width = first.shape
    with av.open(str(path), "w", format="mp4") as sink:
        stream = sink.add_stream("libx264", rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(crf)}
        stream.height, stream.width = height, width
        stream.codec_context.color_range = 2 if full else 1
        for luma in itertools.chain([first], lumas):
            planes = np.concatenate([luma, np.full((height // 2, width), 128, "uint8")])
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        sink.mux(stream.encode(None))
    return path


def again(path: Path, to: Path) -> Path:
    """The same pictures in a file of other bytes; encoding them again gives others now and then."""
    to.write_bytes(path.read_bytes() + b"\x00\x00\x00\x08free")
    return to


def scene(seed: int, *, seconds: float = 1.0, height: int = 96) -> list[np.ndarray]:
    """Soft blobs that the seed places and that drift; the same picture at every height."""
    chance = np.random.default_rng(seed)
    places, drift = chance.uniform(0, 1, (6, 2)), chance.uniform(-0.2, 0.2, (6, 2))
    width = 2 * height
    y, x = np.mgrid[0:height, 0:width]
    found = []
    for t in np.arange(0, seconds, 1 / 24):
        light = sum(
            np.exp(-(((x / width - px - vx * t) ** 2) + (y / height - py - vy * t) ** 2) / 0.02)
            for (px, py), (vx, vy) in zip(places, drift, strict=True)
        )
        found.append(np.clip(60 + 120 * light, 0, 255).astype("uint8"))
    return found


Row = dict[str, object]


def row(
    file: Path | None, seed: int | None, resolution: str = "480p", duration: int = 1, **more: object
) -> Row:
    asked = {
        "prompt": "boats",
        "image": "a.png",
        "resolution": resolution,
        "duration": duration,
        "seed": seed,
    }
    told = {"stage": "saved", "key": f"k1:{seed}{resolution}{duration}", "engine": "local"}
    return {**told, **asked, "file": file and str(file), **more}


def frame(rows: Iterable[Row]) -> pd.DataFrame:
    return typed(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two seeds, each twice, made by the embedded engine; one of them also at 720p and one second longer."""
    made = Study(tmp_path_factory.mktemp("repeats") / "study", engine="local", track=False)
    common = {"image": REPO / "data" / "harbour_dusk.jpg", "prompt": "the boats drift apart", "duration": 2}
    made.run(sweep(**common, resolution="480p", seed=[1, 2], repeat=2))
    made.run(sweep(**{**common, "duration": [2, 3]}, resolution=["480p", "720p"], seed=[1, 2]))
    return made


# ── distance ────────────────────────────────────────────────────────────────────────────────────────────


def test_frames_are_small_grey_and_timed(tmp_path: Path) -> None:
    found = grey_frames(write(tmp_path / "a.mp4", scene(1, seconds=0.5), fps=24))
    assert found.grey.shape == (12, GRID, GRID)
    assert found.grey.dtype == np.uint8
    assert found.times.tolist() == pytest.approx([i / 24 for i in range(12)], abs=1e-6)


def test_the_distance_is_the_mean_difference_of_levels() -> None:
    """In both directions: unsigned bytes would wrap around."""
    dark, light = np.full((3, GRID, GRID), 10, "uint8"), np.full((5, GRID, GRID), 250, "uint8")
    assert distance(dark, light) == distance(light, dark) == 240
    assert distance(dark, dark) == 0
    half = dark.copy()
    half[:, :, : GRID // 2] += 4
    assert distance(dark, half) == 2


@pytest.mark.parametrize("shape", [(0, GRID, GRID), (2, 8, 8)])
def test_what_cannot_be_compared_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        distance(np.zeros((2, GRID, GRID), "uint8"), np.zeros(shape, "uint8"))


def test_a_file_that_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(ClipError, match=r"a\.mp4 is not a video"):
        grey_frames(tmp_path / "a.mp4")


def test_a_scene_is_near_itself_at_any_size_and_far_from_another(tmp_path: Path) -> None:
    a, large, other = (
        grey_frames(write(tmp_path / f"{i}.mp4", scene(seed, height=height))).grey
        for i, (seed, height) in enumerate([(1, 96), (1, 192), (2, 96)])
    )
    assert distance(a, large) < THRESHOLDS["near"].most < 3 < distance(a, other)


def test_the_tags_of_a_file_do_not_count(tmp_path: Path) -> None:
    """The same planes called full range instead of limited would differ by several levels as grey."""
    one = grey_frames(write(tmp_path / "a.mp4", scene(1)))
    two = grey_frames(write(tmp_path / "b.mp4", scene(1), full=True))
    with av.open(str(tmp_path / "b.mp4")) as tagged:
        assert tagged.streams.video[0].codec_context.color_range == 2
    assert distance(one.grey, two.grey) < 0.5


def test_the_thresholds_hold_on_clips_of_the_engine(study: Study, tmp_path: Path) -> None:
    """What the reason beside the number claims: encoded again within 1 level, other seeds beyond 3."""
    df = study.frame()
    files = [
        Path(f)
        for f in df[(df["resolution"] == "480p") & (df["duration"] == 2)].drop_duplicates("seed")["file"]
    ]
    one, two = (grey_frames(f).grey for f in files)
    assert distance(one, two) > 3 > THRESHOLDS["near"].most
    with av.open(str(files[0])) as source:
        lumas = [f.to_ndarray()[: f.height] for f in source.decode(video=0)]
    for crf in (18, 35):
        again = grey_frames(write(tmp_path / f"{crf}.mp4", lumas, crf=crf)).grey
        assert 0 < distance(one, again) < 1


# ── the same again ──────────────────────────────────────────────────────────────────────────────────────


def test_the_engine_gives_the_same_clip_again(study: Study) -> None:
    """Of its clips it is promised, so this is also a test of the engine."""
    found = repeatability(study.frame())
    assert found.sentence.startswith("The same request gave the same clip in all 2 pairs of repeats.")
    assert found.table["seed"].tolist() == [1, 2]
    assert found.table[["clips", "identical", "near", "different"]].to_numpy().tolist() == [[2, 1, 0, 0]] * 2


def test_clips_tell_the_same_as_their_frame(study: Study) -> None:
    """What `show` takes, this takes too."""
    found = repeatability(study.clips())
    pd.testing.assert_frame_equal(
        found.pairs.sort_values(["kind", "distance"], ignore_index=True)[["kind", "distance"]],
        repeatability(study.frame()).pairs.sort_values(["kind", "distance"], ignore_index=True)[
            ["kind", "distance"]
        ],
    )


def test_identical_near_and_different_are_told_apart(tmp_path: Path) -> None:
    """Equal frames in another file are identical; the same coded worse is near; another scene is not."""
    files = [
        write(tmp_path / "a.mp4", scene(1)),
        again(tmp_path / "a.mp4", tmp_path / "b.mp4"),
        write(tmp_path / "c.mp4", scene(1), crf=32),
        write(tmp_path / "d.mp4", scene(2)),
    ]
    assert files[0].read_bytes() != files[1].read_bytes()
    found = repeatability(frame(row(f, 7, replicate=i) for i, f in enumerate(files)))
    assert found.table[["identical", "near", "different"]].iloc[0].tolist() == [1, 2, 3]
    assert found.sentence.startswith(
        "Of 6 pairs of repeats: 1 identical, 2 near, 3 different (largest distance"
    )
    assert "repeat=3" not in found.sentence


def test_a_clip_cut_short_is_not_near(tmp_path: Path) -> None:
    """Its frames are the same as far as they go."""
    files = [write(tmp_path / "a.mp4", scene(1)), write(tmp_path / "b.mp4", scene(1, seconds=0.5))]
    found = repeatability(frame(row(f, 7) for f in files))
    assert found.table["different"].tolist() == [1]


def test_a_random_seed_counts_by_what_the_service_used(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{i}.mp4", scene(1)) for i in range(3)]
    rows = [row(f, None, returned_seed=s) for f, s in zip(files, (5, 5, 6), strict=True)]
    assert repeatability(frame(rows)).table[["seed", "clips"]].to_numpy().tolist() == [[5, 2]]


def test_engines_and_prompts_are_not_mixed(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{i}.mp4", scene(1)) for i in range(3)]
    rows = [row(files[0], 5), row(files[1], 5, engine="fal"), row(files[2], 5, prompt="other")]
    with pytest.raises(LabError, match="no two can be compared"):
        repeatability(frame(rows))


def test_what_is_missing_is_counted_and_named(tmp_path: Path) -> None:
    """A clip that was deleted, one that no longer opens, and one that lives elsewhere."""
    first = write(tmp_path / "0.mp4", scene(1))
    files = [first, again(first, tmp_path / "1.mp4")]
    (tmp_path / "broken.mp4").write_bytes(b"?")
    rows = [row(f, 5) for f in (*files, tmp_path / "broken.mp4", tmp_path / "gone.mp4", None)]
    rows.append({**row(None, 5), "file": "s3://bucket/clip.mp4"})
    found = repeatability(frame(rows))
    assert sorted(found.missing) == ["broken.mp4", "clip.mp4", "gone.mp4", "k1:5480p1"]
    assert found.table[["clips", "identical"]].to_numpy().tolist() == [[2, 1]]
    assert "4 clips are not there or cannot be read" in found.notes[-1]


# ── what a seed keeps ───────────────────────────────────────────────────────────────────────────────────


def grid_of(folder: Path, seeds: Iterable[int], scene_of: Callable[[int, str], int]) -> pd.DataFrame:
    """Clips at two resolutions and two lengths; which scene each shows is told by its seed and resolution."""
    rows = []
    for seed in seeds:
        for resolution, height in (("480p", 96), ("720p", 144)):
            for duration in (1, 2):
                file = folder / f"{seed}-{resolution}-{duration}.mp4"
                write(file, scene(scene_of(seed, resolution), seconds=duration, height=height), crf=28)
                rows.append(row(file, seed, resolution, duration))
    return frame(rows)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> repeats.Repeatability:
    """The seed alone decides."""
    return repeatability(grid_of(tmp_path_factory.mktemp("kept"), range(5), lambda seed, _: seed))


def test_a_composition_that_is_kept_is_found(kept: repeats.Repeatability) -> None:
    assert kept.composition["changed"].tolist() == ["resolution", "duration", "resolution and duration"]
    assert kept.composition["auc"].tolist() == [1, 1, 1]
    assert (kept.composition["p"] < 0.03).all()
    assert kept.composition["same_seed"].tolist() == [10, 10, 10]
    assert kept.composition["other_seed"].tolist() == [40, 40, 40]
    assert (
        "A seed keeps its composition when the resolution changes (the same seed is nearer in 100 %"
        in kept.sentence
    )
    assert kept.sentence.startswith("Nothing was run twice with one seed; repeat=3")


def test_a_composition_that_only_the_length_keeps(tmp_path: Path) -> None:
    """At another resolution the seed places everything anew."""
    other = {"480p": 0, "720p": 100}
    found = repeatability(grid_of(tmp_path, range(5), lambda seed, resolution: seed + other[resolution]))
    verdicts = dict(zip(found.composition["changed"], found.composition["verdict"], strict=True))
    assert verdicts == {"resolution": "unclear", "duration": "kept", "resolution and duration": "unclear"}
    assert "Nothing shows that a seed keeps its composition when the resolution changes" in found.sentence


def test_two_seeds_are_too_few_and_it_is_told(study: Study) -> None:
    """Two seeds are right by chance every second time; 100 % of comparisons must not be taken for proof."""
    found = repeatability(study.frame())
    assert found.composition["auc"].tolist() == [1, 1, 1]
    assert (found.composition["p"] > 0.4).all()
    assert "2 seeds are too few to tell" in found.sentence


def test_chance_is_taken_for_proof_no_more_often_than_told() -> None:
    """Of 200 grids of pure noise at most 5 % (and three standard errors) are called sure, and the mean is 0.5."""
    chance = np.random.default_rng(1)
    aucs, ps = [], []
    for _ in range(200):
        parts = [seeds.Grid(1, [*range(6)], "resolution", chance.random((6, 6)), [], []) for _ in range(2)]
        auc, p = seeds._auc(parts)
        aucs.append(auc)
        ps.append(p)
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.03)
    assert np.mean(np.array(ps) <= 0.05) <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_the_same_clips_in_many_grids_are_not_many_witnesses() -> None:
    """With 3 seeds one order in six is right by chance, in however many grids the clips are."""
    apart = np.ones((3, 3)) - np.eye(3)
    parts = [seeds.Grid(1, [0, 1, 2], "resolution", apart, [], []) for _ in range(10)]
    assert seeds._auc(parts)[1] == pytest.approx(1 / 6, abs=0.03)
    apart_families = [grid._replace(family=i) for i, grid in enumerate(parts)]
    assert seeds._auc(apart_families)[1] < 0.01


def test_ties_count_half() -> None:
    assert seeds._auc([seeds.Grid(1, [0, 1], "x", np.ones((2, 2)), [], [])])[0] == 0.5


@pytest.mark.parametrize("fps", [12, 24, 30])
def test_frames_are_compared_at_equal_times(fps: int, tmp_path: Path) -> None:
    """Half a second is half a second at any frame rate; each one here has its own brightness."""
    lumas = [np.full((64, 64), 40 + 40 * (2 * i // fps), "uint8") for i in range(2 * fps)]
    few = at_equal_times(grey_frames(write(tmp_path / "a.mp4", lumas, fps=fps)))
    assert [round(float(picture.mean()), -1) for picture in few] == [40, 80, 120, 160]


def test_memory_is_bounded(
    kept: repeats.Repeatability, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """More seeds and repeats than the limits are left out, and told."""
    monkeypatch.setattr(seeds, "MOST_SEEDS", 3)
    df = grid_of(tmp_path, range(5), lambda seed, _: seed)
    found = repeatability(df)
    assert found.composition["seeds"].tolist() == [3, 3, 3]
    assert any("first 3 seeds" in note for note in found.notes)
    monkeypatch.setattr(repeats, "MOST_REPEATS", 2)
    again = repeatability(df.assign(seed=1, resolution="480p", duration=1).head(4))
    assert len(again.pairs) == 1
    assert any("first 2 were compared" in note for note in again.notes)


# ── what is shown, and bad input ────────────────────────────────────────────────────────────────────────


def test_a_result_can_be_read_everywhere(kept: repeats.Repeatability) -> None:
    assert str(kept) == repr(kept)
    assert kept.sentence in str(kept)
    assert "auc" in str(kept)
    html = kept._repr_html_()
    assert "<table>" in html
    assert "<script" not in html
    assert kept.thresholds["near"].reason
    figure = kept.plot()
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names[:2] == ["same seed, other resolution", "other seed, other resolution"]


def clip(folder: Path) -> Clip:
    return Clip(path=write(folder / "a.mp4", scene(1)))


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "an empty frame": (lambda _: frame([row(None, 1)]).head(0), r"no saved clip.*repeat=3"),
    "only failures": (lambda _: frame([row(None, 1)]).assign(stage="failed"), r"no saved clip.*repeat=3"),
    "no file": (lambda p: frame([row(p / "gone.mp4", 1)]), r"None of the 1 clips is on this machine: gone\.mp4"),
    "one clip": (lambda p: frame([row(clip(p).path, 1)]), r"no two can be compared.*repeat=3"),
    "no column": (lambda p: frame([row(p, 1)]).drop(columns="file"), "no column 'file'"),
    "no clip": (lambda _: [], "no saved clip"),
    "not clips": (lambda _: ["a.mp4"], r"not str: repeatability\(study\.frame\(\)\)"),
    "a clip of no study": (lambda p: [clip(p)], r"a\.mp4 was made by no study"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_told_is_an_error_that_says_what_to_do(
    given: Callable[[Path], pd.DataFrame], said: str, tmp_path: Path
) -> None:
    with pytest.raises(LabError, match=said):
        repeatability(given(tmp_path))
