"""What a frame says of the experiment behind it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from seedance_lab.columns import COLUMNS
from seedance_lab.errors import LabError
from seedance_lab.frames import frame, typed
from seedance_lab.stats import design, intervals


@pytest.fixture
def df() -> pd.DataFrame:
    rows = {
        "resolution": ["1080p", "480p", "720p", "480p"],
        "prompt": ["b", "a", "b", "a"],
        "duration": [5, 2, 2, 2],
        "camera_fixed": [False, False, False, False],
        "end_image": [None, "last.png", None, None],
        "seed": [1, 1, None, 2],
        "replicate": [0, 0, 0, 0],
        "stage": ["saved", "failed", "saved", None],
        "latency_s": [3.0, None, 2.0, 1.0],
        "rating": [1, None, 3, 4],
    }
    return pd.DataFrame(rows)


def test_the_settings_are_columns_of_the_frame_in_its_order() -> None:
    """A setting that the frame renames or gains must not be missed here."""
    names = [column.name for column in COLUMNS]
    assert [n for n in names if n in design.SETTINGS] == list(design.SETTINGS)
    between = names[names.index("endpoint") : names.index("replicate")]
    assert set(between) - set(design.SETTINGS) == {"seed"}


def test_what_varies_is_named_and_missing_is_a_value(df: pd.DataFrame) -> None:
    assert design.varying(df) == ["prompt", "resolution", "duration", "end_image"]


def test_an_empty_study_varies_in_nothing(tmp_path: Path) -> None:
    empty = frame({}, tmp_path)
    assert design.varying(empty) == []
    assert len(design.made(empty)) == 0


def test_levels_keep_their_natural_order_even_when_read_from_csv(df: pd.DataFrame) -> None:
    """As text, 1080p would be the first level and everything would be held against it."""
    for one in (df, typed(df)):
        found = design.levels(one, "resolution")
        assert found.names == ["480p", "720p", "1080p"]
        assert found.codes.tolist() == [2, 0, 1, 0]
    assert design.levels(df, "duration").names == ["2 s", "5 s"]
    assert design.levels(df, "prompt").names == ["b", "a"]
    assert design.levels(df, "end_image").names == ["none", "last.png"]


def test_the_first_prompt_stays_first_when_its_clip_failed(df: pd.DataFrame) -> None:
    swapped = df.assign(stage=["failed", "saved", "saved", "saved"])
    assert design.levels(design.made(design.ordered(swapped)), "prompt").names == ["b", "a"]


def test_a_clip_of_an_unknown_stage_is_not_counted_as_made(df: pd.DataFrame) -> None:
    assert design.made(df).index.tolist() == [0, 2]
    assert len(design.made(df.drop(columns="stage"))) == 4


def test_numbers_come_as_floats_whatever_held_them(df: pd.DataFrame) -> None:
    assert design.numeric(df, "rating").dtype == "float64"
    mixed = df.assign(rating=pd.Series([1, None, 2.5, 4], dtype="object"), seed=df["seed"].astype("Int64"))
    assert design.numeric(mixed, "rating").tolist()[2] == 2.5
    assert design.numeric(mixed, "seed").isna().sum() == 1
    assert design.numeric(df, "camera_fixed").tolist() == [0.0] * 4


def test_a_column_that_is_not_there_is_answered_with_near_ones(df: pd.DataFrame) -> None:
    with pytest.raises(LabError, match=r"no column 'latncy_s'. Did you mean 'latency_s'"):
        design.numeric(df, "latncy_s")
    with pytest.raises(LabError, match=r"Did you mean 'resolution'"):
        design.column(df, "resolutoin")


def test_a_column_of_words_is_refused_with_those_of_numbers(df: pd.DataFrame) -> None:
    with pytest.raises(LabError, match=r"'stage' does not hold numbers.*latency_s, rating"):
        design.numeric(df, "stage")


def test_units_come_from_the_frame_then_the_declaration_then_the_name(df: pd.DataFrame) -> None:
    df.attrs["units"] = {"rating": "points"}
    assert design.unit(df, "rating") == "points"
    assert design.unit(df, "latency_s") == "s"
    assert design.unit(df, "motion_px_s") == "px/s"
    assert design.unit(df, "sharpness") == ""


def test_pairs_share_everything_but_the_setting() -> None:
    df = pd.DataFrame(
        {"resolution": ["480p", "720p", "480p", "720p"], "prompt": ["a", "a", "b", "a"], "seed": [1, 1, 1, 2]}
    )
    groups = design.pairing(df, "resolution")
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3


def test_rows_of_two_engines_are_never_a_pair() -> None:
    """A rehearsal's times say nothing about the service's."""
    df = pd.DataFrame({"resolution": ["480p", "720p"], "seed": [1, 1], "engine": ["local", "fal"]})
    first, second = design.pairing(df, "resolution")
    assert first != second


def test_random_seeds_meet_one_to_one() -> None:
    """Ten clips of random seeds are ten clips, not one mean."""
    df = pd.DataFrame(
        {"resolution": ["480p", "480p", "720p", "720p"], "prompt": "a", "seed": pd.array([None] * 4)}
    )
    groups = design.pairing(df, "resolution").tolist()
    assert groups[:2] == groups[2:]
    assert groups[0] != groups[1]


def test_a_bootstrap_says_the_same_twice_and_lies_about_the_mean() -> None:
    values = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0, float("nan")]
    import numpy as np

    first, second = intervals.bootstrap(values, np.mean), intervals.bootstrap(values, np.mean)
    assert first == second
    assert first.low < 0.75 < first.high
    assert intervals.bootstrap([3, 3, 3], np.mean) == (3, 3)
    assert np.isnan(intervals.bootstrap([3], np.mean).low)


def test_a_level_outside_of_0_and_1_is_refused() -> None:
    with pytest.raises(LabError, match=r"level=95 is not between 0 and 1"):
        intervals.mean([1, 2, 3], 95)
