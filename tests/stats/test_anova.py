"""Which settings matter, held against a published table, statsmodels, and planted effects."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from seedance_lab.errors import LabError
from seedance_lab.stats.anova import effects
from seedance_lab.stats.linear import design

NPK = """1 0 1 1 49.5
1 1 1 0 62.8
1 0 0 0 46.8
1 1 0 1 57.0
2 1 0 0 59.8
2 1 1 1 58.5
2 0 0 1 55.5
2 0 1 0 56.0
3 0 1 0 62.8
3 1 1 1 55.8
3 1 0 0 69.5
3 0 0 1 55.0
4 1 0 0 62.0
4 1 1 1 48.8
4 0 0 1 45.5
4 0 1 0 44.2
5 1 1 0 52.0
5 0 0 0 51.5
5 1 0 1 49.8
5 0 1 1 48.8
6 1 0 1 57.2
6 1 1 0 59.0
6 0 1 1 53.2
6 0 0 0 56.0"""
"""Block, N, P, K, yield of peas in pounds a plot (Venables and Ripley, Modern Applied Statistics with S; R's `npk`)."""

SETTINGS = {"resolution": ["480p", "720p", "1080p"], "prompt": ["a", "b"], "duration": [2, 5]}


def npk() -> pd.DataFrame:
    """N stands as the prompt, P as the resolution, K as the duration; a block is a seed."""
    rows = [line.split() for line in NPK.splitlines()]
    df = pd.DataFrame(rows, columns=["seed", "prompt", "resolution", "duration", "yield"])
    return df.astype({"seed": int, "duration": int, "yield": float})


def swept(
    axes: dict[str, list[Any]] | None = None, *, n_seeds: int = 8, noise: float = 1.0, seed_s: float = 5.0
) -> pd.DataFrame:
    """720p takes 6 s and 1080p 10 s longer than 480p; 5 s take 3 s longer than 2; the prompt does nothing."""
    rng = np.random.default_rng(3)
    axes = axes or SETTINGS
    df = pd.DataFrame(itertools.product(range(n_seeds), *axes.values()), columns=["seed", *axes])
    value = 60 + rng.normal(0, seed_s, n_seeds)[df["seed"]] + rng.normal(0, noise, len(df))
    if "resolution" in df:
        value += df["resolution"].map({"480p": 0, "720p": 6, "1080p": 10}).to_numpy()
    if "duration" in df:
        value += 3 * (df["duration"] == 5)
    return df.assign(latency_s=value, replicate=0, stage="saved")


def by_statsmodels(df: pd.DataFrame, of: str = "latency_s") -> pd.DataFrame:
    found: pd.DataFrame = anova_lm(
        ols(f"{of} ~ C(seed) + (C(resolution) + C(prompt) + C(duration))**2", df).fit(), typ=2
    )
    names = {"C(seed)": "seed", "Residual": "residual"}
    for name in found.index:
        parts = [part[2:-1] for part in name.split(":")]
        names.setdefault(name, " × ".join(parts))
    return found.rename(index=names)


def same(term: str) -> str:
    """Two names in one order."""
    return " × ".join(sorted(term.split(" × ")))


# ── published and other people's figures ────────────────────────────────────────────────────────────────


def test_the_npk_field_trial_comes_out_as_published() -> None:
    """R: summary(aov(yield ~ block + N*P*K, npk)); the three-way interaction is the blocks' own, so it is not lost."""
    found = effects(npk(), "yield").table.set_index("term")
    published = {
        "seed": (5, 4.447, 0.01594),
        "prompt": (1, 12.259, 0.00437),
        "resolution": (1, 0.544, 0.47490),
        "duration": (1, 6.166, 0.02880),
        "prompt × resolution": (1, 1.378, 0.26317),
        "prompt × duration": (1, 2.146, 0.16865),
        "resolution × duration": (1, 0.031, 0.86275),
    }
    for term, (df, f, p) in published.items():
        row = found.loc[term]
        assert (row["df"], row["F"], row["p"]) == pytest.approx((df, f, p), abs=6e-4), term
    assert found.loc["residual", "df"] == 12
    # Nitrogen: 57.89 − 52.27 pounds, standard error √(15.44 / 6) of the difference, t(12) = 2.179
    assert found.loc["prompt", "effect"] == pytest.approx(5.617, abs=1e-3)
    half = 2.1788 * np.sqrt(15.4407 / 6)
    assert found.loc["prompt", "low"] == pytest.approx(5.617 - half, abs=2e-3)
    assert found.loc["prompt", "high"] == pytest.approx(5.617 + half, abs=2e-3)


def test_shares_of_a_balanced_trial_are_omega_squared() -> None:
    """Of the settings alone, with every clip at one seed: (SS − df · MSE) / (SS in all + MSE)."""
    df = swept(n_seeds=6, seed_s=0)
    table = anova_lm(ols("latency_s ~ C(resolution) * C(duration)", df).fit(), typ=2)
    mse = table.loc["Residual", "sum_sq"] / table.loc["Residual", "df"]
    omega = (table["sum_sq"] - table["df"] * mse) / (table["sum_sq"].sum() + mse)
    shares = effects(df.drop(columns=["seed", "prompt"]).assign(prompt="a")).shares
    assert shares["resolution"] == pytest.approx(omega["C(resolution)"], abs=1e-3)
    assert shares["duration"] == pytest.approx(omega["C(duration)"], abs=1e-3)
    assert shares.sum() == pytest.approx(1)


def test_the_share_of_the_seed_is_that_of_a_random_factor() -> None:
    """Its variance is (MS of the seeds − MSE) / clips a seed; the interval of variance ratios is exact by F."""
    df = swept({"prompt": ["a", "b", "c", "d"]}, n_seeds=10, seed_s=1)
    table = anova_lm(ols("latency_s ~ C(seed) + C(prompt)", df).fit(), typ=2)
    ms = table["sum_sq"] / table["df"]
    f, left = ms["C(seed)"] / ms["Residual"], table.loc["Residual", "df"]
    found = effects(df)
    row = found.table.set_index("term").loc["seed"]
    assert found.shares["seed"] / found.shares["residual"] == pytest.approx((f - 1) / 4)
    low, high = ((f / stats.f.ppf(q, 9, left) - 1) / 4 for q in (0.975, 0.025))
    assert row["share_low"] == pytest.approx(low / (1 + low), abs=0.04)
    assert row["share_high"] == pytest.approx(high / (1 + high), abs=0.04)


@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_the_tests_are_statsmodels_type_ii_tests(missing: float) -> None:
    """Unbalanced too, where the order of terms would matter for type I."""
    df = swept()
    df.loc[np.random.default_rng(1).random(len(df)) < missing, "stage"] = "failed"
    theirs = by_statsmodels(df[df["stage"] == "saved"]).rename(index=same)
    found = effects(df).table
    for row in found.itertuples():
        other = theirs.loc[same(str(row.term))]
        assert row.df == other["df"]
        if row.kind != "residual":
            assert pytest.approx(other["F"], rel=1e-8) == row.F, row.term
            assert row.p == pytest.approx(other["PR(>F)"], rel=1e-6, abs=1e-300), row.term


def test_an_empty_combination_costs_its_degrees_of_freedom_and_is_told() -> None:
    df = swept()
    df = df[~((df["resolution"] == "1080p") & (df["duration"] == 5))]
    found = effects(df)
    assert found.table.set_index("term").loc["resolution × duration", "df"] == 1
    assert any("resolution and duration are missing" in note for note in found.notes)


def test_a_model_of_many_seeds_is_the_one_with_a_dummy_variable_each() -> None:
    """The means of the blocks are taken out of sums of products; dense least squares must agree."""
    rng = np.random.default_rng(4)
    codes = {"a": rng.integers(0, 3, 60), "b": rng.integers(0, 2, 60)}
    blocks, y = rng.integers(0, 7, 60), rng.normal(size=60)
    model = design(codes, [("a", "b")])
    fit = model.moments(y, blocks).fit(model.columns(list(model.places)))
    x = np.hstack([model.matrix.toarray(), np.eye(7)[blocks]])
    _, rss, rank, _ = np.linalg.lstsq(x, y, rcond=None)
    assert fit.rss == pytest.approx(float(rss[0]))
    assert fit.rank + 7 == rank


# ── planted effects ─────────────────────────────────────────────────────────────────────────────────────


def test_what_was_planted_is_found_and_what_was_not_is_not() -> None:
    found = effects(swept())
    table = found.table.set_index("term")
    assert table.index[:3].tolist() == ["resolution", "duration", "prompt"]
    assert table.loc["resolution", "low"] < 10 < table.loc["resolution", "high"]
    assert table.loc["duration", "low"] < 3 < table.loc["duration", "high"]
    assert table["visible"].tolist() == [True, True] + [False] * 6
    assert found.sentence.startswith("resolution matters most for latency_s: ")
    assert "Cannot be told apart from noise: prompt." in found.sentence
    assert table.loc["seed", "share_low"] > 0.1


def test_an_interaction_is_the_difference_of_differences() -> None:
    """5 s at 720p take 4 s more than resolution and duration alone would have them take."""
    df = swept({"resolution": ["480p", "720p"], "duration": [2, 5]}, n_seeds=12)
    df["latency_s"] += 4.0 * ((df["resolution"] == "720p") & (df["duration"] == 5))
    row = effects(df).table.set_index("term").loc["resolution × duration"]
    assert row["visible"]
    assert row["low"] < 4 < row["high"]


def test_nothing_but_noise_is_not_ranked() -> None:
    df = swept({"prompt": ["a", "b"], "camera_fixed": [False, True]}, n_seeds=5)
    sentence = effects(df).sentence
    assert sentence.startswith("No setting has a visible effect on latency_s.")
    assert "Cannot be told apart from noise:" in sentence
    assert "most" not in sentence


def test_two_effects_of_about_one_size_are_not_ranked() -> None:
    df = swept({"resolution": ["480p", "720p"], "prompt": ["a", "b"]}, n_seeds=10)
    df["latency_s"] += 6.1 * (df["prompt"] == "b")
    assert "Their order is not certain: " in effects(df).sentence


def test_prices_have_no_noise() -> None:
    df = swept()
    df["cost_usd"] = df["resolution"].map({"480p": 0.1, "720p": 0.2, "1080p": 0.45}) * df["duration"]
    found = effects(df, "cost_usd")
    table = found.table.set_index("term")
    assert table.loc["prompt", "p"] == 1
    assert table.loc["resolution", ["effect", "low", "high"]].tolist() == pytest.approx([0.35 * 3.5] * 3)
    assert found.shares["residual"] == 0
    assert found.shares.sum() == pytest.approx(1)
    assert found.unit == "USD"


def test_an_effect_keeps_its_size_whatever_the_unit_is() -> None:
    """The model works on scaled values; bytes and seconds must come out as they went in."""
    df = swept()
    df["size_bytes"] = df["latency_s"] * 1e6
    own, large = effects(df).table, effects(df, "size_bytes").table
    assert large["effect"][:3].tolist() == pytest.approx((1e6 * own["effect"][:3]).tolist())
    assert large["share"].tolist() == pytest.approx(own["share"].tolist())


# ── what these rows cannot say ──────────────────────────────────────────────────────────────────────────


def test_settings_that_change_together_are_left_out_and_the_rest_is_not() -> None:
    df = swept()
    df = df[(df["resolution"] == "480p") == (df["duration"] == 2)]
    found = effects(df)
    assert set(found.left_out) == {"resolution", "duration"}
    assert found.table["term"].tolist() == ["prompt", "seed", "residual"]
    assert any(
        "Cross them: lab.sweep(…, resolution=['480p', '720p', '1080p'], duration=[2, 5]" in n
        for n in found.notes
    )
    with pytest.raises(LabError, match=r"resolution and duration always change together"):
        effects(df.drop(columns="prompt"))


def test_a_setting_that_changes_only_with_the_seed_is_left_out() -> None:
    """Prompt a ran with seeds 0 to 3, prompt b with 4 to 7: against the noise within seeds it would look certain."""
    df = swept()
    df = df[(df["prompt"] == "a") == (df["seed"] < 4)]
    found = effects(df)
    assert found.left_out == {"prompt": "changes only with the seed"}
    assert found.table.set_index("term").loc["resolution", "visible"]


def test_one_seed_says_nothing_of_others() -> None:
    found = effects(swept({**SETTINGS, "camera_fixed": [False, True]}, n_seeds=1))
    assert any(note.startswith("one seed only") for note in found.notes)
    assert "seed" not in found.table["kind"].tolist()


def test_one_clip_a_combination_leaves_interactions_to_noise() -> None:
    found = effects(swept({"resolution": ["480p", "720p", "1080p"], "duration": [2, 5]}, n_seeds=1))
    assert found.table["kind"].tolist() == ["setting", "setting", "residual"]
    assert any("cannot" in note or "too few clips a combination" in note for note in found.notes)


def test_random_seeds_are_noise_and_that_is_told() -> None:
    df = swept().assign(seed=pd.array([pd.NA] * 96, dtype="Int64"))
    found = effects(df)
    assert any("random or missing" in note for note in found.notes)
    assert found.table["kind"].iloc[-1] == "residual"


def test_seeds_used_once_each_are_noise_and_that_is_told() -> None:
    found = effects(swept().assign(seed=range(96)))
    assert any("hardly any seed was used twice" in note for note in found.notes)
    assert found.table.set_index("term").loc["resolution", "visible"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stage": "failed"}, r"study\.run\(plan\)"),
        ({"resolution": "480p", "prompt": "a", "duration": 2}, r"No setting varies.*lab\.sweep\("),
        ({"latency_s": 3.0}, "latency_s is 3 in all 96 rows"),
    ],
)
def test_what_cannot_be_answered_says_what_to_run(change: dict[str, Any], said: str) -> None:
    with pytest.raises(LabError, match=said):
        effects(swept().assign(**change))


def test_a_column_that_is_not_there_is_answered_with_near_ones() -> None:
    with pytest.raises(LabError, match=r"Did you mean 'latency_s'"):
        effects(swept(), "latency")


def test_it_shows_itself_as_text_html_and_picture() -> None:
    found = effects(swept())
    assert repr(found).startswith(found.sentence)
    assert "mathjax_ignore" in found._repr_html_()
    assert found.plot().axes
