"""The sweep algebra, and the price of a plan."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_lab import image as images
from seedance_lab import plan as plans
from seedance_lab.endpoints import LITE
from seedance_lab.errors import ImageError, PlanError, RequestError
from seedance_lab.plan import Plan, settings_of
from seedance_lab.plan import sweep as plain_sweep
from seedance_lab.request import Request
from tests.assets.make import bmp

A, B = images.load(bmp()), images.load(bmp(shade=9))


def sweep(**inputs: Any) -> Plan:
    return plain_sweep(**{"image": A, "prompt": "boats", **inputs})


def cells(plan: Plan, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(request, name) for name in names) for request in plan]


def keys(plan: Plan) -> list[str]:
    return [request.key for request in plan]


# ── product ─────────────────────────────────────────────────────────────────────────────────────────────


def test_keywords_multiply_and_the_last_one_changes_fastest() -> None:
    plan = sweep(duration=[5, 10], seed=range(3))
    assert cells(plan, "duration", "seed") == list(itertools.product([5, 10], range(3)))


def test_the_order_is_that_of_the_keywords() -> None:
    plan = sweep(seed=range(3), duration=[5, 10])
    assert cells(plan, "seed", "duration") == list(itertools.product(range(3), [5, 10]))


def test_the_designs_example_is_24_requests_and_180_seconds() -> None:
    plan = sweep(
        prompt=["the boats drift apart", "the boats hold still"],
        duration=[5, 10], resolution=["480p", "720p"], seed=range(3),
    )  # fmt: skip
    assert (len(plan), plan.estimate().video_s) == (24, 180)


def test_seeds_are_shared_over_the_grid() -> None:
    plan = sweep(duration=[5, 10], seed=range(3))
    assert [r.seed for r in plan if r.duration == 5] == [r.seed for r in plan if r.duration == 10]


def test_no_axes_are_one_request() -> None:
    assert keys(sweep()) == [Request(image=A, prompt="boats").key]


def test_none_is_the_default_and_can_stand_on_an_axis() -> None:
    assert cells(sweep(seed=[None, 1], duration=[10, None]), "seed", "duration") == [
        (None, 10),
        (None, 5),
        (1, 10),
        (1, 5),
    ]


@pytest.mark.parametrize(
    "axis", [[3, 1], (3, 1), (s for s in (3, 1)), np.array([3, 1]), pd.Series([3.0, 1.0]), "3,1"]
)
def test_every_kind_of_iterable_is_an_axis(axis: Any) -> None:
    assert cells(sweep(seed=axis), "seed") == [(3,), (1,)]


@pytest.mark.parametrize("axis", [{1, 2}, {"a": 1}, [], range(0), "", "2-1"])
def test_what_is_no_axis_is_refused(axis: Any) -> None:
    with pytest.raises(PlanError, match="Nothing was sent"):
        sweep(seed=axis)


def test_a_wrong_value_on_an_axis_is_told_by_the_request() -> None:
    with pytest.raises(RequestError, match="duration=15"):
        sweep(duration=[5, 15])


def test_a_misspelt_input_is_told_by_the_request() -> None:
    with pytest.raises(RequestError, match="Did you mean 'seed'"):
        sweep(sead=[1])


def test_endpoints_are_an_axis() -> None:
    plan = sweep(endpoint="lite,pro-fast", seed=[1])
    assert [r.endpoint.alias for r in plan] == ["lite", "pro-fast"]


SPANS = st.tuples(st.integers(0, 2**31), st.integers(0, 4), st.integers(1, 3))
CHOICES = st.lists(st.sampled_from(["480p", "720p", "1080p"]), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(SPANS, CHOICES, st.lists(st.booleans(), min_size=1, max_size=2))
def test_a_sweep_in_text_has_the_keys_of_the_sweep_in_python(
    span: tuple[int, int, int], resolutions: list[str], cameras: list[bool]
) -> None:
    """The panel, the command line and papermill have only text."""
    first, n, step = span
    in_text = sweep(
        seed=f"{first}..{first + n}..{step},{first}", duration="2..4,7", resolution=",".join(resolutions),
        camera_fixed=",".join(str(c).lower() for c in cameras),
    )  # fmt: skip
    in_python = sweep(
        seed=[*range(first, first + n + 1, step), first], duration=[2, 3, 4, 7], resolution=resolutions,
        camera_fixed=cameras,
    )  # fmt: skip
    assert keys(in_text) == keys(in_python)
    assert in_text.n_collapsed == in_python.n_collapsed


def test_ten_thousand_requests_are_built() -> None:
    assert (
        len(sweep(seed=range(1250), duration=[5, 10], resolution="480p,720p", camera_fixed="true,false"))
        == 10_000
    )


def test_a_sweep_over_a_million_is_refused_with_what_to_type() -> None:
    with pytest.raises(PlanError, match=r"1,000,001 requests.*Nothing was sent.*sample=200"):
        sweep(seed=range(1_000_001))


# ── equal requests ──────────────────────────────────────────────────────────────────────────────────────


def test_equal_requests_collapse_and_are_counted() -> None:
    plan = sweep(seed=[1, 2, 1, 1], duration=[5, "5", 5.0])
    assert cells(plan, "seed", "duration") == [(1, 5), (2, 5)]
    assert plan.n_collapsed == 10


def test_collapsed_requests_are_noted_with_what_to_type() -> None:
    assert "repeat=n" in sweep(seed=[1, 1]).notes[0]


def test_random_seeds_collapse() -> None:
    assert len(sweep(seed=[-1, None])) == 1


def test_a_plan_is_made_of_requests_only() -> None:
    with pytest.raises(PlanError, match="not of str"):
        Plan.of(["boats"])


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each picture was read."""
    counted: Counter[str] = Counter()
    load = images.load

    def counting(source: Any) -> images.Picture:
        if not isinstance(source, images.Picture):
            counted[str(source)[-40:]] += 1
        return load(source)

    monkeypatch.setattr(images, "load", counting)
    return counted


@pytest.mark.parametrize("kind", ["text", "path", "bytes"])
def test_a_picture_is_read_once_for_the_whole_sweep(kind: str, loads: Counter[str], tmp_path: Path) -> None:
    path = tmp_path / "harbour.bmp"
    path.write_bytes(bmp())
    source: Any = {"text": str(path), "path": path, "bytes": bmp()}[kind]
    assert len(sweep(image=source, end_image=source, seed=range(20))) == 20
    assert list(loads.values()) == [1]


def test_a_picture_of_many_rows_is_read_once(loads: Counter[str], tmp_path: Path) -> None:
    (tmp_path / "harbour.bmp").write_bytes(bmp())
    plain_sweep(prompt="boats", rows=[{"image": "harbour.bmp", "seed": i} for i in range(5)])
    assert loads == {"harbour.bmp": 1}


def test_pictures_are_an_axis() -> None:
    assert [r.image for r in sweep(image=[A, bmp(shade=9)], seed=range(2))] == [A, A, B, B]


def test_a_bad_picture_stops_the_sweep() -> None:
    with pytest.raises(ImageError):
        sweep(image=[A, b"no picture"])


# ── zip ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_inputs_that_are_zipped_go_together() -> None:
    plan = sweep(prompt=["a", "b"], seed=range(2), duration=[5, 10], zip=("prompt", "duration"))
    assert cells(plan, "prompt", "duration", "seed") == [("a", 5, 0), ("a", 5, 1), ("b", 10, 0), ("b", 10, 1)]


def test_several_groups_can_be_zipped() -> None:
    plan = sweep(
        prompt=["a", "b"], duration=[5, 10], seed=[1, 2], resolution="480p,720p",
        zip=[("prompt", "duration"), ("seed", "resolution")],
    )  # fmt: skip
    assert cells(plan, "prompt", "duration", "seed", "resolution") == [
        ("a", 5, 1, "480p"), ("a", 5, 2, "720p"), ("b", 10, 1, "480p"), ("b", 10, 2, "720p"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("group", "said"),
    [
        (("seed", "duration"), "seed has 3, duration has 2"),
        (("seed", "resolution"), "'resolution', which is not among the inputs"),
        ([("seed", "prompt"), ("prompt", "duration")], "'prompt', which is in two groups"),
        ("seed", "not among the inputs"),
    ],
)
def test_inputs_that_cannot_be_zipped_are_refused(group: Any, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        sweep(seed=range(3), duration=[5, 10], prompt=["a", "b", "c"], zip=group)


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_are_combinations_and_multiply_with_the_rest() -> None:
    plan = sweep(rows=[{"duration": 5, "resolution": "480p"}, {"duration": 10}], seed=range(2))
    assert cells(plan, "duration", "resolution", "seed") == [
        (5, "480p", 0), (5, "480p", 1), (10, "720p", 0), (10, "720p", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("convert", [False, True])
def test_a_data_frame_with_holes_leaves_them_to_the_defaults(convert: bool) -> None:
    """A hole makes integers floats, or with pandas' own types NA."""
    frame = pd.DataFrame(
        {
            "seed": [1, np.nan],
            "duration": [np.nan, 10],
            "camera_fixed": [True, None],
            "resolution": ["480p", None],
        }
    )
    plan = sweep(rows=frame.convert_dtypes() if convert else frame)
    assert cells(plan, "seed", "duration", "camera_fixed", "resolution") == [
        (1, 5, True, "480p"),
        (None, 10, False, "720p"),
    ]


def test_a_data_frames_index_is_not_an_input() -> None:
    frame = pd.DataFrame({"seed": [4, 5]}, index=pd.Index(["x", "y"], name="duration"))
    assert cells(sweep(rows=frame), "seed") == [(4,), (5,)]


def test_rows_have_the_keys_of_the_same_requests() -> None:
    assert keys(sweep(rows=pd.DataFrame({"seed": [1, 2]}))) == keys(sweep(seed=[1, 2]))


def test_rows_with_a_replicate_column_have_their_replicates() -> None:
    """A hole in the column makes it floats."""
    frame = pd.DataFrame({"seed": [1, 1, 2], "replicate": [0, 1, np.nan]})
    assert cells(sweep(rows=frame), "seed", "replicate") == [(1, 0), (1, 1), (2, 0)]


@pytest.mark.parametrize(
    "rows", [[], {"seed": 1}, ["seed"], [1], pd.DataFrame(), [{"seed": 1}, 2], pd.Series({"seed": 1})]
)
def test_what_are_no_rows_is_refused(rows: Any) -> None:
    with pytest.raises(PlanError, match="list of dicts or a DataFrame"):
        sweep(rows=rows)


def test_an_input_in_rows_and_as_a_keyword_is_refused() -> None:
    with pytest.raises(PlanError, match="seed: given both in rows and as a keyword"):
        sweep(rows=[{"seed": 1}], seed=[2])


# ── where, repeat ───────────────────────────────────────────────────────────────────────────────────────


def test_where_keeps_the_requests_for_which_it_holds() -> None:
    plan = sweep(
        duration=[5, 10], resolution="480p,720p", where=lambda r: r.duration <= 5 or r.resolution == "480p"
    )
    assert cells(plan, "duration", "resolution") == [(5, "480p"), (5, "720p"), (10, "480p")]


def test_a_condition_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(PlanError, match="where= left no request"):
        sweep(seed=range(3), where=lambda _: False)


def test_repeat_asks_for_each_request_that_often_in_a_row() -> None:
    plan = sweep(seed=[1, 2], repeat=2)
    assert cells(plan, "seed", "replicate") == [(1, 0), (1, 1), (2, 0), (2, 1)]


@pytest.mark.parametrize("repeat", [0, -1, 1.5, True, "2", None])
def test_another_repeat_is_refused_with_its_value(repeat: Any) -> None:
    with pytest.raises(PlanError, match=rf"repeat={repeat!r} must be 1 or more"):
        sweep(repeat=repeat)


def test_repeat_and_replicate_together_are_refused() -> None:
    with pytest.raises(PlanError, match="give one of them"):
        sweep(repeat=2, replicate=[0, 1])


def test_an_array_of_replicates_is_an_axis() -> None:
    assert cells(sweep(replicate=np.arange(2)), "replicate") == [(0,), (1,)]


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["random", "lhs"])
def test_the_same_seed_draws_the_same_sample(method: Any) -> None:
    grid = {"seed": range(1000), "duration": "2-12", "sample": 20, "method": method}
    assert keys(sweep(**grid, sample_seed=3)) == keys(sweep(**grid, sample_seed=3))
    assert keys(sweep(**grid, sample_seed=3)) != keys(sweep(**grid, sample_seed=4))


def test_a_sample_is_what_it_was_in_the_first_version() -> None:
    """A study that is run again next year must ask for the same requests."""
    plan = sweep(seed=range(100), duration="2-12", sample=4)
    assert cells(plan, "seed", "duration") == [(84, 6), (75, 10), (42, 2), (25, 11)]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 11), st.integers(1, 60), st.integers())
def test_a_random_sample_has_no_repetition_and_is_complete(
    n_seeds: int, n_durations: int, n: int, seed: int
) -> None:
    grid = {"seed": range(n_seeds), "duration": range(2, 2 + n_durations)}
    plan = sweep(**grid, sample=n, sample_seed=seed)
    assert len(plan) == min(n, n_seeds * n_durations)
    assert plan.n_collapsed == 0
    assert set(keys(plan)) <= set(keys(sweep(**grid)))


def test_a_sample_reaches_every_value() -> None:
    plan = sweep(seed=range(10_000), duration="2-12", resolution="480p,720p,1080p", sample=200)
    assert {r.duration for r in plan} == set(range(2, 13))
    assert {r.resolution for r in plan} == {"480p", "720p", "1080p"}


def test_all_seeds_there_are_can_be_sampled() -> None:
    plan = sweep(seed=range(2**32), duration="2-12", sample=50)
    assert len(plan) == 50
    assert max(r.seed or 0 for r in plan) > 2**31


def test_a_sample_of_a_very_large_grid_reaches_the_last_axis() -> None:
    """random() has 53 bits: scaled to 2**64, its last 11 are always 0."""
    plan = sweep(seed=range(2**32), replicate=range(2**32), sample=20)
    assert {r.replicate % 2 for r in plan} == {0, 1}


def test_a_sample_with_a_condition_finds_what_there_is() -> None:
    """11 requests satisfy it; that none of 40 draws did is no reason to say that there is none."""
    plan = sweep(seed=range(100), duration="2-12", sample=2, where=lambda r: r.seed == 7)
    assert {r.seed for r in plan} == {7}


def test_a_sampled_request_has_all_its_replicates() -> None:
    """Replicates tell chance from effect; drawn apart they say nothing."""
    plan = sweep(seed=range(50), repeat=3, sample=4)
    assert set(Counter(r.seed for r in plan).values()) == {3}


@pytest.mark.parametrize("n", [1, 4, 11, 22])
def test_a_latin_hypercube_uses_every_stratum_of_every_axis_once(n: int) -> None:
    plan = sweep(
        seed=range(n * 3),
        duration=[2 + i % 11 for i in range(n)],
        replicate=range(n * 2),
        sample=n,
        method="lhs",
    )
    assert len(plan) == n
    assert sorted((r.seed or 0) // 3 for r in plan) == list(range(n))
    assert sorted(r.replicate // 2 for r in plan) == list(range(n))


def test_a_latin_hypercube_uses_few_values_equally_often() -> None:
    plan = sweep(seed=range(1000), resolution="480p,720p,1080p", sample=30, method="lhs")
    assert Counter(r.resolution for r in plan) == {"480p": 10, "720p": 10, "1080p": 10}


def test_a_latin_hypercube_shuffles_its_axes_apart() -> None:
    plan = sweep(seed=range(100), replicate=range(100), sample=100, method="lhs")
    assert [r.seed for r in plan] != [r.replicate for r in plan]


@pytest.mark.parametrize("sample", [0, -1, 2.0, True, "5"])
def test_another_sample_is_refused_with_its_value(sample: Any) -> None:
    with pytest.raises(PlanError, match=rf"sample={sample!r} must be 1 or more"):
        sweep(sample=sample)


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PlanError, match="method='sobol' is not known; it is 'random' or 'lhs'"):
        sweep(sample=3, method="sobol")


@pytest.mark.parametrize("method", ["random", "lhs"])
def test_a_sample_is_held_to_the_same_limit_as_a_grid(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip of zeros would otherwise fill the memory."""
    monkeypatch.setattr(plans, "MOST", 10)
    with pytest.raises(PlanError):
        sweep(seed=range(1000), sample=11, method=method)


# ── a plan ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def plan() -> Plan:
    return sweep(seed=range(4), duration=[5, 10])


def test_a_slice_is_a_plan_and_an_index_a_request(plan: Plan) -> None:
    assert isinstance(plan[2:4], Plan)
    assert keys(plan[2:4]) == keys(plan)[2:4]
    assert plan[-1].key == keys(plan)[-1]


def test_a_request_is_found_in_a_plan(plan: Plan) -> None:
    assert plan[3] in plan
    assert plan.index(plan[3]) == 3


def test_plans_add_up_and_equal_requests_are_in_the_sum_once(plan: Plan) -> None:
    total = plan[:3] + plan[1:5]
    assert keys(total) == keys(plan)[:5]
    assert total.n_collapsed == 2


def test_a_filter_keeps_the_order(plan: Plan) -> None:
    assert cells(plan.filter(lambda r: r.duration == 10), "seed") == [(0,), (1,), (2,), (3,)]


def test_a_plan_is_equal_to_the_same_plan(plan: Plan) -> None:
    assert plan == sweep(seed="0-3", duration="5,10")


def test_a_plan_knows_what_is_paid_for(plan: Plan) -> None:
    known = plan.against([plan[0].key, plan[5].key, "k1:another"])
    assert known.estimate().n_paid == 2
    assert known.usd == pytest.approx((plan.usd or 0) - (plan[0].usd or 0) - (plan[5].usd or 0))
    assert [r.key for r in known.todo] == [k for k in keys(plan) if k not in {plan[0].key, plan[5].key}]


def test_a_slice_still_knows_what_is_paid_for(plan: Plan) -> None:
    assert plan.against(keys(plan)[:2])[:4].estimate().n_paid == 2


def test_a_plan_that_no_study_was_asked_about_does_not_claim_to_know(plan: Plan) -> None:
    assert plan.estimate().n_paid is None


def test_the_price_is_the_sum_of_the_requests(plan: Plan) -> None:
    assert plan.usd == pytest.approx(4 * (0.1944 + 0.3888))


def test_a_plan_with_one_unknown_price_has_an_unknown_price(plan: Plan) -> None:
    secret = LITE._replace(price=LITE.price._replace(usd_per_million_tokens=None))
    mixed = plan + [Request(endpoint=secret, image=A, prompt="another")]  # noqa: RUF005  # a plan, not a list
    assert mixed.usd is None
    assert "price unknown" in repr(mixed)


def test_an_unknown_price_that_is_paid_for_does_not_matter(plan: Plan) -> None:
    secret = LITE._replace(price=LITE.price._replace(usd_per_million_tokens=None))
    request = Request(endpoint=secret, image=A, prompt="another")
    assert (plan + [request]).against([request.key]).usd == pytest.approx(plan.usd)  # noqa: RUF005


def test_varying_has_the_inputs_with_several_values_in_the_apis_order() -> None:
    plan = sweep(seed=[2, 1], resolution="720p,480p", prompt=["b", "a"], duration=5)
    assert plan.varying == {"prompt": ["b", "a"], "resolution": ["720p", "480p"], "seed": [2, 1]}
    assert list(plan.varying) == ["prompt", "resolution", "seed"]


def test_two_pictures_of_one_name_still_vary() -> None:
    """Bytes are all called `picture`, and people keep a/harbour.jpg and b/harbour.jpg."""
    assert "image" in sweep(image=[bmp(), bmp(shade=9)]).varying


def test_settings_have_the_apis_names() -> None:
    assert list(settings_of(Request(image=A, end_image=B, prompt="boats"))) == [
        "endpoint", "image", "end_image", "prompt", "aspect_ratio", "resolution", "duration", "camera_fixed", "seed",
        "enable_safety_checker", "replicate",
    ]  # fmt: skip


def test_a_repr_says_how_many_how_long_how_much_and_when_the_price_was_read(plan: Plan) -> None:
    assert repr(plan) == (
        "8 requests · Seedance 1.0 Lite · 60 s of video · est. $2.33 at fal (price read 2026-08-20) · about "
        f"{plan.estimate().minutes:.0f} min there"
    )


def test_one_request_is_not_plural(plan: Plan) -> None:
    assert repr(plan[:1]).startswith("1 request ·")


def test_an_empty_plan_has_a_repr(plan: Plan) -> None:
    assert repr(plan[:0]) == "0 requests"
    assert "0 requests" in plan[:0]._repr_html_()


def test_a_repr_says_what_is_paid_for(plan: Plan) -> None:
    assert repr(plan.against(keys(plan)[:3])).endswith("3 already paid for, 5 to run")


def test_html_has_the_varying_inputs(plan: Plan) -> None:
    shown = plan._repr_html_()
    assert "<td style='text-align:left'>seed</td>" in shown
    assert "0, 1, 2, 3" in shown


@pytest.mark.parametrize("where", ["prompt", "endpoint", "picture"])
def test_html_escapes_what_people_wrote(where: str, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    (tmp_path / f"{evil}.bmp").write_bytes(bmp(shade=3))
    inputs: dict[str, Any] = {
        "prompt": {"prompt": [evil, "boats"]},
        "endpoint": {"endpoint": LITE._replace(name=evil)},
        "picture": {"image": [A, tmp_path / f"{evil}.bmp"]},
    }[where]
    shown = sweep(**inputs)._repr_html_()
    assert "<img" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown


def test_html_shortens_long_axes() -> None:
    assert "0, 1, 2, 3, 4, 5, 6, 7, … (500)" in sweep(seed=range(500))._repr_html_()


def test_html_has_the_notes() -> None:
    assert "--commands" in sweep(prompt="boats --dur 5")._repr_html_()


def test_a_plan_says_that_its_pictures_can_be_read_by_others() -> None:
    """An upload at fal is public by its URL; who sweeps a client's picture must know before, not after."""
    one = sweep()
    assert any("the picture is uploaded and can be read by anyone" in note for note in one.notes)
    assert any("2 pictures are uploaded" in note for note in sweep(end_image=B).notes)
    text = plain_sweep(endpoint="lite-text", prompt="boats")
    assert not any("uploaded" in note for note in text.notes)
    paid = one.against({one[0].key})
    assert not any("uploaded" in note for note in paid.notes), "nothing is left to send"
