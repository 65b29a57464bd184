"""The page that plays without a kernel: what is in it, what it never replaces, and that a browser plays it."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from view_fakes import make_clip, write_study
from view_snapshots import cell, shown, written

from seedance_lab.clip import Clip
from seedance_lab.errors import LabError, StudyError
from seedance_lab.pages import page as pages
from seedance_lab.pages.page import beside_of, fragment, size_told, write
from seedance_lab.plan import Plan, sweep

HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> \u2028 & \"'"


class Found(HTMLParser):
    """Elements in the order they open, with their text; scripts end where a browser ends them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_data(self, data: str) -> None:
        if self.elements:
            self.elements[-1][2].append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attrs, "".join(text)) for name, attrs, text in self.elements if name == tag]

    @property
    def data(self) -> dict[str, Any]:
        (found,) = [text for attrs, text in self.all("script") if attrs.get("id") == pages.DATA_ID]
        return json.loads(found)


def found(path: Path) -> Found:
    return Found(path.read_text(encoding="utf-8"))


def data_of(uri: str, beside: Path) -> bytes:
    if uri.startswith("data:"):
        return base64.b64decode(uri.split("base64,", 1)[1])
    return (beside / urllib.parse.unquote(uri)).read_bytes()


@pytest.mark.parametrize("files", ["inline", "folder"])
@pytest.mark.parametrize(
    ("embed", "kinds"),
    [("poster", {"poster"}), ("proxy", {"poster", "proxy"}), ("full", {"poster", "proxy", "full"})],
)
def test_the_page_holds_the_snapshot_and_each_clips_media(
    tmp_path: Path, plan: Plan, files: Any, embed: Any, kinds: set[str]
) -> None:
    study = write_study(tmp_path / "s", plan, ["saved", "failed"])
    snapshot, clips = shown(study, rows=["seed"], cols=["resolution"])
    path = write(snapshot, clips, tmp_path / "out" / "my grid.html", embed=embed, files=files)
    got = found(path).data
    assert got["v"] == 1
    assert got["snapshot"]["columns"] == snapshot["columns"]
    assert got["snapshot"]["view"] == snapshot["view"]
    assert [c["id"] for c in got["snapshot"]["cells"]] == [c["id"] for c in snapshot["cells"]]
    for each in got["snapshot"]["cells"]:
        media = {kind: uri for kind, uri in got["media"][each["id"]].items() if uri}
        clip = clips(each["id"])
        assert set(media) == set(each["media"]) == (kinds if clip else set())
        if clip is None:
            continue
        wanted = {"poster": clip.poster(), "proxy": clip.proxy(), "full": clip.path.read_bytes()}
        for kind, uri in media.items():
            assert data_of(uri, path.parent) == wanted[kind]
    assert beside_of(path).exists() == (files == "folder")


def test_a_page_of_one_file_needs_nothing_else(tmp_path: Path, plan: Plan) -> None:
    path = write(*shown(write_study(tmp_path / "s", plan)), tmp_path / "grid.html")
    page = found(path)
    for _, attrs, _ in page.elements:
        for name in ("src", "href", "poster", "srcset", "data"):
            assert str(attrs.get(name) or "data:").startswith("data:")
    text = re.sub(r'base64,[^"]*', "", path.read_text())
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:)|https?://(?!www\.w3\.org/)", text)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["grid.html", "s"]


def test_a_hostile_prompt_ends_no_script_and_stays_as_it_was(tmp_path: Path, picture: bytes) -> None:
    plan = sweep(image=picture, prompt=[HOSTILE, "tame"], seed=1, resolution="480p", duration=2)
    snapshot, clips = shown(write_study(tmp_path / "s", plan))
    page = found(write(snapshot, clips, tmp_path / "grid.html", title=HOSTILE))
    assert len(page.all("script")) == 2
    assert not [attrs for attrs, _ in page.all("img") if "onerror" in attrs]
    assert HOSTILE in {c["settings"]["prompt"] for c in page.data["snapshot"]["cells"]}


def test_without_a_script_there_is_the_plain_sheet(tmp_path: Path, plan: Plan) -> None:
    snapshot, clips = shown(write_study(tmp_path / "s", plan, ["saved", "failed"]))
    inline = found(write(snapshot, clips, tmp_path / "a.html"))
    plain = inline.elements[[name for name, _, _ in inline.elements].index("noscript") :]
    assert sum(name == "img" for name, _, _ in plain) == 3
    folder = found(write(snapshot, clips, tmp_path / "b.html", files="folder"))
    linked = [attrs["src"] for attrs, _ in [*folder.all("img"), *folder.all("video")]]
    assert len(linked) == 6
    assert all((tmp_path / str(address)).is_file() for address in linked)


def test_a_number_that_json_has_not_is_none(tmp_path: Path, plan: Plan) -> None:
    """A browser reads no NaN: one measure without a value must not lose the page."""
    snapshot, clips = shown(write_study(tmp_path / "s", plan))
    snapshot["cells"][0]["values"]["motion"] = float("nan")
    page = found(write(snapshot, clips, tmp_path / "grid.html"))
    assert page.data["snapshot"]["cells"][0]["values"]["motion"] is None


def test_a_file_that_is_gone_or_damaged_is_said_and_the_rest_is_there(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["broken", "saved"])
    snapshot, clips = shown(study)
    clips(snapshot["cells"][1]["id"]).path.unlink()
    cells = found(write(snapshot, clips, tmp_path / "grid.html", embed="full")).data["snapshot"]["cells"]
    assert [c["state"] for c in cells] == ["unreadable", "unreadable", "saved", "saved"]
    assert cells[0]["why"]


def test_what_was_under_way_does_not_run_on_in_a_saved_page(tmp_path: Path, plan: Plan) -> None:
    snapshot, clips = shown(write_study(tmp_path / "s", plan))
    snapshot["cells"][0] |= {"state": "running", "since": 1.0}
    snapshot["live"] = {"state": "running", "line": "3 of 4"}
    got = found(write(snapshot, clips, tmp_path / "grid.html")).data["snapshot"]
    assert (got["cells"][0]["since"], got["live"]["state"]) == (None, "")
    assert "when this page was saved" in got["cells"][0]["why"]
    assert snapshot["cells"][0]["since"] == 1.0, "the grid's own cells are left as they are"


@pytest.mark.parametrize("files", ["inline", "folder"])
def test_a_page_of_ours_is_replaced_with_its_media(tmp_path: Path, plan: Plan, files: Any) -> None:
    study = write_study(tmp_path / "s", plan)
    snapshot, clips = shown(study)
    path = write(snapshot, clips, tmp_path / "grid.html", files="folder", embed="full")
    snapshot["cells"] = snapshot["cells"][:1]
    assert write(snapshot, clips, path, files=files) == path
    assert len(found(path).data["media"]) == 1
    left = list(beside_of(path).iterdir()) if beside_of(path).exists() else []
    assert len(left) == (2 if files == "folder" else 0)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_nothing_of_somebody_elses_is_replaced(tmp_path: Path, plan: Plan) -> None:
    snapshot, clips = shown(write_study(tmp_path / "s", plan))
    mine = tmp_path / "notes.html"
    mine.write_text("<p>my notes</p>")
    with pytest.raises(StudyError, match=r"notes\.html is there and is no grid"):
        write(snapshot, clips, mine)
    assert mine.read_text() == "<p>my notes</p>"
    (tmp_path / "grid_files").mkdir()
    (tmp_path / "grid_files" / "thesis.docx").write_text("years of work")
    with pytest.raises(StudyError, match="holds other things"):
        write(snapshot, clips, tmp_path / "grid.html", files="folder")
    write(snapshot, clips, tmp_path / "grid.html")
    assert (tmp_path / "grid_files" / "thesis.docx").exists()
    (tmp_path / "dir.html").mkdir()
    with pytest.raises(StudyError, match="is a folder"):
        write(snapshot, clips, tmp_path / "dir.html")


def test_a_failure_leaves_the_page_before(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, clips = shown(write_study(tmp_path / "s", plan))
    path = write(snapshot, clips, tmp_path / "grid.html")
    before = path.read_bytes()
    monkeypatch.setattr(pages, "MOST_INLINE", 1000)
    with pytest.raises(LabError, match=r"too much for one page.*files='folder'"):
        write(snapshot, clips, path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["grid.html", "s"]
    assert write(snapshot, clips, path, files="folder") == path


@pytest.mark.parametrize(
    ("options", "message"),
    [({"embed": "big"}, "embed='big'"), ({"files": "zip"}, "files='zip'"), ({"path": "a.mp4"}, r"a\.html")],
)
def test_what_is_not_known_is_refused_before_anything_is_written(
    tmp_path: Path, plan: Plan, options: dict[str, Any], message: str
) -> None:
    snapshot, clips = shown(write_study(tmp_path / "s", plan))
    with pytest.raises(LabError, match=message):
        write(snapshot, clips, tmp_path / options.pop("path", "grid.html"), **options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]


def test_no_clips_is_a_sentence_on_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"study\.run\(lab\.sweep"):
        write(written({}), lambda _: None, tmp_path / "grid.html")
    with pytest.raises(LabError, match=r"study\.run\(lab\.sweep"):
        fragment(written({}), lambda _: None)


def test_the_size_is_told_with_the_folder(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", seconds=0.3)
    snapshot = written({})
    snapshot["cells"] = [cell("a", {"file": "a.mp4"})]
    path = write(snapshot, {"a": Clip(path=tmp_path / "a.mp4")}.get, tmp_path / "g.html", files="folder")
    n = path.stat().st_size + sum(p.stat().st_size for p in beside_of(path).iterdir())
    assert size_told(path) == f"g.html and g_files: {n / 1e6:.1f} MB"


def test_an_installation_without_its_script_says_so(
    tmp_path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_STATIC", tmp_path)
    with pytest.raises(LabError, match=r"page\.js is missing: install"):
        write(*shown(write_study(tmp_path / "s", plan)), tmp_path / "grid.html", files="folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]
