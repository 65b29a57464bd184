"""What can be looked at, and what is said of each request, whoever runs it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from view_fakes import make_clip, make_picture, write_study

from seedance_lab.clip import Clip
from seedance_lab.errors import LabError
from seedance_lab.folder import StudyFolder
from seedance_lab.journal import Journal
from seedance_lab.plan import Plan, sweep
from seedance_lab.study import Study
from seedance_lab.view.sources import source_of

SOMEBODY = f"process {os.getppid()} on {socket.gethostname()} since 2026-03-01"
"""A living process that is not this one: whoever started pytest."""


def states(what: Any) -> list[str]:
    return [entry.state for entry in source_of(what).entries()]


def test_a_study_has_an_entry_for_each_request_with_or_without_a_clip(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["saved", "refused", "failed", "gone"])
    entries = source_of(study).entries()
    assert [entry.state for entry in entries] == ["saved", "refused", "failed", "missing"]
    assert [entry.id for entry in entries] == [request.key for request in plan]
    assert entries[0].settings["resolution"] == "480p"
    assert entries[0].values["returned_seed"] == 1
    assert entries[0].file["width"] > 0
    assert "not today" in entries[1].why
    assert "run the plan again to fetch it, which costs nothing" in entries[3].why
    assert entries[3].clip is None


@pytest.mark.parametrize("as_", [str, Path, StudyFolder])
def test_a_studys_folder_is_a_study(tmp_path: Path, plan: Plan, as_: Any) -> None:
    write_study(tmp_path / "s", plan)
    source = source_of(as_(tmp_path / "s"))
    assert (source.title, states(as_(tmp_path / "s"))) == ("s", ["saved"] * 4)
    assert source.study is not None


def test_what_nobody_works_on_says_what_to_do(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["unknown", "accepted", "saved"])
    unknown, accepted, *_ = source_of(study).entries()
    assert (unknown.state, accepted.state) == ("unknown", "queued")
    assert "the connection broke" in unknown.why
    assert "run the plan again to fetch it" in accepted.why
    assert source_of(study).live() == {"state": "", "line": ""}


def test_a_study_that_another_process_runs_is_live(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["saved", "accepted", "accepted", "never"])
    source = source_of(study)
    before = source.stamp()
    (tmp_path / "s" / ".lock.holder").write_text(SOMEBODY)
    assert source.stamp() != before
    assert source.live() == {"state": "running", "line": f"1 saved · 2 in flight · run by {SOMEBODY}"}
    assert [entry.state for entry in source.entries()] == ["saved", "running", "running"]
    assert source.entries()[1].since is not None


def test_a_killed_process_leaves_its_name_and_nothing_is_live(tmp_path: Path, plan: Plan) -> None:
    write_study(tmp_path / "s", plan, ["accepted"])
    (tmp_path / "s" / ".lock.holder").write_text(f"process 4194303 on {socket.gethostname()} since long ago")
    assert source_of(tmp_path / "s").live()["state"] == ""


def test_a_line_in_the_journal_is_another_stamp(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan)
    source = source_of(study)
    before = source.stamp()
    assert source.stamp() == before
    with Journal(tmp_path / "s") as journal:
        journal.append("run", run="r2", n_requests=0, engine_id="x", budget_usd=None, version="0")
    assert source.stamp() != before


def test_a_run_shows_the_requests_of_its_plan_and_no_others(tmp_path: Path, plan: Plan, served: str) -> None:
    study = Study(tmp_path / "s", engine=served, track=False)
    study.run(plan[:1], progress=False)
    run = study.start(plan[2:])
    source = source_of(run)
    assert [entry.id for entry in source.entries()] == [request.key for request in plan[2:]]
    run.wait()
    assert [entry.state for entry in source.entries()] == ["saved", "saved"]
    assert source.live()["state"] == "done"
    assert len(source_of(study).entries()) == 3


def test_a_folder_of_files_is_every_video_in_it_by_number(tmp_path: Path) -> None:
    for name in ("clip10.mp4", "clip2.mp4", "notes.txt", "deep/clip1.mov"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    entries = source_of(tmp_path).entries()
    assert [entry.settings for entry in entries] == [
        {"folder": ".", "file": "clip2.mp4"},
        {"folder": ".", "file": "clip10.mp4"},
        {"folder": "deep", "file": "clip1.mov"},
    ]


def test_clips_of_a_study_bring_what_was_measured_and_said_of_them(tmp_path: Path, plan: Plan) -> None:
    """`study.clips()`, chosen from by hand, is the usual list; a copy of a file elsewhere knows nothing of it."""
    study = Study(write_study(tmp_path / "s", plan).folder, track=False)
    study.measure(only="tenengrad", progress=False)
    some = study.clips()[1:3]
    study.rate(some[0], stars=4)
    source = source_of(some)
    first, second = source.entries()
    assert first.values["tenengrad"] == source_of(study).entries()[1].values["tenengrad"] > 0
    assert (first.rating["stars"], second.rating) == (4, {})
    assert source.study is not None
    assert source.study.folder == study.folder
    assert source_of([*some, tmp_path / "s" / "clips" / some[0].path.name]).study is None


def test_a_list_takes_clips_paths_and_studies_and_tells_equals_apart(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan)
    make_clip(tmp_path / "a.mp4", seconds=0.2)
    clip = Clip(path=tmp_path / "a.mp4")
    entries = source_of([clip, tmp_path / "a.mp4", study, study.clips()[0]]).entries()
    assert len(entries) == 7
    assert len({entry.id for entry in entries}) == 7
    assert [entry.settings["file"] for entry in entries[:2]] == ["a.mp4", "a.mp4 (2)"]


def test_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / str(n)).mkdir()
        (tmp_path / str(n) / "a.jpg").write_bytes(make_picture(shade=90 * n))
    plan = sweep(image=[tmp_path / "0/a.jpg", tmp_path / "1/a.jpg"], prompt="x", seed=1, duration=2)
    names = [e.settings["image"] for e in source_of(write_study(tmp_path / "s", plan)).entries()]
    assert len(set(names)) == 2
    assert all(name.startswith("a.jpg (") for name in names)


def test_a_file_that_was_moved_has_an_entry_that_says_so(tmp_path: Path) -> None:
    (entry,) = source_of(tmp_path / "moved.mp4").entries()
    assert entry.state == "missing"
    assert "was it moved?" in entry.why


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (5, "no way to show a int"),
        ({"a": 1}, "no way to show a dict"),
        ([5], "no way to show a int in a list"),
        ("cl", "no file or folder"),
        ("empty", r"no video in .*lab\.Study"),
    ],
)
def test_what_cannot_be_shown_says_what_can(tmp_path: Path, what: Any, message: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabError, match=message):
        source_of(str(tmp_path / what) if isinstance(what, str) else what)


def test_what_people_think_is_on_the_entry(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan)
    study.rate(plan[0].key, stars=4, tags=["sharp"])
    source = source_of(study)
    assert source.entries()[0].rating == {"stars": 4, "tags": ["sharp"], "note": ""}
    assert source.entries()[1].rating == {}
