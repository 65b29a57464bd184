"""Stars, tags and notes: one opinion a person and clip, and never one that is overwritten."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedance_lab.errors import StudyError
from seedance_lab.judging import ratings
from seedance_lab.plan import sweep
from seedance_lab.study import Study
from tests.tracked import Tracked


def rate(
    folder: Path, key: str = "k1:a", sha256: str = "s1", *, who: str = "ada", **what: Any
) -> ratings.Rating:
    return ratings.rate(folder, key, sha256, who=who, **what)


def test_a_later_line_changes_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    rate(tmp_path, stars=4, tags=["sharp"], note="the left boat")
    now = rate(tmp_path, stars=2)
    assert (now.stars, now.tags, now.note) == (2, ("sharp",), "the left boat")
    now = rate(tmp_path, tags=[], note="")
    assert (now.stars, now.tags, now.note) == (2, (), "")
    assert ratings.read(tmp_path).held == [now]


def test_nothing_that_was_said_is_overwritten(tmp_path: Path) -> None:
    """Mutant: writing the file anew with the opinion as it is now."""
    path = tmp_path / "ratings.jsonl"
    before = b""
    for stars in (4, 2, 0):
        rate(tmp_path, stars=stars)
        assert path.read_bytes().startswith(before)
        before = path.read_bytes()
    assert [json.loads(line)["stars"] for line in before.splitlines()] == [4, 2, 0]


def test_each_person_has_an_opinion_of_their_own(tmp_path: Path) -> None:
    rate(tmp_path, stars=4)
    rate(tmp_path, stars=1, who="bob")
    assert {one.who: one.stars for one in ratings.read(tmp_path).held} == {"ada": 4, "bob": 1}
    assert ratings.read(tmp_path).of("bob") == {"k1:a": {"stars": 1, "tags": [], "note": ""}}


def test_a_file_that_was_made_anew_has_no_opinion_yet(tmp_path: Path) -> None:
    """It is another clip under the same key; the earlier opinion is kept, and is of the earlier file."""
    rate(tmp_path, sha256="s1", stars=4)
    found = ratings.read(tmp_path)
    assert found.of("ada", {"k1:a": "s2"}) == {}
    assert found.of("ada", {"k1:a": "s1"})["k1:a"]["stars"] == 4
    rate(tmp_path, sha256="s2", stars=1)
    assert len(ratings.read(tmp_path).held) == 2
    assert ratings.read(tmp_path).of("ada", {"k1:a": "s2"})["k1:a"]["stars"] == 1


def test_two_requests_with_the_same_bytes_are_two_cells(tmp_path: Path) -> None:
    """Mutant: opinions kept by file alone went to the first request's cell, whichever was rated."""
    rate(tmp_path, key="k1:a", stars=4)
    said = rate(tmp_path, key="k1:b", stars=1)
    assert (said.key, said.stars) == ("k1:b", 1)
    assert {key: cell["stars"] for key, cell in ratings.read(tmp_path).of("ada").items()} == {
        "k1:a": 4,
        "k1:b": 1,
    }


@pytest.mark.parametrize("stars", [4, 4.0, np.int64(4), np.float64(4)])
def test_stars_are_whole_numbers_of_any_kind(tmp_path: Path, stars: Any) -> None:
    assert rate(tmp_path, stars=stars).stars == 4


@pytest.mark.parametrize("stars", [-1, 6, 2.5, True, "4", math.nan, math.inf])
def test_other_stars_are_refused(tmp_path: Path, stars: Any) -> None:
    with pytest.raises(StudyError, match=r"not 1 to 5 whole stars, or 0 for none\. Nothing was written"):
        rate(tmp_path, stars=stars)
    assert not (tmp_path / "ratings.jsonl").exists()


def test_no_stars_are_not_nought_stars(tmp_path: Path) -> None:
    rate(tmp_path, stars=4)
    rate(tmp_path, stars=0)
    assert ratings.table(ratings.read(tmp_path))["stars"].isna().all()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("sharp, calm ,,sharp", ("sharp", "calm")),
        (["  two   words ", "sharp", ""], ("two words", "sharp")),
        (("x",), ("x",)),
        ("", ()),
    ],
)
def test_tags_are_cleaned_and_each_is_there_once(tmp_path: Path, given: Any, kept: tuple[str, ...]) -> None:
    assert rate(tmp_path, tags=given).tags == kept


@pytest.mark.parametrize("tags", [["a, b"], ["x" * 41], 5, b"sharp"])
def test_what_is_no_tag_is_refused(tmp_path: Path, tags: Any) -> None:
    with pytest.raises(StudyError, match="Nothing was written"):
        rate(tmp_path, tags=tags)


def test_a_note_that_is_too_long_is_refused_and_not_cut(tmp_path: Path) -> None:
    rate(tmp_path, note="x" * 2000)
    with pytest.raises(StudyError, match=r"2,001 characters; 2,000 are kept"):
        rate(tmp_path, note="x" * 2001)


def test_half_an_emoji_does_not_spoil_the_tables(study: Study) -> None:
    """A field that is cut at its length sends one. Mutant: kept as it is, and no table could be made any more."""
    study.rate(study.clips()[0], note="fine \ud83d", tags=["\ud83d\ude00", "\ude00"], voter="ada")
    assert study.ratings()["note"].tolist() == ["fine �"]
    assert study.ratings()["tags"].tolist() == study.frame()["tags"].dropna().tolist() == ["😀, �"]


def test_nothing_said_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="nothing to write"):
        rate(tmp_path)


def test_a_line_that_is_no_rating_is_named_and_the_rest_counts(tmp_path: Path) -> None:
    rate(tmp_path, stars=4)
    path = tmp_path / "ratings.jsonl"
    line = json.loads(path.read_text())
    path.write_text(
        path.read_text() + json.dumps({**line, "stars": 9}) + "\n" + json.dumps({**line, "stars": 3}) + "\n"
    )
    found = ratings.read(tmp_path)
    assert [one.stars for one in found.held] == [3]
    assert found.damaged == (2,)
    with pytest.warns(UserWarning, match="cannot be read are left out: 2"):
        ratings.table(found)


def test_the_table_of_nothing_has_its_columns() -> None:
    df = ratings.table(ratings.Ratings([], ()))
    assert list(df.columns) == ["key", "who", "at", "stars", "tags", "note", "sha256"]


def test_what_all_think_is_the_mean_of_the_stars_and_every_tag(tmp_path: Path) -> None:
    rate(tmp_path, stars=4, tags="sharp")
    rate(tmp_path, stars=1, tags="calm, sharp", who="bob")
    rate(tmp_path, note="no stars from me", who="eve")
    rate(tmp_path, "k1:b", "s2", tags="odd")
    told = ratings.together(ratings.read(tmp_path))
    assert told["k1:a", "s1"] == ratings.Together(2.5, "sharp, calm")
    assert math.isnan(told["k1:b", "s2"].stars)
    assert told["k1:b", "s2"].tags == "odd"


# ── of a study ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def study(tmp_path: Path, picture: bytes) -> Study:
    plan = sweep(image=picture, prompt="the boats part", seed=[1, 2, 3])
    with Tracked(tmp_path / "harbour", plan, track=False) as one:
        one.save(*plan[:2])
        one.fail(plan[2])
    return Study(tmp_path / "harbour", track=False)


def test_a_study_takes_a_clip_or_its_key(study: Study) -> None:
    first, second = study.clips()
    study.rate(first, stars=5, voter="ada")
    study.rate(str(second.key), stars=3, tags="odd", note="hm", voter="ada")
    df = study.ratings().set_index("key")
    assert df.loc[first.key, "stars"] == 5
    assert df.loc[second.key, ["stars", "tags", "note", "who"]].tolist() == [3, "odd", "hm", "ada"]


def test_a_study_shows_them_in_its_frame(study: Study) -> None:
    assert "stars" not in study.frame().columns
    clip = study.clips()[0]
    study.rate(clip, stars=4, tags="sharp", voter="ada")
    study.rate(clip, stars=5, voter="bob")
    df = study.frame().set_index("key")
    assert df.loc[clip.key, "stars"] == 4.5
    assert df.loc[clip.key, "tags"] == "sharp"
    assert df["stars"].isna().iloc[-1], "a request that failed has none"


def test_a_request_without_a_clip_cannot_be_rated(study: Study) -> None:
    failed = study.frame()["key"].iloc[-1]
    with pytest.raises(StudyError, match="it is failed"):
        study.rate(failed, stars=1)
    with pytest.raises(StudyError, match="never asked for"):
        study.rate("k1:nothing", stars=1)
    assert not (study.folder / "ratings.jsonl").exists()


def test_a_study_opened_anew_has_them_all(study: Study) -> None:
    study.rate(study.clips()[0], stars=4, voter="ada")
    assert Study(study.folder, track=False).ratings()["stars"].tolist() == [4]
