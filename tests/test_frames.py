"""The table of a study. The same table from MLflow is in tests/loading."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from seedance_lab.columns import COLUMNS
from seedance_lab.errors import LabError
from seedance_lab.frames import frame, pivot, typed
from seedance_lab.journal import read
from seedance_lab.plan import Plan, sweep
from seedance_lab.record import Record, fold
from seedance_lab.stats.times import latency
from tests.tracked import Tracked

NAMES = [column.name for column in COLUMNS]


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


def odd(study: Path, picture: bytes) -> pd.DataFrame:
    """A table with everything in it that a file format could lose."""
    prompts = ["007", "NA", "None", "a\nb", "a\r\nb", 'she said "go", twice', "🌊 Σ", "a;b\tc", "1e5"]
    plan = sweep(image=picture, prompt=prompts, seed=[None, 4294967295])
    with Tracked(study, plan, track=False) as one:
        one.save(*plan[:3])
        one.save(plan[3], metrics={})
        one.fail(plan[4])
        for request in plan[5:]:
            one.refuse(request)
    measured = {"motion_px_s": {plan[0].key: 1.5, plan[1].key: float("nan")}, "nobody": {}}
    return frame(fold(read(study / "journal.jsonl")), study, extra=measured)


@pytest.mark.parametrize("which", ["mixed", "odd"])
def test_parquet_brings_back_the_same_table(
    which: str, mixed: pd.DataFrame, tmp_path: Path, picture: bytes
) -> None:
    """Types, order of the categories, units and every odd value included."""
    df = mixed if which == "mixed" else odd(tmp_path / "odd", picture)
    df.to_parquet(tmp_path / "a.parquet")
    back = pd.read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(back, df)
    assert back.attrs == df.attrs


def test_an_empty_table_comes_back_from_parquet_once_typed(mixed: pd.DataFrame, tmp_path: Path) -> None:
    """Parquet keeps no categories where there is no row."""
    mixed[:0].to_parquet(tmp_path / "a.parquet")
    back = typed(pd.read_parquet(tmp_path / "a.parquet"))
    pd.testing.assert_frame_equal(back, mixed[:0])
    assert back.attrs == mixed.attrs


@pytest.mark.parametrize("which", ["mixed", "odd", "empty"])
def test_csv_brings_back_the_same_table_once_typed(
    which: str, mixed: pd.DataFrame, tmp_path: Path, picture: bytes
) -> None:
    """CSV has no types, and prompts have quotes, commas, new lines and other people's words for nothing."""
    df = {"mixed": lambda: mixed, "odd": lambda: odd(tmp_path / "odd", picture), "empty": lambda: mixed[:0]}[
        which
    ]()
    df.to_csv(tmp_path / "a.csv", index=False)
    back = typed(pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False))
    pd.testing.assert_frame_equal(back, df)
    assert back.attrs == df.attrs


def test_csv_read_as_pandas_does_it_is_typed_too(mixed: pd.DataFrame, tmp_path: Path) -> None:
    """Where no prompt looks like a number, the plain call is enough."""
    mixed.to_csv(tmp_path / "a.csv", index=False)
    pd.testing.assert_frame_equal(typed(pd.read_csv(tmp_path / "a.csv")), mixed)


def test_more_numbers_come_after_the_declared_columns(study: Path, mixed: pd.DataFrame) -> None:
    """Measures, ratings: by key, missing where there is none, never in the place of a declared column."""
    records = fold(read(study / "journal.jsonl"))
    key = mixed["key"][1]
    df = frame(records, study, extra={"motion_px_s": {key: 2.5, "k1:elsewhere": 9.0}, "rating": {}})
    assert list(df.columns) == [*NAMES, "motion_px_s", "rating"]
    assert df["motion_px_s"].dropna().to_dict() == {1: 2.5}
    assert str(df["rating"].dtype) == "float64"
    pd.testing.assert_frame_equal(df[NAMES], mixed)
    with pytest.raises(LabError, match="already a column 'seed'"):
        frame(records, study, extra={"seed": {}})


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
    assert found.loc["480p", ["count", "mean", "p50", "p95"]].tolist() == pytest.approx([4, 2.5, 2.5, 3.85])
    assert [c for c in found.columns if "_" not in c] == ["count", "mean", "p50", "p90", "p95"]
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
