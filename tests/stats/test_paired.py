"""The effect of one setting, held against published figures and planted effects."""

from __future__ import annotations

import itertools
import re
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower

from seedance_lab.errors import LabError
from seedance_lab.stats.paired import compare
from seedance_lab.stats.significance import holm, n_needed, sign_flip

SLEEP = {
    "1": [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    "2": [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
}
"""Extra hours of sleep of ten patients with two drugs (Student, Biometrika 6, 1908; R's `sleep`)."""


def sleep() -> pd.DataFrame:
    rows = [(drug, i, x) for drug, values in SLEEP.items() for i, x in enumerate(values)]
    return pd.DataFrame(rows, columns=["prompt", "seed", "extra"])


def swept(
    axes: dict[str, list[Any]] | None = None, *, n_seeds: int = 6, effect: float = 12.0, noise: float = 1.0
) -> pd.DataFrame:
    """A crossing over seeds that differ by 10 s, in which 720p takes `effect` longer."""
    rng = np.random.default_rng(7)
    axes = axes or {"resolution": ["480p", "720p"], "prompt": ["a", "b"]}
    df = pd.DataFrame(itertools.product(range(n_seeds), *axes.values()), columns=["seed", *axes])
    seeds = rng.normal(0, 10, n_seeds)[df["seed"]]
    value = 60 + seeds + effect * (df["resolution"] == "720p") + rng.normal(0, noise, len(df))
    return df.assign(latency_s=value, replicate=0, stage="saved")


# ── published figures ───────────────────────────────────────────────────────────────────────────────────


def test_students_sleep_comes_out_as_published() -> None:
    """R: t.test(extra ~ group, paired = TRUE) gives t = -4.0621, df = 9, p = 0.002833, 0.7001142 to 2.4598858."""
    found = compare(sleep(), "prompt", "extra")
    row = found.table.iloc[0]
    assert found.paired
    assert row["n"] == 10
    assert row["difference"] == pytest.approx(1.58)
    assert (row["low"], row["high"]) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert row["p"] == pytest.approx(0.002833, abs=1e-6)


def test_sleep_without_its_patients_is_welchs_test() -> None:
    """R: t.test(extra ~ group) gives p = 0.07939 and -3.3654832 to 0.2054832."""
    found = compare(sleep().drop(columns="seed"), "prompt", "extra")
    row = found.table.iloc[0]
    assert not found.paired
    assert (row["low"], row["high"]) == pytest.approx((-0.2054832, 3.3654832), abs=1e-6)
    assert row["p"] == pytest.approx(0.07939, abs=1e-5)
    assert any("not paired" in note for note in found.notes)


def test_the_exact_p_value_is_that_of_all_sign_flips() -> None:
    """Held against scipy's own enumeration. One of ten differences is 0 and its sign does not matter."""
    d = np.subtract(SLEEP["2"], SLEEP["1"])
    theirs = stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=2**10)
    assert sign_flip(d) == pytest.approx(theirs.pvalue)
    assert sign_flip([1.0, 1.0, 1.0]) == 2 / 8
    assert np.isnan(sign_flip(np.ones(15)))


def test_holms_adjustment_is_statsmodels_one() -> None:
    p = [0.01, 0.04, 0.03, 0.005, 0.9]
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert holm([0.01, float("nan"), 0.02])[0] == pytest.approx(0.02)


@pytest.mark.parametrize("size", [0.2, 0.5, 1.0, 3.0])
def test_the_number_of_pairs_that_would_show_it_is_statsmodels_one(size: float) -> None:
    ask = {"effect_size": size, "alpha": 0.05, "power": 0.8}
    one, two = TTestPower().solve_power(**ask), TTestIndPower().solve_power(**ask)
    assert n_needed(size, 1, alpha=0.05) == np.ceil(one)
    assert n_needed(size, 1, alpha=0.05, two_samples=True) == np.ceil(two)


def test_the_ratio_of_times_has_the_interval_of_its_numerator_where_the_other_is_fixed() -> None:
    """With 10 s at every seed the ratio is the mean over 10, and so are its ends; only here is it that plain."""
    second = [14.0, 15.5, 13.0, 16.0, 15.0]
    rows = [(level, i, x) for level, xs in (("480p", [10.0] * 5), ("720p", second)) for i, x in enumerate(xs)]
    row = compare(pd.DataFrame(rows, columns=["resolution", "seed", "latency_s"]), "resolution").table.iloc[0]
    ends = stats.t.interval(0.95, 4, np.mean(second), stats.sem(second))
    assert row["ratio"] == pytest.approx(1.47)
    assert (row["ratio_low"], row["ratio_high"]) == pytest.approx((ends[0] / 10, ends[1] / 10))


# ── what is compared with what ──────────────────────────────────────────────────────────────────────────


def test_the_seed_does_not_blur_a_paired_difference() -> None:
    """Seeds differ by 10 s, clips of a seed by 1 s. Unpaired, the interval would be several times as wide."""
    df = swept()
    paired, loose = compare(df, "resolution"), compare(df.assign(seed=range(len(df))), "resolution")
    assert paired.paired
    assert not loose.paired
    widths = [c.table["high"].iloc[0] - c.table["low"].iloc[0] for c in (paired, loose)]
    assert widths[0] * 4 < widths[1]
    assert paired.table["low"].iloc[0] < 12 < paired.table["high"].iloc[0]


def test_failed_clips_and_their_partners_are_left_out_and_counted() -> None:
    df = swept()
    df.loc[0, "stage"] = "failed"
    df.loc[5, "latency_s"] = np.nan
    found = compare(df, "resolution")
    assert found.table["n"].iloc[0] == 10
    assert found.n_unused == 4
    assert "4 rows not used" in repr(found)


def test_three_levels_are_compared_each_with_each_and_four_with_the_first() -> None:
    df = swept({"resolution": ["480p", "720p", "1080p"]})
    assert len(compare(df, "resolution").table) == 3
    df = swept({"resolution": ["480p", "720p"], "prompt": list("abcd")})
    assert compare(df, "prompt").table["against"].tolist() == ["a", "a", "a"]


def test_levels_come_in_their_natural_order_so_the_smallest_is_the_one_held_against() -> None:
    df = swept({"resolution": ["1080p", "720p", "480p"]})
    assert compare(df, "resolution").table["against"].tolist() == ["480p", "480p", "720p"]


def test_several_looks_are_paid_for() -> None:
    """Twenty prompts that do nothing: without Holm one of them would be called visible here."""
    rng = np.random.default_rng(3)
    df = pd.DataFrame(itertools.product(range(8), [f"p{i}" for i in range(21)]), columns=["seed", "prompt"])
    found = compare(df.assign(latency_s=rng.normal(60, 1, len(df))), "prompt")
    assert (found.table["p"] < 0.05).any()
    assert found.sentence.startswith("None of 20 comparisons is visible.")


def test_unpaired_clips_are_adjusted_for_the_other_settings() -> None:
    """Long clips are mostly 720p here: the plain means would be 15 s apart, of which resolution makes 12 s."""
    rng = np.random.default_rng(2)
    n = 200
    high = rng.random(n) < 0.5
    duration = np.where(rng.random(n) < np.where(high, 0.8, 0.2), 10, 5)
    latency = 20 + 12 * high + 1.0 * duration + rng.normal(0, 1, n)
    df = pd.DataFrame(
        {
            "resolution": np.where(high, "720p", "480p"),
            "duration": duration,
            "seed": range(n),
            "latency_s": latency,
        }
    )
    found = compare(df, "resolution")
    row = found.table.iloc[0]
    assert not found.paired
    assert row["low"] < 12 < row["high"]
    assert row["high"] < 13
    assert "adjusted for duration" in repr(found)


def test_where_the_effect_depends_on_the_seed_each_seed_counts_once() -> None:
    """Six prompts of one seed agree with each other; 24 pairs are four witnesses then, not 24."""
    df = swept({"resolution": ["480p", "720p"], "prompt": list("abcdef")}, n_seeds=4)
    df["latency_s"] += np.array([-9, -3, 3, 9])[df["seed"]] * (df["resolution"] == "720p")
    found = compare(df, "resolution")
    assert found.table["n"].iloc[0] == 24
    assert found.table["n_units"].iloc[0] == 4
    assert "4 seeds" in found.sentence or found.table["p"].iloc[0] > 0.05
    assert any("each seed counts once" in note for note in found.notes)


# ── what is said ────────────────────────────────────────────────────────────────────────────────────────


def test_a_visible_effect_is_one_plain_sentence() -> None:
    found = compare(swept(n_seeds=12), "resolution")
    pattern = r"720p takes 1[12]\.\d+ s longer than 480p \(95 % interval 1\d\.\d+ to 1\d\.\d+ s; 24 pairs\)\."
    assert re.fullmatch(pattern, str(found)), str(found)


def test_a_negative_effect_is_told_with_both_ends_the_right_way_round() -> None:
    found = compare(swept(effect=-12, n_seeds=12), "resolution")
    low, high = map(float, re.findall(r"interval ([\d.]+) to ([\d.]+) s", found.sentence)[0])
    assert "takes 1" in found.sentence
    assert "less than 480p" in found.sentence
    assert low < 12 < high


def test_what_is_not_seen_is_told_with_its_bounds_and_what_would_settle_it() -> None:
    found = compare(swept(noise=6, n_seeds=3), "prompt", worth=2)
    pattern = (
        r"No visible effect of prompt on latency_s at n = 6: the difference lies between −[\d.]+ and \+[\d.]+ s\. "
        r"About \d+ pairs would show one of 2 s\."
    )
    assert re.fullmatch(pattern, found.sentence), found.sentence


def test_a_difference_that_matters_can_be_ruled_out() -> None:
    found = compare(swept(n_seeds=20), "prompt", worth=5)
    assert found.sentence.endswith("One of 5 s is ruled out.")


def test_prices_have_no_noise_and_are_compared_all_the_same() -> None:
    """0.1 + 0.2 − 0.3 must not become a visible effect of the prompt."""
    df = swept()
    price = np.where(df["resolution"] == "720p", 0.1 + 0.2, 0.1) + np.where(df["prompt"] == "b", 1e-17, 0)
    df["cost_usd"] = price + 1e-16 * np.arange(len(df))
    assert compare(df, "resolution", "cost_usd").sentence.startswith("720p costs $0.200 more than 480p")
    assert (
        compare(df, "prompt", "cost_usd").sentence
        == "prompt makes no difference to cost_usd: the same in all 12 pairs."
    )
    assert compare(df, "resolution", "cost_usd").table["ratio"].iloc[0] == pytest.approx(3)


def test_a_rating_is_compared_as_any_number() -> None:
    df = swept().assign(rating=lambda d: np.where(d["resolution"] == "720p", 4, 2) + d["seed"] % 2)
    found = compare(df, "resolution", "rating")
    assert found.sentence.startswith("rating is 2.00 higher with 720p than with 480p")
    assert np.isnan(found.table["ratio"].iloc[0])


def test_a_dollar_sign_is_not_typeset_and_a_prompt_is_escaped() -> None:
    df = swept({"resolution": ["480p", "720p"], "prompt": ["<b>a</b>", "b & c"]}).assign(cost_usd=1.0)
    html = compare(df, "prompt")._repr_html_()
    assert "mathjax_ignore" in html
    assert "&lt;b&gt;a&lt;/b&gt;" in html
    assert "<b>a</b>" not in html


def test_a_comparison_cannot_be_changed_and_draws_itself() -> None:
    found = compare(swept(), "resolution")
    with pytest.raises(FrozenInstanceError):
        found.level = 0.5  # type: ignore[misc]
    assert found.plot().axes


# ── what cannot be answered ─────────────────────────────────────────────────────────────────────────────


def test_settings_that_change_together_are_told_and_how_to_cross_them() -> None:
    df = swept({"resolution": ["480p", "720p"], "duration": [2, 5]})
    df = df[(df["resolution"] == "480p") == (df["duration"] == 2)]
    with pytest.raises(LabError) as caught:
        compare(df, "resolution")
    assert "resolution and duration always change together" in str(caught.value)
    assert "resolution=['480p', '720p'], duration=[2, 5], seed=range(4)" in str(caught.value)


def test_one_level_only_is_told_with_a_sweep_that_has_two() -> None:
    df = swept()
    with pytest.raises(
        LabError, match=r"one value.*480p.*Settings that vary: prompt.*lab\.sweep\(…, resolution="
    ):
        compare(df[df["resolution"] == "480p"], "resolution")


def test_a_level_whose_clips_all_failed_is_told_as_that() -> None:
    df = swept()
    df.loc[df["resolution"] == "720p", "stage"] = "failed"
    with pytest.raises(LabError, match=r"failed or have no value.*retry_failed=True"):
        compare(df, "resolution")


def test_too_few_clips_are_told_with_a_sweep() -> None:
    df = swept(n_seeds=1, axes={"resolution": ["480p", "720p"]})
    with pytest.raises(LabError, match=r"too few to compare.*seed=range\(4\)"):
        compare(df, "resolution")


def test_an_empty_frame_is_told_what_to_run() -> None:
    with pytest.raises(LabError, match=r"study\.run\(plan\)"):
        compare(swept().assign(stage="failed"), "resolution")


def test_a_measurement_is_no_setting() -> None:
    with pytest.raises(LabError, match=r"latency_s is a measurement.*resolution, prompt|prompt, resolution"):
        compare(swept().assign(size=1.0), "latency_s", "size")
