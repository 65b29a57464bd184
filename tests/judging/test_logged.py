"""Votes and ratings in a real MLflow store: whole tables, in the run of the study's last pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from seedance_lab.judging import logged, ratings, votes
from seedance_lab.judging.votes import Side
from seedance_lab.mlflow_store import quiet
from seedance_lab.plan import Plan, sweep
from seedance_lab.study import Study
from tests.tracked import EXPERIMENT, Tracked, fresh_store


@pytest.fixture
def plan(picture: bytes) -> Plan:
    return sweep(image=picture, prompt=["calm", "storm"], seed=[1, 2])


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    uri = fresh_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def study(tmp_path: Path, plan: Plan, store: str) -> Study:
    with Tracked(tmp_path / "harbour", plan) as one:
        one.save(*plan)
    return Study(tmp_path / "harbour", experiment=EXPERIMENT)


def say(study: Study, choice: str = "left", **more: Any) -> votes.Vote:
    a, b = (str(clip.key) for clip in study.clips()[:2])
    sides = {"left": Side(a, "sa", "calm"), "right": Side(b, "sb", "storm")}
    return votes.add(
        study.folder, trial=1, who="ada", by="prompt", held={"seed": 1}, choice=choice, **sides, **more
    )


def parents(store: str) -> list[Any]:
    with quiet():
        client = MlflowClient(tracking_uri=store)
        found = client.get_experiment_by_name(EXPERIMENT)
        runs = (
            client.search_runs([found.experiment_id], order_by=["attributes.start_time ASC"]) if found else []
        )
    return [run for run in runs if "seedance_lab.key" not in run.data.tags]


def table(store: str, name: str, run: int = -1) -> pd.DataFrame:
    """As MLflow's own reader gives it."""
    with quiet():
        path = mlflow.artifacts.download_artifacts(
            run_id=parents(store)[run].info.run_id, artifact_path=name, tracking_uri=store
        )
    told = json.loads(Path(path).read_text())
    return pd.DataFrame(told["data"], columns=told["columns"])


def test_the_votes_are_a_table_of_the_pass(study: Study, store: str) -> None:
    say(study, "left", ms=1200)
    say(study, "bad")
    assert logged.log(study.folder, EXPERIMENT) is None
    df = table(store, "votes.json")
    assert df["choice"].tolist() == ["left", "bad"]
    assert df["ms"].tolist() == [1200, 0]
    assert list(df.columns) == list(study.votes().columns)
    assert pd.to_datetime(df["at"]).tolist() == study.votes()["at"].tolist()


def test_mlflows_page_and_its_reader_find_the_table(study: Study, store: str) -> None:
    """`load_table` goes by the tag that its own `log_table` sets."""
    say(study)
    study.rate(study.clips()[0], stars=4, tags="sharp", note="half an emoji: \ud83d", voter="ada")
    assert logged.log(study.folder, EXPERIMENT) is None
    assert logged.log(study.folder, EXPERIMENT) is None
    [run] = parents(store)
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "votes.json", "type": "table"},
        {"path": "ratings.json", "type": "table"},
    ]
    mlflow.set_tracking_uri(store)
    try:
        with quiet():
            found = MlflowClient().load_table(run.info.experiment_id, "ratings.json", [run.info.run_id])
    finally:
        mlflow.set_tracking_uri(None)
    assert found["stars"].tolist() == [4]


def test_a_vote_that_was_taken_back_leaves_the_table(study: Study, store: str) -> None:
    """The last one too. Mutant: nothing is written where no vote holds, so that the old table stays."""
    first, second = say(study), say(study, "tie")
    logged.log(study.folder, EXPERIMENT)
    votes.undo(study.folder, first)
    logged.log(study.folder, EXPERIMENT)
    assert table(store, "votes.json")["choice"].tolist() == ["tie"]
    votes.undo(study.folder, second)
    logged.log(study.folder, EXPERIMENT)
    assert table(store, "votes.json").empty


def test_they_go_to_the_last_pass(study: Study, plan: Plan, store: str) -> None:
    with Tracked(study.folder, plan):
        pass
    say(study)
    assert logged.log(study.folder, EXPERIMENT) is None
    assert len(parents(store)) == 2
    assert len(table(store, "votes.json")) == 1
    with pytest.raises(Exception, match=r"votes\.json"):
        table(store, "votes.json", run=0)


def test_where_nobody_judged_mlflow_is_not_even_asked(tmp_path: Path, plan: Plan) -> None:
    with Tracked(tmp_path / "harbour", plan, track=False) as one:
        one.save(plan[0])
    assert logged.log(tmp_path / "harbour", EXPERIMENT, tracking_uri="http://127.0.0.1:9/") is None


def test_a_store_without_the_run_is_said_to_be_and_the_votes_are_kept(
    tmp_path: Path, plan: Plan, store: str
) -> None:
    with Tracked(tmp_path / "harbour", plan, track=False) as one:
        one.save(*plan)
    study = Study(tmp_path / "harbour", experiment=EXPERIMENT)
    say(study)
    told = logged.log(study.folder, EXPERIMENT)
    assert told is not None
    assert "has no run of this study: study.track() first" in told
    assert "They are kept with the study" in told
    assert len(study.votes()) == 1


def test_a_store_that_is_gone_is_a_sentence_and_no_error(study: Study, tmp_path: Path) -> None:
    (tmp_path / "other.db").write_text("this is no database")
    say(study)
    told = logged.log(study.folder, EXPERIMENT, tracking_uri=f"sqlite:///{tmp_path / 'other.db'}")
    assert told is not None
    assert "study.track() writes them later" in told
    assert "\n" not in told


def test_no_password_is_told(study: Study) -> None:
    say(study)
    told = logged.log(study.folder, EXPERIMENT, tracking_uri="postgresql://ada:s3cret@127.0.0.1:9/mlflow")
    assert told is not None
    assert "s3cret" not in told


def test_tracking_later_writes_them_too(tmp_path: Path, plan: Plan, store: str) -> None:
    """What the sentence above promises."""
    with Tracked(tmp_path / "harbour", plan, track=False) as one:
        one.save(*plan)
    study = Study(tmp_path / "harbour", track=False, experiment=EXPERIMENT)
    say(study)
    ratings.rate(study.folder, str(study.clips()[0].key), "sa", who="ada", stars=3)
    assert study.track().problems == ()
    assert len(table(store, "votes.json")) == 1
    assert table(store, "ratings.json")["stars"].tolist() == [3]
