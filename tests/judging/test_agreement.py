"""Whether voters say the same, by Krippendorff's alpha."""

from __future__ import annotations

import random

import evalica
import pandas as pd
import pytest

from seedance_lab.judging.agreement import agreement, krippendorff


def test_the_example_of_the_source() -> None:
    """Krippendorff 2011, section C: nominal data of four observers, twelve units, values missing; alpha is 0.743."""
    table = [
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    ]
    units = [[v for v in unit if v != "."] for unit in zip(*(row.split() for row in table), strict=True)]
    assert krippendorff(units) == pytest.approx(0.743, abs=0.0005)


def test_the_example_of_two_observers() -> None:
    """Krippendorff 2011, section B: alpha is 0.692."""
    assert krippendorff(list(zip("aabbdcccedda", "babbbccceddd", strict=True))) == pytest.approx(
        0.692, abs=0.0005
    )


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_evalica(seed: int) -> None:
    """To 1e-9, on votes of five people with a third of them missing."""
    draw = random.Random(seed)
    rows = [
        [draw.choice(["a", "b", "tie"]) if draw.random() > 1 / 3 else None for _ in range(30)]
        for _ in range(5)
    ]
    ours = krippendorff([[v for v in unit if v is not None] for unit in zip(*rows, strict=True)])
    theirs = evalica.alpha(pd.DataFrame(rows), distance="nominal").alpha
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_all_the_same_is_one_and_always_the_opposite_below_nought() -> None:
    assert krippendorff([["a", "a"], ["b", "b"]]) == 1
    assert (krippendorff([["a", "b"], ["b", "a"]]) or 0) < 0


def test_without_two_values_there_is_no_alpha() -> None:
    assert krippendorff([]) is None
    assert krippendorff([["a"], ["b"]]) is None
    assert krippendorff([["a", "a"], ["a", "a"]]) is None, "no chance to be better than"


def test_one_voter_agrees_with_nobody() -> None:
    told = agreement([("p1", "ada", "a"), ("p2", "ada", "b")])
    assert (told.alpha, told.share, told.n_voters) == (None, None, 1)
    assert told.sentence == ""


def test_voters_without_a_shared_pair_are_said_to_be() -> None:
    told = agreement([("p1", "ada", "a"), ("p2", "bob", "b")])
    assert told.sentence == "2 voters shared no pair, so whether they agree is not known"


def test_the_share_is_of_pairs_of_voters_and_the_last_word_holds() -> None:
    said = [
        ("p1", "ada", "a"),
        ("p1", "bob", "a"),
        ("p1", "eve", "b"),
        ("p2", "ada", "a"),
        ("p2", "bob", "b"),
    ]
    told = agreement([*said, ("p2", "bob", "a")])
    assert told.share == pytest.approx((2 + 2) / (6 + 2))
    assert told.n_pairs == 2


def test_few_shared_pairs_are_said_to_be_few() -> None:
    few = agreement([(f"p{i}", who, "ab"[i % 2]) for i in range(19) for who in ("ada", "bob")])
    many = agreement([(f"p{i}", who, "ab"[i % 2]) for i in range(20) for who in ("ada", "bob")])
    assert few.sentence.endswith("perfect): too few to say much")
    assert many.sentence == (
        "2 voters agree on 100 % of 20 shared pairs (Krippendorff's alpha 1.00, where 0 is chance and 1 perfect)"
    )


def test_a_minus_is_a_minus() -> None:
    told = agreement([(f"p{i}", who, who) for i in range(20) for who in ("ada", "bob")])
    assert "alpha −0." in told.sentence
