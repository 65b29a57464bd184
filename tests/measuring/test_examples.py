"""Every measure goes up with what is planted, and has a picture that shows it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise

import pytest

from seedance_lab.measuring.catalog import BUILT_IN, FULL
from seedance_lab.measuring.spec import Found
from tests.conftest import REPO
from tests.measuring.examples import EXAMPLES, SAME, Plant, asked, film
from tests.measuring.films import measured


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Found]:
    """All measures of a plant's clip; many measures share their clips."""
    folder = tmp_path_factory.mktemp("examples")

    @functools.cache
    def of(text: str) -> Found:
        plant = plants[text]
        path = film(folder / f"{len(list(folder.iterdir()))}.mp4", plant)
        return measured(path, *FULL, asked=asked(plant))

    return of


plants: dict[str, Plant] = {repr(plant): plant for three in EXAMPLES.values() for plant in three}


def test_every_measure_has_an_example() -> None:
    assert set(EXAMPLES) | set(SAME) == set(FULL)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_measure_goes_up_with_what_is_planted(name: str, found: Callable[[str], Found]) -> None:
    values = [found(repr(plant)).values[name] for plant in EXAMPLES[name]]
    assert all(a < b for a, b in pairwise(values)), values


def test_every_group_has_its_picture() -> None:
    """Made by `data/make_measure_pictures.py`."""
    groups = {measure.group for measure in BUILT_IN.values()}
    assert {path.stem for path in (REPO / "data" / "measures").glob("*.jpg")} == groups
