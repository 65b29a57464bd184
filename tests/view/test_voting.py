"""`lab.vote`: the sitting in a notebook, and what stands where no votes can be given."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from view_fakes import make_picture, write_study

import seedance_lab as lab
from seedance_lab.errors import LabError
from seedance_lab.plan import sweep
from seedance_lab.study import Study
from seedance_lab.view import voting
from seedance_lab.view.voting import Voting, vote


class FakeWidget:
    """The thin wire, without a kernel."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.sent: list[dict[str, Any]] = []
        self.closed = False
        self.heard: list[Any] = []

    def send(self, content: dict[str, Any], buffers: Any = None) -> None:
        self.sent.append({**content, "buffers": buffers})

    def on_msg(self, callback: Any, remove: bool = False) -> None:
        self.heard = [] if remove else [callback]

    def say(self, t: str, **fields: Any) -> None:
        for callback in self.heard:
            callback(self, {"v": 1, "t": t, **fields}, [])

    def close(self) -> None:
        self.closed = True

    def _repr_mimebundle_(self) -> dict[str, Any]:
        return {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/plain": "a widget"}

    def of(self, t: str) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["t"] == t]


class Notebook:
    """What a cell shows, and the widgets that were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[dict[str, Any]] = []
        self.widgets: list[FakeWidget] = []
        self.cell = 1
        monkeypatch.setattr("IPython.display.display", lambda data, **_: self.shown.append(data))
        monkeypatch.setattr(voting, "cell_number", lambda: self.cell)
        monkeypatch.setattr(voting, "lab_widget", self._widget)

    def _widget(self, kind: str) -> FakeWidget:
        self.widgets.append(FakeWidget(kind))
        return self.widgets[-1]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    plan = sweep(image=make_picture(), prompt=["the boats drift", "a storm comes"], seed=[1, 2], duration=2)
    return write_study(tmp_path / "harbour", plan)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    monkeypatch.setenv("SEEDANCE_LAB_UI", "widget")
    return Notebook(monkeypatch)


def test_it_is_a_public_name() -> None:
    assert lab.vote is vote


def test_a_notebook_gets_the_view_and_its_first_pair(study: Study, notebook: Notebook) -> None:
    vote(study, "prompt", voter="ada", seed=1)
    [widget] = notebook.widgets
    assert widget.kind == "vote"
    [trial] = widget.of("trial")
    assert (trial["v"], trial["trial"]) == (1, 1)
    [shown] = notebook.shown
    assert "application/vnd.jupyter.widget-view+json" in shown
    assert shown["text/plain"].startswith("Votes on prompt: 0 votes · about ")


def test_a_vote_of_the_page_is_kept_and_acknowledged(study: Study, notebook: Notebook) -> None:
    told = vote(study, "prompt", voter="ada", seed=1)
    [widget] = notebook.widgets
    widget.say("choice", cid="c1", trial=1, choice="left", ms=900, plays=1)
    assert [(ack["cid"], ack["ok"]) for ack in widget.of("ack")] == [("c1", True)]
    assert told.n_votes == 1
    assert study.votes()["choice"].tolist() == ["left"]
    assert told.preferences().n == 1
    widget.say("choice", cid="c2", trial=1, choice="left", ms=900, plays=1)
    assert widget.of("ack")[-1]["ok"] is False
    assert "not counted" in widget.of("ack")[-1]["err"]
    assert told.n_votes == 1
    widget.say("undo", cid="c3")
    assert widget.of("ack")[-1]["ok"] is True
    assert study.votes().empty


def test_the_page_gets_its_files_in_pieces_and_is_told_of_those_it_may_not_have(
    study: Study, notebook: Notebook
) -> None:
    vote(study, "prompt", seed=1)
    [widget] = notebook.widgets
    widget.say("media", rid="r1", id=widget.of("trial")[0]["left"]["id"], kind="full")
    [piece] = widget.of("media")
    assert (piece["rid"], piece["i"], piece["n"], piece["mime"]) == ("r1", 0, 1, "video/mp4")
    assert bytes(piece["buffers"][0])[4:8] == b"ftyp"
    widget.say("media", rid="r2", id="k1:secret", kind="full")
    assert [(one["rid"], one["why"]) for one in widget.of("media_error")] == [("r2", "This pair is over.")]


def test_nothing_of_the_votes_is_in_the_saved_notebook(study: Study, notebook: Notebook) -> None:
    vote(study, "prompt", seed=1)
    told = json.dumps(notebook.shown)
    assert not any(str(clip.key) in told or clip.path.name in told for clip in study.clips())


def test_as_a_cells_value_it_is_shown_once(study: Study, notebook: Notebook) -> None:
    told = vote(study, "prompt")
    told._ipython_display_()
    assert len(notebook.shown) == 1
    notebook.cell = 2
    told._ipython_display_()
    assert len(notebook.shown) == 2
    assert len(notebook.widgets) == 1


def test_closing_takes_the_view_away_and_showing_goes_on_with_the_same_pair(
    study: Study, notebook: Notebook
) -> None:
    told = vote(study, "prompt", seed=1)
    [widget] = notebook.widgets
    widget.say("choice", cid="c1", trial=1, choice="left", ms=900, plays=1)
    told.close()
    assert widget.closed
    assert widget.heard == []
    assert told.n_votes == 1
    told.close()
    told.show()
    assert notebook.widgets[-1].of("trial")[0]["trial"] == 2


def test_a_notebook_that_nobody_watches_says_how_to_vote(
    study: Study, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDANCE_LAB_UI", "static")
    vote(study, "prompt")
    assert notebook.widgets == []
    [shown] = notebook.shown
    assert "Voting needs a living notebook" in shown["text/plain"]
    assert "lab.vote(study, by=&#x27;prompt&#x27;)" in shown["text/html"]


def test_a_terminal_says_how_to_vote(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEEDANCE_LAB_UI", "text")
    told = vote(study, "prompt", voter="ada")
    said = capsys.readouterr().out
    assert "2 pairs wait" in said
    assert "lab.vote(study, by='prompt')" in said
    assert "study.preferences('prompt')" in said
    assert repr(told).startswith("<Votes on prompt by ada")
    assert told.warning is None


def test_something_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="Votes are kept with a study, and list is none"):
        vote([], "prompt")  # type: ignore[arg-type]


def test_a_study_without_a_pair_shows_nothing_and_says_what_to_run(study: Study, notebook: Notebook) -> None:
    with pytest.raises(LabError, match=r"Run another: lab\.sweep"):
        vote(study, "aspect_ratio")
    assert notebook.shown == notebook.widgets == []


def test_the_real_widget_is_the_one_that_draws_votes(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind is what its script goes by; no clip lies in what the notebook saves of it."""
    shown: list[Any] = []
    monkeypatch.setenv("SEEDANCE_LAB_UI", "widget")
    monkeypatch.setattr("IPython.display.display", lambda data, **_: shown.append(data))
    told = vote(study, "prompt")
    try:
        assert isinstance(told, Voting)
        state = told._widget.get_state()
        assert state["kind"] == "vote"
        assert not any(str(clip.key) in repr(state) for clip in study.clips())
        assert "application/vnd.jupyter.widget-view+json" in shown[0]
    finally:
        told.close()
    assert "IPython" in sys.modules
