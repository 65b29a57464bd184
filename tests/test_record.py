"""What the journal's lines make of a request: its stage, its cost, its times."""

from __future__ import annotations

import copy
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_lab.errors import RequestError
from seedance_lab.journal import Event
from seedance_lab.record import Record, endpoint_name, fold, step
from seedance_lab.request import Request

ASKED = Request(endpoint="lite-text", prompt="boats")
START = dt.datetime(2026, 8, 20, 12, tzinfo=dt.UTC)
VIDEO = {"video": {"url": "https://v3.fal.media/x.mp4"}, "seed": 42}
SENDING = {"request": ASKED.record(), "wire": ASKED.wire(), "usd": 0.2, "run": "first"}

LINES: dict[str, dict[str, Any]] = {
    "sending": SENDING,
    "accepted": {"request_id": "r1", "urls": {"status_url": "s"}, "run": "first"},
    "finished": {"result": VIDEO, "metrics": {"inference_time": 3.0}, "billable_units": "0.1"},
    "saved": {"file": "clips/k.mp4", "sha256": "f", "download_s": 0.5},
    "failed": {"error": "out of memory", "error_type": "runner_error", "http_status": 500},
    "cancelled": {"error": "taken back", "http_status": 499, "may_be_billed": False},
    "refused": {"error": "not allowed", "error_type": "content_policy_violation", "http_status": 422},
    "declined": {"error": "too many requests", "http_status": 429},
    "unknown": {"error": "no answer"},
    "found": {"outcome": "found", "request_id": "r1"},
    "lost": {"outcome": "lost", "why": "the history does not have it"},
}
"""What each kind says in the runner's shapes; `found` and `lost` are the two outcomes of `resolved`."""


def events(*kinds: str, engine: str = "fal", every_s: float = 10.0, **changes: dict[str, Any]) -> list[Event]:
    """A journal of one request, a line every ten seconds."""
    lines = [Event(1, START, "study", "", {"version": 1, "engine": engine})]
    for n, name in enumerate(kinds):
        kind = "resolved" if name in {"found", "lost"} else name
        at = START + dt.timedelta(seconds=every_s * n)
        lines.append(Event(n + 2, at, kind, "k", {**LINES[name], **changes.get(name, {})}))
    return lines


def story(*kinds: str, engine: str = "fal", **changes: dict[str, Any]) -> Record:
    return fold(events(*kinds, engine=engine, **changes))["k"]


# ── stages ──────────────────────────────────────────────────────────────────────────────────────────────

TRANSITIONS = [
    (("sending",), "sending"),
    (("sending", "accepted"), "accepted"),
    (("sending", "accepted", "finished"), "finished"),
    (("sending", "accepted", "finished", "saved"), "saved"),
    (("sending", "accepted", "failed"), "failed"),
    (("sending", "accepted", "cancelled"), "cancelled"),
    (("sending", "refused"), "refused"),
    (("sending", "declined"), "declined"),
    (("sending", "declined", "sending"), "sending"),
    (("sending", "unknown"), "unknown"),
    (("sending", "unknown", "found"), "unknown"),
    (("sending", "unknown", "found", "accepted"), "accepted"),
    (("sending", "found", "accepted"), "accepted"),
    (("sending", "unknown", "lost"), "declined"),
    (("sending", "lost"), "declined"),
    (("sending", "unknown", "lost", "sending"), "sending"),
]


@pytest.mark.parametrize(
    ("kinds", "stage"), TRANSITIONS, ids=lambda v: "-".join(v) if isinstance(v, tuple) else v
)
def test_every_transition_of_the_diagram_ends_where_it_says(kinds: tuple[str, ...], stage: str) -> None:
    assert story(*kinds).stage == stage


def test_a_record_of_a_saved_clip_has_everything() -> None:
    record = story("sending", "accepted", "finished", "saved")
    assert (record.request_id, record.urls, record.run) == ("r1", {"status_url": "s"}, "first")
    assert (record.output_url, record.returned_seed) == ("https://v3.fal.media/x.mp4", 42)
    assert (record.download_s, (record.clip or {})["sha256"]) == (0.5, "f")
    assert (record.asked, record.wire) == (ASKED.record(), ASKED.wire())


@pytest.mark.parametrize("end", ["failed", "refused", "declined", "unknown"])
def test_why_there_is_no_clip_is_kept(end: str) -> None:
    record = story("sending", end)
    assert (record.error, record.error_type, record.http_status) == tuple(
        LINES[end].get(name) for name in ("error", "error_type", "http_status")
    )


def test_a_lost_request_says_why_it_is_taken_for_lost() -> None:
    assert story("sending", "unknown", "lost").error == "the history does not have it"


def test_a_clip_that_was_found_again_has_no_error() -> None:
    """`error` says why there is no clip; a saved one must not be told as a failure in the frame."""
    assert story("sending", "unknown", "found", "accepted", "finished", "saved").error is None


def test_sending_again_forgets_the_last_attempt() -> None:
    record = story("sending", "accepted", "failed", "sending", sending={"run": "second"})
    assert (record.attempts, record.run, record.stage) == (2, "second", "sending")
    assert (record.request_id, record.error, record.error_type, record.http_status) == (
        None,
        None,
        None,
        None,
    )
    assert (record.accepted_at, record.finished_at, record.saved_at, record.result, record.clip) == (
        None,
    ) * 5
    assert (record.urls, record.metrics) == ({}, {})


def test_lines_without_a_key_are_of_no_request() -> None:
    assert (
        fold([*events(), Event(2, START, "uploaded", "", {"sha256": "f"}), Event(3, START, "ended", "", {})])
        == {}
    )


def test_requests_are_in_the_order_of_first_sending() -> None:
    lines = [e._replace(key=key) for key in ("b", "a", "b") for e in events("sending")[1:]]
    assert list(fold(lines)) == ["b", "a"]


def test_a_line_for_a_request_that_was_never_sent_does_not_break_the_rest() -> None:
    """A line may have been taken out by hand."""
    assert story("accepted", "finished").stage == "finished"


WALKS = st.lists(st.tuples(st.sampled_from(sorted(LINES)), st.sampled_from("abc")), max_size=25)


@settings(deadline=None)
@given(WALKS)
def test_folding_is_the_same_as_stepping_line_by_line(walk: list[tuple[str, str]]) -> None:
    """Watching a run and replaying it must show the same."""
    lines = [
        e._replace(key=key) for (name, key), e in zip(walk, events(*(n for n, _ in walk))[1:], strict=True)
    ]
    study = Event(1, START, "study", "", {"engine": "fal"})
    live: dict[str, Record] = {}
    for n, line in enumerate(lines, 1):
        step(live, line, "fal")
        assert live == fold([study, *lines[:n]])


@settings(deadline=None)
@given(WALKS)
def test_folding_does_not_change_the_lines(walk: list[tuple[str, str]]) -> None:
    lines = events(*(name for name, _ in walk))
    before = copy.deepcopy(lines)
    fold(lines)
    assert lines == before


# ── money ───────────────────────────────────────────────────────────────────────────────────────────────

COSTS = [
    # lines, cost_usd, at_stake_usd
    (("sending",), None, 0.2),
    (("sending", "unknown"), None, 0.2),
    (("sending", "unknown", "found"), None, 0.2),
    (("sending", "unknown", "found", "accepted"), 0.2, 0.2),
    (("sending", "accepted"), 0.2, 0.2),
    (("sending", "accepted", "finished"), 0.2, 0.2),
    (("sending", "accepted", "finished", "saved"), 0.2, 0.2),
    (("sending", "accepted", "failed"), None, 0.2),
    (("sending", "accepted", "cancelled"), 0.0, 0.0),
    (("sending", "refused"), 0.0, 0.0),
    (("sending", "declined"), 0.0, 0.0),
    (("sending", "unknown", "lost"), 0.0, 0.0),
    (("sending", "declined", "sending", "accepted", "finished", "saved"), 0.2, 0.2),
    (("sending", "unknown", "lost", "sending", "accepted"), 0.2, 0.2),
    (("sending", "accepted", "cancelled", "sending", "accepted"), 0.2, 0.2),
    (("sending", "accepted", "failed", "sending"), None, 0.4),
    (("sending", "accepted", "failed", "sending", "accepted", "finished", "saved"), None, 0.4),
    (("sending", "accepted", "failed", "sending", "refused"), None, 0.2),
    (("sending", "accepted", "failed", "sending", "accepted", "failed", "sending"), None, 0.6),
    (("sending", "sending"), None, 0.4),
]


@pytest.mark.parametrize(
    ("kinds", "cost", "stake"), COSTS, ids=lambda v: "-".join(v) if isinstance(v, tuple) else ""
)
def test_a_hosted_request_costs_what_is_known_and_stakes_what_may_be(
    kinds: tuple[str, ...], cost: float | None, stake: float
) -> None:
    record = story(*kinds)
    assert record.cost_usd == cost
    assert record.at_stake_usd == pytest.approx(stake)


@pytest.mark.parametrize("engine", ["local", "http://127.0.0.1:8000"])
@pytest.mark.parametrize("kinds", [row[0] for row in COSTS], ids="-".join)
def test_a_free_engine_costs_nothing_whatever_happens(kinds: tuple[str, ...], engine: str) -> None:
    assert story(*kinds, engine=engine).cost_usd == 0.0


def test_a_cancelled_request_that_may_be_billed_has_an_unknown_cost_and_is_at_stake() -> None:
    record = story("sending", "accepted", "cancelled", cancelled={"may_be_billed": True})
    assert (record.cost_usd, record.at_stake_usd) == (None, 0.2)


def test_a_failure_that_the_service_says_is_not_billed_costs_nothing() -> None:
    record = story("sending", "accepted", "failed", failed={"billable_units": "0"})
    assert (record.cost_usd, record.at_stake_usd) == (0.0, 0.0)


@pytest.mark.parametrize("units", ["0.0", "0.00000000"])
def test_nothing_billed_is_understood_in_every_spelling(units: str) -> None:
    """The embedded service writes eight decimals: 0.01920000."""
    assert story("sending", "accepted", "failed", failed={"billable_units": units}).cost_usd == 0.0


def test_an_unknown_price_is_an_unknown_cost() -> None:
    record = story("sending", "accepted", "finished", "saved", sending={"usd": None})
    assert record.cost_usd is None


def test_a_cancellation_does_not_make_the_next_attempt_free() -> None:
    record = story("sending", "accepted", "cancelled", "sending")
    assert (record.may_be_billed, record.at_stake_usd) == (True, 0.2)


@settings(deadline=None)
@given(WALKS)
def test_more_sendings_never_make_less_at_stake_until_one_is_known_free(walk: list[tuple[str, str]]) -> None:
    names = [name for name, _ in walk]
    for n in range(1, len(names)):
        if names[n] == "sending" and "k" in (before := fold(events(*names[:n]))):
            after = fold(events(*names[: n + 1]))
            assert after["k"].at_stake_usd == pytest.approx(before["k"].at_stake_usd + 0.2)


# ── times ───────────────────────────────────────────────────────────────────────────────────────────────


def test_latency_is_from_sending_to_the_result_without_the_download() -> None:
    assert story("sending", "accepted", "finished", "saved").latency_s == 20.0


def test_latency_is_of_the_last_attempt() -> None:
    assert story("sending", "accepted", "failed", "sending", "accepted", "finished").latency_s == 20.0


@pytest.mark.parametrize(
    "kinds", [("sending",), ("sending", "accepted"), ("sending", "refused"), ("finished",)]
)
def test_without_a_result_there_is_no_latency(kinds: tuple[str, ...]) -> None:
    assert story(*kinds).latency_s is None


def test_queue_and_inference_add_up_to_latency() -> None:
    record = story("sending", "accepted", "finished")
    assert (record.inference_s, record.queue_s) == (3.0, 17.0)


def test_a_queue_is_never_negative() -> None:
    """The service's clock may count more work than we waited."""
    assert (
        story("sending", "accepted", "finished", finished={"metrics": {"inference_time": 99}}).queue_s == 0.0
    )


@pytest.mark.parametrize("metrics", [{}, None, {"inference_time": None}, {"inference_time": "3 s"}])
def test_without_the_services_measure_inference_and_queue_are_unknown(metrics: Any) -> None:
    record = story("sending", "accepted", "finished", finished={"metrics": metrics})
    assert (record.inference_s, record.queue_s) == (None, None)


# ── what a service may return ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "result",
    [{}, {"video": None}, {"video": "u"}, {"video": {}}, {"seed": None}, {"seed": "42"}, {"video": []}],
)
def test_a_strange_result_has_neither_address_nor_seed(result: dict[str, Any]) -> None:
    record = story("sending", "accepted", "finished", finished={"result": result})
    assert (record.output_url, record.returned_seed) == (None, None)


def test_a_record_gives_its_request_back() -> None:
    assert story("sending").request(Path("study")) == ASKED


def test_a_record_of_an_endpoint_of_another_version_names_it_by_its_id() -> None:
    record = story("sending", sending={"request": {**ASKED.record(), "endpoint": "fal-ai/seedance-9"}})
    assert endpoint_name(record) == "fal-ai/seedance-9"
    with pytest.raises(RequestError, match="seedance-9"):
        record.request(Path("study"))


def test_a_known_endpoint_is_named() -> None:
    assert endpoint_name(story("sending")) == "Seedance 1.0 Lite (text)"
