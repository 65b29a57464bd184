"""The static sheet: what it says, what it never contains, and how large it gets."""

from __future__ import annotations

import base64
import io
import re
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import PIL.Image
import pytest
from view_fakes import make_clip, make_picture, write_study
from view_snapshots import cell, shown, written

from seedance_lab.clip import Clip
from seedance_lab.pages import sheet as sheets
from seedance_lab.pages.sheet import sheet
from seedance_lab.plan import Plan, sweep
from seedance_lab.study import Study

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
        if tag not in {"img", "br", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def html_of(study: Study, *, embed: sheets.Embed = "poster", static_id: str = "", **view: object) -> str:
    return sheet(*shown(study, **view), embed=embed, static_id=static_id)


def loose(*paths: Path, embed: sheets.Embed = "poster", **more: object) -> str:
    """The sheet of files that no study made."""
    snapshot = written({})
    snapshot["cells"] = [cell(path.name, {"file": path.name}, **more) for path in paths]
    return sheet(snapshot, {path.name: Clip(path=path) for path in paths}.get, embed=embed)


def text_of(drawn: str) -> str:
    return re.sub(r"<[^>]*>", " ", drawn)


def test_each_clip_is_a_picture_and_below_it_a_video_that_plays_from_the_html_alone(
    tmp_path: Path, plan: Plan
) -> None:
    """GitHub takes videos out: the picture must not be part of one."""
    tags = Tags(html_of(write_study(tmp_path / "s", plan), embed="proxy"))
    videos, pictures = tags.all("video"), tags.all("img")
    assert (len(videos), len(pictures), len(tags.all("details"))) == (4, 4, 4)
    assert not tags.open
    for video in videos:
        assert {"controls", "loop", "muted"} <= set(video)
        assert video["preload"] == "metadata"
        kind, data = str(video["src"]).split(",", 1)
        assert kind == "data:video/mp4;base64"
        with av.open(io.BytesIO(base64.b64decode(data))) as proxy:
            assert max(proxy.streams.video[0].width, proxy.streams.video[0].height) <= 320
            assert proxy.duration is not None
            assert proxy.duration / av.time_base == pytest.approx(1.0, abs=0.1)
    for picture in pictures:
        assert picture["alt"]
        assert base64.b64decode(str(picture["src"]).split(",", 1)[1]).startswith(b"\xff\xd8")


def test_nothing_is_used_that_the_sanitiser_takes_out(tmp_path: Path, plan: Plan) -> None:
    """A colleague opens the notebook untrusted: what JupyterLab strips must not be needed."""
    drawn = html_of(
        write_study(tmp_path / "s", plan, ["saved", "failed", "gone", "unknown"]),
        embed="proxy",
        pages=["seed"],
    )
    tags = Tags(drawn)
    allowed = {
        "div",
        "span",
        "b",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "video",
        "img",
        "details",
        "summary",
        "wbr",
    }
    assert {tag for tag, _ in tags.tags} <= allowed
    for _, attrs in tags.tags:
        assert not [name for name in attrs if name.startswith(("on", "data-", "aria-")) or name == "id"]
        assert "var(" not in (attrs.get("style") or "")
    assert not re.search(r"https?://", drawn)


def test_a_hostile_prompt_file_name_or_title_stays_text(tmp_path: Path, picture: bytes) -> None:
    plan = sweep(image=picture, prompt=[HOSTILE, "tame"], seed=1, resolution="480p", duration=2)
    snapshot, clips = shown(write_study(tmp_path / "s", plan, ["saved", "failed"]))
    snapshot |= {"title": HOSTILE, "live": {"state": "running", "line": HOSTILE}}
    snapshot["cells"][0] |= {
        "title": HOSTILE,
        "codec": HOSTILE,
        "rating": {"stars": 1, "tags": [HOSTILE], "note": HOSTILE},
    }
    snapshot["cells"][1] |= {"state": HOSTILE, "why": HOSTILE}
    drawn = sheet(snapshot, clips, static_id='"><script>')
    tags = Tags(drawn)
    assert not tags.open
    assert not tags.all("script")
    assert len(tags.all("img")) == 1
    assert 'sl-static-script"' not in drawn
    assert "sl-static-script " in drawn
    make_clip(tmp_path / '"><b>x.mp4', seconds=0.2)
    files = loose(tmp_path / '"><b>x.mp4', Path("/nope/<img src=x>.mp4"))
    assert all(str(attrs["src"]).startswith("data:") for attrs in Tags(files).all("img"))


def test_prices_are_not_typeset_as_formulas(tmp_path: Path, plan: Plan) -> None:
    """JupyterLab sets what stands between two dollar signs as mathematics."""
    drawn = html_of(write_study(tmp_path / "s", plan))
    assert drawn.count("$") >= 2
    assert set(Tags(drawn).tags[0][1]["class"].split()) >= {"mathjax_ignore", "tex2jax_ignore"}  # type: ignore[union-attr]


def test_a_living_view_can_find_the_sheet_that_it_hides(tmp_path: Path, plan: Plan) -> None:
    drawn = html_of(write_study(tmp_path / "s", plan), static_id="a1-B")
    assert "sl-static-a1-B" in str(Tags(drawn).tags[0][1]["class"]).split()


def test_what_is_constant_is_said_once_and_what_varies_is_in_the_headings(tmp_path: Path, plan: Plan) -> None:
    text = text_of(html_of(write_study(tmp_path / "s", plan)))
    assert text.count("the boats part") == 1
    assert text.count("480p") == 1
    assert text.count("duration") == 1


def test_each_page_has_a_table_under_its_heading(tmp_path: Path, plan: Plan) -> None:
    drawn = html_of(write_study(tmp_path / "s", plan), rows=["seed"], cols=[], pages=["resolution"])
    assert drawn.count("<table") == 2
    first, second = drawn.split("<table")[:2]
    assert "480p" in text_of(first)
    assert "720p" in text_of(second)


def test_hidden_cells_are_left_out_and_counted(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan)
    drawn = html_of(study, hidden={"resolution": ["720p"]})
    assert drawn.count("<img ") == 2
    assert "2 clips · 2 hidden" in text_of(drawn)
    assert "all are hidden" in html_of(study, hidden={"resolution": ["480p", "720p"]})


def test_a_cell_tells_latency_dollars_the_seed_that_came_back_and_the_rating(
    tmp_path: Path, picture: bytes
) -> None:
    plan = sweep(image=picture, prompt="x", resolution="480p", duration=2)
    snapshot, clips = shown(write_study(tmp_path / "s", plan))
    snapshot["cells"][0]["rating"] = {"stars": 4, "tags": ["calm"], "note": "best sky"}
    text = text_of(sheet(snapshot, clips))
    assert re.search(r"[\d.]+ s to make · \$0\.00 · seed 4000 came back", text)
    assert "★★★★☆ 4 of 5 · #calm · best sky" in text


def test_a_clip_that_cannot_be_read_is_not_counted_as_one(tmp_path: Path, plan: Plan) -> None:
    """The snapshot does not open files; the sheet does."""
    drawn = html_of(write_study(tmp_path / "s", plan, ["saved", "broken"]))
    assert "3 clips · 1 unreadable" in text_of(drawn)


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ("refused", ["refused", "not today"]),
        ("failed", ["failed", "content checker"]),
        ("unknown", ["unknown", "the connection broke"]),
        ("accepted", ["queued", "run the plan again"]),
        ("gone", ["missing", "no such file"]),
        ("broken", ["unreadable", "damaged"]),
    ],
)
def test_a_request_without_a_clip_has_a_cell_that_says_why(
    tmp_path: Path, plan: Plan, fate: str, words: list[str]
) -> None:
    drawn = html_of(write_study(tmp_path / "s", plan, ["saved", fate]))
    assert all(word in drawn for word in words)
    assert drawn.count("<img ") == 3


def test_with_many_clips_only_pictures_are_embedded_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plan: Plan
) -> None:
    study = write_study(tmp_path / "s", plan)
    monkeypatch.setattr(sheets, "MOST_VIDEOS", 3)
    drawn = html_of(study, embed="proxy")
    assert "Pictures only: 4 clips" in drawn
    assert "<video " not in drawn
    assert drawn.count("<img ") == 4


@pytest.mark.parametrize("n", [1, 64, 400])
def test_the_sheet_is_under_a_megabyte_however_many_clips_and_however_busy_their_pictures(n: int) -> None:
    """Noise is what JPEG packs worst: a real picture is a third of it."""
    noise = np.random.default_rng(0).integers(0, 255, (180, 320, 3), np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(noise).save(out, "JPEG", quality=95)

    class Noisy(Clip):
        def poster(self) -> bytes:
            return out.getvalue()

    snapshot = written({f"cell {k}": {"seed": k} for k in range(n)})
    drawn = sheet(snapshot, lambda _: Noisy(path=Path("x.mp4")))
    assert drawn.count("<img ") == n
    limit = 1_000_000 if n <= 64 else 2_000_000
    assert len(drawn) < limit
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(drawn.split("base64,", 1)[1].split('"', 1)[0])))
    assert picture.width >= 120


def test_the_full_file_is_embedded_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_clip(path, seconds=0.3)
    assert base64.b64encode(path.read_bytes()).decode() in loose(path, embed="full")


def test_a_codec_that_browsers_do_not_show_is_said_and_its_small_copy_put_in(tmp_path: Path) -> None:
    """HEVC plays as a black picture and tells no error."""
    path = tmp_path / "a.mp4"
    make_clip(path, seconds=0.3)
    drawn = loose(path, embed="full", codec="hevc")
    assert "The file is hevc, which most browsers do not show" in drawn
    assert base64.b64encode(path.read_bytes()).decode() not in drawn
    assert base64.b64encode(Clip(path=path).proxy()).decode() in drawn
    assert "<video " not in loose(path, embed="relative", codec="hevc")


def test_a_relative_link_leads_from_the_notebooks_folder_to_the_file(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "my studies" / "s#1", plan)
    notebooks = tmp_path / "notebooks"
    snapshot, clips = shown(study)
    tags = Tags(sheet(snapshot, clips, embed="relative", relative_to=notebooks))
    for video in tags.all("video"):
        address = urllib.parse.unquote(str(video["src"]))
        assert "#" not in str(video["src"])
        assert video["preload"] == "none"
        assert (notebooks / address).resolve() in {clip.path for clip in study.clips()}


def test_a_remote_link_is_the_services_own(tmp_path: Path, plan: Plan) -> None:
    tags = Tags(html_of(write_study(tmp_path / "s", plan), embed="remote"))
    addresses = {video["src"] for video in tags.all("video")}
    assert addresses == {f"http://local/cdn/{n}.mp4" for n in range(4)}


def test_loose_files_are_shown_and_leave_nothing_behind(tmp_path: Path) -> None:
    """A clip of no study has no folder for its proxy, and the file's folder is not ours to fill."""
    make_clip(tmp_path / "a.mp4", seconds=0.3)
    drawn = loose(tmp_path / "a.mp4", tmp_path / "gone.mp4", embed="proxy")
    assert drawn.count("<video ") == 1
    assert "there is no such file" in drawn
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_clip_more_costs_a_page_few_styles_and_none_that_is_dear(tmp_path: Path) -> None:
    """JupyterLab parses each style of an HTML output when it looks for headings, at every change.

    Those of the shorthand `background` it takes 20 ms to know in a page, of `background-color` less than one.
    """
    study = write_study(
        tmp_path / "s", sweep(image=make_picture(), prompt="boats", seed=range(9), duration=2)
    )
    whole = html_of(study, rows=(), cols=())
    (tmp_path / "t").mkdir()
    fewer = write_study(
        tmp_path / "t", sweep(image=make_picture(), prompt="boats", seed=range(4), duration=2)
    )
    per_clip = (whole.count("style=") - html_of(fewer, rows=(), cols=()).count("style=")) / 5
    assert 1 <= per_clip <= 3
    assert not re.search(r"background\s*:", whole)
