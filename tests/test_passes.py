"""A journal told by passes."""

from __future__ import annotations

from pathlib import Path

from seedance_lab.journal import read
from seedance_lab.passes import Pass, history, value_of, varying_of
from seedance_lab.plan import Plan, sweep
from tests.tracked import Tracked


def passes(study: Path) -> list[Pass]:
    return list(history(read(study / "journal.jsonl")).passes.values())


def plan_of(picture: bytes) -> Plan:
    return sweep(image=picture, prompt="x", seed=[3, 1, 2], duration=[2, 5], resolution="480p")


def test_each_pass_has_what_it_touched_as_it_left_it(tmp_path: Path, picture: bytes) -> None:
    """A request that a later pass has saved is still the one that this pass had lost."""
    plan = plan_of(picture)
    with Tracked(tmp_path / "s", plan, track=False) as one:
        one.lose(plan[0])
        one.save(plan[1])
    with Tracked(tmp_path / "s", plan, track=False) as two:
        two.save(plan[0], plan[2])
    first, second = passes(tmp_path / "s")
    assert {key: r.stage for key, r in first.records.items()} == {
        plan[0].key: "unknown",
        plan[1].key: "saved",
    }
    assert {key: r.stage for key, r in second.records.items()} == {plan[0].key: "saved", plan[2].key: "saved"}
    assert (first.totals().n_unknown, first.totals().n_saved) == (1, 1)


def test_every_attempts_end_is_kept(tmp_path: Path, picture: bytes) -> None:
    plan = plan_of(picture)
    for fate in ("fail", "save"):
        with Tracked(tmp_path / "s", plan, track=False) as one:
            getattr(one, fate)(plan[0])
    ends = history(read(tmp_path / "s" / "journal.jsonl")).ends
    assert [(key, end.record.stage, end.record.attempts) for (key, _), end in ends.items()] == [
        (plan[0].key, "failed", 1),
        (plan[0].key, "saved", 2),
    ]


def test_what_varies_is_told_as_the_plan_tells_it(picture: bytes) -> None:
    """MLflow's words and the plan's own must not differ; a random seed is a value too."""
    plan = sweep(
        image=picture,
        prompt=["a", "b"],
        seed=[None, 7],
        endpoint=["lite", "pro"],
        camera_fixed=[True, False],
        repeat=2,
    )
    told = varying_of([request.record() for request in plan])
    assert told == plan.varying
    assert list(told) == list(plan.varying)


def test_pictures_of_one_name_are_told_apart(tmp_path: Path, picture: bytes) -> None:
    (tmp_path / "a.png").write_bytes(picture)
    plan = sweep(image=[picture, *more_pictures(3)], prompt="x")
    assert varying_of([request.record() for request in plan]) == plan.varying
    assert len(plan.varying["image"]) == 4


def more_pictures(n: int) -> list[bytes]:
    import io

    import PIL.Image

    found = []
    for i in range(n):
        out = io.BytesIO()
        PIL.Image.new("RGB", (400, 400), (40 * i, 0, 0)).save(out, "PNG")
        found.append(out.getvalue())
    return found


def test_where_the_plan_is_lost_values_stand_in_order(tmp_path: Path, picture: bytes) -> None:
    """Requests are sent as slots come free: not in the plan's order."""
    plan = plan_of(picture)
    with Tracked(tmp_path / "s", plan, track=False) as one:
        one.save(plan[5], plan[0], plan[3], plan[1])
    (found,) = passes(tmp_path / "s")
    assert found.varying["seed"] == [1, 2, 3]
    seeds = [value_of(record.asked, "seed") for record in found.in_order.values()]
    assert seeds == sorted(seeds)
    assert not found.is_whole
