"""One person's blind votes: what the page is told, what it is not, and that no vote is lost or counted twice."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import pytest
from mlflow import MlflowClient
from view_fakes import make_clip, make_picture, wait_until, write_study

from seedance_lab.errors import LabError, StudyError
from seedance_lab.judging import blind, logged, votes
from seedance_lab.mlflow_store import quiet
from seedance_lab.plan import Plan, sweep
from seedance_lab.study import Study
from seedance_lab.view import sitting as module
from seedance_lab.view.sitting import Sitting
from tests.tracked import Tracked, fresh_store

PROMPTS = ("the boats drift", "a storm comes", "nothing moves")


class FakeWire:
    """What a page would get."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.files: dict[Any, bytes] = {}

    def send(self, t: str, fields: Mapping[str, Any] | None = None, buffers: Sequence[Any] = ()) -> None:
        json.dumps(fields)  # or the real wire would fail
        assert not buffers
        self.sent.append((t, dict(fields or {})))

    def media(self, rid: Any, data: bytes, mime: str) -> None:
        assert mime == "video/mp4"
        self.files[rid] = data

    def last(self, t: str) -> dict[str, Any]:
        return next(fields for kind, fields in reversed(self.sent) if kind == t)


class Page:
    """A page with somebody at it."""

    def __init__(self, sitting: Sitting) -> None:
        self.sitting, self.wire = sitting, FakeWire()
        self._handlers = sitting.handlers()
        sitting.begin(self.wire)

    def tell(self, t: str, **fields: Any) -> None:
        self._handlers[t]({"v": 1, "t": t, **fields}, [])

    @property
    def trial(self) -> dict[str, Any]:
        return self.wire.last("trial")

    def choose(self, choice: str = "left", **more: Any) -> None:
        self.tell("choice", **{"trial": self.trial["trial"], "choice": choice, "ms": 900, "plays": 1, **more})

    def file(self, name: str) -> bytes:
        self.tell("media", rid=name, id=name, kind="full")
        return self.wire.files[name]

    def sides(self) -> tuple[Any, Any]:
        """What is on the left and on the right: the kernel's secret."""
        now = self.sitting._now
        assert now is not None
        return now.shown.left, now.shown.right


@pytest.fixture(scope="module")
def asked() -> Plan:
    return sweep(image=make_picture(), prompt=list(PROMPTS), seed=[1, 2, 3], duration=2)


@pytest.fixture(scope="module")
def one_pair() -> Plan:
    return sweep(image=make_picture(), prompt=list(PROMPTS[:2]), seed=[1], duration=2)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, asked: Plan) -> Path:
    """Made once: writing films takes longer than most tests here."""
    return write_study(tmp_path_factory.mktemp("written") / "harbour", asked).folder


@pytest.fixture
def study(tmp_path: Path, written: Path) -> Study:
    """Three prompts by three seeds: nine pairs that differ in the prompt alone."""
    return Study(shutil.copytree(written, tmp_path / "harbour"), track=False)


@pytest.fixture
def page(study: Study) -> Page:
    return Page(Sitting(study, "prompt", voter="ada", seed=1))


def kept(study: Study) -> list[votes.Vote]:
    return votes.read(study.folder).held


def lines(study: Study) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (study.folder / "votes.jsonl").read_text().splitlines()]


# ── blind ───────────────────────────────────────────────────────────────────────────────────────────────


def test_no_message_tells_what_a_clip_is(study: Study, page: Page) -> None:
    """Neither key, name, checksum, folder, setting nor size, in any message of a sitting, undo and end apart."""
    for i in range(12):
        page.choose(("left", "tie", "bad", "right")[i % 4])
        if i == 5:
            page.tell("undo")
    told = json.dumps([message for message in page.wire.sent if message[0] == "trial"])
    secrets = [str(study.folder), "harbour", "prompt", *PROMPTS]
    for clip in study.clips():
        assert clip.key is not None
        assert clip.record is not None
        assert clip.record.clip is not None
        size, sha256 = clip.record.clip["size_bytes"], clip.record.clip["sha256"]
        secrets += [clip.key, clip.key.removeprefix("k1:"), clip.path.name, sha256, sha256[:8], f": {size}"]
    for secret in secrets:
        assert secret not in told, secret


def test_a_trial_says_just_this(page: Page) -> None:
    """Whatever else is put into the message has to be thought about here."""
    assert set(page.trial) == {
        "trial", "n", "left", "right", "question", "seconds", "media", "progress", "warning", "next",
    }  # fmt: skip
    for side in ("left", "right"):
        assert set(page.trial[side]) == {"id", "fps", "frames"}
        assert set(page.trial["next"][side]) == {"id"}
    assert set(page.trial["progress"]) == {"done", "line", "share"}


def test_names_are_new_for_each_pair_although_the_clips_are_not(page: Page) -> None:
    names = []
    for _ in range(12):
        names += [page.trial["left"]["id"], page.trial["right"]["id"]]
        page.choose("tie")
    assert len(set(names)) == 24


def test_frames_that_nobody_sees_tell_nothing_apart(tmp_path: Path, one_pair: Plan) -> None:
    """121 frames here and 120 there look the same, but in the messages one would know the endpoint again."""
    study = write_study(tmp_path / "frames", one_pair)
    first, second = study.clips()
    for clip, n in ((first, 48), (second, 49)):
        rewrite(study, clip.path, seconds=n / 24)
    page = Page(Sitting(study, "prompt", seed=1))
    assert page.trial["warning"] == ""
    assert page.trial["left"]["frames"] == page.trial["right"]["frames"] == 48
    assert page.trial["left"]["fps"] == page.trial["right"]["fps"] == 24


def rewrite(study: Study, path: Path, **facts: Any) -> None:
    """Another film at that place, which the journal knows of."""
    make_clip(path, **facts)
    journal = study.folder / "journal.jsonl"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    told = []
    for line in map(json.loads, journal.read_text().splitlines()):
        if line.get("file", "").endswith(path.name):
            line |= {"sha256": digest, "seconds": facts.get("seconds", 1.0)}
        told.append(json.dumps(line) + "\n")
    journal.write_text("".join(told))


def test_the_files_of_a_pair_are_of_one_length_and_say_nothing(page: Page) -> None:
    left, right = page.file(page.trial["left"]["id"]), page.file(page.trial["right"]["id"])
    assert len(left) == len(right)
    assert left != right
    for data in (left, right):
        with av.open(io.BytesIO(data)) as source:
            assert not {"title", "comment", "description"} & set(source.metadata)


def test_each_side_gets_its_own_file(study: Study, page: Page) -> None:
    """Mutant: left and right exchanged, and every vote is for the other clip."""
    left, right = page.sides()
    for clip, name in ((left, page.trial["left"]["id"]), (right, page.trial["right"]["id"])):
        bare = blind.bare(study.clip(clip.key).path)
        assert page.file(name)[: len(bare)] == bare


def test_the_next_pair_can_be_fetched_and_the_last_one_no_more(page: Page) -> None:
    before, after = page.trial["left"]["id"], page.trial["next"]["left"]["id"]
    assert page.file(after)
    page.choose()
    assert page.trial["left"]["id"] == after
    with pytest.raises(StudyError, match="This pair is over"):
        page.tell("media", rid="x", id=before, kind="full")
    with pytest.raises(StudyError, match="This pair is over"):
        page.tell("media", rid="x", id=after, kind="poster")


def test_clips_that_differ_in_length_are_warned_of_and_both_are_shown_whole(tmp_path: Path) -> None:
    plan = sweep(image=make_picture(), prompt="the boats drift", seed=[1, 2], duration=[5, 10])
    study = write_study(tmp_path / "lengths", plan)
    for clip in study.clips():
        assert clip.request is not None
        rewrite(study, clip.path, seconds=clip.request.duration / 5)
    page = Page(Sitting(study, "duration", seed=1))
    assert page.trial["warning"].startswith("These two differ in length")
    assert page.trial["seconds"] == 2
    assert sorted(page.trial[side]["frames"] for side in ("left", "right")) == [24, 48]


def test_clips_that_differ_in_size_are_warned_of(tmp_path: Path) -> None:
    plan = sweep(image=make_picture(), prompt="the boats drift", seed=[1, 2], resolution=["480p", "720p"])
    page = Page(Sitting(write_study(tmp_path / "sizes", plan), "resolution", seed=1))
    assert page.trial["warning"].startswith("These two differ in size")


# ── a vote ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_vote_says_who_said_what_of_what(study: Study, page: Page) -> None:
    left, right = page.sides()
    page.choose("right", ms=4200, plays=3)
    [vote] = kept(study)
    assert (vote.who, vote.by, vote.choice, vote.trial, vote.ms, vote.plays) == (
        "ada",
        "prompt",
        "right",
        1,
        4200,
        3,
    )
    assert (vote.left.key, vote.right.key) == (left.key, right.key)
    assert (vote.left.value, vote.right.value) == (left.settings["prompt"], right.settings["prompt"])
    for side in (vote.left, vote.right):
        assert hashlib.sha256(study.clip(side.key).path.read_bytes()).hexdigest() == side.sha256
    assert vote.held["seed"] == left.settings["seed"]
    assert "prompt" not in vote.held
    assert vote.shown == "full"


def test_the_pairs_are_matched(study: Study, page: Page) -> None:
    for _ in range(9):
        page.choose("tie")
    for vote in kept(study):
        left, right = (study.clip(side.key).request for side in (vote.left, vote.right))
        assert left is not None
        assert right is not None
        assert (left.seed, left.image, left.duration) == (right.seed, right.image, right.duration)
        assert left.prompt != right.prompt


def test_it_is_on_the_disk_before_the_page_hears_of_it(study: Study, page: Page) -> None:
    """Mutant: the next pair is told first, and the vote written after it."""
    seen = []
    send = page.wire.send

    def look(t: str, *rest: Any, **more: Any) -> None:
        seen.append(len(kept(study)))
        send(t, *rest, **more)

    page.wire.send = look  # type: ignore[method-assign]
    page.choose()
    assert seen == [1]


def test_a_double_press_is_counted_once(study: Study, page: Page) -> None:
    trial = page.trial["trial"]
    page.choose("left", trial=trial)
    for choice in ("left", "right"):
        with pytest.raises(StudyError, match=r"That pair is over already, so this press was not counted"):
            page.choose(choice, trial=trial)
    assert [vote.choice for vote in kept(study)] == ["left"]
    assert page.sitting.n_votes == 1


def test_presses_of_two_views_at_once_are_counted_once(study: Study, page: Page) -> None:
    """JupyterLab shows a second view of one output on request, and each has keys."""
    trial, refused = page.trial["trial"], []

    def press() -> None:
        try:
            page.choose("left", trial=trial)
        except StudyError as error:
            refused.append(error)

    threads = [threading.Thread(target=press) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept(study)) == 1
    assert len(refused) == 4


@pytest.mark.parametrize("trial", [None, "1", 0, 99])
def test_a_press_for_no_pair_is_not_counted(study: Study, page: Page, trial: Any) -> None:
    with pytest.raises(StudyError, match="not counted"):
        page.choose(trial=trial)
    assert kept(study) == []


def test_a_choice_that_there_is_not_leaves_the_pair_where_it_is(study: Study, page: Page) -> None:
    with pytest.raises(StudyError, match="left, right, tie, bad"):
        page.choose("middle")
    page.choose("tie")
    assert [vote.choice for vote in kept(study)] == ["tie"]


@pytest.mark.parametrize(
    ("told", "kept_as"),
    [(-5, 0), (None, 0), ("x", 0), (True, 0), (1e99, 86_400_000), (float("nan"), 0), (12.7, 12)],
)
def test_times_from_the_page_are_held_to_sense(study: Study, page: Page, told: Any, kept_as: int) -> None:
    page.choose(ms=told, plays=told)
    assert kept(study)[0].ms == kept_as


def test_a_disk_that_is_full_is_told_and_the_vote_can_be_given_again(
    study: Study, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise StudyError("votes.jsonl could not be written (No space left on device).")

    trial = page.trial
    with monkeypatch.context() as broken:
        broken.setattr(votes, "add", full)
        with pytest.raises(StudyError, match="No space left"):
            page.choose("left")
    assert page.trial == trial
    assert page.sitting.n_votes == 0
    page.choose("left")
    assert len(kept(study)) == 1


def test_a_vote_counts_although_the_next_pair_cannot_be_made(
    study: Study, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full temporary folder after the vote was written must not tell the page that it was not counted."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blind, "blinded", full)
    page.choose("left")
    page.choose("left")  # the pair that was ready
    assert len(kept(study)) == 2
    assert page.wire.sent[-1][0] == "end"


def test_two_people_in_two_processes_lose_no_vote(study: Study) -> None:
    code = """
import sys
sys.path[:0] = [sys.argv[3], sys.argv[4]]
from test_sitting import Page
from seedance_lab.study import Study
from seedance_lab.view.sitting import Sitting
page = Page(Sitting(Study(sys.argv[1], track=False), "prompt", voter=sys.argv[2], n=8))
for i in range(8):
    page.choose("tie")
assert page.wire.sent[-1][0] == "end"
"""
    here = Path(__file__).parent
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(study.folder), who, str(here), str(here.parents[1])]
        )
        for who in ("ada", "bob")
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    found = votes.read(study.folder)
    assert found.damaged == ()
    assert sorted(vote.who for vote in found.held) == ["ada"] * 8 + ["bob"] * 8


def test_a_torn_line_of_a_crash_is_in_nobodys_way(study: Study, page: Page) -> None:
    page.choose("left")
    with (study.folder / "votes.jsonl").open("a") as file:
        file.write('{"at": "2026-01-01T00:00:00+00:00", "kind": "vo')
    page.choose("right")
    assert [vote.choice for vote in kept(study)] == ["left", "right"]
    assert votes.read(study.folder).damaged == ()


def test_the_studys_tables_have_it(study: Study, page: Page) -> None:
    assert not {"preference", "votes"} & set(study.frame().columns)
    left, right = page.sides()
    page.choose("left")
    assert study.votes()[["left", "right", "choice"]].to_numpy().tolist() == [[left.key, right.key, "left"]]
    df = study.frame().set_index("key")
    assert (df.loc[left.key, "preference"], df.loc[right.key, "preference"]) == (1, 0)
    assert df["votes"].sum() == 2
    assert df["preference"].isna().sum() == 7
    assert study.preferences().n == study.preferences("prompt").n == 1


# ── taking back ─────────────────────────────────────────────────────────────────────────────────────────


def test_undo_is_a_line_and_shows_the_same_pair_on_the_same_sides(study: Study, page: Page) -> None:
    sides = page.sides()
    page.choose("left")
    before = (study.folder / "votes.jsonl").read_bytes()
    page.tell("undo")
    assert (study.folder / "votes.jsonl").read_bytes().startswith(before)
    assert [line["kind"] for line in lines(study)] == ["vote", "undo"]
    assert kept(study) == []
    assert page.sides() == sides
    assert page.sitting.n_votes == 0
    page.choose("right")
    assert [vote.choice for vote in kept(study)] == ["right"]


def test_after_undo_the_pair_that_was_shown_comes_next(page: Page) -> None:
    page.choose("left")
    waiting = page.sides()
    page.tell("undo")
    page.choose("left")
    assert page.sides() == waiting


def test_a_vote_that_was_taken_back_may_be_changed_and_its_number_is_new(page: Page) -> None:
    """Or a late second press for the first look would count for the second."""
    first = page.trial["trial"]
    page.choose("left")
    page.tell("undo")
    assert page.trial["trial"] > first
    with pytest.raises(StudyError, match="over already"):
        page.choose(trial=first)


def test_several_votes_can_be_taken_back_one_after_another(study: Study, page: Page) -> None:
    shown = []
    for _ in range(3):
        shown.append(page.sides())
        page.choose("left")
    for sides in reversed(shown):
        page.tell("undo")
        assert page.sides() == sides
    assert kept(study) == []
    with pytest.raises(StudyError, match="no vote of this sitting to take back"):
        page.tell("undo")


def test_the_votes_of_an_earlier_sitting_are_not_taken_back(study: Study) -> None:
    Page(Sitting(study, "prompt", voter="ada")).choose("left")
    with pytest.raises(StudyError, match="of this sitting"):
        Page(Sitting(study, "prompt", voter="ada")).tell("undo")
    assert len(kept(study)) == 1


def test_an_undo_that_cannot_be_written_changes_nothing(
    study: Study, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.choose("left")
    trial = page.trial

    def full(*_: Any) -> None:
        raise StudyError("could not be written")

    with monkeypatch.context() as broken:
        broken.setattr(votes, "undo", full)
        with pytest.raises(StudyError):
            page.tell("undo")
    assert (page.trial, page.sitting.n_votes, len(kept(study))) == (trial, 1, 1)


def test_undo_at_the_end_goes_on(study: Study) -> None:
    page = Page(Sitting(study, "prompt", n=2, seed=1))
    page.choose("left")
    sides = page.sides()
    page.choose("left")
    assert page.wire.sent[-1][0] == "end"
    page.tell("undo")
    assert page.sides() == sides
    assert page.wire.sent[-1][0] == "trial"
    page.choose("right")
    assert page.wire.sent[-1][0] == "end"
    assert [vote.choice for vote in kept(study)] == ["left", "right"]


# ── how far it is ───────────────────────────────────────────────────────────────────────────────────────


def test_progress_is_decided_or_about_so_many_more(page: Page) -> None:
    first = page.trial["progress"]
    assert first["done"] == 0
    assert first["line"].startswith("0 votes · about ")
    page.choose("left")
    assert page.trial["progress"]["line"].startswith("1 vote · about ")
    assert 0 <= first["share"] < page.trial["progress"]["share"] < 1


def test_progress_to_a_number_is_a_share_of_it(study: Study) -> None:
    page = Page(Sitting(study, "prompt", n=4))
    page.choose("left")
    assert page.trial["progress"]["share"] == 0.25
    assert page.trial["progress"]["line"].startswith("1 of 4 votes · ")
    assert page.trial["n"] == 4


def test_progress_tells_nothing_of_who_leads(page: Page) -> None:
    for _ in range(12):
        page.choose("left")
        assert set(page.trial["progress"]["line"]) <= set("0123456789, ·votesabumrndcihap:y") | set("thlkg")
        assert not any(prompt in page.trial["progress"]["line"] for prompt in PROMPTS)


def by_taste(page: Page, best: str) -> str:
    left, right = page.sides()
    if left.settings["prompt"] == best:
        return "left"
    return "right" if right.settings["prompt"] == best else random.Random(left.key).choice(["left", "right"])


def test_it_ends_when_it_is_decided_and_says_what_came_of_it(tmp_path: Path) -> None:
    plan = sweep(image=make_picture(), prompt=list(PROMPTS[:2]), seed=range(12), duration=2)
    study = write_study(tmp_path / "many", plan)
    page = Page(Sitting(study, "prompt", voter="ada", seed=1))
    n = 0
    while page.wire.sent[-1][0] == "trial":
        page.choose(by_taste(page, PROMPTS[0]))
        n += 1
        assert n < 60
    assert 10 <= n < 24, "each pair would come twice in 24"
    end = page.wire.last("end")["line"]
    assert end.startswith(f"“{PROMPTS[0]}” is preferred")
    assert end.endswith("More: lab.vote(study, by='prompt', n=20).")
    assert page.sitting.preferences().best == PROMPTS[0]
    with pytest.raises(StudyError, match="The sitting is over"):
        page.choose()
    assert len(kept(study)) == n


def test_it_ends_when_each_pair_was_seen_both_ways_round(tmp_path: Path, one_pair: Plan) -> None:
    page = Page(Sitting(write_study(tmp_path / "few", one_pair), "prompt", seed=1))
    lefts = []
    for _ in range(2):
        lefts.append(page.sides()[0].key)
        page.choose("tie")
    assert page.wire.sent[-1][0] == "end"
    assert len(set(lefts)) == 2


def test_what_others_said_meanwhile_counts(study: Study, page: Page) -> None:
    other = Page(Sitting(study, "prompt", voter="bob"))
    for _ in range(3):
        other.choose("left")
    page.choose("left")
    assert page.sitting.preferences().n == 4
    assert page.sitting.n_votes == 1


# ── what cannot be shown ────────────────────────────────────────────────────────────────────────────────


def test_a_file_that_is_gone_or_damaged_is_never_shown(tmp_path: Path, asked: Plan) -> None:
    study = write_study(tmp_path / "holes", asked, ["gone", *["saved"] * 4, "broken"])
    page = Page(Sitting(study, "prompt", seed=1))
    bad = {asked[0].key, asked[5].key}
    n = 0
    while page.wire.sent[-1][0] == "trial":
        assert not bad & {side.key for side in page.sides()}
        page.choose("tie")
        n += 1
    assert n > 4


def test_a_file_that_was_replaced_is_never_shown(study: Study) -> None:
    """The vote would be kept under the checksum of a file that nobody saw."""
    swapped = study.clips()[0]
    make_clip(swapped.path, hue=7)
    page = Page(Sitting(study, "prompt", seed=1))
    while page.wire.sent[-1][0] == "trial":
        assert swapped.key not in {side.key for side in page.sides()}
        page.choose("tie")


def test_where_nothing_can_be_shown_it_says_so(tmp_path: Path, one_pair: Plan) -> None:
    study = write_study(tmp_path / "broken", one_pair, ["saved", "broken"])
    page = Page(Sitting(study, "prompt"))
    assert page.wire.sent[-1][0] == "end"
    assert "their files are gone or damaged. No vote was written" in page.wire.last("end")["line"]


def test_a_pair_that_the_page_cannot_show_is_skipped_without_a_vote(study: Study, page: Page) -> None:
    sides = {side.key for side in page.sides()}
    page.tell("cmd", name="skip", args={"trial": page.trial["trial"]})
    assert not (study.folder / "votes.jsonl").exists()
    while page.wire.sent[-1][0] == "trial":
        assert {side.key for side in page.sides()} != sides
        page.choose("tie")
    assert "1 pair could not be shown" in page.wire.last("end")["line"]


def test_a_skip_of_a_pair_that_is_over_skips_nothing(page: Page) -> None:
    first = page.trial["trial"]
    page.choose("tie")
    with pytest.raises(StudyError, match="over already"):
        page.tell("cmd", name="skip", args={"trial": first})
    with pytest.raises(LabError, match="no command 'stop'"):
        page.tell("cmd", name="stop")


# ── a page that comes and goes ──────────────────────────────────────────────────────────────────────────


def test_a_page_that_is_opened_anew_gets_the_pair_that_is_shown(page: Page) -> None:
    page.choose("left")
    trial, n = page.trial, len(page.wire.sent)
    page.tell("ready", have=3)
    assert len(page.wire.sent) == n
    page.tell("ready", have=0)
    assert page.wire.sent[n:] == [("trial", trial)]


def test_a_page_that_is_opened_anew_at_the_end_gets_the_end(study: Study) -> None:
    page = Page(Sitting(study, "prompt", n=1))
    page.choose("left")
    end = page.wire.last("end")
    page.tell("ready")
    assert page.wire.sent[-1] == ("end", end)


def test_a_view_that_is_left_and_shown_again_goes_on_with_the_same_pair(page: Page) -> None:
    page.choose("left")
    trial = page.trial
    page.sitting.leave()
    again = FakeWire()
    page.sitting.begin(again)
    assert again.sent == [("trial", trial)]


def test_the_same_seed_shows_the_same_pairs_on_the_same_sides(study: Study) -> None:
    shown = []
    for _ in range(2):
        page = Page(Sitting(study, "prompt", voter="ada", seed=5))
        for _ in range(6):
            shown.append([side.key for side in page.sides()])
            page.choose("tie")
        for _ in range(6):
            page.tell("undo")
    assert shown[:6] == shown[6:]


# ── MLflow ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str]]:
    """Each time that the table was written."""
    found: list[tuple[Path, str]] = []

    def log(folder: Path, experiment: str) -> str | None:
        found.append((folder, experiment))
        return "MLflow did not take them."

    monkeypatch.setattr(logged, "log", log)
    return found


def tracked(study: Study) -> Study:
    return Study(study.folder, track=True, experiment="harbour")


Told = list[tuple[Path, str]]


@pytest.mark.parametrize(
    "leave",
    [lambda page: page.tell("pause", on=True), lambda page: page.sitting.leave()],
    ids=["pause", "close"],
)
def test_whoever_pauses_or_leaves_has_the_votes_in_mlflow(
    study: Study, told: Told, leave: Callable[[Page], None]
) -> None:
    page = Page(Sitting(tracked(study), "prompt"))
    leave(page)
    assert told == [], "there is nothing to write"
    page.choose("left")
    page.tell("pause", on=False)
    assert told == []
    leave(page)
    wait_until(lambda: page.sitting.warning == "MLflow did not take them.")
    assert told == [(study.folder, "harbour")]
    assert "note: MLflow did not take them." in repr(page.sitting)
    leave(page)
    assert len(told) == 1, "nothing new was said"


def test_a_vote_that_was_taken_back_after_that_is_taken_back_there_too(study: Study, told: Told) -> None:
    """Mutant: a sitting without votes writes nothing, and the table keeps what was taken back."""
    page = Page(Sitting(tracked(study), "prompt"))
    page.choose("left")
    page.tell("pause", on=True)
    page.tell("undo")
    page.tell("pause", on=True)
    wait_until(lambda: len(told) == 2)


def test_they_are_written_in_between_for_who_walks_away(
    study: Study, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOGGED_EVERY", 3)
    page = Page(Sitting(tracked(study), "prompt"))
    for _ in range(6):
        page.choose("tie")
    wait_until(lambda: len(told) == 2)


def test_a_study_that_is_not_tracked_is_left_alone(study: Study, told: Told) -> None:
    page = Page(Sitting(study, "prompt", n=1))
    page.choose("left")
    assert page.wire.sent[-1][0] == "end"
    assert told == []


def test_a_sitting_ends_in_a_table_of_a_real_store(
    tmp_path: Path, asked: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = fresh_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with Tracked(tmp_path / "harbour", asked) as one:
        one.save(*asked)
    study = Study(tmp_path / "harbour", experiment="harbour")
    page = Page(Sitting(study, "prompt", n=2, voter="ada"))
    page.choose("left")
    page.choose("bad")
    with quiet():
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name("harbour")
        assert found is not None
        [run] = [
            one
            for one in client.search_runs([found.experiment_id])
            if "seedance_lab.key" not in one.data.tags
        ]
        wait_until(
            lambda: "votes.json" in [entry.path for entry in client.list_artifacts(run.info.run_id)],
            seconds=60,
        )
        table = json.loads(Path(client.download_artifacts(run.info.run_id, "votes.json")).read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["who"], row["choice"]) for row in rows] == [("ada", "left"), ("ada", "bad")]
    assert page.sitting.warning is None


# ── what it takes ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "3"])
def test_what_is_no_number_of_votes_is_refused(study: Study, n: Any) -> None:
    with pytest.raises(LabError, match="is no number of votes"):
        Sitting(study, "prompt", n=n)


def test_a_study_without_a_pair_says_what_to_run(study: Study, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"duration has one value among the clips \(2 s\)") as said:
        Sitting(study, "duration")
    assert "There are pairs that differ in prompt and seed" in str(said.value)
    with pytest.raises(LabError, match="There are no clips to vote on yet"):
        Sitting(Study(tmp_path / "new", track=False), "prompt")


def test_the_question_is_asked_as_given(study: Study) -> None:
    assert (
        Page(Sitting(study, "prompt", question=" Which is\n calmer? ")).trial["question"]
        == "Which is calmer?"
    )
    assert Page(Sitting(study, "prompt", question=" ")).trial["question"] == "Which do you prefer?"


def test_it_says_what_it_is(study: Study) -> None:
    said = repr(Sitting(study, "prompt", voter="ada"))
    assert said.startswith("<Votes on prompt by ada · 9 pairs · 0 votes · about ")
