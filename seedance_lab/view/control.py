"""What the panel knows and decides, without anything that draws.

Fields hold what a person typed; the plan, the price and the errors follow from them, and an error stays
with the field that it belongs to. All methods may be called from any thread: a notebook runs a widget's
callbacks beside its cells. What was set by hand can be read back as code (`as_code`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from seedance_lab import image as images
from seedance_lab.budget import Options, check_budget
from seedance_lab.endpoints import ENDPOINTS, LITE, Endpoint, find
from seedance_lab.errors import LabError
from seedance_lab.image import Picture
from seedance_lab.plan import Plan, sweep
from seedance_lab.progress import Snapshot
from seedance_lab.run import Run
from seedance_lab.study import Study
from seedance_lab.view.fields import (
    MOST,
    Fields,
    ImageField,
    Problem,
    Upload,
    as_problem,
    as_python,
    check_values,
    first_fields,
    read_budget,
    read_numbers,
    read_prompts,
    read_ticked,
)

_DOUBLE_CLICK_S = 1.0
"""A press so soon after the question is no answer: nobody has read it yet."""


class _Asked(NamedTuple):
    """The question that the first press put, and what it was about."""

    text: str
    keys: tuple[str, ...]
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Derived:
    """What follows from the fields."""

    plan: Plan | None
    inputs: Mapping[str, Any]
    problems: Mapping[str, Problem]
    n_requests: int | None


class PanelControl:
    """The panel's state and decisions.

    Args:
        study: What runs the plan.
        in_flight: Requests at the service at a time.
        defaults: First values of `Fields`, or of `sweep`: `seed=range(3)`, `prompt=[…]`, `camera_fixed=True`
            are understood too.

    Raises:
        LabError: No such field.
    """

    def __init__(self, study: Study, *, in_flight: int | None = None, **defaults: Any) -> None:
        self.study = study
        self.in_flight = in_flight
        self._lock = threading.RLock()
        self._pictures: dict[Any, Picture] = {}
        self._run: Run | None = None
        self._failed: str = ""
        self._asked: _Asked | None = None
        self._fields = first_fields(defaults)
        self._derived = self._derive()

    # ── state ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def fields(self) -> Fields:
        """What is in the fields."""
        return self._fields

    def set(self, **changes: Any) -> None:
        """Change fields; a question that was not answered yet is taken back."""
        with self._lock:
            self._asked = None
            self._failed = ""
            self._fields = replace(self._fields, **changes)
            self._derived = self._derive()

    @property
    def plan(self) -> Plan | None:
        """The plan, knowing what the study has paid for; None while a field keeps it from being made."""
        return self._derived.plan

    @property
    def errors(self) -> dict[str, Problem]:
        """What keeps the plan from being run, by field; `plan` and `run` for what belongs to none."""
        with self._lock:
            problems = dict(self._derived.problems)
            if self._failed:
                problems["run"] = Problem(self._failed)
            return problems

    @property
    def endpoint(self) -> Endpoint:
        """The chosen endpoint; the first where there is no such one."""
        try:
            return find(self._fields.endpoint)
        except LabError:
            return ENDPOINTS[0]

    def options(self, field: str) -> tuple[str, ...]:
        """What can be chosen for a field: what the endpoint offers, and what is chosen all the same."""
        offered = self.endpoint.options(field)
        chosen: tuple[str, ...] = getattr(self._fields, field)
        return (*offered, *(value for value in chosen if value not in offered))

    @property
    def picture(self) -> Picture | None:
        """The first frame, once it is one that the service takes."""
        return self._picture("image")[0]

    @property
    def end_picture(self) -> Picture | None:
        """The last frame, likewise."""
        return self._picture("end_image")[0]

    @property
    def price_text(self) -> str:
        """How many, how much, how long: in one line."""
        plan, n = self.plan, self._derived.n_requests
        if plan is None:
            missing = [p for p in self._derived.problems.values() if p.missing]
            all_missing = len(missing) == len(self._derived.problems)
            left = "choose a picture" if all_missing else "mend the marked fields"
            return f"{_count(n) if n else 'No plan yet'} · {left} to see the price"
        _, n_paid, video_s, usd, minutes = plan.estimate()
        read = min(request.endpoint.price.read for request in plan)
        count = _count(len(plan))
        if n_paid:
            count += f", {'all' if n_paid == len(plan) else n_paid} {self._paid_word}"
        if n_paid == len(plan):
            return f"{count} · nothing to {'make' if self.study.place.free else 'pay'}"
        price = "price unknown" if usd is None else f"${usd:,.2f}"
        if self.study.place.free:
            there = price if usd is None else f"{price} at fal's list price of {read}"
            return f"{count} · {video_s:,} s of video · $0.00 here, free engine ({there})"
        return (
            f"{count} · {video_s:,} s of video · {price} at list price of {read} · about {_minutes(minutes)}"
        )

    @property
    def _paid_word(self) -> str:
        return "made already" if self.study.place.free else "paid for already"

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before paying."""
        endpoint = self.endpoint.note if self.study.place.hosted else ""
        return tuple(note for note in (endpoint, *(self.plan.notes if self.plan else ())) if note)

    @property
    def needs_confirm(self) -> bool:
        """Whether running costs money, so that it takes a budget and a second press."""
        return self.study.place.hosted

    @property
    def confirm_text(self) -> str:
        """What the next press of the button agrees to; empty before the first, and once anything has changed."""
        with self._lock:
            return self._asked.text if self._asked is not None and self._asked[:2] == self._question else ""

    @property
    def _question(self) -> tuple[str, tuple[str, ...]] | None:
        """What is to be agreed to before the plan is sent, and its keys; None when it costs nothing."""
        if not self.needs_confirm or self.plan is None or not self.plan.todo:
            return None
        _, _, _, usd, _ = self.plan.estimate()
        cost = "an amount that nobody knows" if usd is None else f"about ${usd:,.2f}"
        text = f"This will cost {cost} at {self.study.place.name}. Press again to confirm."
        return text, tuple(request.key for request in self.plan.todo)

    @property
    def can_run(self) -> bool:
        """Whether `run` would do something: begin, or ask first."""
        with self._lock:
            return self.plan is not None and not self._derived.problems and not self.running

    def _is_agreed(self) -> bool:
        """Whether the plan may be sent now; the first press asks, the second one agrees."""
        if (question := self._question) is None:
            return True
        now_s = time.monotonic()
        if self._asked is None or self._asked[:2] != question:
            self._asked = _Asked(*question, now_s)
            return False
        return now_s - self._asked.at_s >= _DOUBLE_CLICK_S

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────

    @property
    def current(self) -> Run | None:
        """The run that was begun last."""
        return self._run

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._run is not None and not self._run.done

    @property
    def stopping(self) -> bool:
        """Whether the run begins nothing new."""
        return self._run is not None and self._run.state in {"stopping", "cancelling"}

    def run(self) -> Run | None:
        """Run the plan; None when it was not begun: `errors` says why, or `confirm_text` asks for a second press."""
        with self._lock:
            if not self.can_run or not self._is_agreed():
                return None
            assert self.plan is not None
            self._asked = None
            try:
                budget = read_budget(self._fields.budget_usd)
                self._run = self.study.start(self.plan, budget_usd=budget, in_flight=self.in_flight)
            except (LabError, OSError) as error:
                self._failed = str(error)
                return None
            self._failed = ""
            return self._run

    def stop(self) -> None:
        """Begin nothing new; what is at the service is still saved."""
        if self._run is not None:
            self._run.stop()

    def cancel(self) -> None:
        """Stop, and ask the service to take back what is there."""
        if self._run is not None:
            self._run.cancel()

    def snapshot(self) -> Snapshot | None:
        """How far the run is; None before the first one."""
        return self._run.snapshot() if self._run is not None else None

    def refresh(self) -> None:
        """Take notice of what has changed outside: a run that is over, clips that are paid for."""
        with self._lock:
            if self._run is not None and self._run.done:
                try:
                    self._run.check()
                except (LabError, OSError) as error:
                    self._failed = str(error)
            self._derived = self._derive()

    # ── as code ─────────────────────────────────────────────────────────────────────────────────────────

    def as_code(self, *, run: bool = True) -> str:
        """Python that makes the same plan: the same keys.

        An uploaded picture is kept in the study's `inputs/` first, so that the code can name it.

        Args:
            run: Whether the code also runs it.

        Raises:
            LabError: There is no plan, because of what is in the fields.
            OSError: The uploaded picture cannot be written.
        """
        with self._lock:
            if self.plan is None:
                why = "; ".join(f"{name}: {p.text}" for name, p in self._derived.problems.items())
                raise LabError(f"There is no plan to write down. {why}")
            inputs = {**self._derived.inputs}
            for name in ("image", "end_image"):
                if name in inputs:
                    inputs[name] = self._source(name, inputs[name])
            if self._fields.repeat > 1:
                inputs["repeat"] = self._fields.repeat
            budget = read_budget(self._fields.budget_usd)
        arguments = "".join(f"    {name}={as_python(value)},\n" for name, value in inputs.items())
        place = self.study.place.name
        engine = "" if place == "local" else f", engine={place!r}"
        if not self.study.tracked:
            engine += ", track=False"
        code = f"import seedance_lab as lab\n\nplan = lab.sweep(\n{arguments})\n"
        if run:
            paid = "" if budget is None else f", budget_usd={budget:g}"
            code += f"study = lab.Study({str(self.study.folder)!r}{engine})\nrun = study.run(plan{paid})\n"
        return code

    def _source(self, field: str, picture: Picture) -> str:
        """What names the picture in code."""
        given = getattr(self._fields, field)
        if isinstance(given, str | os.PathLike):
            return os.fspath(given)
        path = self.study.folder / "inputs" / picture.sha256
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{path.name}.part")
            part.write_bytes(picture.read())
            part.replace(path)
        return str(path)

    # ── deriving ────────────────────────────────────────────────────────────────────────────────────────

    def _derive(self) -> _Derived:
        """The plan, or what keeps it from being made, by field."""
        problems: dict[str, Problem] = {}
        try:
            endpoint = find(self._fields.endpoint)
        except LabError as error:
            return _Derived(plan=None, inputs={}, problems={"endpoint": as_problem(error)}, n_requests=None)
        inputs: dict[str, Any] = {} if endpoint is LITE else {"endpoint": endpoint.alias}
        for name, takes in (("image", endpoint.takes_image), ("end_image", endpoint.takes_end_image)):
            picture, problem = self._picture(name)
            if problem is None and picture is not None and not takes:
                problem = Problem(f"{endpoint.name} takes no {name.replace('_', ' ')}: remove it.")
            if problem is None and picture is None and takes and name == "image":
                problem = Problem("Choose a picture.", missing=True)
            if problem is not None:
                problems[name] = problem
            elif picture is not None:
                inputs[name] = picture
        n = self._repeat(problems)
        for name, read in self._axes().items():
            try:
                values = read()
                check_values(endpoint, name, values)
            except LabError as error:
                problems[_FIELD.get(name, name)] = as_problem(error)
                continue
            n *= len(values)
            if name not in _UNSAID or values != [endpoint.input.model_fields[name].default]:
                inputs[name] = values
        if n > MOST:
            problems["plan"] = Problem(
                f"{n:,} requests are more than the panel's {MOST:,}. Take fewer values, or use lab.sweep(…)."
            )
        counted = None if set(problems) - {"image", "end_image", "plan"} else n
        plan = None if problems else self._swept(inputs, problems)
        if plan is not None:
            self._check_budget(plan, problems)
        return _Derived(plan=plan, inputs=inputs, problems=problems, n_requests=counted)

    def _axes(self) -> dict[str, Callable[[], Sequence[Any]]]:
        """How the values of each input are read, in the order of the plan's product."""
        f = self._fields
        return {
            "prompt": lambda: read_prompts(f.prompt),
            "resolution": lambda: read_ticked("resolution", f.resolution),
            "aspect_ratio": lambda: read_ticked("aspect ratio", f.aspect_ratio),
            "camera_fixed": lambda: {"moving": [False], "fixed": [True], "both": [False, True]}[f.camera],
            "duration": lambda: read_numbers("duration", f.duration),
            "seed": lambda: read_numbers("seed", f.seed.strip() or "random"),
        }

    def _repeat(self, problems: dict[str, Problem]) -> int:
        repeat = self._fields.repeat
        if isinstance(repeat, bool) or not isinstance(repeat, int) or not 1 <= repeat <= MOST:
            problems["repeat"] = Problem(f"repeat={repeat!r} must be 1 to {MOST}.")
            return 1
        return repeat

    def _swept(self, inputs: Mapping[str, Any], problems: dict[str, Problem]) -> Plan | None:
        try:
            return self.study.preview(sweep(**inputs, repeat=self._fields.repeat))
        except LabError as error:
            problems["plan"] = as_problem(error)
            return None

    def _check_budget(self, plan: Plan, problems: dict[str, Problem]) -> None:
        if not self.needs_confirm:
            return
        if not self._fields.budget_usd.strip() and plan.todo:
            problems["budget_usd"] = Problem("Say how much this study may spend, in dollars.", missing=True)
            return
        try:
            options = Options(budget_usd=read_budget(self._fields.budget_usd), in_flight=self.in_flight)
            check_budget(self.study.place, plan, self.study.records(), options)
        except LabError as error:
            problems["budget_usd"] = as_problem(error)

    def _picture(self, field: str) -> tuple[Picture | None, Problem | None]:
        """The picture of a field, read once for as long as its file stays the same."""
        given: ImageField = getattr(self._fields, field)
        if isinstance(given, str):
            given = given.strip()
        if not given:
            return None, None
        known_as = _identity(given)
        try:
            if known_as not in self._pictures:
                loaded = images.load(given.data if isinstance(given, Upload) else given)
                self._pictures[known_as] = (
                    replace(loaded, name=given.name) if isinstance(given, Upload) else loaded
                )
            return self._pictures[known_as], None
        except LabError as error:
            return None, as_problem(error)


_FIELD = {"camera_fixed": "camera"}
"""Input → the field that holds it, where they differ."""


_UNSAID = frozenset({"aspect_ratio", "camera_fixed"})
"""Inputs that the code leaves out while they have the endpoint's default."""


def _identity(source: Any) -> Any:
    """What a picture is known by while the panel is open; a file that was changed is another one."""
    if isinstance(source, Upload | Picture | bytes):
        return source
    text = os.fspath(source)
    try:
        stat = Path(text).expanduser().stat()
    except (OSError, ValueError):
        return text
    return text, stat.st_mtime_ns, stat.st_size


def _count(n: int) -> str:
    return f"{n:,} request{'s' if n != 1 else ''}"


def _minutes(minutes: float) -> str:
    return f"{max(1.0, minutes):,.0f} min" if minutes < 90 else f"{minutes / 60:,.1f} h"
