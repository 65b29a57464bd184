"""Rows of any frame as entries: this package's, MLflow's own, and a table of somebody's."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from view_fakes import make_clip, write_study

from seedance_lab.errors import LabError
from seedance_lab.plan import Plan
from seedance_lab.view.frame_rows import rows_of


def test_a_studys_frame_has_its_settings_states_and_files(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["saved", "failed", "accepted", "gone"])
    rows, units = rows_of(study.frame())
    assert [row["id"] for row in rows] == [request.key for request in plan]
    assert [row["state"] for row in rows] == ["saved", "failed", "queued", "missing"]
    assert rows[0]["settings"]["resolution"] == "480p"
    assert rows[0]["settings"]["seed"] == 1
    assert rows[0]["clip"].path.is_file()
    assert rows[0]["file"]["width"] > 0
    assert "content checker" in rows[1]["why"]
    assert "latency_s" in rows[0]["values"]
    assert units["latency_s"] == "s"


def test_mlflows_own_frame_is_read_by_its_prefixes() -> None:
    frame = pd.DataFrame(
        {
            "run_id": ["r1", "r2"], "status": ["FINISHED", "FAILED"], "artifact_uri": ["s3://b/1/artifacts", None],
            "params.seed": ["1", "2"], "params.lr": ["0.1", "0.2"], "metrics.loss": [0.5, float("nan")],
            "tags.mlflow.user": ["ada", "ada"], "tags.seedance_lab.stage": ["saved", "failed"],
            "tags.seedance_lab.error": [None, "flagged"],
        }
    )  # fmt: skip
    rows, _ = rows_of(frame)
    assert [row["id"] for row in rows] == ["r1", "r2"]
    assert rows[0]["settings"] == {"seed": "1", "lr": "0.1"}
    assert rows[0]["values"] == {"loss": 0.5}
    assert (rows[0]["clip"], rows[0]["address"]) == (None, "s3://b/1/artifacts/")
    assert (rows[1]["state"], rows[1]["why"], rows[1]["values"]["loss"]) == ("failed", "flagged", None)


def test_a_table_of_ones_own_words_are_settings_and_numbers_are_values(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", seconds=0.2)
    frame = pd.DataFrame(
        {
            "path": [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")],
            "camera": ["pan", "zoom"],
            "score": [1.5, 2.5],
            "stars": [4, None],
            "tags": ["sharp, slow", None],
        }
    )
    rows, _ = rows_of(frame)
    assert [row["settings"] for row in rows] == [{"camera": "pan"}, {"camera": "zoom"}]
    assert [row["values"]["score"] for row in rows] == [1.5, 2.5]
    assert [row["state"] for row in rows] == ["saved", "missing"]
    assert "b.mp4" in rows[1]["why"]
    assert rows[0]["rating"] == {"stars": 4, "tags": ["sharp", "slow"], "note": ""}
    assert rows[1]["rating"] == {}


def test_a_column_of_ever_new_words_is_a_remark_and_no_setting() -> None:
    frame = pd.DataFrame({"path": ["a.mp4"] * 60, "note": [f"remark {n}" for n in range(60)]})
    assert rows_of(frame).rows[0]["settings"] == {}


def test_a_frame_that_says_nowhere_where_its_clips_are_is_refused() -> None:
    with pytest.raises(LabError, match=r"none of the columns file, path, artifact_uri"):
        rows_of(pd.DataFrame({"seed": [1]}))
