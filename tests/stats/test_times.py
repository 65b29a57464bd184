"""How long clips take, and how that grows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from seedance_lab.endpoints import SIZES
from seedance_lab.errors import LabError
from seedance_lab.frames import typed
from seedance_lab.stats.times import QUANTILES, growth, latency, n_needed, quantile_interval


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
                "queue_s": [1.0, 1, 1, 1, 1, 1],
                "inference_s": [None, None, None, None, None, 3.0],
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


def test_random_seeds_are_not_dropped(table: pd.DataFrame) -> None:
    """pandas leaves out groups whose name is missing."""
    table["seed"] = pd.array([None, 1, None, 1, 1, 1], dtype="Int64")
    assert latency(table, by="seed")["count"].sum() == 5


def test_too_few_clips_have_no_upper_end_and_it_is_told_how_many_it_takes(table: pd.DataFrame) -> None:
    """An interval made up from four clips would be trusted."""
    found = latency(table)
    assert found.loc["480p", ["p50_low", "p50_high"]].tolist() == [-math.inf, math.inf]
    assert found.attrs["n_needed"] == {"p50": 6, "p90": 36, "p95": 72}


def test_several_times_stand_side_by_side(table: pd.DataFrame) -> None:
    found = latency(table, of=["latency_s", "queue_s"])
    assert found["queue_s"]["p50"].tolist() == [1, 1]
    assert found["latency_s"]["p50"].tolist() == [2.5, 10]
    pd.testing.assert_frame_equal(found["latency_s"], latency(table), check_names=False)


def test_the_interval_of_a_median_is_the_textbook_s() -> None:
    """For 10 values the 2nd and the 9th smallest hold the median with 97.9 % (David and Nagaraja, 7.1)."""
    assert quantile_interval(np.arange(10, 0, -1), 0.5) == (2, 9)
    assert quantile_interval([1, math.nan, 2], 0.5) == (-math.inf, math.inf)
    assert all(map(math.isnan, quantile_interval([], 0.5)))


@pytest.mark.parametrize("q", QUANTILES.values(), ids=QUANTILES.keys())
def test_an_interval_has_both_ends_from_the_number_told_on(q: float) -> None:
    n = n_needed(q)
    assert all(map(math.isfinite, quantile_interval(np.arange(n), q)))
    assert not all(map(math.isfinite, quantile_interval(np.arange(n - 1), q)))


@pytest.mark.parametrize("n", [6, 20, 100])
@pytest.mark.parametrize("q", QUANTILES.values(), ids=QUANTILES.keys())
def test_the_intervals_hold_the_true_quantile_as_often_as_they_say(q: float, n: int) -> None:
    """Of 4,000 samples of a skewed distribution at least 95 % (less three standard errors) hold it.

    Either end moved inwards by one value turns this red for 6 and for 20 clips.
    """
    samples = np.random.default_rng(n).lognormal(size=(4000, n))
    true = stats.lognorm(1).ppf(q)
    held = np.mean([low <= true <= high for low, high in (quantile_interval(s, q) for s in samples)])
    assert held >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 4000)


# ── growth ──────────────────────────────────────────────────────────────────────────────────────────────


def clips(
    time: Callable[[float, float], float],
    *,
    noise: float = 0.05,
    seeds: int = 4,
    lengths: tuple[int, ...] = (2, 5, 10),
    resolutions: tuple[str, ...] = ("480p", "720p", "1080p"),
    seed: int = 0,
) -> pd.DataFrame:
    """Clips that took `time(seconds, megapixels)`, with noise in proportion."""
    chance = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    same = {"engine": "local", "endpoint": "lite"}
    for resolution in resolutions:
        width, height = SIZES[resolution, "16:9"]
        for length in lengths:
            asked = {**same, "resolution": resolution, "duration": length}
            made = {"seconds": float(length), "width": width, "height": height, "n_frames": 24 * length}
            for _ in range(seeds):
                took = time(length, width * height / 1e6) * math.exp(noise * chance.normal())
                rows.append({"stage": "saved", **asked, **made, "inference_s": took})
    rows.append({"stage": "failed", **same, "resolution": "480p", "duration": 2, "inference_s": 9999.0})
    return typed(pd.DataFrame(rows))


def power(seconds: float, megapixels: float) -> float:
    return 3 * seconds**0.9 * megapixels**1.4


def linear(seconds: float, megapixels: float) -> float:
    return 20 + 0.2 * megapixels * 24 * seconds


def test_a_power_law_is_found_again() -> None:
    found = growth(clips(power))
    assert found.model == "power"
    assert found.table["doubled"].tolist() == ["seconds", "megapixels"]
    assert found.table["factor"].tolist() == pytest.approx([2**0.9, 2**1.4], rel=0.04)
    assert found.error < 0.06 < found.errors["linear"]
    assert found.predict("720p", 5).s == pytest.approx(power(5, 1248 * 704 / 1e6), rel=0.05)


def test_a_straight_line_is_found_again() -> None:
    """A fixed part and one in proportion to the pixels made: no power law fits that."""
    found = growth(clips(linear))
    assert found.model == "linear"
    assert found.coefficients == pytest.approx({"a": 20, "work": 0.2}, rel=0.05)
    assert found.error < 0.06 < found.errors["power"]
    assert found.predict("1080p", 10).s == pytest.approx(linear(10, 1920 * 1088 / 1e6), rel=0.05)


@pytest.mark.parametrize(("truth", "doubled"), [(power, 2**0.9), (linear, None)], ids=["power", "linear"])
def test_the_intervals_hold_the_truth_as_often_as_they_say(
    truth: Callable[[float, float], float], doubled: float | None
) -> None:
    """Over 300 made-up studies, within three standard errors of 95 %."""
    held = []
    for seed in range(300):
        df = clips(truth, seed=seed, noise=0.1)
        found = growth(df)
        row = found.table.iloc[0]
        if doubled is None:
            work = float((df["width"] * df["height"] / 1e6 * df["n_frames"]).median())
            wanted = (20 + 0.4 * work) / (20 + 0.2 * work)
        else:
            wanted = doubled
        held.append(row["low"] <= wanted <= row["high"])
    assert np.mean(held) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)


def test_one_more_clip_is_within_its_interval_as_often_as_told() -> None:
    held = []
    for seed in range(300):
        expected = growth(clips(power, seed=seed, noise=0.1)).predict("720p", 5)
        taken = power(5, 1248 * 704 / 1e6) * math.exp(0.1 * np.random.default_rng(seed + 1000).normal())
        held.append(expected.low <= taken <= expected.high)
    assert 0.95 - 0.04 <= np.mean(held) <= 0.99


def test_the_sentence_says_the_factor_with_its_interval() -> None:
    said = growth(clips(power, resolutions=("720p",))).sentence
    assert said.startswith("inference_s grows with seconds: doubling the seconds multiplies it by 1.")
    assert " to " in said
    assert "on clips that it had not seen" in said


def test_what_falls_is_not_told_as_growth() -> None:
    said = growth(clips(lambda seconds, _: 100 - 5 * seconds, resolutions=("720p",))).sentence
    assert said.startswith("inference_s falls with seconds: doubling the seconds multiplies it by 0.")


def test_the_error_is_that_of_clips_that_the_fit_had_not_seen() -> None:
    """Against leaving out each clip and fitting again; the error on seen clips is smaller."""
    df = clips(power, seeds=1, noise=0.2, resolutions=("720p",), lengths=(2, 3, 5, 8, 12))
    x, y = (np.log(df[name].iloc[:-1].to_numpy(dtype=float)) for name in ("seconds", "inference_s"))
    wrong = []
    for i in range(len(x)):
        slope, start = np.polyfit(np.delete(x, i), np.delete(y, i), 1)
        wrong.append(abs(math.exp(start + slope * x[i] - y[i]) - 1))
    assert growth(df).errors["power"] == pytest.approx(np.mean(wrong))


def test_no_growth_is_not_told_as_growth() -> None:
    assert "no sure growth" in growth(clips(lambda *_: 8.0, noise=0.3, resolutions=("720p",))).sentence


def test_length_and_pixels_that_changed_together_are_not_told_apart() -> None:
    """480p only short and 720p only long: nobody can know which of both it was."""
    df = clips(power)
    df = df[
        ((df["resolution"] == "480p") & (df["seconds"] == 2))
        | ((df["resolution"] == "720p") & (df["seconds"] == 5))
    ]
    found = growth(df)
    assert found.table["doubled"].tolist() == ["megapixels × frames"]
    assert "cannot be told apart" in found.notes[0]


def test_what_was_never_measured_is_marked() -> None:
    found = growth(clips(power))
    assert not found.predict("480p", 2).outside
    assert found.predict("480p", 12).outside
    assert found.predict(4e6, 5).outside


def test_three_clips_have_no_interval_and_it_is_told() -> None:
    found = growth(clips(power, seeds=1, lengths=(2, 5), resolutions=("480p", "720p")).iloc[[0, 1, 3]])
    assert any("Too few clips" in note for note in found.notes) == bool(found.table["low"].isna().any())
    assert str(found)
    assert found.plot()


def test_a_result_can_be_read_everywhere() -> None:
    found = growth(clips(power))
    assert str(found) == repr(found)
    assert found.sentence in str(found)
    html = found._repr_html_()
    assert found.sentence in html
    assert "<style" not in html
    assert "<script" not in html
    assert found.plot().get_suptitle() == "inference_s by length and size, and the fit (power)"


def test_many_sizes_are_drawn_by_the_nearest_of_six() -> None:
    """Ten aspect ratios would be ten colours."""
    df = clips(power)
    df = pd.concat([df.assign(width=df["width"] + 32 * i) for i in range(4)])
    assert len(growth(df).plot().axes[0].lines) == 2 * 6


# ── bad input ───────────────────────────────────────────────────────────────────────────────────────────

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a wrong name": (lambda: latency(clips(power), by="resolutoin"), "Did you mean 'resolution'"),
    "a wrong time": (lambda: latency(clips(power), of="inferrence_s"), "Did you mean 'inference_s'"),
    "no name": (lambda: latency(clips(power), by=[]), "at least one column"),
    "text": (lambda: latency(clips(power), of="endpoint"), "does not hold numbers"),
    "an empty frame": (lambda: latency(clips(power).head(0), of="inference_s"), r"study\.run\(plan\)"),
    "only failures": (lambda: latency(clips(power).tail(1), of="inference_s"), "retry_failed=True"),
    "all missing": (
        lambda: latency(clips(power).assign(latency_s=np.nan)),
        r"No clip has a value in 'latency_s'.*of='inference_s'",
    ),
    "a level in percent": (lambda: latency(clips(power), of="inference_s", level=95), "between 0 and 1"),
    "growth of one setting": (
        lambda: growth(clips(power, lengths=(5,), resolutions=("480p",))),
        r"nothing can grow.*duration=\[2, 5, 10\]",
    ),
    "growth of two clips": (lambda: growth(clips(power).head(2)), "at least 3 clips.*only 2"),
    "growth of an empty frame": (lambda: growth(clips(power).head(0)), "no clip has it"),
    "growth of what is missing": (
        lambda: growth(clips(power).assign(inference_s=np.nan)),
        r"growth\(df, of='latency_s'\)",
    ),
    "growth without sizes": (lambda: growth(clips(power).drop(columns="width")), "no column 'width'"),
    "growth of two engines": (
        lambda: growth(pd.concat([clips(power), clips(power).assign(engine="fal")])),
        r"df\[df\['engine'\] == 'local'\]",
    ),
    "a resolution that is not one": (lambda: growth(clips(power)).predict("721p", 5), "Did you mean '720p'"),
    "a length that is not one": (lambda: growth(clips(power)).predict("720p", 0), "above 0"),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_told_is_an_error_that_says_what_to_do(call: Callable[[], object], said: str) -> None:
    with pytest.raises(LabError, match=said):
        call()
