"""What goes into which cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from view_fakes import make_clip, make_picture, write_study

from seedance_lab.errors import LabError
from seedance_lab.plan import Plan, sweep
from seedance_lab.view.layout import arrange, entries_of


def test_seeds_run_down_and_the_rest_across(tmp_path: Path, plan: Plan) -> None:
    layout = arrange(entries_of(write_study(tmp_path / "s", plan)))
    assert layout.rows.names == ("seed",)
    assert layout.cols.names == ("resolution",)
    assert layout.cols.steps == (("480p",), ("720p",))
    assert layout.n_clips == 4


def test_numbers_are_ordered_by_size_whatever_order_they_came_in(tmp_path: Path, picture: bytes) -> None:
    plan = sweep(image=picture, prompt="x", seed=[10, 9], resolution=["720p", "480p"], duration=2)
    layout = arrange(entries_of(write_study(tmp_path / "s", plan)))
    assert layout.rows.steps == ((9,), (10,))
    assert layout.cols.steps == (("480p",), ("720p",))


def test_clips_of_one_cell_are_stacked_and_captioned_with_what_is_left(tmp_path: Path, plan: Plan) -> None:
    layout = arrange(entries_of(write_study(tmp_path / "s", plan)), rows="resolution", cols=())
    assert layout.rest == ("seed",)
    assert [len(cell) for cell in layout.cells.values()] == [2, 2]


def test_an_axis_that_is_named_alone_leaves_the_other_to_what_varies(tmp_path: Path, plan: Plan) -> None:
    layout = arrange(entries_of(write_study(tmp_path / "s", plan)), rows="resolution")
    assert layout.cols.names == ("seed",)


def test_many_columns_become_rows(tmp_path: Path, picture: bytes) -> None:
    """Nobody reads a sheet of eighteen columns."""
    plan = sweep(
        image=picture,
        prompt=["a", "b"],
        seed=[1, 2],
        duration=[2, 3, 4],
        resolution=["480p", "720p", "1080p"],
    )
    layout = arrange(entries_of(write_study(tmp_path / "s", plan, ["refused"] * len(plan))))
    assert len(layout.cols.steps) <= 8
    assert "seed" in layout.rows.names
    assert layout.rest == ()


def test_an_unknown_setting_is_named_with_near_ones(tmp_path: Path, plan: Plan) -> None:
    entries = entries_of(write_study(tmp_path / "s", plan))
    with pytest.raises(LabError, match=r"'sede' is not a setting.*'seed'"):
        arrange(entries, rows="sede")
    with pytest.raises(LabError, match="both in rows and in cols"):
        arrange(entries, rows="seed", cols="seed")


def test_different_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Two folders may both have a harbour.jpg; they must not fall into one column."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for shade, name in enumerate("ab"):
        (tmp_path / name / "harbour.jpg").write_bytes(make_picture(shade=shade * 200))
    pictures = [tmp_path / "a" / "harbour.jpg", tmp_path / "b" / "harbour.jpg"]
    plan = sweep(image=pictures, prompt="x", seed=1, resolution="480p", duration=2)
    layout = arrange(entries_of(write_study(tmp_path / "s", plan)))
    assert layout.cols.names == ("image",)
    assert len(layout.cols.steps) == 2
    assert all(str(step[0]).startswith("harbour.jpg (") for step in layout.cols.steps)


def test_every_request_without_a_clip_says_why(tmp_path: Path, plan: Plan) -> None:
    fates = ["refused", "unknown", "gone", "accepted"]
    entries = entries_of(write_study(tmp_path / "s", plan, fates))
    assert [e.stage for e in entries] == ["refused", "unknown", "missing", "accepted"]
    assert all(e.why for e in entries)


def test_a_request_of_another_version_is_shown_all_the_same(tmp_path: Path, plan: Plan) -> None:
    """A study must stay readable when an endpoint has been dropped since."""
    study = write_study(tmp_path / "s", plan)
    path = study.folder / "journal.jsonl"
    path.write_text(path.read_text().replace("seedance/v1/lite/", "seedance/v0/lite/"))
    entries = entries_of(study)
    assert [e.clip is not None for e in entries] == [True] * 4
    assert {e.settings["seed"] for e in entries} == {1, 2}


def test_files_are_shown_by_name_and_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        make_clip(tmp_path / folder / "x.mp4", seconds=0.2)
    entries = entries_of([tmp_path / "a" / "x.mp4", str(tmp_path / "b" / "x.mp4")])
    assert [e.settings["file"] for e in entries] == ["x.mp4", "x.mp4 (2)"]


@pytest.mark.parametrize("what", [3, [3], None])
def test_what_cannot_be_shown_is_refused(what: object) -> None:
    with pytest.raises(LabError, match="no way to show"):
        entries_of(what)
