"""What is to be found on MLflow's page of a pass and of a request."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import PIL.Image
import pytest
from mlflow.entities import Run

from seedance_lab import contact_sheet, frames
from seedance_lab._version import __version__
from seedance_lab.columns import COLUMNS
from seedance_lab.folder import StudyFolder
from seedance_lab.plan import Plan, sweep
from seedance_lab.request import Request
from tests.tracked import Books, Tracked, keys, tiny_mp4

NOTE = "mlflow.note.content"


def kept(run: Run) -> Path:
    """Where the run's artifacts are."""
    return Path(run.info.artifact_uri.removeprefix("file://"))


def keep_pictures(study: Path, plan: Plan) -> None:
    """As a run does before it sends anything."""
    (study / "inputs").mkdir(parents=True, exist_ok=True)
    for request in plan:
        (study / "inputs" / request.image.sha256).write_bytes(request.image.read())


# ── what a pass has ─────────────────────────────────────────────────────────────────────────────────────


def test_a_plan_can_be_loaded_from_its_pass(store: str, study: Path, plan: Plan) -> None:
    """Whoever finds a sweep in MLflow can run it again, to the last request."""
    with Tracked(study, plan) as one:
        keep_pictures(study, plan)
        one.save(plan[0])
    (parent,) = Books(store).parents
    told = json.loads((kept(parent) / "plan.json").read_text())
    again = [Request.from_record(asked, study / "inputs") for asked in told["requests"]]
    assert keys(again) == keys(plan) == [asked["key"] for asked in told["requests"]]
    assert (told["is_whole"], told["n_requests"], told["run"]) == (True, 4, one.run)
    assert told["varying"] == {"duration": ["2", "5"], "seed": [0, 1]}


def test_the_table_of_a_pass_is_the_studys_frame(store: str, study: Path, plan: Plan) -> None:
    """What varies and what came of it stand first, because the page shows the first few columns."""
    with Tracked(study, plan) as one:
        one.save(plan[1], plan[0])
        one.fail(plan[2])
        one.cancel(plan[3])
    (parent,) = Books(store).parents
    table = pd.read_csv(kept(parent) / "results.csv")
    first = ["duration", "seed", "stage", "latency_s", "cost_usd", "estimate_usd", "error"]
    assert list(table.columns[: len(first)]) == first
    assert table["key"].tolist() == keys(plan)
    expected = StudyFolder(study).frame().set_index("key").loc[keys(plan)].reset_index()
    names = [column.name for column in COLUMNS]
    assert set(table.columns) == set(expected.columns) >= set(names)
    found = frames.typed(table)[names]
    pd.testing.assert_frame_equal(found, expected[names], check_categorical=False, rtol=1e-9)


def test_the_sheet_has_a_place_for_every_request(store: str, study: Path, plan: Plan) -> None:
    """Failed ones too: a hole where a clip was expected is a result."""
    with Tracked(study, plan) as one:
        one.save(*plan[:2])
        one.fail(plan[2])
        one.cancel(plan[3])
    (parent,) = Books(store).parents
    sheet = PIL.Image.open(kept(parent) / "contact_sheet.jpg")
    assert sheet.format == "JPEG"
    assert sheet.width == 4 * (contact_sheet._SIDE + contact_sheet._GAP) + contact_sheet._GAP
    reds = [r > 120 and g < 90 and b < 90 for r, g, b in sheet.convert("RGB").getdata()]
    columns = {
        i % sheet.width // (contact_sheet._SIDE + contact_sheet._GAP) for i, red in enumerate(reds) if red
    }
    assert columns == {2, 3}  # why there is no clip stands in red


def test_a_report_of_the_study_goes_with_its_pass(store: str, study: Path, plan: Plan) -> None:
    with Tracked(study, plan) as one:
        one.save(plan[0])
        (study / "report.html").write_text("<p>the report</p>")
    (parent,) = (books := Books(store)).parents
    assert books.artifacts(parent) == {"plan.json", "results.csv", "contact_sheet.jpg", "report.html"}
    assert (kept(parent) / "report.html").read_text() == "<p>the report</p>"


def test_a_pass_that_made_nothing_has_its_plan_only(store: str, study: Path, plan: Plan) -> None:
    """An empty table and an empty sheet say nothing."""
    with Tracked(study, plan):
        pass
    (parent,) = (books := Books(store)).parents
    assert books.artifacts(parent) == {"plan.json"}
    assert parent.info.status == "FINISHED"


def test_a_pass_counts_what_it_could_not_settle(store: str, study: Path, plan: Plan) -> None:
    """And what it cost is not known then, where it may have cost something."""
    with Tracked(study, plan, engine="fal") as one:
        one.save(plan[0])
        one.lose(plan[1])
    (parent,) = Books(store).parents
    sums = parent.data.metrics
    assert (sums["n_saved"], sums["n_failed"], sums["n_unknown"]) == (1, 0, 1)
    assert "cost_usd" not in sums
    assert sums["estimate_usd"] == pytest.approx(plan.usd, abs=1e-6)


def test_a_pass_says_where_its_price_comes_from(store: str, study: Path, plan: Plan) -> None:
    """A figure in dollars is worth as much as its source and its date."""
    with Tracked(study, plan, engine="fal") as one:
        one.save(plan[0])
    (parent,) = Books(store).parents
    assert parent.data.tags["seedance_lab.price"] == (
        "1.8 USD per million video tokens, published, read 2026-08-20 "
        "(fal model page, as copied by three third parties; $1.0 was read elsewhere)"
    )
    assert f"est. ${plan.usd:.2f} at fal" in parent.data.tags[NOTE]


@pytest.mark.parametrize(
    ("engine", "shown"), [("fal", "2.1 USD per 1m tokens, live"), ("local", "1.8 USD per million")]
)
def test_a_live_price_is_told_as_such_where_there_is_one(
    store: str, study: Path, plan: Plan, engine: str, shown: str
) -> None:
    """It counts for the budget; a simulator only repeats the published one."""
    live = {"unit_price": 2.1, "unit": "1m tokens", "currency": "USD", "status": "active", "used": "live"}
    with Tracked(study, plan, engine=engine) as one:
        one.say(
            "price",
            run=one.run,
            read_at="2026-11-23T12:00:00+00:00",
            endpoints={plan[0].endpoint.id: live},
            problems=[],
        )
        one.save(plan[0])
    (parent,) = Books(store).parents
    assert parent.data.tags["seedance_lab.price"].startswith(shown)


def test_a_pass_shows_its_pictures_as_inputs(store: str, study: Path, picture: bytes, tmp_path: Path) -> None:
    """MLflow's own column and filter for data."""
    image = PIL.Image.new("RGB", (400, 400), "red")
    image.save(tmp_path / "red.png")
    plan = sweep(
        image=[picture, tmp_path / "red.png"], end_image=tmp_path / "red.png", prompt="x", seed=[1, 2]
    )
    with Tracked(study, plan):
        pass
    (parent,) = Books(store).parents
    found = {(d.dataset.name, d.dataset.digest, d.tags[0].value) for d in parent.inputs.dataset_inputs}
    red = next(r.image for r in plan if r.image.name == "red.png")
    first = next(r.image for r in plan if r.image.name == "picture")
    assert found == {
        ("picture", first.sha256[:16], "first frame"),
        ("red.png", red.sha256[:16], "first frame, last frame"),
    }
    sources = {json.loads(d.dataset.source)["uri"] for d in parent.inputs.dataset_inputs}
    assert sources == {(study / "inputs" / p.sha256).as_uri() for p in (red, first)}


def test_a_description_says_what_varies_and_what_came_of_it(store: str, study: Path, plan: Plan) -> None:
    with Tracked(study, plan) as one:
        one.save(*plan[:2])
        one.fail(plan[2])
    (parent,) = Books(store).parents
    note = parent.data.tags[NOTE]
    assert note.startswith("- 2 of 4 saved, 1 without a clip, 1 s of video in ")
    assert "| duration | 2, 5 |" in note
    assert "| seed | 0, 1 |" in note
    assert "> the boats drift" in note
    assert f"get-artifact?path=contact_sheet.jpg&run_uuid={parent.info.run_id}" in note


# ── what a request has ──────────────────────────────────────────────────────────────────────────────────


def test_a_name_says_what_else_varies(store: str, study: Path, picture: bytes) -> None:
    """In a list of sixty runs the names must tell them apart; words that all prompts share do not."""
    plan = sweep(
        image=picture,
        prompt=["the boats drift apart", "the boats drift together"],
        camera_fixed=[False, True],
        endpoint=["lite", "pro"],
        repeat=2,
        seed=3,
    )
    with Tracked(study, plan) as one:
        one.save(plan[0], plan[-1])
    books = Books(store)
    assert (
        books.of(plan[0]).info.run_name
        == "720p · 5 s · seed 3 · lite · “… apart” · free camera · replicate 0"
    )
    assert (
        books.of(plan[-1]).info.run_name
        == "1080p · 5 s · seed 3 · pro · “… together” · fixed camera · replicate 1"
    )


@pytest.mark.parametrize(
    ("fate", "says"),
    [
        ("save", "- Clip: 64×48, 0.5 s, "),
        ("fail", "- **failed**: prompt: not allowed \\(content_policy_violation\\)".replace("_", "\\_")),
        ("refuse", "- **refused**: HTTP 422: seed is too large"),
        ("cancel", "- **cancelled**: taken back"),
    ],
)
def test_a_requests_description_says_how_it_ended(
    store: str, study: Path, plan: Plan, fate: str, says: str
) -> None:
    with Tracked(study, plan) as one:
        getattr(one, fate)(plan[0])
    note = Books(store).of(plan[0]).data.tags[NOTE]
    assert says in note
    assert note.startswith("> the boats drift")
    assert "- Cost: $0.000, list price $0.034" in note


def test_a_prompt_is_no_markdown(store: str, study: Path, picture: bytes) -> None:
    """It must neither load a picture from somewhere nor become a heading."""
    prompt = "# now\n![x](http://evil.invalid/a.png) <img src=x> | a_b"
    plan = sweep(image=picture, prompt=[prompt, "b"])
    with Tracked(study, plan) as one:
        one.refuse(plan[0])
    books = Books(store)
    for run in (books.of(plan[0]), *books.parents):
        note = run.data.tags[NOTE]
        assert "![" not in note.replace("![Contact sheet](get-artifact?", "")
        assert "<img" not in note
        assert "\n#" not in note
        assert "\\# now \\!\\[x\\]" in note


def test_every_run_says_what_made_it(store: str, study: Path, plan: Plan, tmp_path: Path) -> None:
    """Successes, refusals, failures, cancellations and the pass itself: commit, dirty or not, and versions."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q", "-b", "trunk"], check=True)
    (tmp_path / "code.py").write_text("1")
    subprocess.run([*git, "add", "code.py"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    (tmp_path / "code.py").write_text("2")
    with Tracked(study, plan) as one:
        one.save(plan[0])
        one.fail(plan[1])
        one.refuse(plan[2])
        one.cancel(plan[3])
    books = Books(store)
    assert len(books.runs) == 5
    for run in books.runs:
        tags = run.data.tags
        assert tags["mlflow.source.git.commit"] == head
        assert tags["mlflow.source.git.branch"] == "trunk"
        assert tags["mlflow.source.git.dirty"] == "true"
        assert tags["seedance_lab.version"] == __version__
        assert tags["seedance_lab.journal"] == "1"
        assert {"fal_client.version", "mlflow_client.version", "python.version"} <= tags.keys()
    for run in books.children:
        assert run.data.tags["seedance_lab.endpoint"] == plan[0].endpoint.id
        assert len(run.data.tags["seedance_lab.endpoint_schema"]) == 12
        assert run.data.tags["seedance_lab.endpoint_read"] == "2026-08-20"
    (parent,) = books.parents
    assert f"Commit: {head[:12]}, with uncommitted changes" in parent.data.tags[NOTE]


# ── cut off ─────────────────────────────────────────────────────────────────────────────────────────────


def rows(parent: Run) -> list[str]:
    return list(pd.read_csv(kept(parent) / "results.csv")["key"])


def test_a_pass_that_was_cut_off_gets_its_files_from_the_next_one(
    store: str, study: Path, plan: Plan
) -> None:
    """Its process had no time to write them; its plan was written first."""
    with Tracked(study, plan) as one:
        one.save(plan[0])
        one.lose(plan[1])
        one.cut_off = True
    before = Books(store)
    for run in before.parents:  # as a kill would leave it
        before.client.update_run(run.info.run_id, status="RUNNING")
        for name in ("results.csv", "contact_sheet.jpg"):
            (kept(run) / name).unlink(missing_ok=True)
    with Tracked(study, plan) as two:
        two.save(plan[2])
    books = Books(store)
    cut_off = next(run for run in books.parents if run.data.tags["seedance_lab.run"] == one.run)
    assert cut_off.info.status == "KILLED"
    assert sorted(rows(cut_off)) == sorted(keys(plan[:2]))
    assert (cut_off.data.metrics["n_saved"], cut_off.data.metrics["n_unknown"]) == (1, 1)
    assert books.artifacts(cut_off) == {"plan.json", "results.csv", "contact_sheet.jpg"}
    told = json.loads((kept(cut_off) / "plan.json").read_text())
    assert (len(told["requests"]), told["is_whole"]) == (4, True)


@pytest.mark.parametrize("sent", [0, 1])
def test_a_pass_killed_before_its_parent_was_made_gets_one(
    store: str, study: Path, plan: Plan, sent: int
) -> None:
    """Also when nothing of it came to an end: money may be at stake in it all the same."""
    with Tracked(study, plan, track=False) as one:
        for request in plan[:sent]:
            one.lose(request)
        one.cut_off = True
    with Tracked(study, plan) as two:
        two.save(plan[2])
    books = Books(store)
    by_run = {run.data.tags["seedance_lab.run"]: run for run in books.parents}
    assert set(by_run) == {one.run, two.run}
    late = by_run[one.run]
    assert late.info.status == "KILLED"
    assert late.info.start_time <= by_run[two.run].info.start_time
    assert late.data.metrics["n_unknown"] == sent
    assert late.data.params["n_requests"] == "4"
    assert late.data.metrics.get("estimate_usd") == (pytest.approx(plan[0].usd, abs=1e-6) if sent else None)
    told = json.loads((kept(late) / "plan.json").read_text())
    assert ([asked["key"] for asked in told["requests"]], told["is_whole"]) == (keys(plan[:sent]), False)
    assert ("results.csv" in books.artifacts(late)) == bool(sent)


def test_a_parent_cut_off_before_its_numbers_gets_them(store: str, study: Path, plan: Plan) -> None:
    """The process can die between MLflow's first call and its second."""
    with Tracked(study, plan, track=False) as one:
        one.save(plan[0])
    client = Books(store).client
    experiment = client.create_experiment("harbour")
    began = one.records[plan[0].key].sent_at
    client.create_run(
        experiment, start_time=int(began.timestamp() * 1000), tags={"seedance_lab.run": one.run}
    )
    with Tracked(study, plan):
        pass
    parents = [run for run in Books(store).parents if run.data.tags["seedance_lab.run"] == one.run]
    (parent,) = parents
    assert parent.info.status == "FINISHED"
    assert parent.data.params["n_requests"] == "4"
    assert parent.data.metrics["n_saved"] == 1


def test_a_request_that_one_pass_lost_and_the_next_one_found_counts_where_it_ended(
    store: str, study: Path, plan: Plan
) -> None:
    """The first pass left it unknown, and says so for ever; the second one saved it."""
    with Tracked(study, plan, track=False) as one:
        one.lose(plan[0])
    with Tracked(study, plan, track=False) as two:
        two.save(plan[0])
    with Tracked(study, plan):
        pass
    sums: dict[str, Any] = {r.data.tags["seedance_lab.run"]: r.data.metrics for r in Books(store).parents}
    assert (sums[one.run]["n_unknown"], sums[one.run]["n_saved"]) == (1, 0)
    assert (sums[two.run]["n_unknown"], sums[two.run]["n_saved"]) == (0, 1)


def test_the_files_of_a_request_are_whole(store: str, study: Path, plan: Plan) -> None:
    """Written straight into the artifact folder where that is on this machine."""
    with Tracked(study, plan) as one:
        one.save(plan[0])
        one.fail(plan[1])
    books = Books(store)
    saved, failed = kept(books.of(plan[0])), kept(books.of(plan[1]))
    assert (saved / "clip.mp4").read_bytes() == tiny_mp4()
    assert PIL.Image.open(io.BytesIO((saved / "poster.jpg").read_bytes())).size == (64, 48)
    assert json.loads((saved / "request.json").read_text())["key"] == plan[0].key
    assert json.loads((failed / "response.json").read_text())["error_type"] == "content_policy_violation"
