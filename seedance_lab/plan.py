"""The sweep algebra, and what a sweep will cost before any of it is sent.

Keywords multiply, in the order they are typed; the last one changes fastest. Equal requests collapse into
one. The same sweep from Python, the panel, the command line or a notebook parameter has the same keys.
"""

from __future__ import annotations

import html
import itertools
import math
import operator
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, overload

from seedance_lab import image as images
from seedance_lab.axes import MOST, values_of
from seedance_lab.errors import PlanError
from seedance_lab.request import Request

AT_ONCE = 2
"""Requests that a new fal account runs at a time. Source: fal concurrency limits page, read 2026-08-20."""

_TRIES = 20
"""Draws for each request of a sample, before a grid too large to count out is given up on."""
_EXACT = 2**53
"""`int(random() * n)` reaches every number below n only up to here."""


class Estimate(NamedTuple):
    """What a plan asks for, before any of it is sent.

    Attributes:
        n_requests: All requests.
        n_paid: Those that the study has already paid for; None when no study was asked.
        video_s: Seconds of video still to make.
        usd: List price in dollars of what is still to make; None when a price is unknown.
        minutes: A guess for a new account's two at a time.
    """

    n_requests: int
    n_paid: int | None
    video_s: int
    usd: float | None
    minutes: float


@dataclass(frozen=True, slots=True)
class Plan(Sequence[Request]):
    """An ordered set of requests with its price.

    Attributes:
        requests: Without repetition of keys.
        paid: Keys that a study has paid for, once `Study.preview` was asked; else None.
        n_collapsed: Requests that were asked for twice and are in the plan once.
    """

    requests: tuple[Request, ...]
    paid: frozenset[str] | None = None
    n_collapsed: int = field(default=0, compare=False)

    @classmethod
    def of(cls, requests: Iterable[Request]) -> Plan:
        """The plan of these requests, in order, equal ones once."""
        found: dict[str, Request] = {}
        n = 0
        for request in requests:
            n += 1
            if not isinstance(request, Request):
                raise PlanError(f"A plan is made of requests, not of {type(request).__name__}.")
            found.setdefault(request.key, request)
        return cls(tuple(found.values()), n_collapsed=n - len(found))

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice) -> Plan: ...
    def __getitem__(self, index: int | slice) -> Request | Plan:
        if isinstance(index, slice):
            return replace(self, requests=self.requests[index], n_collapsed=0)
        return self.requests[index]

    def __len__(self) -> int:
        return len(self.requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)

    def __add__(self, other: Iterable[Request]) -> Plan:
        return Plan.of(itertools.chain(self, other))

    def filter(self, where: Callable[[Request], bool]) -> Plan:
        """The requests for which `where` holds."""
        return replace(self, requests=tuple(r for r in self if where(r)), n_collapsed=0)

    def against(self, paid: Collection[str]) -> Plan:
        """The same plan, knowing which of its keys are paid for."""
        return replace(self, paid=frozenset(paid) & {r.key for r in self})

    @property
    def todo(self) -> tuple[Request, ...]:
        """The requests that are not known to be paid for."""
        return tuple(r for r in self if r.key not in (self.paid or ()))

    @property
    def usd(self) -> float | None:
        """List price in dollars of what is still to make; None when one of the prices is unknown."""
        prices = [request.usd for request in self.todo]
        return None if None in prices else math.fsum(p for p in prices if p is not None)

    @property
    def varying(self) -> dict[str, list[Any]]:
        """The inputs that take more than one value, in the API's order, with their values in plan order.

        Pictures appear by their names.
        """
        columns: dict[str, dict[Any, None]] = {}
        namesakes: dict[str, set[str]] = {}
        pictures = [p for request in self for p in (request.image, request.end_image) if p is not None]
        for picture in pictures:
            namesakes.setdefault(picture.name, set()).add(picture.sha256)
        for request in self:
            for name, value in settings_of(request).items():
                if name in {"image", "end_image"} and len(namesakes[value]) > 1:
                    value = f"{value} ({getattr(request, name).sha256[:6]})"
                columns.setdefault(name, {})[value] = None
        return {name: list(values) for name, values in columns.items() if len(values) > 1}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before paying, each thing once."""
        notes = dict.fromkeys(note for request in self for note in request.notes)
        if self.n_collapsed:
            notes[f"{self.n_collapsed} equal requests are in the plan once; repeat=n asks for replicates"] = (
                None
            )
        n = len({p.sha256 for r in self.todo for p in (r.image, r.end_image) if p is not None})
        if n:
            what = "the picture is" if n == 1 else f"{n} pictures are"
            notes[f"at fal {what} uploaded and can be read by anyone who has the URL"] = None
        return tuple(notes)

    def estimate(self) -> Estimate:
        """How many, how long, how much."""
        todo = self.todo
        return Estimate(
            n_requests=len(self),
            n_paid=None if self.paid is None else len(self) - len(todo),
            video_s=sum(r.duration for r in todo),
            usd=self.usd,
            minutes=sum(r.inference_s for r in todo) / AT_ONCE / 60,
        )

    def __repr__(self) -> str:
        return " · ".join(self._facts())

    def _repr_html_(self) -> str:
        facts = " · ".join(html.escape(fact) for fact in self._facts())
        rows = "".join(
            f"<tr><td style='text-align:left'>{html.escape(name)}</td>"
            f"<td style='text-align:left'>{html.escape(_listed(values))}</td></tr>"
            for name, values in self.varying.items()
        )
        notes = "".join(f"<div>Note: {html.escape(note)}.</div>" for note in self.notes)
        # JupyterLab would typeset whatever stands between two dollar signs.
        table = f"<table>{rows}</table>" if rows else ""
        return f"<div class='tex2jax_ignore mathjax_ignore'><b>{facts}</b>{table}{notes}</div>"

    def _facts(self) -> list[str]:
        n, n_paid, video_s, usd, minutes = self.estimate()
        if not n:
            return ["0 requests"]
        endpoints = dict.fromkeys(request.endpoint for request in self)
        read = min(e.price.read for e in endpoints)
        facts = [
            f"{n:,} request{'s' if n != 1 else ''}",
            " + ".join(e.name for e in endpoints),
            f"{video_s:,} s of video",
            "price unknown" if usd is None else f"est. ${usd:,.2f} at fal (price read {read})",
            f"about {_minutes(minutes)} there",
        ]
        if n_paid is not None:
            facts.append(f"{n_paid:,} already paid for, {n - n_paid:,} to run")
        return facts


def settings_of(request: Request) -> dict[str, Any]:
    """A request's inputs by the API's names, pictures by name: what a person tells requests apart by."""
    settings: dict[str, Any] = {"endpoint": request.endpoint.alias}
    if request.image is not None:
        settings["image"] = request.image.name
    if request.end_image is not None:
        settings["end_image"] = request.end_image.name
    settings |= {name: getattr(request, name) for name in request.endpoint.settings}
    settings["replicate"] = request.replicate
    return settings


def _listed(values: Sequence[Any], most: int = 8) -> str:
    shown = ", ".join("random" if v is None else str(v) for v in values[:most])
    return f"{shown}, … ({len(values)})" if len(values) > most else shown


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return "1 min"
    return f"{minutes:,.0f} min" if minutes < 90 else f"{minutes / 60:,.1f} h"


class _Axis(NamedTuple):
    """Inputs that move together, and the values they take, step by step."""

    names: tuple[str, ...]
    columns: tuple[Sequence[Any], ...]

    def __len__(self) -> int:  # the number of steps, not of fields
        return len(self.columns[0])

    def at(self, step: int) -> dict[str, Any]:
        return {
            name: column[step]
            for name, column in zip(self.names, self.columns, strict=True)
            if not _is_missing(column[step])
        }


def sweep(
    *,
    rows: Any = None,
    zip: Sequence[str] | Sequence[Sequence[str]] = (),  # noqa: A002  # the word everyone knows for it
    where: Callable[[Request], bool] | None = None,
    repeat: int = 1,
    sample: int | None = None,
    method: Literal["random", "lhs"] = "random",
    sample_seed: int = 0,
    **inputs: Any,
) -> Plan:
    """Build a plan: every combination of the inputs' values.

    Args:
        rows: Explicit combinations: a list of dicts or a DataFrame, one request a row; what a row leaves
            out (or has as None or NaN) comes from the other inputs.
        zip: Names of inputs that go together instead of multiplying: `zip=("image", "prompt")`, or
            several such groups.
        where: Keeps the requests for which it holds: `lambda r: r.duration <= 5 or r.resolution == "480p"`.
        repeat: Asks for each request that many times (replicates 0, 1, …, part of the identity).
        sample: Draws that many of the combinations instead of taking all.
        method: `random` draws without repetition; `lhs` (Latin hypercube) spreads the draws evenly over
            each input's values, and may give fewer where draws fall together.
        sample_seed: The same seed draws the same sample.
        inputs: `endpoint`, `image`, `end_image`, and the endpoint's inputs by the API's names. A list or
            another iterable is an axis; so is a text such as `seed="1-8"`, `duration="2..12..2"`,
            `resolution="480p,720p"`.

    Returns:
        The plan. Its `repr` says how many, how long and how much. Seeds are shared over the grid, so that
        cells can be compared.

    Raises:
        PlanError: A sweep that cannot be built.
        RequestError: A field, option or type that the endpoint does not take.
        ImageError: A picture that the service would refuse.
    """
    axes = [*_rows_axis(rows, inputs), *_axes(inputs, zip)]
    repeat = _count("repeat", repeat)
    if repeat > 1 and any("replicate" in axis.names for axis in axes):
        raise PlanError("repeat and replicate say the same thing; give one of them. Nothing was sent.")
    total = math.prod(len(axis) for axis in axes) * repeat
    if sample is None:
        if total > MOST:
            raise PlanError(
                f"This sweep has {total:,} requests, over {MOST:,}. Nothing was sent. "
                "Draw some of them: sample=200, or sample=200, method='lhs'."
            )
        combinations: Iterable[dict[str, Any]] = _product(axes)
    else:
        sample = _count("sample", sample)
        if sample * repeat > MOST:
            raise PlanError(f"sample={sample:,} asks for more than {MOST:,} requests. Nothing was sent.")
        if method not in {"random", "lhs"}:
            raise PlanError(f"method={method!r} is not known; it is 'random' or 'lhs'. Nothing was sent.")
        combinations = (_hypercube if method == "lhs" else _draws)(axes, sample, sample_seed)
    pictures: dict[Any, images.Picture] = {}
    requests: Iterable[Request] = (Request(**_loaded(c, pictures)) for c in combinations)
    if sample is not None:
        # Drawn first and repeated then, so that what is drawn has all its replicates.
        requests = itertools.islice((r for r in requests if where is None or where(r)), sample)
    repeated = (r.with_(replicate=n) if n else r for r in requests for n in range(repeat))
    plan = Plan.of(r for r in repeated if where is None or where(r))
    if not plan:
        tried = "" if sample is None or total <= MOST else f" of the {_TRIES * sample:,} that were drawn"
        raise PlanError(f"where= left no request{tried}. Nothing was sent.")
    return plan


def _count(name: str, value: Any) -> int:
    try:
        n = operator.index(value)
    except TypeError:
        n = 0
    if isinstance(value, bool) or n < 1:
        raise PlanError(f"{name}={value!r} must be 1 or more. Nothing was sent.")
    return n


def _axes(inputs: Mapping[str, Any], together: Sequence[str] | Sequence[Sequence[str]]) -> list[_Axis]:
    columns = {name: values_of(name, value) for name, value in inputs.items()}
    groups: list[Sequence[str]] = (
        [together] if together and all(isinstance(n, str) for n in together) else list(together)  # type: ignore[list-item]  # all() tells mypy nothing
    )
    group_of: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for name in group:
            if name not in columns or name in group_of:
                why = "is in two groups" if name in group_of else "is not among the inputs"
                raise PlanError(f"zip names {name!r}, which {why}. Nothing was sent.")
            group_of[name] = tuple(group)
        lengths = {name: len(columns[name]) for name in group}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
            raise PlanError(f"Inputs that go together need equally many values: {told}. Nothing was sent.")
    seen = dict.fromkeys(group_of.get(name, (name,)) for name in columns)
    return [_Axis(names, tuple(columns[name] for name in names)) for names in seen]


def _rows_axis(rows: Any, inputs: Mapping[str, Any]) -> list[_Axis]:
    if rows is None:
        return []
    if hasattr(rows, "to_dict") and getattr(rows, "ndim", 0) == 2:
        rows = rows.to_dict("records")
    rows = list(rows) if isinstance(rows, Iterable) and not isinstance(rows, Mapping) else []
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise PlanError(
            "rows must be a list of dicts or a DataFrame with at least one row. Nothing was sent."
        )
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    if twice := [name for name in names if name in inputs]:
        raise PlanError(f"{', '.join(twice)}: given both in rows and as a keyword. Nothing was sent.")
    return [_Axis(names, tuple([row.get(name) for row in rows] for name in names))] if names else []


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT and pandas' NA: a setting left to the default."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(value, float) and math.isnan(value)


def _product(axes: Sequence[_Axis]) -> Iterator[dict[str, Any]]:
    for steps in itertools.product(*(range(len(axis)) for axis in axes)):
        yield _combination(axes, steps)


def _combination(axes: Sequence[_Axis], steps: Iterable[int]) -> dict[str, Any]:
    return {k: v for axis, step in zip(axes, steps, strict=True) for k, v in axis.at(step).items()}


def _draws(axes: Sequence[_Axis], n: int, seed: int) -> Iterator[dict[str, Any]]:
    """Combinations in random order, none twice: all of them if there are few enough to count out."""
    # Only random() is promised to give the same numbers on every version of Python.
    rng = random.Random(seed)
    sizes = [len(axis) for axis in axes]
    total = math.prod(sizes)
    if total > _EXACT:
        for _ in range(_TRIES * n):
            yield _combination(axes, [int(rng.random() * size) for size in sizes])
        return
    drawn: dict[int, None] = {}
    if total > _TRIES * n:
        drawn = dict.fromkeys(int(rng.random() * total) for _ in range(_TRIES * n))
        yield from (_combination(axes, _steps(index, sizes)) for index in drawn)
    if total <= MOST:
        rest = sorted((i for i in range(total) if i not in drawn), key=lambda _: rng.random())
        yield from (_combination(axes, _steps(index, sizes)) for index in rest)


def _steps(index: int, sizes: Sequence[int]) -> list[int]:
    """The index's step on each axis, the last one changing fastest."""
    steps = []
    for size in reversed(sizes):
        index, step = divmod(index, size)
        steps.append(step)
    return steps[::-1]


def _hypercube(axes: Sequence[_Axis], n: int, seed: int) -> Iterator[dict[str, Any]]:
    """Each axis is cut into n strata, each stratum is used once, the axes are shuffled apart."""
    rng = random.Random(seed)
    columns = []
    for axis in axes:
        levels = [min(len(axis) - 1, int((i + rng.random()) / n * len(axis))) for i in range(n)]
        columns.append(sorted(levels, key=lambda _: rng.random()))
    for steps in zip(*columns, strict=True):
        yield _combination(axes, steps)


def _loaded(combination: dict[str, Any], pictures: dict[Any, images.Picture]) -> dict[str, Any]:
    """The combination with its pictures read, each only once for the whole sweep."""
    for name in ("image", "end_image"):
        source = combination.get(name)
        if source is None or isinstance(source, images.Picture):
            continue
        known_as = source if isinstance(source, str | bytes) else id(source)
        if known_as not in pictures:
            pictures[known_as] = images.load(source)
        combination[name] = pictures[known_as]
    return combination
