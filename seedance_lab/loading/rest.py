"""Runs from a tracking server, by its documented REST API: several pages at a time, as plain JSON.

Nearly all of the time is the server's own, so that several workers of it are kept busy; the client's part
is parsing, and MLflow's message classes would take ten times as long for it as a JSON parser does.

A page token says only how many runs to skip, and the server sorts all of them for each page. So what is
left after a page is asked for by time of start instead, in several parts at once. Pages are small: with
more of MLflow's objects at a time the server's garbage collector takes as long as its database. And over plain
HTTP each page has a connection of its own: a worker keeps the connections that it has taken, so that kept ones
may all be one worker's while the others idle; a new one goes to a worker that is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from seedance_lab.columns import RUN
from seedance_lab.loading.rows import Info, Rows, Told

PAGE = 100
AT_ONCE = 4
"""Calls under way: `mlflow server` has four workers unless told otherwise."""
CALL_S = 60.0
"""How long one page may take before it counts as lost."""
_RETRIES = 2
_MOST_TEXTS = 2000
_PATH = "/api/2.0/mlflow/runs/search"


class _Span(NamedTuple):
    """Runs that began in a stretch of time, in milliseconds; `end_ms` excluded, None: no bound."""

    begin_ms: int | None = None
    end_ms: int | None = None
    token: str | None = None


class _Page(NamedTuple):
    """Some runs, and what is left of the stretch that they were asked for in."""

    runs: list[Told]
    rest: _Span | None


def read(uri: str, ids: Sequence[str], asked: str) -> Rows:
    """Every run that answers the filter.

    Raises:
        MlflowException: The server does not answer, or does not understand the filter.
    """
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request, verify_rest_response

    # Where there is TLS, connections are dear, and what ends it shares calls out by itself.
    headers = {"Connection": "close"} if uri.startswith("http:") else {}

    def call(body: dict[str, Any]) -> dict[str, Any]:
        answer = http_request(
            get_default_host_creds(uri),
            _PATH,
            "POST",
            extra_headers=headers,
            json=body,
            max_retries=_RETRIES,
            timeout=CALL_S,
        )
        if answer.status_code != 200:
            verify_rest_response(answer, _PATH)
        found: dict[str, Any] = orjson.loads(answer.content)
        return found

    def search(span: _Span, *, most: int = PAGE, order: str = "ASC") -> dict[str, Any]:
        body = {
            "experiment_ids": list(ids),
            "filter": _within(span, asked),
            "max_results": most,
            "order_by": [f"attributes.start_time {order}"],
        }
        return call({**body, "page_token": span.token} if span.token else body)

    rows = Rows()
    told = _Teller(rows)

    def ask(span: _Span) -> _Page:
        found = search(span)
        runs, token = [told(run) for run in found.get("runs", ())], found.get("next_page_token")
        if not runs or not token:
            return _Page(runs, None)
        reached = _start_ms(runs[-1])
        if span.token or reached == _start_ms(runs[0]):  # all of one moment: only the token tells them apart
            return _Page(runs, span._replace(token=token))
        end = span.end_ms
        if end is None:
            last = [told(run) for run in search(_Span(), most=1, order="DESC").get("runs", ())]
            end = _start_ms(last[0]) + 1 if last else None
        return _Page(runs, _Span(reached, end))

    seen: set[str] = set()
    for page in _pages(ask):
        # Two parts share the moment between them.
        new = {run.info.run_id: run for run in page if run.info.run_id not in seen}
        seen.update(new)
        rows.take(new.values())
    return rows


class _Teller:
    """Makes of a run's JSON what is wanted of it; equal texts become one, as most runs have most texts in common."""

    def __init__(self, rows: Rows) -> None:
        self._params, self._tags = frozenset(rows.values["params"]), frozenset(rows.values["tags"]) | {RUN}
        self._texts: dict[str, str] = {}

    def __call__(self, run: dict[str, Any]) -> Told:
        info, data = run["info"], run.get("data", {})
        return Told(
            Info(info["run_id"], info.get("start_time"), info.get("end_time"), info.get("artifact_uri", "")),
            self._texts_of(data.get("params", ()), self._params),
            {m["key"]: float(m.get("value", 0.0)) for m in data.get("metrics", ())},
            self._texts_of(data.get("tags", ()), self._tags),
        )

    def _texts_of(self, pairs: Iterable[dict[str, str]], wanted: frozenset[str]) -> dict[str, str]:
        # Those of the first runs are enough: what is not there by then is another one for each run.
        one = self._texts.setdefault if len(self._texts) < _MOST_TEXTS else self._texts.get
        values = ((pair["key"], pair.get("value", "")) for pair in pairs)
        return {name: one(value, value) for name, value in values if name in wanted}


def _within(span: _Span, asked: str) -> str:
    """The filter, for this stretch only. Ours come first: what follows may end in a comment."""
    parts = []
    if span.begin_ms is not None:
        parts.append(f"attributes.start_time >= {span.begin_ms}")
    if span.end_ms is not None:
        parts.append(f"attributes.start_time < {span.end_ms}")
    return " AND ".join([*parts, asked] if asked else parts)


def _start_ms(run: Told) -> int:
    return int(run.info.start_ms or 0)


def _pages(ask: Callable[[_Span], _Page]) -> Iterator[list[Told]]:
    """Every page, in the order of arrival."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="seedance_lab loading") as pool:
        waiting: set[Future[_Page]] = {pool.submit(ask, _Span())}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                left = [page.rest for page in (future.result() for future in done) if page.rest is not None]
                room = AT_ONCE - len(waiting) - len(left)
                for i, span in enumerate(left):
                    share = 1 + max(0, room) // len(left) + (i < max(0, room) % len(left))
                    waiting |= {pool.submit(ask, part) for part in _parts(span, share)}
                yield from (future.result().runs for future in done)
        finally:
            for future in waiting:
                future.cancel()


def _parts(span: _Span, n: int) -> list[_Span]:
    """The stretch in so many equal parts, where it can be divided."""
    if span.token is not None or span.begin_ms is None or span.end_ms is None:
        return [span]
    length = span.end_ms - span.begin_ms
    edges = sorted({span.begin_ms + length * i // n for i in range(n)} | {span.end_ms})
    return [_Span(a, b) for a, b in pairwise(edges)]
