"""What preferences are said to be: what is sure as sure, what is not as not."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from seedance_lab.judging import bradley_terry, words
from seedance_lab.judging.agreement import agreement
from seedance_lab.judging.decision import Decision
from seedance_lab.judging.words import Share

NOBODY = agreement([])


def table(*names: str, wins: float = 0.7, **more: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {"level": list(names), "wins": wins, "low": wins - 0.1, "high": wins + 0.1, "votes": 12, **more}
    )


def pairs(first: str, p_holm: float) -> pd.DataFrame:
    return pd.DataFrame({"level": [first], "against": ["other"], "p_holm": [p_holm]})


def said(by: str, names: list[str], decided: Decision, p: float = 0.5, n: int = 1200) -> str:
    return words.of_levels(table(*names), pairs(names[0], p), by, decided, n, 0.95)


def test_what_is_decided_is_preferred() -> None:
    assert said("prompt", ["calm", "storm"], Decision(True, 0, 0)) == (
        "“calm” is preferred: it wins 70 % of its votes against an average prompt "
        "(95 % interval 60 % to 80 %; 1,200 votes)."
    )


@pytest.mark.parametrize(
    ("by", "name", "start"),
    [
        ("resolution", "720p", "720p is preferred"),
        ("duration", "10 s", "10 s is preferred"),
        ("camera_fixed", "True", "camera_fixed True is preferred"),
        ("seed", "7", "Seed 7 is preferred"),
        ("end_image", "none", "end_image none is preferred"),
        ("image", "harbour.jpg", "“harbour.jpg” is preferred"),
    ],
)
def test_each_setting_has_words_of_its_own(by: str, name: str, start: str) -> None:
    assert said(by, [name, "x"], Decision(True, 0, 0)).startswith(start)


def test_levels_that_are_alike_are_said_to_be() -> None:
    told = said("prompt", ["calm", "storm"], Decision(True, None, 0))
    assert told.startswith("No visible preference at n = 1,200: no value of prompt is preferred")
    assert told.endswith("more votes would not change that.")


def test_a_lead_is_no_decision() -> None:
    told = said("prompt", ["calm", "storm"], Decision(False, None, 30), p=0.01)
    assert "“calm” leads: it wins 70 %" in told
    assert told.endswith("; about 30 more votes would decide.")


def test_a_difference_that_may_be_chance_is_not_seen() -> None:
    told = said("prompt", ["calm", "storm"], Decision(False, None, 1), p=0.4, n=1)
    assert told.startswith("Not decided at n = 1: the best, “calm”, wins 70 %"), "it is ahead of the average"
    assert told.endswith("; about 1 more vote would decide.")


def test_what_no_number_of_votes_decides_is_said() -> None:
    told = said("prompt", ["calm", "storm"], Decision(False, None, None), p=0.4)
    assert told.endswith("; more than 2,000 more votes would be needed to decide.")


def test_a_clip_is_named_by_its_picture_seed_and_key() -> None:
    of = table("calm", "storm", key="k1:a", block="harbour.jpg (ab12cd), seed 3")
    assert words.of_clips(of, "prompt", 40, 0.9) == (
        "The clip “calm” of harbour.jpg (ab12cd), seed 3 (k1:a) wins most: 70 % against an average clip "
        "(90 % interval 60 % to 80 %; 12 of 40 votes were on it)."
    )


# ── notes ───────────────────────────────────────────────────────────────────────────────────────────────


def notes(
    choices: list[str], *, by: str = "prompt", left: Share | None = None, n_blocks: int = 20, **more: Any
) -> tuple[str, ...]:
    rows = pd.DataFrame({"choice": choices})
    rows.attrs["damaged"] = more.pop("damaged", [])
    n = max(n_blocks, 1)
    fit = bradley_terry.fit(bradley_terry.tally([0] * n, [1] * n, [1] * n, list(range(n))), 2)
    given: dict[str, Any] = {"is_bootstrap": False, "voters": NOBODY, **more}
    return words.notes(
        rows, rows, by, fit, left or Share(0.5, 0.4, 0.6), given["voters"], is_bootstrap=given["is_bootstrap"]
    )


def test_where_there_is_nothing_to_note_nothing_is_noted() -> None:
    assert notes(["left", "right"]) == ()


def test_ties_and_bad_ones_are_counted_aloud() -> None:
    assert notes(["left", "tie", "tie"]) == ("2 of 3 votes are ties: half a win for each",)
    assert notes(["left", "tie"]) == ("1 of 2 votes is a tie: half a win for each",)
    assert notes(["bad", "tie", "left"]) == (
        "1 of 3 votes says that both are bad: counted as a tie, with 1 other",
    )
    assert notes(["bad", "bad", "left"]) == ("2 of 3 votes say that both are bad: counted as ties",)


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (Share(0.7, 0.55, 0.8), "the left side is favoured: of two equal clips it wins 70 % (55 % to 80 %)"),
        (Share(0.3, 0.2, 0.45), "the right side is favoured: of two equal clips it wins 70 % (55 % to 80 %)"),
    ],
)
def test_a_favoured_side_is_told_and_allowed_for(left: Share, told: str) -> None:
    [note] = notes(["left"], left=left)
    assert note.startswith(told)
    assert note.endswith("that is allowed for")


def test_a_side_that_may_be_even_is_not_told() -> None:
    assert notes(["left"], left=Share(0.6, 0.49, 0.7)) == ()


def test_few_blocks_are_told() -> None:
    assert notes(["left"], n_blocks=1)[0].startswith("one picture and seed only")
    assert notes(["left"], n_blocks=4)[0].startswith(
        "4 pictures and seeds only: the intervals hold for these"
    )
    assert "the bootstrap is too narrow" in notes(["left"], n_blocks=4, is_bootstrap=True)[0]
    assert notes(["left"], n_blocks=8) == ()


@pytest.mark.parametrize("by", ["resolution", "duration", "aspect_ratio"])
def test_what_a_voter_sees_at_once_is_not_blind(by: str) -> None:
    [note] = notes(["left"], by=by)
    assert note.endswith("can be told apart, so these votes are not blind")


def test_voters_and_damage_are_told() -> None:
    said = [(f"p{i}", who, "a") for i in range(3) for who in ("ada", "bob")]
    told = notes(["left"], voters=agreement(said), damaged=[4])
    assert told[0].startswith("2 voters agree on 100 % of 3 shared pairs")
    assert told[1].startswith("Line 4 of votes.jsonl cannot be read")


def test_what_does_not_stand_out_from_the_average_is_no_visible_preference() -> None:
    told = words.of_levels(
        table("calm", "storm", wins=0.55), pairs("calm", 0.4), "prompt", Decision(False, None, 40), 9, 0.95
    )
    assert told.startswith("No visible preference at n = 9: the best, “calm”, wins 55 %")
