"""Measures that a user declares."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seedance_lab as lab
from seedance_lab.errors import MeasureError
from seedance_lab.measuring import custom
from tests.measuring.films import lumas
from tests.measuring.studies import film


@pytest.fixture(autouse=True)
def _nothing_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom, "OWN", {})


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return film(tmp_path / "clip.mp4", 60)


def brightest(luma: Any) -> Any:
    """Brightest sample of a frame.

    Not part of the definition.
    """
    return luma.max()


@pytest.mark.parametrize(
    ("how", "numpys"),
    [
        ("mean", np.mean),
        ("median", np.median),
        ("min", np.min),
        ("max", np.max),
        ("std", np.std),
        ("first", lambda values: values[0]),
        ("last", lambda values: values[-1]),
    ],
)
def test_a_measure_of_frames_is_summed_up_as_it_says(
    clip: Path, how: Any, numpys: Callable[[Any], float]
) -> None:
    lab.new_measure(how=how)(brightest)
    values = [frame.max() for frame in lumas(clip)]
    assert len(set(values)) > 5
    df = lab.measure(clip, only="brightest", progress=False)
    assert df["brightest"][0] == pytest.approx(float(numpys(np.asarray(values, float))))


def test_a_measure_of_clips_gets_the_clip(clip: Path) -> None:
    @lab.new_measure(of="clip", unit="bytes")
    def weight(clip: lab.Clip) -> int:
        return clip.path.stat().st_size

    assert lab.measure(clip, only="weight", progress=False)["weight"][0] == clip.stat().st_size


def test_it_is_listed_with_what_it_was_declared_with() -> None:
    lab.new_measure(unit="levels", low=0, high=255, better="less", version=3, source="me")(brightest)
    row = lab.measures().set_index("name").loc["brightest"]
    assert row["definition"] == "Brightest sample of a frame."
    assert (row["unit"], row["low"], row["high"], row["better"]) == ("levels", 0, 255, "less")
    assert (row["version"], row["source"], row["group"], row["tier"]) == (3, "me", "yours", "standard")


def test_the_decorator_needs_no_brackets_and_leaves_the_function_as_it_is() -> None:
    assert lab.new_measure(brightest) is brightest
    assert lab.new_measure(unit="levels")(brightest) is brightest


def test_it_is_taken_with_the_standard_ones(clip: Path) -> None:
    lab.new_measure(brightest)
    df = lab.measure(clip, progress=False)
    assert {"brightest", "tokens"} <= set(df.columns)


def reasons(df: Any) -> dict[str, str]:
    return {one["measure"]: one["reason"] for one in df.attrs["missing"]}


@pytest.mark.parametrize(
    ("given", "said"),
    [(float("nan"), "nan"), (float("inf"), "inf"), ("much", "'much'"), (None, "None")],
)
def test_what_is_no_number_becomes_a_reason(clip: Path, given: Any, said: str) -> None:
    @lab.new_measure
    def odd(luma: Any) -> Any:
        return given

    df = lab.measure(clip, only=["odd", "tokens"], progress=False)
    assert np.isnan(df["odd"][0])
    assert said in reasons(df)["odd"]
    assert df["tokens"][0] > 0


@pytest.mark.parametrize("of", ["frame", "clip"])
def test_an_exception_costs_only_its_own_measure(clip: Path, of: Any) -> None:
    lab.new_measure(brightest)

    @lab.new_measure(of=of)
    def broken(_: Any) -> float:
        raise KeyError("nose")

    df = lab.measure(clip, only=["broken", "brightest", "tokens"], progress=False)
    assert "KeyError: 'nose'" in reasons(df)["broken"]
    assert set(reasons(df)) == {"broken"}
    assert df["brightest"][0] > 0


def test_the_reason_names_the_frame(clip: Path, tmp_path: Path) -> None:
    """And a function that has failed is not asked again."""
    log = tmp_path / "asked"

    @lab.new_measure
    def late(luma: Any) -> float:
        with log.open("a") as file:
            file.write("x")
        return 1 / (5 - log.stat().st_size)

    df = lab.measure(clip, only="late", progress=False)
    assert "ZeroDivisionError" in reasons(df)["late"]
    assert "frame 4, 0.17 s" in reasons(df)["late"]
    assert log.stat().st_size == 5


def test_a_function_that_cannot_travel_is_told_so(clip: Path) -> None:
    """It would have to be copied into the process that measures; the other measures are taken."""
    lock = threading.Lock()

    @lab.new_measure
    def locked(luma: Any) -> float:
        with lock:
            return 1.0

    df = lab.measure(clip, only=["locked", "tokens"], progress=False)
    assert "cannot be sent to a worker process" in reasons(df)["locked"]
    assert "lock" in reasons(df)["locked"]
    assert df["tokens"][0] > 0


def test_what_a_function_writes_into_a_frame_harms_no_other(clip: Path) -> None:
    lab.new_measure(how="max")(brightest)
    alone = lab.measure(clip, only=["brightest", "mean_luma"], progress=False)

    @lab.new_measure
    def adrift(luma: Any) -> float:
        luma[:] = 255
        return 0.0

    df = lab.measure(clip, only=["adrift", "brightest", "mean_luma"], progress=False)
    for name in ("brightest", "mean_luma"):
        assert df[name][0] == alone[name][0]


@pytest.mark.parametrize(("name", "kind"), [("seed", "column"), ("tokens", "measure"), ("path", "column")])
def test_a_name_that_is_taken_is_refused_with_another_one(name: str, kind: str) -> None:
    def function(luma: Any) -> float:
        return 0.0

    function.__name__ = name
    with pytest.raises(MeasureError, match=f"already a {kind} '{name}'.*'my_{name}'"):
        lab.new_measure(function)


def test_a_function_without_a_name_is_refused() -> None:
    with pytest.raises(MeasureError, match="needs a function with a name"):
        lab.new_measure(lambda luma: 0.0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"how": "meen"}, "how='meen' is not known.*Did you mean 'mean'"),
        ({"of": "pixel"}, "of='pixel' is not known; it is 'frame' or 'clip'"),
        ({"better": "higher"}, "better='higher'"),
        ({"low": 2, "high": 1}, "low=2 is above high=1"),
    ],
)
def test_an_option_that_is_not_known_is_refused_with_those_that_are(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(MeasureError, match=said):
        lab.new_measure(**options)(brightest)
    assert custom.OWN == {}


def test_declaring_a_name_again_replaces_it_and_is_another_version() -> None:
    """A notebook's cell is run again and again, and a changed function must not get the old numbers."""

    def first() -> None:
        @lab.new_measure
        def mine(luma: Any) -> float:
            return 1.0

    def second() -> None:
        @lab.new_measure
        def mine(luma: Any) -> float:
            return 2.0

    first()
    before = custom.version_of("mine")
    first()
    assert custom.version_of("mine") == before
    second()
    assert custom.version_of("mine") != before
    assert len(custom.OWN) == 1


def test_a_measure_that_sums_up_otherwise_is_another_version() -> None:
    lab.new_measure(how="min")(brightest)
    before = custom.version_of("brightest")
    lab.new_measure(how="max")(brightest)
    assert custom.version_of("brightest") != before


def test_a_function_without_source_has_a_version_too(clip: Path) -> None:
    """Typed at a prompt that keeps no text."""
    names: dict[str, Any] = {}
    exec("def typed(luma):\n    return 7.0", names)
    lab.new_measure(names["typed"])
    one = custom.version_of("typed")
    exec("def typed(luma):\n    return 8.0", names)
    lab.new_measure(names["typed"])
    assert custom.version_of("typed") != one
    assert lab.measure(clip, only="typed", progress=False)["typed"][0] == 8
