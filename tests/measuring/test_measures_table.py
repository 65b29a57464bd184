"""Measures as tables: what there is, what a study's frame has, and what is answered from it."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import seedance_lab as lab
from seedance_lab import columns
from seedance_lab.cli import main
from seedance_lab.folder import StudyFolder
from seedance_lab.measuring import custom
from seedance_lab.measuring.catalog import BUILT_IN
from seedance_lab.measuring.store import Store, Taken
from seedance_lab.measuring.table import as_columns
from seedance_lab.mirror_files import folder_of
from seedance_lab.study import Study
from tests.measuring.studies import Filmed, made
from tests.tracked import Books, fresh_store


@pytest.fixture(autouse=True)
def _nothing_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom, "OWN", {})


@pytest.fixture
def plan(picture: bytes) -> lab.Plan:
    """Two durations by three seeds."""
    return lab.sweep(image=picture, prompt="the boats", duration=[2, 5], resolution="480p", seed=range(3))


@pytest.fixture
def study(tmp_path: Path, plan: lab.Plan) -> Study:
    """The longer clips are 40 levels brighter."""
    made(tmp_path / "study", plan, levels=[60, 61, 62, 100, 101, 102])
    return Study(tmp_path / "study", experiment="harbour")


ONLY = ["mean_luma", "frame_difference", "last_ssim"]


def test_every_measure_is_told_whole() -> None:
    df = lab.measures()
    assert df["name"].tolist() == list(BUILT_IN)
    assert df["name"].is_unique
    assert (df["definition"].str.len() > 10).all()
    assert set(df["better"]) <= {"more", "less", ""}
    assert set(df["tier"]) <= {"standard", "full", "extra"}
    assert not (df["low"] >= df["high"]).any()
    assert not set(df["name"]) & columns.NAMES


def test_the_frame_has_the_measures_after_its_own_columns(study: Study, plan: lab.Plan) -> None:
    bare = study.frame()
    measured = study.measure(only=ONLY, progress=False)
    df = study.frame()
    assert df.columns.tolist() == [*bare.columns, *measured.columns[2:]]
    assert (df[ONLY].dtypes == "float64").all()
    pd.testing.assert_frame_equal(df[measured.columns[2:]], measured[measured.columns[2:]], check_flags=False)
    assert df.attrs["units"]["mean_luma"] == "levels"
    assert df.attrs["units"]["latency_s"] == "s"
    pd.testing.assert_frame_equal(df[bare.columns], bare)


def test_a_study_that_was_never_measured_has_no_such_columns(study: Study) -> None:
    assert study.frame().columns.tolist() == [column.name for column in columns.COLUMNS]


def test_a_request_without_a_clip_has_no_measures(tmp_path: Path, plan: lab.Plan) -> None:
    with Filmed(tmp_path / "study", plan, track=False) as one:
        one.save_film(plan[0], 80)
        one.fail(plan[1])
    study = StudyFolder(tmp_path / "study")
    study.measure(only="mean_luma", progress=False)
    assert study.frame()["mean_luma"].notna().tolist() == [True, False]
    assert set(study.unmeasured()["key"]) == {plan[0].key}


def test_a_measure_that_this_process_does_not_know_keeps_its_column(study: Study) -> None:
    """It was declared in yesterday's notebook."""

    @lab.new_measure
    def nose(luma: np.ndarray) -> float:
        return float(luma[0, 0])

    study.measure(only="nose", progress=False)
    custom.OWN.clear()
    assert study.frame()["nose"].notna().all()


def test_the_columns_are_what_is_known_of_each_clip(study: Study) -> None:
    """They are read many lines at a time; here lines of all kinds, and several about a clip, are held against
    what the store says of each clip by itself.
    """
    rng = random.Random(6)
    records, store = study.records(), Store(study.folder)
    names = ["mean_luma", "contrast", "first_ssim", "nobody_knows_it"]
    for _ in range(60):
        key, record = rng.choice(list(records.items()))
        assert record.clip is not None
        parts: list[dict[str, Any]] = [{}, {}, {}, {}]
        for name in rng.sample(names, rng.randrange(len(names) + 1)):
            part = rng.choice((0, 0, 1, 2))
            parts[part][name] = "why" if part else rng.random()
            parts[3][name] = rng.choice(("1", "1", "0"))
        taken = Taken(*parts, of_request=frozenset(rng.sample(names, 2)))
        store.add(taken, sha256=record.clip["sha256"], key=key, asked=rng.choice("qr"))
    made = as_columns(store, records)
    for row, (key, record) in enumerate(records.items()):
        assert record.clip is not None
        entries = store.of_key(key, record.clip["sha256"])
        for name in names:
            entry = entries.get(name)
            is_known = entry and entry.value is not None and custom.version_of(name) in {None, entry.version}
            value = entry.value if entry and is_known else math.nan
            assert made[name][row] == pytest.approx(value, abs=0, nan_ok=True)


def test_answers_are_given_of_measures(study: Study) -> None:
    study.measure(only=ONLY, progress=False)
    told = study.compare("duration", of="mean_luma")
    (difference,) = told.table["difference"]
    assert abs(difference) == pytest.approx(40 * 219 / 255, abs=0.5)  # grey 0…255 is luma 16…235
    assert told.unit == "levels"
    assert "duration" in repr(study.effects(of="mean_luma"))
    front = study.pareto(quality="mean_luma").table.set_index("duration")["quality"]
    means = study.frame().groupby("duration")["mean_luma"].mean()
    assert front.to_dict() == pytest.approx(means.to_dict())


def test_the_report_answers_for_measures(study: Study, tmp_path: Path) -> None:
    study.measure(only=ONLY, progress=False)
    page = study.report(tmp_path / "report.html", of="mean_luma").read_text()
    assert "mean_luma" in page


# ── MLflow ──────────────────────────────────────────────────────────────────────────────────────────────


def test_measures_that_come_later_complete_the_runs(tmp_path: Path, plan: lab.Plan) -> None:
    """And a second time nothing is written."""
    store = fresh_store(tmp_path)
    made(tmp_path / "study", plan, track=True)
    study = Study(tmp_path / "study", experiment="harbour")
    before = {run.info.run_id: run.data for run in Books(store).runs}
    df = study.measure(only=ONLY, progress=False).set_index("key")
    written = study.track()
    assert (written.n_written, written.n_there, written.problems) == (6, 1, ())
    for request in plan:
        run = Books(store).of(request)
        for name in ("mean_luma", "frame_difference"):
            assert run.data.metrics[name] == df.loc[request.key, name]
        assert "last_ssim" not in run.data.metrics
        old = before[run.info.run_id]
        assert run.data.params == old.params
        assert run.data.tags == old.tags
        assert {name: run.data.metrics[name] for name in old.metrics} == old.metrics
        assert run.info.status == "FINISHED"
    again = study.track()
    assert (again.n_written, again.n_there) == (0, 7)


def test_measures_that_come_later_are_in_the_table_of_their_pass(tmp_path: Path, plan: lab.Plan) -> None:
    """The pictures beside it, and a table that lacks nothing, are not written again."""
    store = fresh_store(tmp_path)
    made(tmp_path / "study", plan, track=True)
    study = Study(tmp_path / "study", experiment="harbour")
    (parent,) = Books(store).parents
    folder = folder_of(parent.info.artifact_uri)
    assert folder is not None
    table, sheet = folder / "results.csv", folder / "contact_sheet.jpg"
    assert "mean_luma" not in pd.read_csv(table).columns
    sheet.unlink()
    measured = study.measure(only=ONLY, progress=False)
    assert study.track().problems == ()
    there = pd.read_csv(table).set_index("key").loc[measured["key"]]
    assert there["mean_luma"].to_numpy() == pytest.approx(measured["mean_luma"].to_numpy())
    assert not sheet.exists()
    table.unlink()
    study.track()
    assert not table.exists()


def test_a_value_of_a_new_version_replaces_the_old_one(tmp_path: Path, plan: lab.Plan) -> None:
    """Though it is smaller: of two values of one moment MLflow takes the larger."""
    store = fresh_store(tmp_path)
    made(tmp_path / "study", plan, track=True)
    study = Study(tmp_path / "study", experiment="harbour")
    for version, value in ((1, 5.0), (2, 3.0)):

        def nose(luma: np.ndarray, value: float = value) -> float:
            return value

        lab.new_measure(version=version)(nose)
        study.measure(only="nose", progress=False)
        assert study.track().n_written == 6
        assert {run.data.metrics["nose"] for run in Books(store).children} == {value}
    assert study.track().n_written == 0


def test_measures_that_are_known_at_the_end_are_written_with_the_run(tmp_path: Path, plan: lab.Plan) -> None:
    """A study that was made and measured without tracking."""
    made(tmp_path / "study", plan)
    study = Study(tmp_path / "study", experiment="harbour")
    df = study.measure(only=ONLY, progress=False).set_index("key")
    store = fresh_store(tmp_path)
    assert study.track().problems == ()
    for request in plan:
        assert Books(store).of(request).data.metrics["mean_luma"] == df.loc[request.key, "mean_luma"]
    assert study.track().n_written == 0


def test_the_frame_of_mlflows_runs_has_them_too(tmp_path: Path, study: Study) -> None:
    fresh_store(tmp_path)
    study.measure(only=ONLY, progress=False)
    study.track()
    df = lab.runs("harbour").set_index("key")
    mine = study.frame().set_index("key")
    pd.testing.assert_series_equal(
        df["mean_luma"].sort_index(), mine["mean_luma"].sort_index(), check_index_type=False
    )


# ── the command line ────────────────────────────────────────────────────────────────────────────────────


def test_the_command_measures_a_study(study: Study, tmp_path: Path) -> None:
    csv = tmp_path / "measures.csv"
    args = ["measure", str(study.folder), *(f"--only={name}" for name in ONLY), "--workers=1", f"--csv={csv}"]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.output
    assert "6 clips · 3 measures · 6 values missing" in result.output
    assert "last_ssim, 6 clips: no end image" in result.output
    assert pd.read_csv(csv)["mean_luma"].tolist() == study.frame()["mean_luma"].tolist()


def test_the_command_says_by_its_code_that_a_file_could_not_be_read(study: Study) -> None:
    study.clips()[0].path.write_bytes(b"no video")
    result = CliRunner().invoke(main, ["measure", str(study.folder), "--only", "mean_luma"])
    assert result.exit_code == 1
    assert "1 value missing" in result.output


def test_the_command_refuses_a_measure_that_there_is_not(study: Study) -> None:
    result = CliRunner().invoke(main, ["measure", str(study.folder), "--only", "luma"])
    assert result.exit_code == 2
    assert "There is no measure 'luma'" in result.output


def test_the_command_lists_the_measures(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["measures"]).output
    assert all(f" {name} " in told for name in BUILT_IN)
    CliRunner().invoke(main, ["measures", "--csv", str(tmp_path / "all.csv")])
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "all.csv", keep_default_na=False, na_values={"low": "", "high": ""}), lab.measures(),
        check_dtype=False,
    )  # fmt: skip
