"""Votes: who, when and what was shown, appended to the study, and taken back by another line."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from seedance_lab.errors import StudyError
from seedance_lab.judging import votes
from seedance_lab.judging.votes import Side
from tests.judging import made

HELD = {"seed": 3, "image": "harbour.jpg", "image_sha256": "ab12cd" + "0" * 58, "duration": 5}


def add(folder: Path, choice: str = "left", **more: Any) -> votes.Vote:
    given: dict[str, Any] = {
        "trial": 1,
        "who": "ada",
        "by": "prompt",
        "left": Side("k1:a", "sha-a", "calm"),
        "right": Side("k1:b", "sha-b", "storm"),
        "held": HELD,
        **more,
    }
    return votes.add(folder, choice=choice, **given)


def test_a_vote_says_who_when_and_what_was_shown(tmp_path: Path) -> None:
    before = dt.datetime.now(dt.UTC)
    written = add(tmp_path, "left", trial=7, shown="proxy", ms=4200, plays=2)
    [vote] = votes.read(tmp_path).held
    assert vote == written
    assert (vote.trial, vote.who, vote.by, vote.choice, vote.shown, vote.ms, vote.plays) == (
        7, "ada", "prompt", "left", "proxy", 4200, 2,
    )  # fmt: skip
    assert (vote.left, vote.right) == (Side("k1:a", "sha-a", "calm"), Side("k1:b", "sha-b", "storm"))
    assert vote.held == HELD
    assert abs((vote.at - before).total_seconds()) < 60


def test_it_is_a_line_of_json_that_a_person_can_read(tmp_path: Path) -> None:
    add(tmp_path)
    told = json.loads((tmp_path / "votes.jsonl").read_text())
    assert told["kind"] == "vote"
    assert told["left"] == {"key": "k1:a", "sha256": "sha-a", "value": "calm"}


@pytest.mark.parametrize("value", [None, True, 5, 2.5, "16:9", "两只船"])
def test_each_kind_of_value_comes_back_as_it_was(tmp_path: Path, value: Any) -> None:
    add(tmp_path, left=Side("k1:a", "sha-a", value))
    [vote] = votes.read(tmp_path).held
    assert vote.left.value == value
    assert type(vote.left.value) is type(value)


def test_taking_back_is_another_line_and_nothing_is_rewritten(tmp_path: Path) -> None:
    first, second = add(tmp_path), add(tmp_path, "tie", trial=2)
    before = (tmp_path / "votes.jsonl").read_bytes()
    votes.undo(tmp_path, first)
    assert votes.read(tmp_path).held == [second]
    after = (tmp_path / "votes.jsonl").read_bytes()
    assert after.startswith(before)
    assert json.loads(after.splitlines()[-1])["of"] == first.id


def test_a_vote_taken_back_twice_or_never_given_does_no_harm(tmp_path: Path) -> None:
    first, second = add(tmp_path), add(tmp_path, trial=2)
    for _ in range(2):
        votes.undo(tmp_path, first)
    votes.undo(tmp_path, made.vote("calm", "storm", "left"))
    assert votes.read(tmp_path) == votes.Votes([second], ())


def test_no_such_choice_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="left, right, tie, bad") as told:
        add(tmp_path, "middle")
    assert "Nothing was written" in str(told.value)
    assert not (tmp_path / "votes.jsonl").exists()


def test_a_clip_is_not_held_against_itself(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="against itself"):
        add(tmp_path, right=Side("k1:a", "sha-a", "calm"))
    assert not (tmp_path / "votes.jsonl").exists()


@pytest.mark.parametrize(
    "changed",
    [{"choice": "maybe"}, {"left": None}, {"trial": "x"}, {"held": 3}, {"ms": None}],
)
def test_a_line_that_is_no_vote_is_named_and_left_out(tmp_path: Path, changed: dict[str, Any]) -> None:
    add(tmp_path)
    path = tmp_path / "votes.jsonl"
    whole = json.loads(path.read_text())
    path.write_text(path.read_text() + json.dumps({**whole, "id": "x", **changed}) + "\n")
    found = votes.read(tmp_path)
    assert len(found.held) == 1
    assert found.damaged == (2,)


def test_lines_of_another_kind_are_for_another_version(tmp_path: Path) -> None:
    add(tmp_path)
    with (tmp_path / "votes.jsonl").open("a") as file:
        file.write('{"at": "2030-01-01T00:00:00+00:00", "kind": "comment", "text": "hm"}\n')
    assert votes.read(tmp_path).damaged == ()


def test_the_pair_is_the_same_on_either_side() -> None:
    one, other = made.vote("calm", "storm", "left"), made.vote("storm", "calm", "left")
    assert one.pair == other.pair


# ── as a table ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_table_has_one_row_a_vote(tmp_path: Path) -> None:
    add(tmp_path, "bad", trial=7, ms=4200)
    df = votes.table(votes.read(tmp_path))
    [row] = df.to_dict("records")
    assert (row["left"], row["right"], row["left_value"], row["right_value"]) == (
        "k1:a",
        "k1:b",
        "calm",
        "storm",
    )
    assert (row["choice"], row["who"], row["by"], row["ms"]) == ("bad", "ada", "prompt", 4200)
    assert row["block"] == "harbour.jpg (ab12cd), seed 3"
    assert json.loads(row["held"]) == HELD
    assert df["at"].dtype == "datetime64[ms, UTC]"


def test_the_table_of_no_votes_has_the_same_columns(tmp_path: Path) -> None:
    add(tmp_path)
    one, none = votes.table(votes.read(tmp_path)), votes.table(votes.Votes([], ()))
    assert list(none.columns) == list(one.columns)
    assert none.empty
    assert none.dtypes.tolist() == one.dtypes.tolist()


@pytest.mark.parametrize(("one", "other"), [("a.jpg", None), (5, None), (True, None), (5, 2.5)])
def test_the_table_has_the_values_as_they_were(one: Any, other: Any) -> None:
    """Mutant: pandas' own guess makes NaN of None and 5.0 of 5."""
    df = votes.table(votes.Votes([made.vote(one, other, "left"), made.vote(other, one, "left", n=1)], ()))
    for name, values in (("left_value", [one, other]), ("right_value", [other, one])):
        assert [(v, type(v)) for v in df[name]] == [(v, type(v)) for v in values]


def test_the_table_warns_of_what_cannot_be_read() -> None:
    with pytest.warns(UserWarning, match=r"Lines 2, 5 of votes\.jsonl cannot be read and are left out"):
        df = votes.table(votes.Votes([made.vote("calm", "storm", "left")], (2, 5)))
    assert df.attrs["damaged"] == [2, 5]


def test_the_words_for_damage_are_short() -> None:
    assert votes.damage([3]).startswith("Line 3 of votes.jsonl cannot be read and is left out")
    assert votes.damage(range(1, 9)).startswith("Lines 1, 2, 3, 4, 5, … of")


@pytest.mark.parametrize(
    ("held", "named"),
    [
        ({"image": "a.jpg", "image_sha256": "123456789", "seed": 0}, "a.jpg (123456), seed 0"),
        ({"image": "a.jpg", "image_sha256": "123456789", "seed": None}, "a.jpg (123456)"),
        ({"image": None, "image_sha256": "123456789", "seed": 1}, "picture (123456), seed 1"),
        ({"seed": 4}, "no picture, seed 4"),
        ({}, "no picture"),
    ],
)
def test_a_block_is_picture_and_seed(held: dict[str, Any], named: str) -> None:
    assert votes.block(held) == named


def test_pictures_of_one_name_are_two_blocks() -> None:
    assert votes.block({**HELD, "image_sha256": "ff" * 32}) != votes.block(HELD)


def test_shares_count_a_tie_half_and_two_bad_ones_not() -> None:
    of = [
        made.vote("calm", "storm", "left"),
        made.vote("storm", "calm", "right", n=1),
        made.vote("calm", "storm", "tie", n=2),
        made.vote("calm", "storm", "bad", n=3),
    ]
    assert votes.shares(of) == {
        ("calm-0", "sha-calm-0"): (2.5 / 4, 4),
        ("storm-0", "sha-storm-0"): (0.5 / 4, 4),
    }


def test_reading_works_on_the_frame_of_several_studies(tmp_path: Path) -> None:
    """`pandas.concat` of two studies' votes is what `preferences` takes."""
    frames = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        add(tmp_path / name)
        frames.append(votes.table(votes.read(tmp_path / name)))
    assert len(pd.concat(frames, ignore_index=True)) == 2
