"""The table of a study, and the same table from MLflow."""

from __future__ import annotations

import datetime as dt
import socket
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from seedance_lab import frames
from seedance_lab.columns import COLUMNS
from seedance_lab.errors import LabError
from seedance_lab.frames import frame, latency, pivot, runs, typed
from seedance_lab.journal import read
from seedance_lab.plan import Plan, sweep
from seedance_lab.record import Record, fold
from tests.tracked import Books, Tracked, fresh_store

NAMES = [column.name for column in COLUMNS]


@pytest.fixture
def store(tmp_path: Path) -> str:
    return fresh_store(tmp_path)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study"


@pytest.fixture
def plan(picture: bytes) -> Plan:
    return sweep(
        image=picture,
        end_image=[None, picture],
        prompt='the boats "drift",\napart',
        aspect_ratio=["auto", "16:9"],
        resolution=["1080p", "480p", "720p"],
        duration=[2, 5],
        seed=[-1, 7],
    )


def of(study: Path) -> pd.DataFrame:
    return frame(fold(read(study / "journal.jsonl")), study)


@pytest.fixture
def mixed(study: Path, plan: Plan) -> pd.DataFrame:
    """One request of every end, untracked."""
    with Tracked(study, plan, track=False) as one:
        one.save(*plan[:2])
        one.fail(plan[2])
        one.refuse(plan[3])
        one.cancel(plan[4])
        one.lose(plan[5])
        one.accept(plan[6])
    return of(study)


# ── a study's own ───────────────────────────────────────────────────────────────────────────────────────


def test_every_request_is_a_row_in_the_order_of_asking(mixed: pd.DataFrame, plan: Plan) -> None:
    """A table without its failures would show only what went well."""
    assert mixed["key"].tolist() == [r.key for r in plan[:7]]
    assert mixed["stage"].tolist() == [
        "saved",
        "saved",
        "failed",
        "refused",
        "cancelled",
        "unknown",
        "accepted",
    ]
    assert mixed["error_type"].tolist()[2] == "content_policy_violation"
    assert mixed["latency_s"].notna().tolist() == [True, True, True, False, True, False, False]
    assert mixed["file"].notna().tolist() == [True, True, *[False] * 5]


def test_the_columns_are_the_declared_ones_with_their_types(mixed: pd.DataFrame) -> None:
    """A notebook must not meet a column as text today and as a number tomorrow."""
    assert list(mixed.columns) == NAMES
    assert {name: str(t) for name, t in mixed.dtypes.items()} == {c.name: c.dtype for c in COLUMNS}
    assert all(column.doc for column in COLUMNS)


def test_an_empty_study_has_the_same_columns_and_types(tmp_path: Path, mixed: pd.DataFrame) -> None:
    """Code written before the first run holds after it."""
    empty = frame({}, tmp_path)
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == mixed.dtypes.to_dict()
    assert empty.attrs == mixed.attrs


def test_a_missing_seed_stays_a_whole_number_column(mixed: pd.DataFrame) -> None:
    """A float cannot hold a missing seed and 4294967295 and still look like what was typed."""
    assert mixed["seed"].tolist()[:2] == [pd.NA, 7]
    assert mixed["returned_seed"].tolist()[:2] == [77, 7]
    assert mixed["duration"].tolist()[:3] == [2, 2, 5]
    assert mixed["camera_fixed"].tolist()[:1] == [False]


def test_settings_sort_in_their_natural_order(mixed: pd.DataFrame) -> None:
    """As text, 1080p would come before 480p, and a plot's axis would be wrong."""
    assert list(mixed["resolution"].cat.categories) == ["480p", "720p", "1080p"]
    assert list(mixed["aspect_ratio"].cat.categories) == [
        "21:9",
        "16:9",
        "4:3",
        "1:1",
        "3:4",
        "9:16",
        "9:21",
        "auto",
    ]
    assert mixed["resolution"].cat.ordered


def test_a_value_of_another_version_is_kept(study: Path, plan: Plan, mixed: pd.DataFrame) -> None:
    """A study may have been run by a version that knows more."""
    records = fold(read(study / "journal.jsonl"))
    newer = {
        **plan[0].record(),
        "endpoint": "fal-ai/newer",
        "arguments": {**plan[0].arguments, "resolution": "4k"},
    }
    records["k1:new"] = Record("k1:new", newer)
    df = frame(records, study)
    assert df["resolution"].tolist()[-1] == "4k"
    assert list(df["resolution"].cat.categories) == ["480p", "720p", "1080p", "4k"]
    assert df["endpoint"].tolist()[-1] == "fal-ai/newer"


def test_units_are_told(mixed: pd.DataFrame) -> None:
    """Whoever plots a column can label its axis."""
    units = mixed.attrs["units"]
    assert (units["latency_s"], units["cost_usd"], units["size_bytes"], units["width"]) == (
        "s",
        "USD",
        "bytes",
        "px",
    )
    assert set(units) < set(NAMES)


def test_the_file_is_a_path_that_opens(mixed: pd.DataFrame, study: Path) -> None:
    """A row leads to its clip, from any working folder; a deleted clip is told as missing."""
    path = Path(mixed["file"][0])
    assert path.is_absolute()
    assert path.stat().st_size == mixed["size_bytes"][0]
    path.unlink()
    assert pd.isna(of(study)["file"][0])


def test_parquet_brings_back_the_same_table(mixed: pd.DataFrame, tmp_path: Path) -> None:
    """Types, order of the categories and units included."""
    mixed.to_parquet(tmp_path / "a.parquet")
    back = pd.read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(back, mixed)
    assert back.attrs == mixed.attrs


def test_csv_brings_back_the_same_table_once_typed(mixed: pd.DataFrame, tmp_path: Path) -> None:
    """CSV has no types, and the prompt has quotes, a comma and a new line in it."""
    mixed.to_csv(tmp_path / "a.csv", index=False)
    back = typed(pd.read_csv(tmp_path / "a.csv"))
    pd.testing.assert_frame_equal(back, mixed)
    assert back.attrs == mixed.attrs


# ── from MLflow ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def tracked(store: str, study: Path, plan: Plan) -> pd.DataFrame:
    """A tracked pass of every end that is one; the study's own table."""
    with Tracked(study, plan) as one:
        one.save(*plan[:3])
        one.fail(plan[3])
        one.refuse(plan[4])
        one.cancel(plan[5])
    return of(study)


def test_the_study_and_mlflow_tell_the_same(tracked: pd.DataFrame) -> None:
    """To the last millisecond; only the file is MLflow's own copy."""
    df = runs("harbour")
    own = tracked.set_index("key").drop(columns="file")
    theirs = df.set_index("key").drop(columns="file").loc[own.index]
    pd.testing.assert_frame_equal(theirs, own)
    assert df.dtypes.to_dict() == tracked.dtypes.to_dict()
    assert df.attrs == {**tracked.attrs, "n_foreign": 0}
    copies = df["file"].dropna()
    assert len(copies) == 3
    assert {Path(f).read_bytes() for f in copies} == {Path(f).read_bytes() for f in tracked["file"].dropna()}


def test_an_empty_experiment_is_an_empty_table(store: str, mixed: pd.DataFrame) -> None:
    """With the same columns and types."""
    MlflowClient().create_experiment("harbour")
    assert runs("harbour").dtypes.to_dict() == mixed.dtypes.to_dict()


def test_foreign_runs_are_left_out_and_counted(store: str, tracked: pd.DataFrame) -> None:
    """An experiment is often shared; a parent of ours is not foreign."""
    client = MlflowClient()
    experiment = client.get_experiment_by_name("harbour").experiment_id
    for _ in range(2):
        client.create_run(experiment)
    df = runs("harbour")
    assert len(df) == len(tracked)
    assert df.attrs["n_foreign"] == 2


def test_of_several_attempts_the_latest_counts(store: str, study: Path, plan: Plan) -> None:
    """As in the study's own table."""
    with Tracked(study, plan) as one:
        one.fail(plan[0])
        one.save(plan[1])
    with Tracked(study, plan) as two:
        two.save(plan[0])
    df = runs("harbour")
    assert df["stage"].tolist() == ["saved", "saved"]
    assert df["attempts"].tolist() == of(study)["attempts"].tolist() == [2, 1]
    assert set(df["key"]) == set(of(study)["key"])


def test_a_rehearsal_does_not_hide_what_was_paid_for(store: str, tmp_path: Path, plan: Plan) -> None:
    """Equal requests have equal keys wherever they are made."""
    with Tracked(tmp_path / "paid", plan, engine="fal") as paid:
        paid.save(plan[0])
    with Tracked(tmp_path / "free", plan) as free:
        free.save(plan[0])
    assert runs("harbour")["engine"].tolist() == ["fal", "local"]


def test_a_filter_and_several_experiments(store: str, tmp_path: Path, plan: Plan) -> None:
    """In MLflow's own search language."""
    for name in ("a", "b"):
        with Tracked(tmp_path / name, plan, experiment=name, engine="fal" if name == "a" else "local") as one:
            one.save(*plan[:2])
            one.fail(plan[2])
    assert len(runs(["a", "b"])) == 6
    df = runs(["a", "b"], filter="params.duration = '5' AND attributes.status = 'FAILED'", tracking_uri=store)
    assert df["stage"].tolist() == ["failed"] * 2


def test_an_unknown_experiment_is_named_with_its_neighbours(tracked: pd.DataFrame) -> None:
    """A typing slip is the usual reason."""
    with pytest.raises(LabError, match=r"no experiment 'harbor'.*Did you mean 'harbour'"):
        runs("harbor")


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Reading in the wrong folder must not leave an empty store behind."""
    with pytest.raises(LabError, match="no MLflow store"):
        runs("harbour")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    """MLflow by itself would go on trying for minutes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        with pytest.raises(LabError, match="did not answer: ConnectError"):
            runs("harbour", tracking_uri=f"http://127.0.0.1:{listener.getsockname()[1]}")


def test_a_filter_that_mlflow_does_not_understand_is_told(tracked: pd.DataFrame) -> None:
    """As an error of this package, with MLflow's words."""
    with pytest.raises(LabError, match="filter"):
        runs("harbour", filter="resolution is 480p")


def test_many_pages_are_one_table(tracked: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow answers page by page."""
    monkeypatch.setattr(frames, "_PAGE", 2)
    pd.testing.assert_frame_equal(
        runs("harbour").sort_values("key", ignore_index=True),
        runs("harbour").sort_values("key", ignore_index=True),
    )
    assert len(runs("harbour")) == len(tracked)


def test_a_prompt_too_long_for_mlflow_is_cut_there(store: str, study: Path, picture: bytes) -> None:
    """The one input in which the two tables can differ."""
    plan = sweep(image=picture, prompt="x" * 7000)
    with Tracked(study, plan) as one:
        one.refuse(plan[0])
    assert runs("harbour")["prompt"].str.len().tolist() == [6000]
    assert of(study)["prompt"].str.len().tolist() == [7000]


def test_children_keep_their_times_of_day(tracked: pd.DataFrame, store: str) -> None:
    """MLflow has whole milliseconds, and so has the journal: nothing is rounded on the way."""
    by_key = {run.data.tags["seedance_lab.key"]: run for run in Books(store).children}
    for key, sent_at in zip(tracked["key"], tracked["sent_at"], strict=True):
        at = dt.datetime.fromtimestamp(by_key[key].info.start_time / 1000, dt.UTC)
        assert abs(at - sent_at.to_pydatetime()) < dt.timedelta(microseconds=1)


# ── summing up ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def table() -> pd.DataFrame:
    """Latencies 1 to 4 at 480p, 10 at 720p, and one failure."""
    return typed(
        pd.DataFrame(
            {
                "resolution": ["720p", *["480p"] * 4, "480p"],
                "seed": [1, 1, 2, 1, 2, 1],
                "stage": [*["saved"] * 5, "failed"],
                "latency_s": [10.0, 1, 2, 3, 4, 1000],
            }
        )
    )


def test_latency_by_setting_leaves_failures_out(table: pd.DataFrame) -> None:
    """How long a failure took says nothing about clips."""
    found = latency(table)
    assert found.index.tolist() == ["480p", "720p"]
    assert found.loc["480p"].tolist() == pytest.approx([4, 2.5, 2.5, 3.85])
    assert list(found.columns) == ["count", "mean", "p50", "p95"]
    assert len(latency(table, by=["resolution", "seed"])) == 3


def test_a_pivot_is_a_table_over_two_settings(table: pd.DataFrame) -> None:
    """In the settings' natural order; an empty cell is missing, not 0."""
    found = pivot(table[table["stage"] == "saved"], "latency_s", "seed", "resolution")
    assert found.columns.tolist() == ["480p", "720p"]
    assert found.loc[1].tolist() == [2, 10]
    assert found.loc[2, "480p"] == 3
    assert pd.isna(found.loc[2, "720p"])
    assert pivot(table, "stage", "seed", "resolution", how="count").loc[1, "480p"] == 3


def test_random_seeds_are_not_dropped(mixed: pd.DataFrame) -> None:
    """pandas leaves out groups whose name is missing, and with them half of a sweep."""
    assert latency(mixed, by="seed")["count"].sum() == 2
    assert pivot(mixed, "key", "seed", "resolution", how="count").to_numpy(dtype=float, na_value=0).sum() == 7


@pytest.mark.parametrize(
    "call",
    [
        lambda df: latency(df, by="resolutoin"),
        lambda df: pivot(df, "latency_s", "resolutoin", "seed"),
        lambda df: pivot(df, "latency_s", "seed", ["resolutoin"]),
    ],
)
def test_a_wrong_name_is_told_with_its_neighbours(table: pd.DataFrame, call: object) -> None:
    """A KeyError from the depths of pandas would not say what to type."""
    with pytest.raises(LabError, match="Did you mean 'resolution'"):
        call(table)  # type: ignore[operator]  # one of the lambdas above


def test_a_way_to_sum_up_that_is_not_one(table: pd.DataFrame) -> None:
    """Likewise."""
    with pytest.raises(LabError, match="Did you mean 'median'"):
        pivot(table, "latency_s", "seed", "resolution", how="medain")
    with pytest.raises(LabError, match="cannot be summed up"):
        pivot(table, "stage", "seed", "resolution", how="mean")
