"""The contact sheet that moves: what is where, how long, and what it never does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from view_fakes import make_clip, write_study
from view_snapshots import cell, shown, written

from seedance_lab import media
from seedance_lab.clip import Clip
from seedance_lab.errors import LabError, StudyError
from seedance_lab.pages import mosaic as mosaics
from seedance_lab.pages.mosaic import mosaic
from seedance_lab.plan import Plan


def levels(path: Path, *, levels: list[int], fps: int = 24, width: int = 128, height: int = 96) -> Path:
    """A clip whose n-th frame is all of the n-th grey."""
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for level in levels:
            picture = np.full((height, width, 3), level, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                sink.mux(packet)
        for packet in stream.encode(None):
            sink.mux(packet)
    return path


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def of(paths: dict[str, Path], **view: Any) -> tuple[dict[str, Any], Any]:
    snapshot = written({name: {"seed": name} for name in paths}, **view)
    for each in snapshot["cells"]:
        each |= {"width": 128, "height": 96}
    return snapshot, {name: Clip(path=path) for name, path in paths.items()}.get


def test_each_tile_shows_its_own_clips_frame_of_that_time_and_then_holds_the_last(tmp_path: Path) -> None:
    """Planted greys: three clips, one shorter, one at half the rate, side by side."""
    up = [20 + 8 * n for n in range(24)]
    paths = {
        "a": levels(tmp_path / "a.mp4", levels=up),
        "b": levels(tmp_path / "b.mp4", levels=[230, 200, 170, 140]),
        "c": levels(
            tmp_path / "c.mp4", levels=[40, 80, 120, 160, 200, 240, 200, 160, 120, 80, 40, 20], fps=12
        ),
    }
    got = frames(mosaic(*of(paths, rows=[], cols=["seed"]), tmp_path / "out.mp4"))
    assert len(got) == 24
    y = got[0].shape[0] - 8 - 48  # the middle of the tiles
    for n, picture in enumerate(got):
        seen = [int(picture[y, x].mean()) for x in (8 + 64, 8 + 136 + 64, 8 + 272 + 64)]
        wanted = [
            up[n],
            [230, 200, 170, 140][min(n, 3)],
            [40, 80, 120, 160, 200, 240, 200, 160, 120, 80, 40, 20][n // 2],
        ]
        assert seen == pytest.approx(wanted, abs=6), f"frame {n}"


def test_it_is_an_mp4_that_everything_plays_and_no_larger_than_asked(tmp_path: Path, plan: Plan) -> None:
    path = mosaic(*shown(write_study(tmp_path / "s", plan)), tmp_path / "new" / "out.mp4", width=600)
    facts = media.facts(path)
    assert (facts.codec, facts.pix_fmt, facts.fps, facts.n_frames) == ("h264", "yuv420p", 24.0, 24)
    assert 500 <= facts.width <= 600
    assert facts.width % 2 == facts.height % 2 == 0
    assert [p.name for p in path.parent.iterdir()] == ["out.mp4"]


def test_tiles_are_never_larger_than_the_clips(tmp_path: Path) -> None:
    path = mosaic(*of({"a": levels(tmp_path / "a.mp4", levels=[9] * 3)}), tmp_path / "out.mp4")
    assert media.facts(path).width == 320


def test_a_cell_without_a_clip_says_why_in_its_place(tmp_path: Path, plan: Plan) -> None:
    """Held against the same sheet without the words: only that tile differs."""
    study = write_study(tmp_path / "s", plan, ["saved", "failed", "broken", "saved"])
    snapshot, clips = shown(study, rows=["seed"], cols=["resolution"])
    first = frames(mosaic(snapshot, clips, tmp_path / "a.mp4"))[0]
    for each in snapshot["cells"]:
        each["why"] = ""
    second = frames(mosaic(snapshot, clips, tmp_path / "b.mp4"))[0]
    changed = np.argwhere(np.abs(first - second).max(axis=2) > 60)
    assert len(changed) > 50
    assert changed[:, 1].min() > first.shape[1] // 2, "the failed one is in the right column"
    red = (
        (first[..., 0] > 180)
        & (first[..., 1] < 190)
        & (first[..., 2] < 190)
        & (first[..., 0] > first[..., 2] + 60)
    )
    ys, xs = np.nonzero(red)
    assert (xs > first.shape[1] // 2).any(), "failed"
    assert ((xs < first.shape[1] // 2) & (ys > first.shape[0] // 2)).any(), "broken"


def test_pages_stand_below_one_another(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan)
    one = mosaic(*shown(study, rows=[], cols=["seed"], hidden={"resolution": ["720p"]}), tmp_path / "a.mp4")
    two = mosaic(*shown(study, rows=[], cols=["seed"], pages=["resolution"]), tmp_path / "b.mp4")
    assert media.facts(two).height > 1.7 * media.facts(one).height


def test_what_falls_into_one_place_is_stacked(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan)
    flat = mosaic(*shown(study, rows=["resolution"], cols=["seed"]), tmp_path / "a.mp4")
    deep = mosaic(*shown(study, rows=[], cols=["seed"]), tmp_path / "b.mp4")
    assert media.facts(deep).height == pytest.approx(media.facts(flat).height, rel=0.1)


def test_it_stays_under_the_height_that_players_show(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", seconds=0.2)
    paths = {str(n): tmp_path / "a.mp4" for n in range(30)}
    path = mosaic(*of(paths, rows=["seed"], cols=[]), tmp_path / "out.mp4")
    assert media.facts(path).height <= mosaics.MOST_HEIGHT


def test_too_many_to_tell_apart_is_refused(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", seconds=0.2)
    paths = {str(n): tmp_path / "a.mp4" for n in range(60)}
    with pytest.raises(LabError, match=r"60 cells do not fit .* Hide some"):
        mosaic(*of(paths, rows=["seed"], cols=[]), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_view_without_any_clip_is_refused(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["failed", "gone", "refused", "broken"])
    with pytest.raises(LabError, match=r"no clip in this view .*study\.run"):
        mosaic(*shown(study), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_clip_that_was_paid_for_is_never_replaced(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan)
    paid = study.clips()[0].path
    before = paid.read_bytes()
    with pytest.raises(StudyError, match="no contact sheet"):
        mosaic(*shown(study), paid)
    assert paid.read_bytes() == before
    ours = mosaic(*shown(study), tmp_path / "out.mp4")
    assert mosaic(*shown(study), ours) == ours


@pytest.mark.parametrize("name", ["out.html", "out"])
def test_the_name_of_another_kind_of_file_is_refused(tmp_path: Path, plan: Plan, name: str) -> None:
    with pytest.raises(LabError, match=r"out\.mp4"):
        mosaic(*shown(write_study(tmp_path / "s", plan)), tmp_path / name)


def test_memory_does_not_grow_with_the_length_of_the_clips(tmp_path: Path) -> None:
    """Twenty times as long: held whole, the frames of the long one are 140 MB more."""
    code = """if True:
        import resource, sys
        from pathlib import Path
        from seedance_lab.clip import Clip
        from seedance_lab.pages.mosaic import mosaic
        sys.path.insert(0, sys.argv[3])
        from view_snapshots import written
        source, to = Path(sys.argv[1]), Path(sys.argv[2])
        snapshot = written({"a": {"seed": 1}, "b": {"seed": 2}}, rows=[], cols=["seed"])
        mosaic(snapshot, lambda _: Clip(path=source, views=to.parent), to, width=640)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
    """

    def megabytes(n: int) -> float:
        path = levels(tmp_path / f"{n}.mp4", levels=[9 + k % 200 for k in range(n)], width=640, height=480)
        done = subprocess.run(
            [sys.executable, "-c", code, path, tmp_path / f"out{n}.mp4", Path(__file__).parent],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return float(done.stdout)

    assert megabytes(480) - megabytes(24) < 50


def test_a_file_that_breaks_off_holds_what_was_seen(tmp_path: Path) -> None:
    """Damaged in the middle: the rest of the sheet plays on."""
    bad = levels(tmp_path / "bad.mp4", levels=list(range(10, 250, 5)), width=640, height=480)
    data = bytearray(bad.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    bad.write_bytes(data)
    good = levels(tmp_path / "good.mp4", levels=[100] * 48)
    snapshot, clips = of({"a": bad, "b": good}, rows=[], cols=["seed"])
    assert media.facts(mosaic(snapshot, clips, tmp_path / "out.mp4")).n_frames == 48


def test_cells_of_several_shapes_are_not_stretched(tmp_path: Path) -> None:
    wide = levels(tmp_path / "w.mp4", levels=[200] * 3, width=128, height=64)
    tall = levels(tmp_path / "t.mp4", levels=[200] * 3, width=64, height=128)
    snapshot = written({"w": {"seed": 1}, "t": {"seed": 2}}, rows=[], cols=["seed"])
    snapshot["cells"] = [
        cell("w", {"seed": 1}, width=128, height=64),
        cell("t", {"seed": 2}, width=64, height=128),
    ]
    picture = frames(
        mosaic(snapshot, {"w": Clip(path=wide), "t": Clip(path=tall)}.get, tmp_path / "out.mp4")
    )[0]
    bright = picture.min(axis=2) > 170
    left, right = bright[:, :140], bright[:, 140:]
    for half, ratio in ((left, 2.0), (right, 0.5)):
        ys, xs = np.nonzero(half[30:])
        assert (np.ptp(xs) + 1) / (np.ptp(ys) + 1) == pytest.approx(ratio, rel=0.1)
