"""`show` in a terminal: a table that says what each clip is and where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from view_fakes import make_clip, make_picture, write_study

import seedance_lab as lab
from seedance_lab.plan import Plan, sweep
from seedance_lab.view.cells import GridModel
from seedance_lab.view.entries import Entry, Fixed
from seedance_lab.view.sources import source_of
from seedance_lab.view.terminal import table


def test_a_terminal_gets_a_table_with_what_varies_and_the_files(
    tmp_path: Path, plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path / "s", plan, ["saved", "refused"])
    monkeypatch.chdir(tmp_path)
    grid = lab.show(study, rows="seed", cols="resolution")
    out = capsys.readouterr().out
    head, same, columns, *rows = out.splitlines()
    assert head.strip() == "s: 3 clips · 1 refused"
    assert "duration 2 s" in same
    assert columns.split() == ["seed", "resolution", "latency_s", "cost_usd", "file"]
    assert len(rows) == 4
    assert rows[0].split()[-1] == str(study.clips()[0].path.relative_to(tmp_path))
    assert "refused: duration: not today" in rows[1]
    assert repr(grid) == "<Grid of s: 3 clips · 1 refused>"


def test_a_path_is_whole_where_the_output_is_no_screen(tmp_path: Path) -> None:
    make_clip(tmp_path / ("long " * 20) / "a.mp4", seconds=0.2)
    model = GridModel(source_of(tmp_path))
    assert f"{'long ' * 20}/a.mp4" in table(model.snapshot(), model.where)


def test_what_is_hidden_is_not_in_the_table_and_what_is_sorted_is_in_order(
    tmp_path: Path, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = (
        lab.show(write_study(tmp_path / "s", plan)).hide("resolution", "480p").sort("seed", descending=True)
    )
    capsys.readouterr()
    grid.show()
    out = capsys.readouterr().out
    assert "2 hidden" in out
    assert [line.split()[0] for line in out.splitlines()[3:]] == ["2", "1"]


def test_a_prompt_that_varies_is_cut_and_markup_in_it_is_only_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = sweep(image=make_picture(), prompt=["[red]pan[/red]", "x" * 300], seed=1, duration=2)
    lab.show(write_study(tmp_path / "s", plan))
    out = capsys.readouterr().out
    assert "[red]pan[/red]" in out
    assert "x" * 39 + "…" in out


def test_a_clip_that_lies_elsewhere_is_told_by_its_address() -> None:
    model = GridModel(Fixed([Entry(id="a", settings={"seed": 1}, address="s3://bucket/1/artifacts/")]))
    assert "s3://bucket/1/artifacts/" in table(model.snapshot(), model.where)


def test_no_clips_is_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lab.show(lab.Study(tmp_path / "new", track=False))
    assert "study.run(lab.sweep(" in capsys.readouterr().out
