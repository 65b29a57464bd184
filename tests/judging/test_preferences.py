"""What the votes say, against what was planted, counted by hand, and said by others.

The simulated voters are those of `benchmarks/preferences.py`, fewer of them.
"""

from __future__ import annotations

import math
import random
import runpy
from pathlib import Path
from typing import Any

import choix
import numpy as np
import pandas as pd
import pytest

from seedance_lab.errors import LabError
from seedance_lab.judging import bradley_terry, pairs
from seedance_lab.judging.preferences import Preferences, preferences
from seedance_lab.judging.votes import Choice, Vote
from tests.judging import made

BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "preferences.py"))
KIND = {voter.name: voter for voter in BENCHMARK["KINDS"]}


def said(
    n: int,
    strengths: dict[str, float],
    *,
    seed: int = 0,
    seeds: int = 12,
    ties: float = 0.0,
    left: float = 0.0,
    who: str = "ada",
) -> list[Vote]:
    """One voter's votes on pairs that the tool chose."""
    draw = random.Random(seed)
    of = pairs.pool(made.clips("prompt", list(strengths), range(seeds)), "prompt")
    votes: list[Vote] = []
    for i in range(n):
        shown = pairs.next_pair(of, votes, who, draw)
        assert shown is not None
        gap = strengths[shown.left.settings["prompt"]] - strengths[shown.right.settings["prompt"]] + left
        weights = [math.exp(gap / 2), 2 * ties / (1 - ties), math.exp(-gap / 2)]
        [choice] = draw.choices(("left", "tie", "right"), weights)
        votes.append(made.of_shown(shown, choice, who=who, n=i))  # type: ignore[arg-type]  # one of the choices
    return votes


CLEAR = {"calm": 1.2, "drift": 0.0, "storm": -0.6}


@pytest.fixture(scope="module")
def clear() -> Preferences:
    """150 votes by somebody who knows what is liked, a fifth of them ties."""
    return preferences(made.frame(said(150, CLEAR, ties=0.2)))


# ── against others, and by hand ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seed", range(3))
def test_its_strengths_are_those_of_choix_on_the_same_votes(seed: int) -> None:
    """To 1e-6 logits, under the same prior; each vote with its mirror image, for choix knows no sides."""
    votes = said(120, CLEAR, seed=seed)
    turned = [
        made.vote(v.right.value, v.left.value, mirror(v.choice), seed=v.held["seed"], n=1000 + i)
        for i, v in enumerate(votes)
    ]
    ours = preferences(made.frame([*votes, *turned])).table.set_index("level")["strength"]
    names = list(CLEAR)
    won = [
        tuple(names.index(s.value) for s in ((v.left, v.right) if v.choice == "left" else (v.right, v.left)))
        for v in [*votes, *turned]
    ]
    theirs = choix.opt_pairwise(3, won, alpha=0.5 * bradley_terry.PRIOR_SD**-2, tol=1e-12)
    assert ours[names].to_numpy() == pytest.approx(theirs - theirs.mean(), abs=1e-6)


def mirror(choice: Choice) -> Choice:
    sides: dict[Choice, Choice] = {"left": "right", "right": "left"}
    return sides.get(choice, choice)


def test_two_levels_are_counted_as_one_would_by_hand() -> None:
    """30 of 40, both ways round alike: the share is 0.75 but for the weak prior, the error that of a logit."""
    votes = [
        made.vote("calm", "storm", "left" if i < 15 else "right", seed=i % 4, n=i) for i in range(20)
    ] + [made.vote("storm", "calm", "right" if i < 15 else "left", seed=i % 4, n=20 + i) for i in range(20)]
    told = preferences(made.frame(votes))
    [row] = told.pairs.to_dict("records")
    assert (row["level"], row["against"], row["votes"], row["won"], row["lost"]) == (
        "calm",
        "storm",
        40,
        30,
        10,
    )
    assert row["wins"] == pytest.approx(0.75, abs=0.005)
    gap, error = math.log(3), 1 / math.sqrt(40 * 0.75 * 0.25)
    for end, sign in (("low", -1), ("high", 1)):
        assert row[end] == pytest.approx(1 / (1 + math.exp(-(gap + sign * 1.96 * error))), abs=0.01)
    assert told.left.value == pytest.approx(0.5, abs=0.001)


def test_the_counts_are_those_of_the_votes() -> None:
    votes = [
        made.vote("calm", "storm", "left"),
        made.vote("storm", "calm", "left", n=1),
        made.vote("calm", "drift", "tie", n=2),
        made.vote("drift", "calm", "bad", n=3),
        made.vote("drift", "storm", "right", n=4),
    ]
    told = preferences(made.frame(votes)).table.set_index("level")[["votes", "won", "tied", "lost"]]
    assert told.loc["calm"].tolist() == [4, 1, 2, 1]
    assert told.loc["drift"].tolist() == [3, 0, 2, 1]
    assert told.loc["storm"].tolist() == [3, 2, 0, 1]


def test_both_bad_is_worth_a_tie() -> None:
    votes = said(60, CLEAR, ties=0.3)
    bad = [v if v.choice != "tie" else made.of_shown(shown_of(v), "bad", n=i) for i, v in enumerate(votes)]
    assert any(v.choice == "bad" for v in bad)
    one, other = preferences(made.frame(votes)), preferences(made.frame(bad))
    pd.testing.assert_frame_equal(one.table, other.table)
    assert "say that both are bad: counted as ties" in " ".join(other.notes)


def shown_of(vote: Vote) -> pairs.Shown:
    """What was shown when this was said."""
    left, right = (
        made.clip(side.key, prompt=side.value, seed=vote.held["seed"]) for side in (vote.left, vote.right)
    )
    return pairs.Shown(pairs.Pair(left, right, (0, 1), vote.held, "", ""), left, right)


# ── planted ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def sittings() -> dict[str, Any]:
    """Sittings of 120 votes each, on three levels: the first wins 70 % against each other one; or all are alike."""
    return {
        name: [BENCHMARK["sitting"](KIND[name], 1000 + i) for i in range(n)]
        for name, n in (("best wins 70 %", 30), ("all alike", 20))
    }


def test_with_120_votes_the_best_of_three_is_found(sittings: dict[str, Any]) -> None:
    """In 9 of 10 sittings at least; `benchmarks/preferences.py` has more of them."""
    assert np.mean([one.found for one in sittings["best wins 70 %"]]) >= 0.9


def test_the_intervals_hold_what_was_planted(sittings: dict[str, Any]) -> None:
    """30 and 20 sittings of 3 levels: a true 95 % falls below 88 % of the 150 about once in a thousand."""
    those = [one for kind in sittings.values() for one in kind]
    assert np.mean([one.held for one in those]) >= 0.88
    assert np.mean([one.side_held for one in those]) >= 0.84


def test_where_nothing_is_planted_nothing_is_found(sittings: dict[str, Any]) -> None:
    """Although somebody looks after each vote, which deceives an ordinary test far more often."""
    alike = sittings["all alike"]
    assert np.mean([one.wrong for one in alike]) <= 0.06
    assert np.mean([one.naive for one in alike]) > np.mean([one.wrong for one in alike])


def test_votes_at_random_show_no_preference() -> None:
    told = preferences(made.frame(said(90, dict.fromkeys(CLEAR, 0.0), seed=3)))
    assert told.sentence.startswith("No visible preference at n = 90")
    assert (told.decided, told.best) == (False, None)
    assert told.more is None or told.more > 0


def test_what_is_clear_is_said_plainly(clear: Preferences) -> None:
    assert (clear.by, clear.n, clear.best, clear.decided, clear.more) == ("prompt", 150, "calm", True, 0)
    assert clear.sentence.startswith("“calm” is preferred: it wins ")
    assert clear.sentence.endswith("; 150 votes).")
    assert str(clear) == clear.sentence
    assert clear.table["level"].iloc[0] == "calm"
    assert (clear.table["low"] < clear.table["wins"]).all()
    assert (clear.table["wins"] < clear.table["high"]).all()


def test_a_side_that_is_favoured_is_found_and_allowed_for() -> None:
    told = preferences(made.frame(said(200, {"calm": 0.0, "storm": 0.0}, left=1.2, seeds=100)))
    assert told.left.low > 0.5
    assert told.left.low < 1 / (1 + math.exp(-1.2)) < told.left.high
    assert any(note.startswith("the left side is favoured") for note in told.notes)
    assert told.best is None


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_higher_level_is_wider() -> None:
    df = made.frame(said(90, CLEAR))
    narrow, wide = preferences(df, level=0.8).table, preferences(df, level=0.99).table
    assert (wide["high"] - wide["low"] > narrow["high"] - narrow["low"]).all()
    with pytest.raises(LabError, match="level"):
        preferences(df, level=95)


def test_the_bootstrap_is_near_the_information() -> None:
    """Votes are independent here and the blocks 40, so that both are about the same; of levels and of pairs."""
    df = made.frame(said(240, CLEAR, seeds=40))
    told, boot = preferences(df), preferences(df, interval="bootstrap")
    for name in ("table", "pairs"):
        one, other = getattr(told, name), getattr(boot, name)
        assert one["wins"].tolist() == other["wins"].tolist()
        assert (one["low"] != other["low"]).all()
        widths = (other["high"] - other["low"]) / (one["high"] - one["low"])
        assert widths.between(0.6, 1.4).all(), widths.tolist()


def test_one_block_cannot_be_drawn_anew() -> None:
    """Mutant: each resample is the same, and the interval has no width."""
    df = made.frame([made.vote("calm", "storm", "left", n=i) for i in range(12)])
    with pytest.raises(LabError, match="draws pictures and seeds anew, and these votes are on one"):
        preferences(df, interval="bootstrap")
    assert preferences(df).notes[-1].startswith("one picture and seed only")


def test_what_holds_for_a_few_seeds_only_is_said_to() -> None:
    told = preferences(made.frame(said(60, CLEAR, seeds=4)))
    assert any(note.startswith("4 pictures and seeds only") for note in told.notes)


# ── clips ───────────────────────────────────────────────────────────────────────────────────────────────


def test_each_clip_has_a_place_of_its_own() -> None:
    told = preferences(made.frame(said(120, CLEAR)), per="clip")
    assert len(told.table) == 36
    assert told.table["key"].is_unique
    assert told.table["strength"].is_monotonic_decreasing
    assert told.table["level"].iloc[0] == "calm"
    assert set(told.table["block"]) == {f"harbour.jpg (aaaaaa), seed {seed}" for seed in range(12)}
    assert told.pairs.empty
    assert told.sentence.startswith("The clip “calm” of harbour.jpg")
    assert told.table["votes"].sum() == 2 * 120


def test_a_clip_that_is_better_than_its_like_stands_before_them() -> None:
    votes = said(60, {"calm": 0.0, "storm": 0.0}, seeds=6)
    extra = [
        made.vote(*(("calm", "storm", "left") if i % 2 else ("storm", "calm", "right")), seed=3, n=100 + i)  # type: ignore[arg-type]
        for i in range(12)
    ]
    told = preferences(made.frame([*votes, *extra]), per="clip")
    assert told.table["key"].iloc[0] == "calm-3"


def test_clips_have_no_bootstrap() -> None:
    with pytest.raises(LabError, match="for levels"):
        preferences(made.frame(said(20, CLEAR)), per="clip", interval="bootstrap")


# ── several voters ──────────────────────────────────────────────────────────────────────────────────────


def test_voters_who_agree_are_said_to() -> None:
    votes = [
        made.vote("calm", "storm", "left" if seed % 3 else "right", seed=seed, who=who)
        for seed in range(24)
        for who in ("ada", "bob")
    ]
    told = preferences(made.frame(votes))
    assert told.agreement.share == 1
    assert told.agreement.alpha == pytest.approx(1)
    assert any(note.startswith("2 voters agree on 100 % of 24 shared pairs") for note in told.notes)


def test_who_saw_it_the_other_way_round_agrees_too() -> None:
    """Mutant: agreement on left and right in the place of agreement on clips."""
    votes = [made.vote("calm", "storm", "left", seed=seed) for seed in range(5)]
    votes += [made.vote("storm", "calm", "right", seed=seed, who="bob") for seed in range(5)]
    assert preferences(made.frame(votes)).agreement.share == 1


# ── what it takes ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("by", "values", "order"),
    [
        ("camera_fixed", (True, False), ["True", "False"]),
        ("duration", (10, 5), ["10 s", "5 s"]),
        ("end_image", ("a.jpg", None), ["a.jpg", "none"]),
        ("resolution", ("720p", "480p"), ["720p", "480p"]),
        ("seed", (7, 3), ["7", "3"]),
    ],
)
def test_each_kind_of_setting_is_judged(by: str, values: tuple[Any, Any], order: list[str]) -> None:
    """The first one always wins."""
    votes = [made.vote(*values, "left", by=by, seed=i, n=i) for i in range(8)]
    votes += [made.vote(*values[::-1], "right", by=by, seed=i, n=10 + i) for i in range(8)]
    told = preferences(made.frame(votes))
    assert told.table["level"].tolist() == order
    assert told.table["value"].tolist() == list(values)
    assert order[0] in told.sentence


def test_several_settings_need_a_word() -> None:
    votes = [made.vote("calm", "storm", "left"), made.vote(5, 10, "left", by="duration", n=1)]
    with pytest.raises(LabError, match=r"prompt \(1\), duration \(1\)\. Say which: by='prompt'"):
        preferences(made.frame(votes))
    assert preferences(made.frame(votes), "duration").n == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"by": "prompts"}, "Did you mean 'prompt'"),
        ({"by": "seed"}, r"votes are on prompt \(1\)\. Vote: lab\.vote\(study, by='seed'\)"),
        ({"per": "clips"}, "Did you mean 'clip'"),
        ({"interval": "boot"}, "is not one of information, bootstrap"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(given: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        preferences(made.frame([made.vote("calm", "storm", "left")]), **given)


def test_no_votes_say_how_to_vote() -> None:
    with pytest.raises(
        LabError, match=r"no votes yet\. Vote in a live notebook: lab\.vote\(study, by='prompt'\)"
    ):
        preferences(made.frame([]))


def test_a_frame_that_has_no_votes_in_it_is_refused() -> None:
    with pytest.raises(LabError, match="no column 'by': give a study or"):
        preferences(pd.DataFrame({"key": ["a"]}))
    odd = made.frame([made.vote("calm", "storm", "left")]).assign(choice="maybe")
    with pytest.raises(LabError, match="say none of left, right, tie, bad"):
        preferences(odd)


def test_one_value_alone_is_nothing_to_compare() -> None:
    with pytest.raises(LabError, match="All votes are on one value of prompt"):
        preferences(made.frame([made.vote("calm", "calm", "left")]))


def test_a_frame_that_was_written_and_read_again_says_the_same(tmp_path: Path) -> None:
    df = made.frame(said(40, CLEAR))
    df.to_csv(tmp_path / "votes.csv", index=False)
    again = preferences(pd.read_csv(tmp_path / "votes.csv"))
    assert again.sentence == preferences(df).sentence


def test_without_the_blocks_each_pair_of_clips_is_one() -> None:
    df = made.frame(said(60, CLEAR, seeds=4))[["by", "left", "right", "left_value", "right_value", "choice"]]
    told = preferences(df)
    assert told.n == 60
    assert not any("pictures and seeds only" in note for note in told.notes)


# ── how it is shown ─────────────────────────────────────────────────────────────────────────────────────


def test_text_and_html_have_the_sentence_the_rows_and_the_notes(clear: Preferences) -> None:
    for shown in (repr(clear), clear._repr_html_()):
        assert clear.sentence.split("“")[0] in shown
        for word in ("calm", "drift", "storm", *clear.notes):
            assert word in shown


def test_html_is_escaped() -> None:
    votes = [made.vote("<b>calm</b>", "storm", "left", seed=i, n=i) for i in range(3)]
    assert "<b>calm" not in preferences(made.frame(votes))._repr_html_()


def test_many_rows_are_cut_and_said_to_be() -> None:
    told = preferences(made.frame(said(60, CLEAR)), per="clip")
    assert "24 more rows: preferences.table" in repr(told)


def test_the_plot_has_a_dot_an_interval_and_the_votes_of_each(clear: Preferences) -> None:
    axes = clear.plot().axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    spans = [
        line
        for line in axes.lines
        if len(line.get_xdata()) == 2 and line.get_xdata()[0] != line.get_xdata()[1]
    ]
    assert [float(dot.get_xdata()[0]) for dot in dots] == clear.table["wins"].tolist()
    assert [tuple(map(float, span.get_xdata())) for span in spans] == list(
        zip(clear.table["low"], clear.table["high"], strict=True)
    )
    assert [tick.get_text() for tick in axes.get_yticklabels()] == clear.table["level"].tolist()
    written = [text.get_text() for text in axes.texts]
    assert written == [*clear.table["votes"].astype(str), "votes"]
    # Filled where a half is left out: not told by colour.
    is_clear = (clear.table["low"] > 0.5) | (clear.table["high"] < 0.5)
    assert [dot.get_markerfacecolor() == dot.get_color() for dot in dots] == is_clear.tolist()


def test_the_plot_of_many_clips_says_how_many_it_shows() -> None:
    told = preferences(made.frame(said(120, CLEAR, seeds=20)), per="clip")
    figure = told.plot()
    assert figure.get_suptitle() == "Preferred clip, 120 votes (40 of 60)"
    assert figure.axes[0].get_yticklabels()[0].get_text().startswith("calm · seed ")
