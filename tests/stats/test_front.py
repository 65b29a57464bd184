"""What each setting costs, takes and is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seedance_lab.errors import LabError
from seedance_lab.frames import typed
from seedance_lab.stats import front
from seedance_lab.stats.front import pareto


def row(
    resolution: str, latency_s: float | None, cost_usd: float | None, stage: str = "saved", **more: Any
) -> dict[str, Any]:
    price = {"480p": 0.1, "720p": 0.2, "1080p": 0.4}[resolution]
    asked = {"stage": stage, "engine": "fal", "resolution": resolution, "duration": 5, "seed": 1}
    came = {"latency_s": latency_s, "cost_usd": cost_usd, "estimate_usd": price}
    return {**asked, **came, "seconds": 5.0 if stage == "saved" else None, **more}


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return typed(pd.DataFrame(rows))


@pytest.fixture
def charged() -> pd.DataFrame:
    """480p is cheap and fast and not good; 720p is dear and good; 1080p is dearer, slower and less good."""
    return frame(
        *(row("480p", 10, 0.1, rating=r) for r in (2, 3)),
        *(row("720p", 20, 0.2, rating=r) for r in (4, 5)),
        *(row("1080p", 60, 0.4, rating=r) for r in (3, 4)),
    )


def free(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(engine="local", cost_usd=0.0)


# ── what is best ────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_quality_the_cheapest_and_fastest_wins(charged: pd.DataFrame) -> None:
    found = pareto(charged)
    assert found.sentence == "480p is cheapest and fastest; 720p and 1080p are dominated by 480p."
    assert found.table["best"].tolist() == [True, False, False]
    assert any("Without a quality" in note for note in found.notes)


def test_a_quality_makes_the_better_one_worth_its_money(charged: pd.DataFrame) -> None:
    found = pareto(charged, quality="rating")
    assert found.table["best"].tolist() == [True, True, False]
    assert found.sentence == (
        "480p is cheapest and fastest; 720p is best in quality; 1080p is dominated by 720p."
    )
    assert found.table["quality"].tolist() == [2.5, 4.5, 3.5]


def test_of_some_measures_less_is_better(charged: pd.DataFrame) -> None:
    """`blur` says so itself; a column that is no measure is taken as more is better."""
    blurred = charged.assign(blur=1 - charged["rating"] / 10)
    by_blur, by_rating = pareto(blurred, quality="blur"), pareto(charged, quality="rating")
    assert by_blur.sentence == by_rating.sentence
    assert by_blur.table["best"].tolist() == by_rating.table["best"].tolist() == [True, True, False]
    assert by_blur.table["usd_per_preferred"].isna().all()
    assert any("overlap" in n for n in by_blur.notes) == any("overlap" in n for n in by_rating.notes)
    assert pareto(blurred.rename(columns={"blur": "bluriness"}), quality="bluriness").table["best"].sum() == 1


def test_an_order_that_may_be_chance_is_told(charged: pd.DataFrame) -> None:
    """Two ratings a setting decide nothing."""
    assert any("may be chance" in note for note in pareto(charged, quality="rating").notes)
    sure = pd.concat([charged.assign(rating=charged["rating"] + 0.001 * i) for i in range(30)])
    sure["rating"] += sure["resolution"].map({"480p": 0, "720p": 9, "1080p": 0}).astype(float)
    assert not any("may be chance" in note for note in pareto(sure, quality="rating").notes)


@given(
    arrays.arrays(
        "float64", st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.integers(0, 4).map(float)
    )
)
def test_the_front_is_what_its_definition_says(goals: np.ndarray[Any, Any]) -> None:
    """Against the definition itself, pair by pair, ties included."""

    def beats(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
        return bool(all(a <= b) and any(a < b))

    best, by_whom = front._front(goals)
    assert best == [not any(beats(a, b) for a in goals) for b in goals]
    assert any(best)
    for b, i in zip(goals, by_whom, strict=True):
        assert (i is None) == (not any(beats(a, b) for a in goals))
        if i is not None:
            assert beats(goals[i], b)
            assert best[i]


def test_a_setting_without_a_number_neither_wins_nor_beats() -> None:
    best, by_whom = front._front(np.array([[1.0, np.nan], [2.0, 2.0], [3.0, 3.0]]))
    assert best == [False, True, False]
    assert by_whom == [None, None, 1]


def test_short_and_long_clips_can_be_held_against_each_other_by_the_second(charged: pd.DataFrame) -> None:
    long = charged.assign(duration=10, seconds=10.0, cost_usd=charged["cost_usd"] * 1.5)
    found = pareto(typed(pd.concat([charged, long])), ["resolution", "duration"], cost="usd_per_second")
    assert found.table["setting"].tolist()[0] == "480p · 10 s"
    assert found.table["usd_per_second"].tolist()[:2] == pytest.approx([0.015, 0.02])


def test_of_times_any_quantile_can_be_compared(charged: pd.DataFrame) -> None:
    found = pareto(charged.assign(queue_s=charged["latency_s"] / 2), latency="p95", of="queue_s")
    assert found.latency == "p95 of queue_s"
    assert found.table["p95"].tolist() == [5, 10, 30]


# ── what it costs ───────────────────────────────────────────────────────────────────────────────────────


def test_failures_that_cost_make_a_setting_dear() -> None:
    """Two of three came, three were paid for."""
    found = pareto(
        frame(row("480p", 1, 0.1), row("480p", 1, 0.1), row("480p", None, 0.1, "failed")), "resolution"
    )
    assert found.table["usd_per_clip"].tolist() == pytest.approx([0.15])
    assert found.table["usd_per_second"].tolist() == pytest.approx([0.03])
    assert found.table[["requests", "clips", "failed", "open"]].iloc[0].tolist() == [3, 2, 1, 0]


def test_what_nobody_knows_is_counted_and_bounded() -> None:
    """A failure without a known cost is neither free nor full price."""
    df = frame(row("480p", 1, 0.1), row("480p", None, None, "failed"), row("480p", None, None, "unknown"))
    found = pareto(df, "resolution")
    assert found.table["usd_per_clip"].tolist() == pytest.approx([0.1])
    assert found.table["usd_per_clip_at_most"].tolist() == pytest.approx([0.3])
    assert found.table["open"].tolist() == [1]
    assert any("2 requests without a clip" in note and "study.bill()" in note for note in found.notes)


def test_what_was_refused_cost_nothing() -> None:
    found = pareto(frame(row("480p", 1, 0.1), row("480p", None, None, "refused")), "resolution")
    assert found.table["usd_per_clip_at_most"].tolist() == pytest.approx([0.1])


def test_a_clip_without_a_charge_counts_with_its_list_price() -> None:
    """It does not count as free."""
    found = pareto(frame(row("480p", 1, 0.3), row("480p", 1, None)), "resolution")
    assert found.table["usd_per_clip"].tolist() == pytest.approx([0.2])
    assert any("no charge on record" in note for note in found.notes)


def test_a_clip_whose_price_nobody_knows_is_not_compared(charged: pd.DataFrame) -> None:
    df = charged.copy()
    df.loc[df["resolution"] == "480p", ["cost_usd", "estimate_usd"]] = np.nan
    found = pareto(df)
    assert found.sentence == "720p is cheapest and fastest; 1080p is dominated by 720p."
    assert any("without any known price" in note for note in found.notes)


def test_a_free_engine_s_clips_count_with_their_list_price(charged: pd.DataFrame) -> None:
    """Otherwise everything would cost $0 and 1080p would be as cheap as 480p."""
    found = pareto(free(charged))
    assert found.priced == "list price"
    assert found.table["usd_per_clip"].tolist() == pytest.approx([0.1, 0.2, 0.4])
    assert "list price" in found.notes[0]
    assert "list price" in found.plot().axes[0].get_xlabel()
    assert pareto(charged).priced == "charged"


def test_a_share_of_votes_gives_the_price_of_a_preferred_clip(charged: pd.DataFrame) -> None:
    """Four clips at $0.1 of which one in four is preferred: $0.4."""
    votes = charged.assign(won=[0.25, 0.25, 1, 1, 0.5, 0.5])
    assert pareto(votes, quality="won").table["usd_per_preferred"].tolist() == pytest.approx([0.4, 0.2, 0.8])
    assert pareto(charged, quality="rating").table["usd_per_preferred"].isna().all()


# ── what people say of it ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def voted(charged: pd.DataFrame) -> pd.DataFrame:
    """720p wins every vote, 1080p half of them, 480p a quarter; one clip of each was not voted on."""
    return charged.assign(preference=[0.25, None, 1, None, 0.5, None])


def test_votes_give_the_price_of_a_preferred_clip_whatever_the_quality(voted: pd.DataFrame) -> None:
    """A clip that nobody voted on counts as its setting's others do: $0.1 at one in four is $0.4."""
    priced = pytest.approx([0.4, 0.2, 0.8])
    assert pareto(voted).table["usd_per_preferred"].tolist() == priced
    assert pareto(voted, quality="preference").table["usd_per_preferred"].tolist() == priced
    assert pareto(voted, quality="rating").table["usd_per_preferred"].tolist() == priced
    assert "share" not in pareto(voted).table


def test_votes_go_before_a_quality_that_happens_to_be_a_share(voted: pd.DataFrame) -> None:
    """An SSIM lies between 0 and 1 too, and says nothing of what anybody prefers."""
    found = pareto(voted.assign(alike=0.5), quality="alike")
    assert found.table["usd_per_preferred"].tolist() == pytest.approx([0.4, 0.2, 0.8])
    assert found.table["quality"].tolist() == [0.5, 0.5, 0.5]


def test_a_measure_is_no_share_of_votes(charged: pd.DataFrame) -> None:
    """Many lie between 0 and 1; the same numbers under a name that is no measure are taken as shares."""
    values = [0.25, 0.25, 1, 1, 0.5, 0.5]
    found = pareto(charged.assign(first_ssim=values), quality="first_ssim")
    assert found.table["usd_per_preferred"].isna().all()
    assert pareto(charged.assign(won=values), quality="won").table["usd_per_preferred"].notna().all()


def test_the_votes_can_be_the_quality(voted: pd.DataFrame) -> None:
    found = pareto(voted, quality="preference")
    assert (
        found.sentence == "480p is cheapest and fastest; 720p is best in quality; 1080p is dominated by 720p."
    )
    assert found.table["quality"].tolist() == [0.25, 1, 0.5]


def test_only_clips_that_came_have_a_price_for_being_preferred(voted: pd.DataFrame) -> None:
    """A vote on what is not saved any more says nothing of what the setting gives."""
    failed = row("480p", None, 0.0, "failed", rating=None, preference=1.0)
    found = pareto(typed(pd.concat([voted, pd.DataFrame([failed])])))
    assert found.table["usd_per_preferred"].tolist() == pytest.approx([0.4, 0.2, 0.8])


def test_what_is_never_preferred_has_no_such_price(charged: pd.DataFrame) -> None:
    """Neither infinity nor an error; a setting without votes likewise."""
    found = pareto(charged.assign(preference=[0, 0, 1, 1, None, None]))
    assert found.table["usd_per_preferred"].isna().tolist() == [True, False, True]


def test_without_votes_nothing_is_said_of_preferred_clips(charged: pd.DataFrame) -> None:
    """Neither without the column nor with an empty one."""
    assert "usd_per_preferred" not in pareto(charged).table
    assert "usd_per_preferred" not in pareto(charged.assign(preference=np.nan)).table


def test_without_a_quality_the_votes_are_named_where_there_are_any(
    charged: pd.DataFrame, voted: pd.DataFrame
) -> None:
    assert any("pareto(df, quality='preference')" in note for note in pareto(voted).notes)
    assert any("pareto(df, quality='…')" in note for note in pareto(charged).notes)


def test_stars_are_no_share_of_votes(charged: pd.DataFrame) -> None:
    """One star for all is 1.0, which does not mean that all are preferred."""
    found = pareto(charged.assign(stars=[1.0, 1, 1, 1, 1, None]), quality="stars")
    assert found.table["usd_per_preferred"].isna().all()
    assert found.table["quality"].tolist() == [1, 1, 1]
    rated = pareto(charged.assign(stars=charged["rating"]), quality="stars")
    assert (
        rated.sentence == "480p is cheapest and fastest; 720p is best in quality; 1080p is dominated by 720p."
    )


def test_a_setting_that_nobody_judged_is_not_compared(charged: pd.DataFrame) -> None:
    found = pareto(charged.assign(stars=[2, 3, 4, 5, None, None]), quality="stars")
    assert "1 setting has no stars yet and is not compared." in found.notes
    assert found.table["best"].tolist() == [True, True, False]


def test_a_setting_without_a_clip_is_named() -> None:
    found = pareto(frame(row("480p", 1, 0.1), row("720p", None, 0.2, "failed")))
    assert any("720p made no clip" in note for note in found.notes)
    assert found.table["best"].tolist() == [True, False]


# ── what is shown ───────────────────────────────────────────────────────────────────────────────────────


def test_seeds_are_no_settings(charged: pd.DataFrame) -> None:
    assert len(pareto(charged.assign(seed=range(6))).table) == 3


def test_settings_are_named_in_words(charged: pd.DataFrame) -> None:
    df = typed(charged.assign(camera_fixed=[True, False] * 3, end_image=["b.png", None] * 3))
    names = pareto(df).table["setting"].tolist()
    assert names[0] == "480p · not camera_fixed · no end_image"
    assert "480p · camera_fixed · b.png" in names


def test_a_result_can_be_read_everywhere(charged: pd.DataFrame) -> None:
    found = pareto(charged.assign(prompt="<b>$1</b>"), quality="rating")
    assert str(found) == repr(found)
    assert found.sentence in str(found)
    html = found._repr_html_()
    assert "mathjax_ignore" in html
    assert "<script" not in html
    assert "usd_per_clip_at_most" not in html, "a column that says nothing new"
    escaped = pareto(charged.assign(prompt=["<b>$1</b>", "x"] * 3), "prompt")._repr_html_()
    assert "&lt;b&gt;$1" in escaped
    assert found.plot().axes[1].get_ylabel() == "mean of rating"


WRONG: dict[str, tuple[Callable[[pd.DataFrame], object], str]] = {
    "a wrong setting": (lambda df: pareto(df, "resolutoin"), "Did you mean 'resolution'"),
    "no setting": (lambda df: pareto(df, []), "by is empty"),
    "a wrong quality": (lambda df: pareto(df, quality="ratings"), "Did you mean 'rating'"),
    "a quality that nobody gave": (
        lambda df: pareto(df.assign(rating=np.nan), quality="rating"),
        "Rate or measure",
    ),
    "no stars at all": (
        lambda df: pareto(df, quality="stars"),
        r"No clip has stars yet.*study\.rate\(clip, stars=4\)",
    ),
    "no votes at all": (lambda df: pareto(df, quality="preference"), r"No clip has votes yet.*lab\.vote"),
    "an empty column of votes": (
        lambda df: pareto(df.assign(preference=np.nan), quality="preference"),
        r"No clip has votes yet.*lab\.vote",
    ),
    "votes on what is gone only": (
        lambda df: pareto(
            df.assign(stage=["failed", *["saved"] * 5], preference=[1, *[None] * 5]), quality="preference"
        ),
        "No saved clip has a value of 'preference'",
    ),
    "a wrong quantile": (lambda df: pareto(df, latency="p59"), "Did you mean 'p95'"),
    "a wrong cost": (lambda df: pareto(df, cost="usd_per_clips"), "Did you mean 'usd_per_clip'"),  # type: ignore[arg-type]
    "a wrong time": (lambda df: pareto(df, of="latency"), "Did you mean 'latency_s'"),
    "no cost": (lambda df: pareto(df.drop(columns="cost_usd")), "no column 'cost_usd'"),
    "one setting": (lambda df: pareto(df.head(2)), r"No setting varies.*resolution=\['480p', '720p'\]"),
    "an empty frame": (lambda df: pareto(df.head(0)), r"study\.run\(plan\)"),
    "no clip": (lambda df: pareto(df.assign(stage="failed")), "None of the 6 requests has a clip"),
    "two engines": (lambda df: pareto(pd.concat([df, free(df)])), r"df\[df\['engine'\] == 'fal'\]"),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_told_is_an_error_that_says_what_to_do(
    call: Callable[[pd.DataFrame], object], said: str, charged: pd.DataFrame
) -> None:
    with pytest.raises(LabError, match=said):
        call(charged)


def test_engines_can_be_the_setting(charged: pd.DataFrame) -> None:
    """Whoever asks for it by name knows what is compared."""
    assert len(pareto(pd.concat([charged, charged.assign(engine="other")]), "engine").table) == 2
