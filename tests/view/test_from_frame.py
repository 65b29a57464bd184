"""A frame's rows as cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from view_fakes import write_study
from view_snapshots import shown

from seedance_lab.pages.places import arrange
from seedance_lab.plan import Plan, sweep
from seedance_lab.study import Study


def column(snapshot: dict[str, Any], name: str) -> dict[str, Any]:
    return next(c for c in snapshot["columns"] if c["name"] == name)


def test_every_row_is_a_cell_with_what_the_journal_knows(tmp_path: Path, plan: Plan) -> None:
    study = write_study(tmp_path / "s", plan, ["saved", "failed", "gone", "accepted"])
    snapshot, _ = shown(study)
    cells = snapshot["cells"]
    assert [c["id"] for c in cells] == [request.key for request in plan]
    assert [c["state"] for c in cells] == ["saved", "failed", "missing", "queued"]
    assert "content checker" in cells[1]["why"]
    assert (cells[0]["settings"]["seed"], cells[0]["settings"]["resolution"]) == (1, "480p")
    assert cells[0]["values"]["cost_usd"] == 0
    record = study.records()[cells[0]["id"]]
    facts = record.clip or {}
    assert [cells[0][name] for name in ("width", "height", "fps", "frames", "seconds", "codec", "bytes")] == [
        facts[name] for name in ("width", "height", "fps", "n_frames", "seconds", "codec", "size_bytes")
    ]


def test_it_is_json_with_no_number_that_json_has_not(tmp_path: Path, plan: Plan) -> None:
    snapshot, _ = shown(write_study(tmp_path / "s", plan, ["saved", "failed", "unknown"]))
    assert json.loads(json.dumps(snapshot, allow_nan=False)) == snapshot


def test_values_are_in_the_order_a_person_expects(tmp_path: Path, picture: bytes) -> None:
    """Numbers by size, sizes too, words as they were asked for, a random seed last."""
    plan = sweep(
        image=picture, prompt=["zoom", "again"], resolution=["720p", "480p"], duration=[10, 2], seed=[3, None]
    )
    snapshot, _ = shown(write_study(tmp_path / "s", plan, ["failed"] * len(plan)))
    assert column(snapshot, "prompt")["values"] == ["zoom", "again"]
    assert column(snapshot, "resolution")["values"] == ["480p", "720p"]
    assert column(snapshot, "duration")["values"] == [2, 10]
    assert column(snapshot, "duration")["unit"] == "s"
    assert column(snapshot, "seed")["values"] == [3, None]
    assert arrange(snapshot).label("seed", None) == "random"


def test_nothing_that_was_never_known_is_a_column(tmp_path: Path, plan: Plan) -> None:
    names = {c["name"] for c in shown(write_study(tmp_path / "s", plan, ["failed"] * 4))[0]["columns"]}
    assert not names & {"returned_seed", "width", "end_image"}


def test_an_empty_study_has_no_cells(tmp_path: Path) -> None:
    assert shown(Study(tmp_path / "new", track=False))[0]["cells"] == []


@pytest.mark.parametrize("duration", [2, 5])
def test_what_is_constant_is_still_a_setting(tmp_path: Path, picture: bytes, duration: int) -> None:
    plan = sweep(image=picture, prompt="x", resolution="480p", duration=duration, seed=[1, 2])
    assert arrange(shown(write_study(tmp_path / "s", plan))[0]).constant["duration"] == duration
