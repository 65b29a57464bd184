"""Which two clips come next: matched so that one setting differs, the most telling first, on sides that are drawn."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from seedance_lab.errors import LabError
from seedance_lab.judging import pairs
from seedance_lab.judging.votes import Choice, Vote
from tests.judging import made

PROMPTS = ("calm", "drift", "storm")


def pool(by: str = "prompt", values: Any = PROMPTS, seeds: Any = (0, 1, 2), **same: Any) -> pairs.Pool:
    return pairs.pool(made.clips(by, values, seeds, **same), by)


def asked(
    of: pairs.Pool, n: int, say: Any = "tie", *, seed: int = 0, who: str = "ada"
) -> list[tuple[pairs.Shown, Vote]]:
    """A voter's sitting: what was shown, and what was said of it."""
    draw, out = random.Random(seed), []
    votes: list[Vote] = []
    for i in range(n):
        shown = pairs.next_pair(of, votes, who, draw)
        assert shown is not None
        choice: Choice = say(shown) if callable(say) else say
        votes.append(made.of_shown(shown, choice, who=who, by=of.by, n=i))
        out.append((shown, votes[-1]))
    return out


# ── matching ────────────────────────────────────────────────────────────────────────────────────────────

OTHERS: dict[str, tuple[Any, Any]] = {
    "endpoint": ("lite", "pro"),
    "prompt": ("calm", "storm"),
    "aspect_ratio": ("16:9", "1:1"),
    "resolution": ("480p", "720p"),
    "duration": (5, 10),
    "camera_fixed": (False, True),
    "enable_safety_checker": (True, False),
    "image": ("harbour.jpg", "street.jpg"),
    "end_image": (None, "street.jpg"),
    "seed": (0, 1),
    "replicate": (0, 1),
    "engine": ("local", "fal"),
}


def with_sums(settings: dict[str, Any]) -> dict[str, Any]:
    """Pictures of two names have two checksums."""
    return settings | {
        f"{name}_sha256": settings[name] and f"{settings[name]} and its bytes"
        for name in ("image", "end_image")
    }


@hypothesis.given(
    st.sets(st.tuples(*[st.sampled_from([0, 1])] * len(OTHERS)), min_size=2, max_size=12), st.data()
)
@hypothesis.settings(max_examples=150, deadline=None)
def test_the_clips_of_a_pair_differ_in_one_setting_alone(
    chosen: set[tuple[int, ...]], data: st.DataObject
) -> None:
    """Whatever was run: picture, seed, replicate, engine and all settings but one are the same; and none is missed."""
    by = data.draw(st.sampled_from(pairs.FACTORS))
    clips = [
        made.clip(str(i), **with_sums({n: OTHERS[n][at] for n, at in zip(OTHERS, which, strict=True)}))
        for i, which in enumerate(sorted(chosen))
    ]
    expected = {
        frozenset({a.key, b.key})
        for a, b in itertools.combinations(clips, 2)
        if {name for name in OTHERS if a.settings[name] != b.settings[name]} == {by}
    }
    try:
        found = pairs.pool(clips, by)
    except LabError:
        assert not expected
        return
    assert {frozenset(pair.keys) for pair in found.pairs} == expected
    assert len(found.pairs) == len(expected)
    for pair in found.pairs:
        assert by not in pair.held
        assert pair.levels[0] < pair.levels[1]
        assert pair.a.settings[by] == found.values[pair.levels[0]]


def test_pictures_count_by_their_bytes_and_not_by_their_names() -> None:
    clips = [
        made.clip("a", prompt="calm", image="a.jpg", image_sha256="1"),
        made.clip("b", prompt="storm", image="b.jpg", image_sha256="1"),
        made.clip("c", prompt="storm", image="a.jpg", image_sha256="2"),
    ]
    assert [pair.keys for pair in pairs.pool(clips, "prompt").pairs] == [("a", "b")]


def test_two_pictures_of_one_name_are_two_levels() -> None:
    clips = [made.clip(x, image="a.jpg", image_sha256=x * 64) for x in "12"]
    found = pairs.pool(clips, "image")
    assert found.values == ("a.jpg (111111)", "a.jpg (222222)")
    assert "image_sha256" not in found.pairs[0].held


def test_random_seeds_are_left_out_and_said_to_be() -> None:
    found = pool(seeds=(0, 1, None))
    assert len(found.pairs) == 6
    assert found.notes == (
        "3 of 9 clips have no partner that differs in prompt alone, 3 of them because their seed is random",
    )


def test_a_random_seed_is_none_that_is_judged() -> None:
    """Mutant: "random" stood among the seeds as a level of its own."""
    found = pairs.pool([made.clip(str(seed), seed=seed) for seed in (None, 0, 7)], "seed")
    assert found.values == (0, 7)
    assert [pair.keys for pair in found.pairs] == [("0", "7")]


def test_levels_are_in_their_natural_order() -> None:
    assert pool("duration", (10, 2, 5)).values == (2, 5, 10)
    assert pool("resolution", ("1080p", "480p", "720p")).values == ("480p", "720p", "1080p")
    assert pool("prompt", ("storm", "calm")).values == ("storm", "calm")
    assert pool("camera_fixed", (True, False)).values == (False, True)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"seconds": 5.05}, ""),
        ({"seconds": 10.0}, "These two differ in length, so you may be able to tell which is which."),
        ({"width": 1280, "height": 720}, "These two differ in size, so"),
        ({"fps": 30.0}, "These two differ in frame rate, so"),
        ({"seconds": 9.0, "height": 720}, "These two differ in length and in size, so"),
    ],
)
def test_what_tells_the_files_apart_is_warned_of(facts: dict[str, float], said: str) -> None:
    clips = [made.clip("a", prompt="calm"), made.clip("b", prompt="storm", **facts)]
    found = pairs.pool(clips, "prompt")
    assert found.pairs[0].warning.startswith(said)
    assert bool(found.pairs[0].warning) == bool(said)
    assert any("which a voter can tell" in note for note in found.notes) == bool(said)


def test_levels_that_never_meet_are_named() -> None:
    clips = [
        *made.clips("prompt", ("calm", "drift"), (0,)),
        *made.clips("prompt", ("storm", "fog"), (1,)),
    ]
    [note] = pairs.pool(clips, "prompt").notes
    assert note.endswith("cannot be held against each other: calm, drift | storm, fog")


# ── no pair ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("by", "clips", "said"),
    [
        ("promt", made.clips("prompt", PROMPTS), "Did you mean 'prompt'"),
        ("x", made.clips("prompt", PROMPTS), "There are: endpoint, prompt,"),
        ("prompt", [], "There are no clips to vote on yet. Make some: study.run(lab.sweep("),
        ("duration", made.clips("prompt", PROMPTS), "duration has one value among the clips (5 s)"),
        ("duration", made.clips("prompt", PROMPTS), "lab.sweep(…, duration=[5, 10], seed=range(4))"),
        ("prompt", made.clips("seed", (0, 1), (0, 1)), "prompt=['drift', '…']"),
        ("prompt", made.clips("prompt", PROMPTS, (None,)), "seed is random in all 3 clips"),
        ("seed", made.clips("prompt", PROMPTS, (None,)), "seed is random in all 3 clips: nothing to compare"),
        ("seed", made.clips("prompt", PROMPTS, (4,)), "All clips have one seed (4)"),
        (
            "prompt",
            [made.clip("a", prompt="calm", seed=0), made.clip("b", prompt="storm", seed=1)],
            "No two clips differ in prompt alone: no pairs. Run the same seeds at each value: "
            "lab.sweep(…, prompt=['calm', 'storm'], seed=range(4))",
        ),
    ],
)  # fmt: skip
def test_without_a_pair_it_says_what_to_run(by: str, clips: list[pairs.Candidate], said: str) -> None:
    with pytest.raises(LabError) as told:
        pairs.pool(clips, by)
    assert said in str(told.value)


def test_without_a_pair_it_says_which_settings_have_some() -> None:
    with pytest.raises(
        LabError, match=r"There are pairs that differ in prompt and seed: lab\.vote\(study, by='prompt'\)"
    ):
        pairs.pool(made.clips("prompt", PROMPTS), "duration")
    with pytest.raises(LabError) as told:
        pairs.pool([made.clip("a")], "duration")
    assert "There are pairs" not in str(told.value)


# ── which comes next ────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_gives_the_same_sitting() -> None:
    shown = [[(s.left.key, s.right.key) for s, _ in asked(pool(), 20, seed=seed)] for seed in (1, 1, 2)]
    assert shown[0] == shown[1] != shown[2]


def test_pictures_and_seeds_take_turns() -> None:
    """What is found should hold for more than one of them. Mutant: no count of blocks."""
    blocks = [shown.pair.block for shown, _ in asked(pool(seeds=range(6)), 12)]
    assert len(set(blocks[:6])) == 6
    assert max(Counter(blocks).values()) == 2


def test_no_pair_comes_twice_before_every_pair_came_once() -> None:
    of = pool("prompt", ("calm", "storm"), range(10))
    keys = [shown.pair.keys for shown, _ in asked(of, 10)]
    assert len(set(keys)) == 10


def test_the_same_pair_never_comes_twice_in_a_row() -> None:
    keys = [shown.pair.keys for shown, _ in asked(pool("prompt", ("calm", "storm"), (0, 1)), 12)]
    assert all(one != other for one, other in itertools.pairwise(keys))


def test_one_pair_alone_comes_again_and_again() -> None:
    of = pool("prompt", ("calm", "storm"), (0,))
    assert len(asked(of, 3)) == 3
    assert pairs.next_pair(of, [], "ada", random.Random(0), not_now=[of.pairs[0].keys]) is None


def test_the_pair_that_tells_most_comes_next() -> None:
    """Calm against drift is known; storm was never seen. Mutant: any pair by turns."""
    of = pool(seeds=range(20))
    known = [made.vote("calm", "drift", "left" if i % 3 else "right", seed=i, n=i) for i in range(20)]
    for seed in range(10):
        shown = pairs.next_pair(of, known, "ada", random.Random(seed))
        assert shown is not None
        assert "storm" in {shown.left.settings["prompt"], shown.right.settings["prompt"]}


def test_what_others_have_seen_comes_later() -> None:
    of = pool("prompt", ("calm", "storm"), range(4))
    bobs = [made.vote("calm", "storm", "tie", seed=seed, who="bob") for seed in (0, 1, 2)]
    shown = pairs.next_pair(of, bobs, "ada", random.Random(0))
    assert shown is not None
    assert shown.pair.held["seed"] == 3


# ── sides ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_clips_again_come_the_other_way_round() -> None:
    of = pool("prompt", ("calm", "storm"), range(5))
    told = asked(of, 10)
    lefts: dict[tuple[str, str], list[str]] = {}
    for shown, _ in told:
        lefts.setdefault(shown.pair.keys, []).append(shown.left.key)
    assert all(len(set(of_pair)) == 2 for of_pair in lefts.values())


def test_each_level_is_on_the_left_about_as_often_as_on_the_right() -> None:
    """Fair throws alone would be 12 or more apart in a twentieth of sittings of 40 votes; none of these is."""
    for seed in range(10):
        told = asked(pool("prompt", ("calm", "storm"), range(40)), 40, seed=seed)
        lefts = Counter(shown.left.settings["prompt"] for shown, _ in told)
        assert abs(lefts["calm"] - lefts["storm"]) < 12


def test_nobody_can_foretell_the_sides() -> None:
    """Mutant: sides in twos. Whoever has made out one pair would know which side is which in the next.

    Whether the next pair is turned, over 20 sittings: two of three at most, and never sure.
    """
    turned = Counter[bool]()
    for seed in range(20):
        told = asked(pool("prompt", ("calm", "storm"), range(20)), 20, seed=seed)
        lefts = [shown.left.settings["prompt"] for shown, _ in told]
        turned.update(one != other for one, other in itertools.pairwise(lefts))
    assert 0.5 < turned[True] / turned.total() < 0.7


def test_the_first_side_is_a_fair_throw() -> None:
    of = pool("prompt", ("calm", "storm"), (0,))
    lefts = Counter()  # type: Counter[str]
    for seed in range(200):
        shown = pairs.next_pair(of, [], "ada", random.Random(seed))
        assert shown is not None
        lefts[shown.left.settings["prompt"]] += 1
    assert 70 < lefts["calm"] < 130


# ── counting ────────────────────────────────────────────────────────────────────────────────────────────


def test_votes_on_other_levels_are_not_counted() -> None:
    votes = [
        made.vote("calm", "storm", "left"),
        made.vote("storm", "calm", "bad", n=1),
        made.vote("calm", "gone", "left", n=2),
        made.vote("calm", "calm", "left", n=3),
    ]
    told = pairs.count(("calm", "storm"), votes)
    assert told.n == 2
    assert told.counts.sum(axis=0).tolist() == [1, 1, 0]


def test_five_is_five_however_written_and_true_is_not_one() -> None:
    votes = [made.vote(5, 10.0, "left", by="duration")]
    assert pairs.count((5.0, 10), votes).n == 1
    assert pairs.count((True, 10), [made.vote(1, 10, "left", by="duration")]).n == 0


def test_a_side_of_a_vote_says_what_was_shown() -> None:
    shown = asked(pool(), 1)[0][0]
    side = shown.side(shown.left, "prompt")
    assert side == (shown.left.key, shown.left.sha256, shown.left.settings["prompt"])
