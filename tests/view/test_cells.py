"""The grid's model: what is in a snapshot, what a change is, and what a broken file does."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from view_fakes import make_clip, write_study

from seedance_lab.errors import LabError
from seedance_lab.plan import Plan
from seedance_lab.view.cells import GridModel
from seedance_lab.view.entries import Entry, Fixed
from seedance_lab.view.sources import source_of


class Growing(Fixed):
    """A source whose entries the test changes."""

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__(entries)
        self.n = self.n_read = 0
        self.state = ""

    def put(self, *entries: Entry) -> None:
        self._entries, self.n = list(entries), self.n + 1

    def entries(self) -> list[Entry]:
        self.n_read += 1
        return super().entries()

    def stamp(self) -> Any:
        return self.n

    def live(self) -> dict[str, str]:
        return {"state": self.state, "line": self.state}


def entry(id_: str, **more: Any) -> Entry:
    return Entry(id=id_, settings={"seed": id_}, **more)


def heard_by(model: GridModel) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    model.on_change(lambda **change: told.append(change))
    return told


def test_a_snapshot_is_json_with_everything_a_page_needs(tmp_path: Path, plan: Plan) -> None:
    model = GridModel(source_of(write_study(tmp_path / "s", plan, ["saved", "failed"])))
    told = json.loads(json.dumps(model.snapshot(), allow_nan=False))
    assert (told["v"], told["title"], len(told["cells"])) == (1, "s", 4)
    first = told["cells"][0]
    assert first["state"] == "saved"
    assert first["media"] == ["poster", "proxy", "full"]
    assert first["width"] > 0
    assert first["codec"] == "h264"
    assert first["settings"]["seed"] == 1
    assert first["rating"] == {"stars": 0, "tags": [], "note": ""}
    assert told["cells"][1]["media"] == []
    columns = {column["name"]: column for column in told["columns"]}
    assert columns["resolution"]["values"] == ["480p", "720p"]
    assert columns["duration"]["unit"] == "s"
    assert (columns["latency_s"]["kind"], columns["latency_s"]["better"]) == ("fact", "lower")
    assert columns["stars"]["kind"] == "rating"


def test_numbers_that_json_has_not_are_missing() -> None:
    model = GridModel(Fixed([entry("a", values={"m": float("nan"), "k": float("inf"), "n": 2})]))
    assert model.snapshot()["cells"][0]["values"] == {"m": None, "k": None, "n": 2}


def test_a_refresh_tells_only_the_cells_that_are_others_and_reads_nothing_where_nothing_changed() -> None:
    source = Growing([entry("a"), entry("b", state="queued")])
    model = GridModel(source)
    told = heard_by(model)
    assert model.refresh().cells == []
    assert (told, source.n_read) == ([], 1)
    source.put(entry("a"), entry("b", state="running", since=5.0), entry("c"))
    change = model.refresh()
    assert [cell["id"] for cell in change.cells] == ["b", "c"]
    assert [cell["id"] for cell in told[0]["cells"]] == ["b", "c"]
    assert change.columns is not None, "there is one seed more"
    assert change.live is None
    vers = {cell["id"]: cell["ver"] for cell in model.snapshot()["cells"]}
    assert vers["a"] < vers["b"] < vers["c"]


def test_what_is_under_way_is_told_when_it_changes() -> None:
    source = Growing([entry("a")])
    model = GridModel(source)
    source.state = "running"
    assert model.refresh().live == {"state": "running", "line": "running"}
    assert model.is_live
    assert model.refresh().live is None
    source.state = "done"
    model.refresh()
    assert not model.is_live


def test_while_there_are_no_cells_the_line_says_what_to_run(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["never"] * 4)
    assert "study.run(lab.sweep(" in GridModel(source_of(study)).snapshot()["live"]["line"]


def test_a_source_that_cannot_be_read_says_so_until_it_can() -> None:
    source = Growing([entry("a")])
    model = GridModel(source)
    told = heard_by(model)
    model.complain("line 7 of the journal is damaged")
    assert told == [{"live": {"state": "", "line": "line 7 of the journal is damaged"}}]
    assert model.refresh().live == {"state": "", "line": ""}


def test_a_broken_file_is_said_until_another_one_is_there(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["broken"])
    model = GridModel(source_of(study))
    key = plan[0].key
    told = heard_by(model)
    model.broken(key, "it is not a video")
    assert [(c["state"], c["why"], c["media"]) for c in told[0]["cells"]] == [
        ("unreadable", "it is not a video", [])
    ]
    model.source.stamp = lambda: 1  # type: ignore[method-assign]  # the journal says nothing of a file's damage
    model.refresh()
    assert (model.cell(key) or {})["state"] == "unreadable"
    make_clip(model.clip_of(key).path, seconds=0.2)
    model.source.stamp = lambda: 2  # type: ignore[method-assign]
    model.refresh()
    assert (model.cell(key) or {})["state"] == "saved"


def test_a_file_that_is_gone_is_missing_and_not_unreadable(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", seconds=0.2)
    model = GridModel(source_of([tmp_path / "a.mp4"]))
    (tmp_path / "a.mp4").unlink()
    model.read_files()
    assert model.snapshot()["cells"][0]["state"] == "missing"


def test_sizes_that_nobody_wrote_down_are_read_from_the_files(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", seconds=0.5)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    model = GridModel(source_of(tmp_path))
    assert model.snapshot()["cells"][0]["width"] == 0
    told = heard_by(model)
    model.read_files()
    first, second = model.snapshot()["cells"]
    assert (first["width"], first["frames"], first["codec"]) == (320, 12, "h264")
    assert first["values"]["seconds"] == pytest.approx(0.5)
    assert second["state"] == "unreadable"
    assert {cell["id"] for change in told for cell in change["cells"]} == set(model.ids)


def test_a_view_from_the_browser_is_echoed_only_where_it_was_mended() -> None:
    """An echo that comes late would take a slider back to where it was: a mutant that always tells fails here."""
    model = GridModel(Fixed([entry("a"), entry("b")]))
    told = heard_by(model)
    view = {**model.snapshot()["view"], "rows": ["seed"], "cell_px": 300}
    model.heard(view)
    assert (told, model.view.rows, model.view.cell_px) == ([], ("seed",), 300)
    model.heard({**view, "rows": ["gone"]})
    assert told[0]["view"]["rows"] == []


def test_a_rating_is_written_and_told(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan)
    model = GridModel(source_of(study))
    told = heard_by(model)
    assert model.rate(plan[0].key, stars=5, tags=["sharp"])["stars"] == 5
    assert told[0]["cells"][0]["rating"]["stars"] == 5
    assert study.ratings()["stars"].tolist() == [5]
    model.refresh()
    assert (model.cell(plan[0].key) or {})["rating"]["tags"] == ["sharp"]


def test_a_rating_of_what_is_of_no_study_says_what_to_show(tmp_path: Path, plan: Plan) -> None:
    write_study(tmp_path / "s", plan)
    model = GridModel(source_of(tmp_path / "s" / "clips"))
    with pytest.raises(LabError, match=r"lab\.show\(study\)"):
        model.rate(model.ids[0], stars=1)
    with pytest.raises(LabError, match="There is no clip 'x'"):
        GridModel(source_of(tmp_path / "s")).rate("x", stars=1)


def test_where_a_clip_lies_is_told_without_fetching_it() -> None:
    model = GridModel(Fixed([entry("a", address="s3://b/1/"), entry("b", state="failed")]))
    assert (model.where("a"), model.where("b"), model.where("x")) == ("s3://b/1/", "", "")
    assert not model.is_here("a")


def test_many_threads_may_use_it_at_once(tmp_path: Path, plan: Plan) -> None:
    model = GridModel(source_of(write_study(tmp_path / "s", plan)))
    errors: list[Exception] = []

    def use(n: int) -> None:
        try:
            for _ in range(20):
                model.refresh()
                json.dumps(model.snapshot())
                model.heard({"cell_px": 100 + n})
                model.broken(plan[n].key, "x")
        except Exception as error:  # noqa: BLE001  # told by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert errors == []
