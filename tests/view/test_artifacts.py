"""Clips that lie in an MLflow store are brought here once."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from view_fakes import make_clip

import seedance_lab as lab
from seedance_lab.errors import ClipError
from seedance_lab.view import artifacts
from seedance_lab.view.artifacts import fetched
from seedance_lab.view.cells import GridModel
from seedance_lab.view.sources import source_of


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A local MLflow store of three runs: two with a clip, one without."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment("clips", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("clips")
    for n in range(3):
        with mlflow.start_run():
            mlflow.log_params({"seed": n, "lens": "wide" if n else "long"})
            mlflow.log_metric("sharpness", n / 2)
            if n < 2:
                make_clip(tmp_path / "made" / "clip.mp4", seconds=0.3, hue=n)
                mlflow.log_artifact(str(tmp_path / "made" / "clip.mp4"))
    return uri


def test_runs_of_an_mlflow_that_knows_nothing_of_us_are_a_grid(store: str) -> None:
    frame = mlflow.search_runs(experiment_names=["clips"], order_by=["params.seed"])
    model = GridModel(source_of(frame))
    cells = [model.cell(id_) for id_ in model.ids]
    assert [cell["settings"] for cell in cells if cell] == [
        {"lens": "long", "seed": "0"}, {"lens": "wide", "seed": "1"}, {"lens": "wide", "seed": "2"},
    ]  # fmt: skip
    assert "sharpness" in model.column_names
    model.read_files()
    told = [(cell["state"], cell["width"]) for id_ in model.ids if (cell := model.cell(id_))]
    assert told == [("saved", 320), ("saved", 320), ("unreadable", 0)]
    why = (model.cell(model.ids[2]) or {})["why"]
    assert "no MP4 among the artifacts" in why
    html = lab.show(frame).html()
    assert html.count("data:image/jpeg") == 2
    assert "no MP4 among the artifacts" in html.replace("<wbr>", "")


def test_a_file_from_a_store_is_fetched_once_and_by_its_folder_too(store: str, tmp_path: Path) -> None:
    run = mlflow.search_runs(experiment_names=["clips"], order_by=["params.seed"]).iloc[0]["run_id"]
    by_folder, by_name = fetched(f"runs:/{run}/"), fetched(f"runs:/{run}/clip.mp4")
    assert by_folder.read_bytes() == by_name.read_bytes()
    assert by_folder.is_relative_to(tmp_path / "cache")
    stamp = by_folder.stat().st_mtime_ns
    assert fetched(f"runs:/{run}/") == by_folder
    assert by_folder.stat().st_mtime_ns == stamp
    assert not [p for p in by_folder.parent.iterdir() if p.is_dir()], "nothing is left of the fetching"


def test_what_is_on_this_machine_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_from_mlflow", lambda address: pytest.fail(address))
    make_clip(tmp_path / "my clips" / "a b.mp4", seconds=0.2)
    path = tmp_path / "my clips" / "a b.mp4"
    assert fetched(str(path)) == fetched(path.as_uri()) == fetched(f"{path.parent.as_uri()}/") == path


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("/nowhere/a.mp4", "There is no file"),
        ("file:///nowhere/", "no MP4 among"),
        ("runs:/none/", "could not be"),
    ],
)
def test_what_is_not_there_is_said(store: str, address: str, message: str) -> None:
    with pytest.raises(ClipError, match=message):
        fetched(address)
