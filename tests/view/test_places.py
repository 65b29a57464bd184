"""Which cell stands where."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from view_snapshots import cell, written

from seedance_lab.pages.places import arrange, as_text

GRID = {
    f"{s}{r}{d}": {"seed": s, "resolution": r, "duration": d}
    for s in (1, 2)
    for r in ("480p", "720p")
    for d in (5, 10)
}


def ids(cells: Any) -> list[str]:
    return [cell["id"] for cell in cells]


def test_every_cell_stands_in_the_place_of_its_settings() -> None:
    places = arrange(written(GRID, rows=["seed"], cols=["resolution"], pages=["duration"]))
    assert places.pages.steps == ((5,), (10,))
    assert places.rows.steps == ((1,), (2,))
    assert places.cols.steps == (("480p",), ("720p",))
    for (page, row, col), cells in places.at.items():
        assert ids(cells) == [f"{row[0]}{col[0]}{page[0]}"]
    assert len(places.at) == 8
    assert places.rest == ()


def test_what_runs_along_no_axis_is_left_to_the_captions() -> None:
    places = arrange(written(GRID, rows=["seed"], cols=["resolution"]))
    assert places.rest == ("duration",)
    assert ids(places.at[(), (1,), ("480p",)]) == ["1480p5", "1480p10"]


def test_axes_that_are_left_open_are_chosen_seeds_down_and_the_rest_across() -> None:
    places = arrange(written(GRID))
    assert (places.rows.names, places.cols.names) == (("seed",), ("resolution", "duration"))
    assert arrange(written(GRID, rows=["duration"])).cols.names == ("seed", "resolution")
    assert arrange(written(GRID, rows=[], cols=[])).rows.steps == ((),)


def test_many_values_of_one_setting_follow_one_another() -> None:
    few = arrange(written({str(n): {"seed": n} for n in range(8)}))
    many = arrange(written({str(n): {"seed": n} for n in range(9)}))
    assert (few.cols.names, many.cols.names) == (("seed",), ())
    assert many.rest == ("seed",)


def test_nested_axes_show_only_what_occurs_however_many_values_there_are() -> None:
    """Six settings of twenty values have 64 million combinations; twenty of them were asked for."""
    names = "abcdef"
    places = arrange(written({str(n): dict.fromkeys(names, n) for n in range(20)}, rows=list(names), cols=[]))
    assert places.rows.steps == tuple((n,) * 6 for n in range(20))


def test_the_columns_order_wins_over_the_order_of_cells() -> None:
    snapshot = written(
        {"b": {"resolution": "720p"}, "a": {"resolution": "480p"}}, rows=[], cols=["resolution"]
    )
    snapshot["columns"][0]["values"] = ["480p", "720p", "1080p"]
    assert arrange(snapshot).cols.steps == (("480p",), ("720p",))


def test_hidden_values_are_left_out_and_counted() -> None:
    places = arrange(written(GRID, rows=["seed"], cols=["resolution"], hidden={"resolution": ["720p"]}))
    assert places.n_hidden == 4
    assert places.cols.steps == (("480p",),)


@pytest.mark.parametrize(
    ("op", "value", "left"),
    [
        ("==", 5, 4),
        ("!=", 5, 4),
        ("<", 10, 4),
        ("<=", 10, 8),
        (">", 5, 4),
        (">=", 5, 8),
        ("contains", "1", 4),
        ("<", "a", 0),
    ],
)
def test_a_filter_keeps_what_passes(op: str, value: Any, left: int) -> None:
    filters = [{"column": "duration", "op": op, "value": value}]
    assert len(arrange(written(GRID, filters=filters)).cells) == left


def test_a_cell_without_the_value_passes_no_comparison() -> None:
    snapshot = written({"a": {"seed": 1}, "b": {"seed": 2}})
    snapshot["cells"][0]["values"]["motion"] = 3.0
    for op in ("<", ">", "contains", "=="):
        snapshot["view"]["filters"] = [{"column": "motion", "op": op, "value": 3.0 if op != "<" else 9.0}]
        assert "b" not in ids(arrange(snapshot).cells)


def test_a_sort_by_a_fact_orders_cells_and_one_by_a_setting_its_axis() -> None:
    snapshot = written(GRID, rows=["seed"], cols=[], sort={"column": "latency_s", "descending": True})
    for n, each in enumerate(snapshot["cells"]):
        each["values"]["latency_s"] = [3.0, None, 9.0, 1.0][n % 4]
    assert [c["values"]["latency_s"] for c in arrange(snapshot).at[(), (1,), ()]] == [9.0, 3.0, 1.0, None]
    snapshot["view"]["sort"] = {"column": "seed", "descending": True}
    assert arrange(snapshot).rows.steps == ((2,), (1,))


def test_a_rating_and_a_state_can_be_filtered_by() -> None:
    snapshot = written({})
    snapshot["cells"] = [
        cell("a", {}, rating={"stars": 4, "tags": [], "note": ""}),
        cell("b", {}, state="failed"),
    ]
    snapshot["view"]["filters"] = [{"column": "stars", "op": ">=", "value": 4}]
    assert ids(arrange(snapshot).cells) == ["a"]
    snapshot["view"]["filters"] = [{"column": "state", "op": "==", "value": "failed"}]
    assert ids(arrange(snapshot).cells) == ["b"]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (True, "true"), (5, "5"), (5.0, "5"), (0.5, "0.5"), ("480p", "480p")]
)
def test_values_are_written_as_the_browser_writes_them(value: Any, text: str) -> None:
    """The keys of a column's labels are made on both sides."""
    assert as_text(value) == text


names = st.sampled_from(["seed", "duration", "prompt", "file"])
settings = st.dictionaries(names, st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["a", "480p"])))
axis = st.one_of(st.none(), st.lists(names, unique=True, max_size=2))


@given(
    cells=st.lists(settings, max_size=12),
    rows=axis,
    cols=axis,
    hidden=st.dictionaries(names, st.lists(st.integers(0, 3))),
)
def test_every_shown_cell_stands_in_one_place_under_its_own_headings(
    cells: list[dict[str, Any]], rows: Any, cols: Any, hidden: Any
) -> None:
    """Whatever the settings are, and whichever of them are missing."""
    cols = [name for name in cols if name not in (rows or ())] if cols is not None else None
    snapshot = written({str(n): each for n, each in enumerate(cells)}, rows=rows, cols=cols, hidden=hidden)
    places = arrange(snapshot)
    stood = [(each["id"], page, row, col) for (page, row, col), group in places.at.items() for each in group]
    assert sorted(id_ for id_, *_ in stood) == sorted(each["id"] for each in places.cells)
    assert len(places.cells) + places.n_hidden == len(cells)
    by_id = {each["id"]: each["settings"] for each in snapshot["cells"]}
    for id_, page, row, col in stood:
        assert (page in places.pages.steps, row in places.rows.steps, col in places.cols.steps) == (True,) * 3
        assert row == tuple(by_id[id_].get(name) for name in places.rows.names)
        assert col == tuple(by_id[id_].get(name) for name in places.cols.names)
    for axis_ in (places.rows, places.cols):
        assert len(set(axis_.steps)) == len(axis_.steps)
    said = {*places.rows.names, *places.cols.names, *places.rest, *places.constant}
    assert {name for each in cells for name in each} - said <= {*hidden} or not places.cells
