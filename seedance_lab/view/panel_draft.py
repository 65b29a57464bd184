"""From what is in the fields to a plan, or to what keeps it from being made, by field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seedance_lab.budget import Options, check_budget
from seedance_lab.endpoints import ENDPOINTS, LITE, Endpoint, find
from seedance_lab.errors import LabError
from seedance_lab.image import Picture
from seedance_lab.plan import Plan, sweep
from seedance_lab.study import Study
from seedance_lab.view.fields import (
    MOST,
    PICTURES,
    Fields,
    Problem,
    as_problem,
    check_values,
    label,
    read_budget,
    read_prompts,
    read_rows,
    read_text,
    read_whole,
    read_zip,
)
from seedance_lab.view.panel_conditions import Condition, ConditionFailed
from seedance_lab.view.panel_pictures import Pictures

ORDER = ("prompt", "resolution", "aspect_ratio", "camera_fixed", "duration", "seed", "enable_safety_checker")
"""Of the plan's product, the last one changing fastest."""


@dataclass(slots=True, kw_only=True)
class Draft:
    """What follows from the fields.

    Attributes:
        plan: None while something keeps it from being made.
        inputs: What `sweep` is given: values by input.
        options: What else it is given: `rows`, `zip`, `where`, `repeat`, `sample` and how it is drawn.
        problems: What keeps the plan from being run, by field; `plan` for what belongs to none.
        n_requests: How many there will be, while only a picture is missing; None when that is not known.
    """

    plan: Plan | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    n_requests: int | None = None


def draft(fields: Fields, pictures: Pictures, study: Study, *, in_flight: int | None = None) -> Draft:
    """What these fields make of it; nothing is raised for what a person typed."""
    made = _Drafting(fields, pictures).made
    # What nobody need say is not said here either: a sample is drawn over the axes that there are, and the code that
    # leaves them out must draw the same one.
    unsaid = _defaults(made.inputs) - {name for group in made.options.get("zip", ()) for name in group}
    made.inputs = {name: values for name, values in made.inputs.items() if name not in unsaid}
    if made.n_requests is not None and made.n_requests > MOST:
        made.problems["plan"] = Problem(
            f"{made.n_requests:,} requests are more than the panel's {MOST:,}. Take fewer values, draw a sample, or "
            "use lab.sweep(…)."
        )
    if not made.problems:
        try:
            made.plan = study.preview(sweep(**made.options, **made.inputs))
        except LabError as error:
            made.problems[_whose(made, error)] = as_problem(error)
    if made.plan is not None:
        _check_budget(fields, made, study, in_flight)
    return made


def _whose(made: Draft, error: LabError) -> str:
    """Which field a sweep's own complaint belongs to."""
    if isinstance(error, ConditionFailed) or str(error).startswith("where="):
        return "where"
    return "rows" if "rows" in made.options else "plan"


def _check_budget(fields: Fields, made: Draft, study: Study, in_flight: int | None) -> None:
    assert made.plan is not None
    if not study.place.hosted:
        return
    if not fields.budget_usd.strip():
        if made.plan.todo:
            text = "Say how much this study may spend, in dollars."
            made.problems["budget_usd"] = Problem(text, missing=True)
        return
    try:
        options = Options(budget_usd=read_budget(fields.budget_usd), in_flight=in_flight)
        check_budget(study.place, made.plan, study.records(), options)
    except LabError as error:
        made.problems["budget_usd"] = as_problem(error)


class _Drafting:
    """One reading of the fields."""

    def __init__(self, fields: Fields, pictures: Pictures) -> None:
        self.fields, self.pictures, self.made = fields, pictures, Draft()
        self.endpoints: Sequence[Endpoint] = ()
        self.total = 1
        rows = self._try("rows", lambda: read_rows(fields.rows)) or []
        self.in_rows = {name for row in rows for name in row}
        if rows:
            self.made.options["rows"] = rows
        self._endpoint()
        self._pictures()
        self._texts()
        self._algebra(len(rows))

    def _try(self, name: str, read: Any) -> Any:
        try:
            return read()
        except LabError as error:
            self.made.problems[name] = as_problem(error)
            return None

    def _put(self, name: str, values: Sequence[Any]) -> None:
        self.made.inputs[name] = values

    def _endpoint(self) -> None:
        if "endpoint" in self.in_rows:
            return
        values = self._try("endpoint", lambda: [find(v) for v in read_text("endpoint", self.fields.endpoint)])
        self.endpoints = list(dict.fromkeys(values or ()))
        if values:
            self._put("endpoint", [endpoint.alias for endpoint in self.endpoints])

    def _pictures(self) -> None:
        for name in PICTURES:
            given = getattr(self.fields, name)
            if name in self.in_rows:
                continue
            found: list[Picture | None] = []
            for source in given:
                picture = None if source is None else self._try(name, lambda s=source: self.pictures.get(s))
                if source is None or picture is not None:
                    found.append(picture)
            refusing = [
                e for e in self.endpoints if not (e.takes_image if name == "image" else e.takes_end_image)
            ]
            if any(found) and refusing and name not in self.made.problems:
                text = f"{refusing[0].name} takes no {label(name)}: remove it."
                self.made.problems[name] = Problem(text)
            needing = [e for e in self.endpoints if e.takes_image]
            if name == "image" and not given and needing:
                self.made.problems[name] = Problem("Choose a picture.", missing=True)
                if len(needing) < len(self.endpoints):
                    others = ", ".join(e.name for e in refusing)
                    self.made.problems["endpoint"] = Problem(
                        f"{needing[0].name} needs a picture and {others} takes none: they are two sweeps."
                    )
            if found and found != [None]:
                self._put(name, found)

    def _texts(self) -> None:
        for name in ORDER:
            if name in self.in_rows:
                continue
            text = getattr(self.fields, name)
            read = (
                (lambda t=text: read_prompts(t))
                if name == "prompt"
                else (lambda n=name, t=text: read_text(n, t))
            )
            values = self._try(name, read)
            if values is None:
                continue
            if isinstance(values, list):
                values = list(dict.fromkeys(values))
            self._try(name, lambda n=name, v=values: check_values(self.endpoints, n, v))
            if name not in self.made.problems:
                self._put(name, values)

    def _algebra(self, n_rows: int) -> None:
        """Groups, condition, repeats and sample, and how many requests there are of all that."""
        fields, made = self.fields, self.made
        groups = self._try("zip", lambda: self._groups(read_zip(fields.zip)))
        if groups:
            made.options["zip"] = groups
        if fields.where.strip():
            condition = self._try("where", lambda: Condition(fields.where))
            if condition is not None:
                made.options["where"] = condition
        repeat = self._try("repeat", lambda: read_whole("repeat", fields.repeat)) or 1
        if repeat > 1:
            made.options["repeat"] = repeat
        total = self._total(groups or [], n_rows)
        if str(fields.sample).strip():
            sample = self._try("sample", lambda: read_whole("sample", fields.sample))
            seed = self._try("sample_seed", lambda: read_whole("sample_seed", fields.sample_seed, 0, 2**31))
            if sample:
                made.options |= {"sample": sample, "method": fields.method, "sample_seed": seed or 0}
                total = min(total, sample)
        if not set(made.problems) - {*PICTURES, "plan"}:
            made.n_requests = total * repeat

    def _groups(self, groups: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
        known = {**self.made.inputs, **dict.fromkeys(self.made.problems)}
        for name in (name for group in groups for name in group):
            if name not in known:
                where = "stands in the rows" if name in self.in_rows else "has no value"
                raise LabError(f"{label(name)} {where}, so nothing can go together with it.")
        for group in groups:
            told = {n: len(self.made.inputs[n]) for n in group if n in self.made.inputs}
            if len(set(told.values())) > 1:
                counts = ", ".join(f"{label(n)} has {k}" for n, k in told.items())
                raise LabError(f"Inputs that go together need equally many values: {counts}.")
        return groups

    def _total(self, groups: Sequence[Sequence[str]], n_rows: int) -> int:
        inputs = self.made.inputs
        later = {name for group in groups for name in group[1:]}
        return math.prod((len(v) for n, v in inputs.items() if n not in later), start=n_rows or 1)


def _defaults(inputs: Mapping[str, Any]) -> set[str]:
    """Inputs that have just the endpoint's own default, so that nobody need say them."""
    aliases = inputs.get("endpoint", [])
    if not aliases:
        return set()
    model = find(aliases[0]).input.model_fields
    same = {
        name
        for name in ("aspect_ratio", "camera_fixed", "enable_safety_checker")
        if name in inputs and list(inputs[name]) == [model[name].default]
    }
    return same | ({"endpoint"} if list(aliases) == [LITE.alias] else set())


def options(endpoints: Sequence[Endpoint], name: str) -> tuple[str, ...]:
    """The words that can be ticked for an input: what any of these endpoints offers, in the service's order."""
    if name == "endpoint":
        return tuple(endpoint.alias for endpoint in ENDPOINTS)
    if name == "camera_fixed":
        return ("moving", "fixed")
    if name == "enable_safety_checker":
        return ("true", "false")
    return tuple(
        dict.fromkeys(option for endpoint in endpoints or (LITE,) for option in endpoint.options(name))
    )
