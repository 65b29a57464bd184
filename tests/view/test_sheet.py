"""The static sheet: what it says, what it never contains, and how large it gets."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import av
import pytest
from view_fakes import make_clip, write_study

from seedance_lab.clip import Clip
from seedance_lab.errors import LabError
from seedance_lab.plan import Plan, sweep
from seedance_lab.view import sheet as sheets
from seedance_lab.view import show

HOSTILE = "<script>alert(1)</script> \"quoted\" 'single' & $x$ </td><img src=x onerror=alert(2)>"


class Tags(HTMLParser):
    """Every tag with its attributes, and whether they are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def html_of(what: object, **options: object) -> str:
    drawn = show(what, return_html=True, **options)  # type: ignore[arg-type]
    assert drawn is not None
    return drawn


def test_each_clip_is_a_video_with_a_poster_that_plays_from_the_html_alone(
    tmp_path: Path, plan: Plan
) -> None:
    tags = Tags(html_of(write_study(tmp_path / "s", plan)))
    videos = tags.all("video")
    assert len(videos) == 4
    assert not tags.open
    for video in videos:
        assert {"controls", "loop", "muted"} <= set(video)
        assert video["preload"] in {"none", "metadata"}
        kind, data = str(video["src"]).split(",", 1)
        assert kind == "data:video/mp4;base64"
        with av.open(io.BytesIO(base64.b64decode(data))) as proxy:
            assert max(proxy.streams.video[0].width, proxy.streams.video[0].height) <= 320
            assert proxy.duration is not None
            assert proxy.duration / av.time_base == pytest.approx(1.0, abs=0.1)
        assert base64.b64decode(str(video["poster"]).split(",", 1)[1]).startswith(b"\xff\xd8")


def test_nothing_is_used_that_the_sanitiser_takes_out(tmp_path: Path, plan: Plan) -> None:
    """A colleague opens the notebook untrusted: what JupyterLab strips must not be needed."""
    drawn = html_of(write_study(tmp_path / "s", plan, ["saved", "failed", "gone", "unknown"]))
    tags = Tags(drawn)
    allowed = {"div", "span", "b", "table", "thead", "tbody", "tr", "th", "td", "video", "img"}
    assert {tag for tag, _ in tags.tags} <= allowed
    for _, attrs in tags.tags:
        assert not [name for name in attrs if name.startswith(("on", "data-", "aria-")) or name == "id"]
        assert "var(" not in (attrs.get("style") or "")
    assert not re.search(r"https?://", drawn)


def test_a_hostile_prompt_or_file_name_stays_text(tmp_path: Path, picture: bytes) -> None:
    plan = sweep(image=picture, prompt=[HOSTILE, "tame"], seed=1, resolution="480p", duration=2)
    tags = Tags(html_of(write_study(tmp_path / "s", plan, ["saved", "failed"])))
    assert not tags.open
    assert not tags.all("script")
    assert not tags.all("img")
    make_clip(tmp_path / '"><b>x.mp4', seconds=0.2)
    loose = html_of([tmp_path / '"><b>x.mp4', "/nope/<img src=x>.mp4"], embed="poster")
    assert [
        attrs["src"] for attrs in Tags(loose).all("img") if not str(attrs["src"]).startswith("data:")
    ] == []


def test_prices_are_not_typeset_as_formulas(tmp_path: Path, plan: Plan) -> None:
    """JupyterLab sets what stands between two dollar signs as mathematics."""
    drawn = html_of(write_study(tmp_path / "s", plan))
    assert drawn.count("$") >= 2
    assert set(Tags(drawn).tags[0][1]["class"].split()) >= {"mathjax_ignore", "tex2jax_ignore"}  # type: ignore[union-attr]


def test_what_is_constant_is_said_once_and_what_varies_is_in_the_headings(tmp_path: Path, plan: Plan) -> None:
    drawn = html_of(write_study(tmp_path / "s", plan))
    text = re.sub(r"<[^>]*>", " ", drawn)
    assert text.count("the boats part") == 1
    assert text.count("480p") == 1
    assert text.count("duration") == 1


def test_a_cell_tells_latency_dollars_and_the_seed_that_came_back(tmp_path: Path, picture: bytes) -> None:
    plan = sweep(image=picture, prompt="x", resolution="480p", duration=2)
    text = re.sub(r"<[^>]*>", " ", html_of(write_study(tmp_path / "s", plan)))
    assert re.search(r"[\d.]+ s to make · \$0\.00 · seed 4000 came back", text)


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("refused", ["refused", "not today"]),
        ("failed", ["failed", "content checker"]),
        ("unknown", ["unknown", "the connection broke"]),
        ("gone", ["missing", "run the plan again"]),
        ("broken", ["unreadable", "damaged"]),
    ],
)
def test_a_request_without_a_clip_has_a_cell_that_says_why(
    tmp_path: Path, plan: Plan, fate: str, words: list[str]
) -> None:
    drawn = html_of(write_study(tmp_path / "s", plan, ["saved", fate]))
    assert all(word in drawn for word in words)
    assert drawn.count("<video ") == 3


def test_with_many_clips_only_pictures_are_embedded_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plan: Plan
) -> None:
    study = write_study(tmp_path / "s", plan)
    monkeypatch.setattr(sheets, "MOST_VIDEOS", 3)
    drawn = html_of(study)
    assert "Pictures only: 4 clips" in drawn
    assert "<video " not in drawn
    assert drawn.count("<img ") == 4


def test_posters_keep_the_notebook_small(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan)
    small, middle = len(html_of(study, embed="poster")), len(html_of(study))
    assert small < 4 * 20_000
    assert small < middle


def test_the_full_file_is_embedded_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path, seconds=0.3)
    assert base64.b64encode(path.read_bytes()).decode() in html_of(path, embed="full")


def test_loose_files_are_shown_and_leave_nothing_behind(tmp_path: Path) -> None:
    """A clip of no study has no folder for its proxy, and the file's folder is not ours to fill."""
    make_clip(tmp_path / "a.mp4", seconds=0.3)
    drawn = html_of([Clip(path=tmp_path / "a.mp4"), tmp_path / "a.mp4", tmp_path / "gone.mp4"])
    assert drawn.count("<video ") == 2
    assert "there is no such file" in drawn
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_study_without_clips_says_what_to_run(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["never"] * 4)
    assert "study.run(lab.sweep(" in html_of(study)
    assert "no clips in this list" in html_of([])


def test_an_unknown_way_to_embed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="embed='big'"):
        show(tmp_path / "a.mp4", embed="big")  # type: ignore[arg-type]


def test_a_terminal_gets_a_table_with_the_files_and_no_html(
    tmp_path: Path, plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = write_study(tmp_path / "s", plan, ["saved", "refused", "gone"])
    assert show(study) is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["seed", "resolution", "latency_s", "cost_usd", "file"]
    assert len(lines) == 5
    assert "s/clips/k1-" in lines[1]
    assert "refused: duration: not today" in lines[2]
    assert not (study.folder / "views").exists()


def test_a_notebook_gets_the_html_and_the_same_in_a_word(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setenv("SEEDANCE_LAB_UI", "static")
    monkeypatch.setattr("seedance_lab.view.showing._display", shown.append)
    assert show(write_study(tmp_path / "s", plan)) is None
    assert shown[0]["text/plain"] == "4 clips of 4 requests"
    assert "<video " in shown[0]["text/html"]
