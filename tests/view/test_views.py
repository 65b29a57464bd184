"""Layouts: what a person says is checked; what a browser says is taken as far as it makes sense."""

from __future__ import annotations

from typing import Any

import pytest

from seedance_lab.errors import LabError
from seedance_lab.view.views import LEAST_PX, MOST_PX, View, first_view

SETTINGS = {"seed": [1, 2, 3], "resolution": ["480p", "720p"], "prompt": ["a", "b"]}
COLUMNS = [*SETTINGS, "latency_s", "stars", "state"]


def test_the_first_view_leaves_the_axes_open_and_hides_nothing() -> None:
    told = first_view().as_json()
    assert (told["rows"], told["cols"], told["pages"]) == (None, None, [])
    assert (told["hidden"], told["filters"], told["sort"], told["compare"]) == ({}, [], None, None)


def test_a_setting_that_runs_along_one_axis_leaves_the_others() -> None:
    view = View(rows=("seed",), cols=("resolution", "prompt"))
    moved = view.with_axes(SETTINGS, rows="resolution")
    assert (moved.rows, moved.cols) == (("resolution",), ("prompt",))
    paged = moved.with_axes(SETTINGS, pages=["prompt"])
    assert (paged.rows, paged.cols, paged.pages) == (("resolution",), (), ("prompt",))


def test_none_has_an_axis_chosen_and_an_empty_one_stays_empty() -> None:
    view = View(rows=("seed",)).with_axes(SETTINGS, rows=None, cols=())
    assert (view.rows, view.cols) == (None, ())


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"rows": "sed"}, "'sed' is not a setting.*Did you mean 'seed'"),
        ({"rows": "seed", "cols": ["seed"]}, "seed: named for two"),
        ({"pages": ["resolutoin"]}, "Did you mean 'resolution'"),
        ({"cols": "latency_s"}, "They have seed, resolution, prompt"),
    ],
)
def test_a_setting_that_is_not_there_names_the_near_ones(axes: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        View().with_axes(SETTINGS, **axes)


def test_any_setting_will_do_while_there_are_no_clips() -> None:
    assert View().with_axes({}, rows="seed").rows == ("seed",)


def test_hidden_values_are_checked_and_shown_again() -> None:
    view = View().with_hidden(SETTINGS, "seed", [1, 3]).with_hidden(SETTINGS, "resolution", ["480p"])
    assert view.hidden == {"seed": [1, 3], "resolution": ["480p"]}
    assert view.with_hidden(SETTINGS, "seed", None).hidden == {"resolution": ["480p"]}
    with pytest.raises(LabError, match=r"resolution is never '480' here\. Did you mean '480p'"):
        view.with_hidden(SETTINGS, "resolution", ["480"])
    with pytest.raises(LabError, match="Did you mean 'seed'"):
        view.with_hidden(SETTINGS, "seeds", [1])


def test_conditions_add_up_and_are_checked() -> None:
    view = View().with_filter(COLUMNS, "latency_s", "<", 40).with_filter(COLUMNS, "state", "==", "saved")
    assert [f["column"] for f in view.filters] == ["latency_s", "state"]
    with pytest.raises(LabError, match="Did you mean 'latency_s'"):
        view.with_filter(COLUMNS, "latency", "<", 40)
    with pytest.raises(LabError, match="'=<' is no condition; it is one of =="):
        view.with_filter(COLUMNS, "latency_s", "=<", 40)


def test_sorting_is_checked_and_taken_back() -> None:
    view = View().with_sort(COLUMNS, "stars", descending=True)
    assert view.sort == {"column": "stars", "descending": True}
    assert view.with_sort(COLUMNS, None, descending=False).sort is None
    with pytest.raises(LabError, match="There is no column 'starz'"):
        view.with_sort(COLUMNS, "starz", descending=False)


def test_what_a_browser_made_of_it_comes_back_whole() -> None:
    view = View(
        rows=("seed",), cols=(), pages=("prompt",), hidden={"seed": [2]}, cell_px=320, captions=False,
        filters=[{"column": "stars", "op": ">=", "value": 3}], sort={"column": "stars", "descending": True},
        compare={"ids": ["a", "b"], "mode": "wipe"},
    )  # fmt: skip
    assert View().heard(view.as_json(), SETTINGS, COLUMNS) == view


@pytest.mark.parametrize(
    "told",
    [
        {"rows": 5}, {"rows": ["gone", 7, None]}, {"pages": [["seed"]]}, {"hidden": [1]}, {"hidden": {"gone": [1]}},
        {"hidden": {"seed": 1}}, {"filters": "all"}, {"filters": [{"column": "seed", "op": "~"}, 5]},
        {"sort": "seed"}, {"sort": {"column": "gone"}}, {"cell_px": "wide"}, {"cell_px": float("nan")},
        {"compare": ["a"]}, {"compare": {"ids": "ab"}}, {"unheard": "of"},
    ],
)  # fmt: skip
def test_nonsense_from_a_browser_leaves_a_view_that_makes_sense(told: dict[str, Any]) -> None:
    view = View().heard(told, SETTINGS, COLUMNS)
    assert view.rows in {None, ()}
    assert (view.pages, view.hidden, list(view.filters), view.sort) == ((), {}, [], None)
    assert (view.cell_px, view.compare) == (200, None)


@pytest.mark.parametrize(("px", "kept"), [(1, LEAST_PX), (1e9, MOST_PX), (float("inf"), MOST_PX), (99.6, 99)])
def test_a_size_from_a_browser_is_kept_within_reason(px: float, kept: int) -> None:
    assert View().heard({"cell_px": px}, SETTINGS, COLUMNS).cell_px == kept


def test_a_mode_that_nobody_knows_is_side_by_side() -> None:
    heard = View().heard({"compare": {"ids": [1, 2, 3, 4, 5], "mode": "dance"}}, SETTINGS, COLUMNS)
    assert heard.compare == {"ids": ["1", "2", "3", "4"], "mode": "side"}
