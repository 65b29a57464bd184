"""Figures for a report."""

from __future__ import annotations

import copy
import io
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from seedance_lab.errors import LabError
from seedance_lab.frames import typed
from seedance_lab.stats import look, plots

LONG = "the boats drift apart, $5 gulls cry over $10 nets,\nand the camera pans slowly " * 4


@pytest.fixture(autouse=True)
def _every_warning_is_an_error() -> Iterator[None]:
    """matplotlib warns of missing letters, of a layout without room and of bad limits."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def clips(n_prompts: int = 1) -> pd.DataFrame:
    """Three resolutions by two lengths, two clips each; of the last setting none came."""
    rows = [
        {
            "stage": "failed" if (resolution, duration) == ("1080p", 10) else "saved",
            "resolution": resolution,
            "duration": duration,
            "seed": seed,
            "prompt": f"{i} {LONG}",
            "inference_s": None if (resolution, duration) == ("1080p", 10) else float(k * duration + seed),
        }
        for i in range(n_prompts)
        for k, resolution in enumerate(("480p", "720p", "1080p"), 1)
        for duration in (5, 10)
        for seed in (1, 2)
    ]
    return typed(pd.DataFrame(rows))


def effects(n: int = 3, label: str = "resolution 720p − 480p") -> pd.DataFrame:
    return pd.DataFrame({"of": [f"{label} {i}" for i in range(n)], "d": np.arange(n) - 1.0}).assign(
        lo=lambda t: t["d"] - 0.5, hi=lambda t: t["d"] + 0.5
    )


def dots(table: pd.DataFrame, **options: object) -> Figure:
    given = {"label": "of", "value": "d", "low": "lo", "high": "hi", "title": "Mean difference", "unit": "s"}
    return plots.intervals(table, **{**given, **options})  # type: ignore[arg-type]  # all of them are text


def settings(n: int = 4) -> pd.DataFrame:
    return pd.DataFrame(
        {"name": [f"setting {i}" for i in range(n)], "usd": 0.1 * np.arange(1, n + 1), "s": 50 / np.arange(1.0, n + 1),
         "rating": np.linspace(1, 5, n), "best": [i % 3 != 1 for i in range(n)]}
    )  # fmt: skip


def front(table: pd.DataFrame, **options: object) -> Figure:
    given = {
        "label": "name",
        "x": ("usd", "cost", "USD"),
        "y": ("s", "p50", "s"),
        "best": "best",
        "title": "Cost and time",
    }
    return plots.front(table, **{**given, **options})  # type: ignore[arg-type]  # as above


def curves() -> Figure:
    points = pd.DataFrame({"series": ["480p", "480p", "720p"], "x": [2.0, 5, 5], "y": [4.0, 9, 20]})
    lines = pd.DataFrame(
        {"series": ["480p", "480p"], "x": [1.0, 6], "y": [2.0, 11], "low": [1.0, 9], "high": [3.0, 13]}
    )
    return plots.curves(points, lines, title="Growth", x=("length", "s"), y=("inference_s", "s"))


EVERY: dict[str, Callable[[], Figure]] = {
    "intervals": lambda: dots(effects()),
    "spread": lambda: plots.spread(clips(), "inference_s", ["resolution", "duration"]),
    "curves": curves,
    "front": lambda: front(settings()),
    "front with a quality": lambda: front(settings(), shade=("rating", "mean of rating")),
    "heat": lambda: plots.heat(clips(), "inference_s", "resolution", "duration"),
}
HARD: dict[str, Callable[[], Figure]] = {
    **EVERY,
    "long labels": lambda: dots(effects(label=LONG), title=LONG),
    "one effect": lambda: dots(effects(1)),
    "many effects": lambda: dots(effects(90)),
    "a spread of prompts": lambda: plots.spread(clips(30), "inference_s", ["prompt", "resolution"]),
    "a spread of one": lambda: plots.spread(clips().head(1), "inference_s", "resolution"),
    "a heat map of prompts": lambda: plots.heat(clips(12), "inference_s", "resolution", "prompt"),
    "prompts down": lambda: plots.heat(
        clips(12), "inference_s", ["prompt", "resolution"], ["duration", "seed"]
    ),
    "a heat map of one": lambda: plots.heat(clips().head(1), "inference_s", "resolution", "duration"),
    "many settings": lambda: front(settings(60)),
    "one setting": lambda: front(settings(1)),
    "Chinese": lambda: dots(effects(label="船慢慢漂开"), title="船慢慢漂开"),
}


def shown(figure: Figure) -> list[Text]:
    """Every text that is drawn; matplotlib also keeps ticks outside the limits, which are not."""
    figure.draw_without_rendering()
    found: list[Text] = [*figure.texts, *(t for legend in figure.legends for t in legend.get_texts())]
    for axes in figure.axes:
        found += axes.texts
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_major_ticks(), axis.get_majorticklocs(), strict=True)
            found += [axis.label, axis.offsetText, *(t.label1 for t, at in ticks if low <= at <= high)]
    return [t for t in found if t.get_visible() and t.get_text().strip()]


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in shown(figure)]


def picture(figure: Figure) -> PIL.Image.Image:
    data, _ = figure._repr_png_()  # type: ignore[attr-defined]
    return PIL.Image.open(io.BytesIO(data)).convert("RGBA")


@pytest.mark.parametrize("make", HARD.values(), ids=HARD.keys())
def test_all_text_is_inside_the_figure(make: Callable[[], Figure]) -> None:
    """A prompt of 300 characters must not push anything off the page, nor be read as a formula."""
    figure = make()
    page = figure.bbox.padded(1)
    for text in shown(figure):
        box = text.get_window_extent()
        assert page.contains(box.x0, box.y0), text
        assert page.contains(box.x1, box.y1), text
        assert not text.get_parse_math() or "$" not in text.get_text()


@pytest.mark.parametrize("make", HARD.values(), ids=HARD.keys())
def test_no_label_lies_over_another(make: Callable[[], Figure]) -> None:
    """Many levels are cut in number rather than drawn over one another."""
    figure = make()
    boxes = [
        t.get_window_extent() for t in shown(figure) if not t.get_rotation() and t not in figure.axes[0].texts
    ]
    for a, b in combinations(boxes, 2):
        assert not a.overlaps(b), (a, b)


@pytest.mark.parametrize("make", [HARD["many settings"], EVERY["front"]], ids=["many", "few"])
def test_no_name_lies_over_another_name(make: Callable[[], Figure]) -> None:
    """Where there is no room a name is left out; the table has it."""
    figure = make()
    names = [t for t in figure.axes[0].texts if t.get_text().startswith("setting")]
    boxes = [t.get_window_extent() for t in names]
    assert names
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
def test_a_figure_says_what_it_shows_in_which_unit(make: Callable[[], Figure]) -> None:
    """A plot is cut out and pasted elsewhere; its units must come along."""
    figure = make()
    assert figure.get_suptitle()
    told = " ".join(texts(figure))
    assert "(s)" in told or " s " in f" {told} "


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
def test_the_panel_is_light_whatever_the_notebook_s_style_is(make: Callable[[], Figure]) -> None:
    """Light text of a dark style on our panel would be read by nobody; the style itself is left as it was."""
    plain = np.asarray(picture(make()))
    with mpl.rc_context({"text.color": "white", "axes.labelcolor": "white", "xtick.color": "white",
                         "ytick.color": "white", "axes.facecolor": "black", "figure.facecolor": "black",
                         "savefig.facecolor": "black", "font.size": 30, "axes.grid": True}):  # fmt: skip
        before = dict(mpl.rcParams)
        made = make()
        assert dict(mpl.rcParams) == before
    dark = np.asarray(picture(made))
    assert (plain[0, 0] == 255).all()
    assert (plain[..., 3] == 255).all()
    assert np.array_equal(plain, dark)


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
def test_the_colours_can_be_told_apart_in_grey(make: Callable[[], Figure]) -> None:
    """The darkest ink has at least 7 : 1 to the panel (WCAG AAA)."""
    grey = np.asarray(picture(make()).convert("L"))
    assert grey.min() < 80
    assert np.median(grey) > 120 or make is EVERY["heat"]


def test_pyplot_is_not_touched() -> None:
    """Its state is global: a figure kept there is shown a second time and never freed."""
    for make in EVERY.values():
        make()
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_a_notebook_shows_a_figure_without_pyplot() -> None:
    """IPython knows matplotlib's figures only once pyplot was imported; this method it always asks for."""
    figure = EVERY["heat"]()
    data, size = figure._repr_png_()  # type: ignore[attr-defined]
    image = PIL.Image.open(io.BytesIO(data))
    assert (size["width"], image.width) == (600, 1200)


def test_a_figure_can_be_pickled_and_copied() -> None:
    """As any other of matplotlib's."""
    figure = EVERY["front"]()
    for other in (pickle.loads(pickle.dumps(figure)), copy.deepcopy(figure)):
        assert picture(other).size == picture(figure).size
        assert other._repr_png_.args[0] is other


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_row_is_at_the_top_and_zero_is_marked() -> None:
    axes = dots(effects()).axes[0]
    assert [t.get_text()[-1] for t in axes.get_yticklabels()] == ["0", "1", "2"]
    assert axes.yaxis_inverted()
    assert any((np.asarray(line.get_xdata()) == 0).all() for line in axes.lines)


def test_a_missing_interval_is_a_hollow_dot_and_an_infinite_one_an_arrow() -> None:
    """An estimate without an interval must not look like a sure one."""
    table = effects()
    table.loc[1, ["lo", "hi"]] = np.nan
    table.loc[2, "hi"] = np.inf
    axes = dots(table).axes[0]
    by_marker = {line.get_marker(): line for line in axes.lines if line.get_marker() in {"<", ">"}}
    hollow = [
        line for line in axes.lines if line.get_marker() == "o" and line.get_markerfacecolor() == look.PANEL
    ]
    assert list(by_marker) == [">"]
    assert [tuple(np.ravel(line.get_xdata())) for line in hollow] == [(0.0,), (1.0,)]


def test_a_missing_value_is_told_in_its_row() -> None:
    table = effects()
    table.loc[0, "d"] = np.nan
    assert "no value" in " ".join(texts(dots(table)))


def test_what_is_not_drawn_is_told() -> None:
    assert "(first 40 of 90)" in dots(effects(90)).get_suptitle()


# ── heat ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_heat_map_has_its_numbers_and_hatches_what_is_missing() -> None:
    """An empty cell coloured like the lowest value would be read as the best one."""
    figure = EVERY["heat"]()
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.texts] == ["6.5", "11.5", "11.5", "21.5", "16.5"]
    (empty,) = axes.patches
    assert empty.get_hatch()
    assert (empty.get_x(), empty.get_y()) == (1, 2)  # type: ignore[attr-defined]  # a Rectangle
    assert figure.axes[1].get_xlabel() == "median of inference_s (s)"


def test_the_numbers_contrast_with_their_cells() -> None:
    """At least 4.5 : 1, in every colour of the map."""

    def luminance(colour: object) -> float:
        c = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in mpl.colors.to_rgb(colour)]  # type: ignore[arg-type]
        return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]

    for share in np.linspace(0, 1, 101):
        cell = mpl.colormaps["cividis"](share)
        light, dark = sorted((luminance(cell), luminance(plots._readable_on(cell))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_too_many_cells_have_no_numbers() -> None:
    """They could not be read."""
    df = pd.DataFrame(
        {"a": np.repeat(np.arange(20), 20), "b": np.tile(np.arange(20), 20), "v": np.arange(400.0)}
    )
    assert list(plots.heat(df, "v", "a", "b").axes[0].texts) == []


def test_of_several_settings_the_longest_is_cut_first() -> None:
    """A prompt must not hide the resolution after it."""
    labels = [t.get_text() for t in HARD["prompts down"]().axes[0].get_yticklabels()]
    assert labels[0].endswith("… · 480p")
    assert len(set(labels)) == len(labels)


# ── what cannot be drawn ────────────────────────────────────────────────────────────────────────────────

WRONG: dict[str, tuple[Callable[[], Figure], str]] = {
    "a column that is not there": (
        lambda: plots.spread(clips(), "inference", "resolution"),
        "Did you mean 'inf",
    ),
    "a setting that is not there": (
        lambda: plots.heat(clips(), "inference_s", "resolutoin", "seed"),
        "'resolution'",
    ),
    "no clip": (lambda: plots.spread(clips().head(0), "inference_s", "resolution"), r"study\.run\(plan\)"),
    "only failures": (
        lambda: plots.spread(clips().assign(stage="failed"), "inference_s", "resolution"),
        r"study\.run\(plan\)",
    ),
    "an empty map": (
        lambda: plots.heat(clips().head(0), "inference_s", "seed", "resolution"),
        "no inference_s",
    ),
    "text": (lambda: plots.heat(clips(), "prompt", "resolution", "seed", "first"), "does not hold numbers"),
    "no effect": (lambda: dots(effects().assign(d=np.nan)), "no number in it"),
    "no setting": (lambda: front(settings().assign(usd=np.nan)), "nothing to draw"),
    "a way to sum up that is not one": (
        lambda: plots.heat(clips(), "inference_s", "resolution", "seed", "medain"),
        "Did you mean 'median'",
    ),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_drawn_is_told(call: Callable[[], Figure], said: str) -> None:
    with pytest.raises(LabError, match=said):
        call()
