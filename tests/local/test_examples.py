"""The documents' example picture needs no network."""

from __future__ import annotations

from pathlib import Path

from seedance_lab.image import inspect
from seedance_lab.local.examples import example
from tests.conftest import REPO

REFERENCE = "https://fal.media/files/koala/f_xmiodPjhiKjdBkFmTu1.png"


def test_the_example_of_the_page_is_a_picture_that_the_model_takes() -> None:
    path = example(REFERENCE)
    assert isinstance(path, Path)
    assert inspect(path).size.width > 300


def test_every_picture_of_the_three_examples_is_known() -> None:
    for name in ("example.sh", "example.py", "example.mjs"):
        assert REFERENCE in (REPO / "tests" / "clients" / name).read_text()


def test_every_other_url_is_left_to_the_network() -> None:
    """Also one that only looks like it."""
    for url in (
        "",
        f"{REFERENCE}?x=1",
        REFERENCE.replace("https", "http"),
        REFERENCE.replace("koala", "lion"),
    ):
        assert example(url) is None
