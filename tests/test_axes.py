"""Text forms, and what counts as one value."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_lab.axes import parse, values_of
from seedance_lab.endpoints import LITE, PRO
from seedance_lab.errors import PlanError


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("seed", "7", [7]), ("seed", "1-8", list(range(1, 9))),
        ("seed", " 1 - 3 ", [1, 2, 3]), ("seed", "3-3", [3]),
        ("seed", "1-3,9,20..30..5", [1, 2, 3, 9, 20, 25, 30]),
        ("seed", "random", [None]), ("seed", "-1", [None]),
        ("seed", "1,random,None", [1, None, None]), ("seed", "0", [0]),
        ("duration", "2..12..2", [2, 4, 6, 8, 10, 12]),
        ("duration", "2..4", [2, 3, 4]), ("duration", "2..12..5", [2, 7, 12]),
        ("duration", "2 .. 11 .. 5", [2, 7]),
        ("resolution", "480p,720p", ["480p", "720p"]), ("resolution", " 480p , 720p ", ["480p", "720p"]),
        ("aspect_ratio", "16:9,auto", ["16:9", "auto"]), ("endpoint", "lite,pro-fast", ["lite", "pro-fast"]),
        ("camera_fixed", "true,false", [True, False]),
        ("camera_fixed", "Yes,OFF,1,0", [True, False, True, False]),
        ("enable_safety_checker", "no", [False]),
        ("prompt", "boats, drifting 1-8", ["boats, drifting 1-8"]), ("prompt", "", [""]),
        ("image", "a,b.jpg", ["a,b.jpg"]), ("end_image", "1-8", ["1-8"]),
    ],
)  # fmt: skip
def test_a_text_form_stands_for_its_values(name: str, text: str, values: list[Any]) -> None:
    assert list(parse(name, text)) == values


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("seed", "", "empty part"), ("seed", "1,,2", "empty part"),
        ("seed", "1,", "empty part"), ("resolution", ",", "empty part"),
        ("seed", "8-1", "backwards"), ("seed", "8..1", "backwards"), ("duration", "2..12..0", "stands still"),
        ("seed", "x", "not understood"), ("seed", "1.5", "not understood"), ("seed", "-5", "not understood"),
        ("seed", "1..2..3..4", "not understood"),
        ("seed", "1-2-3", "not understood"), ("duration", "5s", "not understood"),
        ("duration", "random", "not understood"),
        ("duration", "1e1", "not understood"), ("seed", "²", "not understood"),
        ("camera_fixed", "maybe", "neither true nor false"),
        ("camera_fixed", "", "empty part"), ("camera_fixed", "2", "neither"),
    ],
)  # fmt: skip
def test_a_text_without_such_a_form_is_refused_with_the_text(name: str, text: str, said: str) -> None:
    with pytest.raises(PlanError, match=r"Nothing was sent") as caught:
        parse(name, text)
    assert said in str(caught.value)
    assert f"{name}={text!r}" in str(caught.value)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 9))
def test_a_range_in_text_is_the_range_in_python(first: int, n: int, step: int) -> None:
    assert list(values_of("seed", f"{first}..{first + n}..{step}")) == list(range(first, first + n + 1, step))


@settings(deadline=None)
@given(st.text())
def test_any_text_is_values_or_a_plan_error(text: str) -> None:
    for name in ("resolution", "camera_fixed", "prompt"):
        try:
            assert len(values_of(name, text)) > 0
        except PlanError:
            assert name != "prompt"


@settings(deadline=None)
@given(st.text(alphabet="0123456789-., ", max_size=6))
def test_any_digits_and_signs_are_values_or_a_plan_error(text: str) -> None:
    with contextlib.suppress(PlanError):
        assert all(value is None or value >= 0 for value in values_of("seed", text))


def test_a_range_stays_a_range() -> None:
    assert values_of("seed", range(2**32)) == range(2**32)


def test_a_range_in_text_takes_no_more_room_than_one_in_python() -> None:
    """`0-4294967295` typed into the panel would otherwise fill the memory before anything can refuse it."""
    values = values_of("seed", "0-99999")
    assert len(values) == 100_000
    assert sys.getsizeof(values) < 1000


def endless() -> Iterator[int]:
    yield from (3, 1, 2)


@pytest.mark.parametrize(
    "many",
    [[3, 1, 2], (3, 1, 2), endless(), np.array([3, 1, 2]), pd.Series([3, 1, 2]), pd.Index([3, 1, 2]),
     {3: "", 1: "", 2: ""}.keys(), map(int, "312"), iter([3, 1, 2])],
    ids=["list", "tuple", "generator", "array", "series", "index", "keys", "map", "iterator"],
)  # fmt: skip
def test_an_iterable_is_many_values_in_its_order(many: Any) -> None:
    assert [int(v) for v in values_of("seed", many)] == [3, 1, 2]


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("seed", 3), ("seed", None), ("seed", np.int64(3)),
        ("seed", np.array(3)), ("duration", 5.0), ("camera_fixed", True),
        ("endpoint", LITE), ("image", b"bytes"),
        ("image", bytearray(b"bytes")), ("image", memoryview(b"bytes")),
        ("image", Path("a.jpg")), ("image", PIL.Image.new("RGB", (2, 2))), ("prompt", "a, b"),
    ],
)  # fmt: skip
def test_a_value_that_could_be_taken_apart_is_one_value(name: str, one: Any) -> None:
    values = values_of(name, one)
    assert len(values) == 1
    assert values[0] is one


def test_endpoints_in_a_list_are_an_axis() -> None:
    assert list(values_of("endpoint", [LITE, PRO])) == [LITE, PRO]


@pytest.mark.parametrize("bag", [{1, 2}, frozenset({1}), {"a": 1}])
def test_what_has_no_order_is_refused_by_its_type(bag: Any) -> None:
    with pytest.raises(PlanError, match=rf"seed is a {type(bag).__name__}.*give a list"):
        values_of("seed", bag)


@pytest.mark.parametrize("nothing", [[], (), range(0), np.array([]), iter(())])
def test_an_empty_axis_is_refused(nothing: Any) -> None:
    with pytest.raises(PlanError, match="seed has no values"):
        values_of("seed", nothing)


@pytest.mark.parametrize("table", [np.zeros((4, 4, 3)), pd.DataFrame({"a": [1]})])
def test_a_table_is_no_axis(table: Any) -> None:
    with pytest.raises(PlanError, match="dimensions"):
        values_of("image", table)
