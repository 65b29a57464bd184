"""The page that is sent around: whole, safe, and honest about what it cannot say."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from seedance_lab import report
from seedance_lab.errors import LabError, StudyError
from seedance_lab.plan import Plan, sweep
from seedance_lab.study import Study
from tests.test_cli import shell
from tests.tracked import Tracked

EVIL = '<script>alert("hi")</script> & a "push"'


@pytest.fixture
def plan(picture: bytes) -> Plan:
    return sweep(
        image=picture, prompt=["slow push in", EVIL], resolution=["480p", "720p"], duration=2, seed="1-4"
    )


@pytest.fixture
def study(tmp_path: Path, plan: Plan) -> Study:
    """Fourteen clips of sixteen: one refused, one failed."""
    folder = tmp_path / "harbour"
    with Tracked(folder, plan, track=False) as one:
        one.save(*plan[:14])
        one.refuse(plan[14])
        one.fail(plan[15])
    return Study(folder, track=False)


class _Page(HTMLParser):
    """What a page says, and what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "poster"}]
        if tag not in {"img", "meta", "br", "link", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.words).split())


def page(path: Path) -> _Page:
    return _Page(path.read_text(encoding="utf-8"))


def test_it_has_question_plan_answers_plots_clips_and_every_request(study: Study, tmp_path: Path) -> None:
    path = study.report(tmp_path / "out" / "report.html", question="Is 720p worth it?", of="size_bytes")
    got = page(path)
    assert got.said.startswith("harbour harbour Is 720p worth it?")
    assert "16 requests: 14 saved, 1 refused, 1 failed." in got.said
    assert "HTTP 422: seed is too large" in got.said
    assert "prompt: not allowed" in got.said
    assert "What moves size_bytes" in got.said
    assert "simulator" in got.said
    assert sum(src.startswith("data:image/jpeg") for src in got.loads) == 14, "a poster of each clip"
    assert sum(src.startswith("data:image/png") for src in got.loads) >= 3, "plots"
    assert "2 requests have no clip here" in got.said
    assert got.tags.count("section") == len([href for href in got.loads if href.startswith("#part-")])
    assert not got.open, "every element is closed"


def test_it_loads_nothing_and_runs_only_the_grid(study: Study, tmp_path: Path) -> None:
    """It is opened from a mail, without a network, by people who did not write the prompts."""
    path = study.report(tmp_path / "report.html", question=EVIL)
    got = page(path)
    assert all(value.startswith(("data:image/", "#")) for value in got.loads)
    text = path.read_text(encoding="utf-8")
    scripts = re.findall(r"<script[^>]*>", text)
    assert scripts == ['<script type="application/json" id="seedance-lab-data">', "<script>"]
    assert EVIL in got.said
    assert "alert(" not in text.rsplit("<script>", 1)[1].split("</script>")[0]
    assert not re.search(r"@import|url\(", text)


def test_its_grid_has_every_request_and_plays_the_clips(study: Study, plan: Plan, tmp_path: Path) -> None:
    text = study.report(tmp_path / "report.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="seedance-lab-data">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    cells = {cell["id"]: cell for cell in data["snapshot"]["cells"]}
    assert list(cells) == [request.key for request in plan]
    assert [cell["state"] for cell in cells.values()] == ["saved"] * 14 + ["refused", "failed"]
    assert {cell["settings"]["prompt"] for cell in cells.values()} == {"slow push in", EVIL}
    assert sum(str(media["proxy"]).startswith("data:video/mp4") for media in data["media"].values()) == 14


def test_with_many_clips_it_has_their_pictures_and_says_how_to_play_them(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_PLAYING", 13)
    got = page(study.report(tmp_path / "report.html"))
    assert "14 clips are over the 13 that play in a report" in got.said
    assert "video/mp4" not in (tmp_path / "report.html").read_text(encoding="utf-8").rsplit("<script>", 1)[0]


def test_an_earlier_report_is_replaced_and_nothing_else_is(study: Study, tmp_path: Path) -> None:
    path = study.report(tmp_path / "report.html")
    assert study.report(path, question="again") == path
    assert "again" in page(path).said
    mine = tmp_path / "mine.html"
    mine.write_text("<p>my notes</p>")
    with pytest.raises(StudyError, match=r"mine\.html is there and is no report"):
        study.report(mine)
    assert mine.read_text() == "<p>my notes</p>"
    with pytest.raises(StudyError, match="is a folder"):
        study.report(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["harbour", "mine.html", "report.html"]


def test_a_column_that_is_not_there_is_refused_before_anything_is_written(
    study: Study, tmp_path: Path
) -> None:
    with pytest.raises(LabError, match="latency_s"):
        study.report(tmp_path / "report.html", of="latencys")
    assert not (tmp_path / "report.html").exists()


def test_what_cannot_be_answered_says_why(picture: bytes, tmp_path: Path) -> None:
    """One request: nothing varies, and the page is made all the same."""
    plan = sweep(image=picture, prompt="a", duration=2, resolution="480p", seed=1)
    with Tracked(tmp_path / "one", plan, track=False) as one:
        one.save(*plan)
    got = page(Study(tmp_path / "one", track=False).report(tmp_path / "one.html"))
    assert "1 requests: 1 saved." not in got.said
    assert "1 request: 1 saved." in got.said
    assert "sweep(" in got.said, "what to run, to know more"


def test_a_study_that_asked_for_nothing_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"study\.run\(plan\)"):
        Study(tmp_path / "new", track=False).report(tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_report_in_the_study_folder_leaves_it_a_study(study: Study) -> None:
    study.report(study.folder / "report.html")
    assert len(Study(study.folder, track=False).frame()) == 16


def test_many_rows_are_cut_and_it_says_so(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_CLIPS", 3)
    monkeypatch.setattr(report, "MOST_ROWS", 5)
    said = page(study.report(tmp_path / "report.html")).said
    assert "The first 3 of 16 requests." in said
    assert "The first 5 of 16." in said


def test_the_command_line_writes_one_too(study: Study, tmp_path: Path) -> None:
    out = tmp_path / "mine" / "boats.html"
    done = shell(
        "report", str(study.folder), "--out", str(out), "--question", "Is it worth it?", "--of", "cost_usd"
    )
    assert done.returncode == 0, done.stderr
    assert "Is it worth it?" in page(out).said
    assert "What moves cost_usd" in page(out).said
    wrong = shell("report", str(study.folder), "--out", str(tmp_path / "b.html"), "--of", "cost")
    assert (wrong.returncode, (tmp_path / "b.html").exists()) == (2, False)
    assert "cost_usd" in wrong.stderr
